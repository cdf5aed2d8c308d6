package doctor

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu"
	_ "github.com/descent-ml/descent/backend/cuda"
	"github.com/descent-ml/descent/internal/fakecuda"
)

// The fake libraries come first: NVIDIA's own, once in the process, end it when they
// meet the fake driver.
func TestMain(m *testing.M) {
	if folder, err := fakecuda.Folder(); err == nil {
		os.Setenv("DESCENT_CUDA_PATH", folder)
	}
	os.Exit(m.Run())
}

func TestReportOfTheCPU(t *testing.T) {
	var out bytes.Buffer
	if !Report(t.Context(), &out, Options{Budget: 50 * time.Millisecond, Device: "cpu"}) {
		t.Error("the CPU does not pass")
	}
	text := out.String()
	for _, want := range []string{"self-test of cpu", "✓ memory", "✓ matmul", "✓ random", "✓ training", "GFLOP/s", "NVRTC", "cuDNN", "NCCL"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if part := text[strings.Index(text, "self-test"):]; strings.Contains(part, "✗") {
		t.Errorf("a test fails:\n%s", part)
	}
}

// TestReportOfAGPU runs on the fake libraries.
func TestReportOfAGPU(t *testing.T) {
	fakecuda.Libraries(t)
	var out bytes.Buffer
	well := Report(t.Context(), &out, Options{Budget: time.Millisecond, Device: "cuda:0"})
	t.Logf("%s", out.String())
	if !well {
		t.Error("the fake GPU does not pass")
	}
	for _, want := range []string{"✓ driver", "✓ cuda:0", "✓ NVRTC", "✓ cuBLASLt", "✓ cuDNN", "✓ NCCL", "✓ training"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// wrong is a CPU that computes 1 percent too much.
type wrong struct{ *cpu.Device }

func (w wrong) MatMul(out, x, y backend.Array, e backend.Epilogue) error {
	if err := w.Device.MatMul(out, x, y, e); err != nil {
		return err
	}
	return w.Device.Binary(backend.Mul, out, out, backend.Array{DType: out.DType}, backend.Params{Scalars: backend.Scalars{A: 1.01}})
}

func TestADeviceThatIsWrongFails(t *testing.T) {
	var out bytes.Buffer
	if selfTest(t.Context(), &page{w: &out}, wrong{cpu.New(cpu.Options{})}, time.Millisecond) {
		t.Error("it passes")
	}
	if text := out.String(); !strings.Contains(text, "✗ matmul") || !strings.Contains(text, "✓ random") {
		t.Errorf("the page is\n%s", text)
	}
}

func TestADeviceThatIsNotThere(t *testing.T) {
	var out bytes.Buffer
	if Report(t.Context(), &out, Options{Device: "tpu"}) || !strings.Contains(out.String(), `unknown device "tpu"`) {
		t.Errorf("the page is\n%s", out.String())
	}
}

func TestInterrupt(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if Report(ctx, io.Discard, Options{Budget: time.Second, Device: "cpu"}) {
		t.Error("a report that was interrupted is well")
	}
}

func TestWrap(t *testing.T) {
	long := strings.Repeat("word ", 60) + "\n  indented " + strings.Repeat("x", 150)
	lines := wrap(errors.New(long).Error())
	for _, line := range lines {
		if len(line) > textWidth && strings.Contains(strings.TrimSpace(line), " ") {
			t.Errorf("%q is too long", line)
		}
	}
	if got := strings.Fields(strings.Join(lines, " ")); len(got) != 62 {
		t.Errorf("%d words are left of 62", len(got))
	}
	if !strings.HasPrefix(lines[len(lines)-2], "  ") {
		t.Errorf("%q lost its indent", lines[len(lines)-2])
	}
}
