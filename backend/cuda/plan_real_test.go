package cuda

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/null"
	"github.com/descent-ml/descent/cuda/cudnn"
	"github.com/descent-ml/descent/models"
	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
)

// convRecorder is a device without memory that keeps the convolutions that it is
// asked for.
type convRecorder struct {
	*null.Device
	keys []convKey
}

func (r *convRecorder) ChannelsLast() bool { return true }

func (r *convRecorder) Conv(op backend.ConvOp, out, a, b backend.Array, p backend.ConvParams, e backend.Epilogue) error {
	if k := keyOf(op, &out, &a, &b, &p, &e); !slices.Contains(r.keys, k) {
		r.keys = append(r.keys, k)
	}
	return r.Device.Conv(op, out, a, b, p, e)
}

// resNet50Convs are the different convolutions of a training step of ResNet-50.
func resNet50Convs(batch int) []convKey {
	r := &convRecorder{Device: null.New()}
	m := models.NewResNet50(random.New(1), models.ResNetOptions{})
	nn.To(r, m)
	s := tensor.NewScope(r, tensor.ScopeOptions{Train: true, Rand: random.New(2)})
	defer s.Close()
	nn.CrossEntropy(m.Forward(tensor.Zeros(s, tensor.Float32, batch, 3, 224, 224)), tensor.Zeros(s, tensor.Int64, batch)).Backward()
	return r.keys
}

// inProcessOfItsOwn runs the calling test again, in a process that has the real
// libraries instead of the fakes, and reports whether this is that process. It skips
// the test without them.
func inProcessOfItsOwn(t *testing.T) bool {
	const child = "DESCENT_TEST_REAL_LIBRARIES"
	if os.Getenv(child) != "" {
		return true
	}
	python := os.Getenv("DESCENT_PYTHON")
	if python == "" {
		t.Skip("NVIDIA's cuDNN is needed: run make test, or set DESCENT_PYTHON to the Python that scripts/venv prints")
	}
	found, _ := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(python)), "lib", "python3*", "site-packages"))
	if len(found) != 1 {
		t.Skipf("NVIDIA's cuDNN is needed, and %s has no site-packages: run make test", python)
	}
	cmd := exec.Command(os.Args[0], "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), child+"=1", "DESCENT_CUDA_PATH="+found[0])
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
	return false
}

// An execution plan shows that this cuDNN has a kernel for the graph on that device,
// not what it computes or how fast. The device is an H200 as cuda/cudnn/testdata
// describes it.
func TestRealCuDNNHasPlansForResNet50(t *testing.T) {
	if !inProcessOfItsOwn(t) {
		return
	}
	lib, err := cudnn.Open()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../cuda/cudnn/testdata/device-h200.json")
	if err != nil {
		t.Fatal(err)
	}
	device, err := lib.LoadDeviceProperties(string(text))
	if err != nil {
		t.Fatal(err)
	}
	defer device.Destroy()

	keys := resNet50Convs(256)
	if n := len(keys); n != 68 { // 23 convolutions three times, but for the input's gradient of the first
		t.Fatalf("ResNet-50 has %d different convolutions and gradients", n)
	}
	for _, k := range slices.Clone(keys) {
		if k.op == backend.ConvForward { // as inference fuses it
			k.bias, k.relu = true, true
			keys = append(keys, k)
		}
	}
	for _, c := range []struct {
		dtype backend.DType
		Options
	}{
		{dtype: backend.BFloat16}, {dtype: backend.Float16}, {dtype: backend.Float32},
		{backend.Float32, Options{TF32: true}}, {backend.BFloat16, Options{Deterministic: true}}, {backend.Float32, Options{Deterministic: true}},
	} {
		last, fused, cores := 0, 0, 0
		for _, k := range keys {
			k.dtype = c.dtype
			form, plan := chosen(t, lib, device, k, &c.Options)
			if plan == nil {
				continue
			}
			for _, note := range excluded(k.dtype, &c.Options) {
				if slices.Contains(plan.Notes, note) {
					t.Errorf("%+v: %v has note %d, which is excluded", k, plan, note)
				}
			}
			if form.channelsLast {
				last++
			}
			if form.fused && k.bias {
				fused++
			}
			if slices.Contains(plan.Notes, cudnn.NoteTensorCore) {
				cores++
			}
			plan.Destroy()
		}
		t.Logf("%v TF32 %v deterministic %v: of %d plans %d take channels last, %d use tensor cores; %d of 23 epilogues are fused",
			c.dtype, c.TF32, c.Deterministic, len(keys), last, cores, fused)
		if last != len(keys) || fused != 23 {
			t.Errorf("%v: %d of %d plans take channels last, %d of 23 epilogues are fused", c.dtype, last, len(keys), fused)
		}
		if c.dtype != backend.Float32 && cores != len(keys) {
			t.Errorf("%v: %d of %d plans use tensor cores", c.dtype, cores, len(keys))
		}
		if c.dtype == backend.Float32 && !c.TF32 && cores > 0 {
			t.Errorf("float32: %d plans use tensor cores", cores)
		}
	}

	wrong := keys[0]
	wrong.y[2]++
	for _, form := range wrong.forms() {
		_, err := wrong.plans(lib, device, form, cudnn.Search{}, 1)
		if err == nil || !strings.Contains(err.Error(), "CUDNN_STATUS_BAD_PARAM") || !strings.Contains(err.Error(), "valid_spatial_dim") {
			t.Errorf("an output that does not fit: %v", err)
		}
	}
}

// chosen is the form and the plan that the backend would use.
func chosen(t *testing.T, lib *cudnn.Library, target cudnn.Target, k convKey, o *Options) (convPlan, *cudnn.Plan) {
	t.Helper()
	var err error
	for _, form := range k.forms() {
		var plans []*cudnn.Plan
		if plans, err = k.plans(lib, target, form, cudnn.Search{Exclude: excluded(k.dtype, o)}, 1); err == nil {
			return form, plans[0]
		}
	}
	t.Errorf("%+v: %v", k, err)
	return convPlan{}, nil
}
