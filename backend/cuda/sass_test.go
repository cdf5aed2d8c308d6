package cuda

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/descent-ml/descent/backend"
)

// Wide accesses that a kernel must show.
const (
	loads  = 1 << iota // of 16 bytes
	stores             // likewise
)

// memoryBound are kernels whose time is that of their memory accesses, and what of 16
// bytes they do at a time. An empty op stands for all.
var memoryBound = []struct {
	file, op string
	variant  uint8
	dtypes   []backend.DType
	u        backend.DType // of copies
	wide     int
}{
	{"unary.cu", "Neg", flat, []backend.DType{backend.Float64, backend.Int64, backend.Int16}, 0, loads | stores},
	{"unary.cu", "ReLU", flat, halfAndFloat, 0, loads | stores},
	{"unary.cu", "GELU", flat, halfAndFloat, 0, loads | stores},
	{"unary.cu", "SiLU", flat, halfAndFloat, 0, loads | stores},
	{"unary.cu", "Dropout", flat, halfAndFloat, 0, loads | stores},
	{"unary.cu", "Not", flat, []backend.DType{backend.Bool}, 0, loads | stores},
	{"unary.cu", "IsFinite", flat, []backend.DType{backend.Float32}, 0, loads},
	{"binary.cu", "Add", flat, []backend.DType{backend.Float32, backend.BFloat16, backend.Float16, backend.Float64, backend.Int64, backend.Int8}, 0, loads | stores},
	{"binary.cu", "Add", rows, halfAndFloat, 0, loads | stores},
	{"binary.cu", "Lt", flat, halfAndFloat, 0, loads},
	{"binary.cu", "SiLUMul", flat, halfAndFloat, 0, loads | stores},
	{"binary.cu", "GELUGrad", flat, halfAndFloat, 0, loads | stores},
	{"ternary.cu", "Where", flat, halfAndFloat, 0, loads | stores},
	{"copy.cu", "Copy", flat, []backend.DType{backend.BFloat16}, backend.Float32, loads},
	{"copy.cu", "Copy", flat, []backend.DType{backend.Float32}, backend.BFloat16, stores},
	{"copy.cu", "Copy", rows, []backend.DType{backend.Uint8}, backend.Uint8, loads | stores},
	{"copy.cu", "Copy", rows, []backend.DType{backend.Int16}, backend.Int16, loads | stores},
	{"copy.cu", "Accumulate", flat, []backend.DType{backend.Float32}, backend.Float32, loads | stores},
	{"generate.cu", "Normal", flat, halfAndFloat, 0, stores},
	{"generate.cu", "Fill", flat, []backend.DType{backend.Float32, backend.Bool}, 0, stores},
	{"reduce.cu", "Sum", reduceRows, halfAndFloat, 0, loads},
	{"reduce.cu", "Sum", reduceColumns, halfAndFloat, 0, loads},
	{"reduce.cu", "Max", reduceRows, halfAndFloat, 0, loads},
	{"softmax.cu", "", 0, halfAndFloat, 0, loads | stores},
	{"crossentropy.cu", "", crossEntropyForward, halfAndFloat, 0, loads},
	{"crossentropy.cu", "", crossEntropyBackward, halfAndFloat, 0, loads | stores},
	{"optimizer.cu", "", 2, halfAndFloat, 0, loads | stores},
	{"sumsquares.cu", "", 0, halfAndFloat, 0, loads},
}

var halfAndFloat = []backend.DType{backend.Float32, backend.BFloat16}

// TestMemoryBoundKernelsAccess16BytesAtATime looks at their machine code for sm_90.
func TestMemoryBoundKernelsAccess16BytesAtATime(t *testing.T) {
	if !inProcessOfItsOwn(t) {
		return
	}
	disassembler := filepath.Join(os.Getenv("DESCENT_CUDA_PATH"), "triton/backends/nvidia/bin/nvdisasm")
	if _, err := os.Stat(disassembler); err != nil {
		t.Skip("needs nvdisasm, which comes with the triton of scripts/venv: ", err)
	}
	c, err := newCompiler(90, "")
	must(t, err)
	dir := t.TempDir()
	type item struct {
		spec
		size uintptr
		wide int
	}
	var todo []item
	for _, m := range memoryBound {
		found := len(todo)
		for _, family := range catalogue {
			for k, size := range family {
				if k.file == m.file && (m.op == "" || k.op == m.op) && k.variant == m.variant && slices.Contains(m.dtypes, k.t) &&
					(k.file != "copy.cu" || k.u == m.u) {
					todo = append(todo, item{k, size, m.wide})
				}
			}
		}
		if len(todo)-found < len(m.dtypes) {
			t.Errorf("the catalogue has no %s %s of variant %d of all of %v", m.file, m.op, m.variant, m.dtypes)
		}
	}
	err = each(todo, 2, func(k item) error {
		code, err := disassembled(c, disassembler, dir, k.spec, k.size)
		if err != nil {
			return err
		}
		for wide, instruction := range map[int]*regexp.Regexp{loads: wideLoad, stores: wideStore} {
			if k.wide&wide != 0 && !instruction.MatchString(code) {
				return fmt.Errorf("%v: no %v", k.spec, instruction)
			}
		}
		if m := generic.FindString(code); m != "" {
			return fmt.Errorf("%v: %s looks for the kind of memory at every access", k.spec, m)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d kernels", len(todo))
	// A kernel of single elements has no such access: the test would see it.
	narrow := spec{file: "unary.cu", op: "ReLU", variant: strided}
	code, err := disassembled(c, disassembler, dir, narrow, elementwiseBytes(2))
	must(t, err)
	if wideLoad.MatchString(code) || !strings.Contains(code, "LDG.E") {
		t.Errorf("%v: the disassembly shows no narrow loads, or wide ones:\n%s", narrow, code)
	}
}

var (
	wideLoad  = regexp.MustCompile(`\bLDG\.E\.(\w+\.)*128\b`)
	wideStore = regexp.MustCompile(`\bSTG\.E\.(\w+\.)*128\b`)
	generic   = regexp.MustCompile(`\b(LD|ST)\.E[^;]*`)
)

// disassembled is the machine code of k.
func disassembled(c *compiler, disassembler, dir string, k spec, size uintptr) (string, error) {
	image, _, err := c.image(k, size, true)
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, strings.ReplaceAll(k.String(), " ", "-"))
	if err := os.WriteFile(file, image, 0o666); err != nil {
		return "", err
	}
	out, err := exec.Command(disassembler, "-c", file).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%v: %w: %s", k, err, out)
	}
	return string(out), nil
}
