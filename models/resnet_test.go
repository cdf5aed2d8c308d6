package models_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/descent-ml/descent/backend/null"
	"github.com/descent-ml/descent/models"
	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/optim"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/serialize"
	"github.com/descent-ml/descent/serialize/safetensors"
	"github.com/descent-ml/descent/tensor"
)

// torchvision runs testdata/resnet.py with the Python that DESCENT_PYTHON names,
// and returns the folder it wrote to.
func torchvision(t *testing.T) string {
	python := os.Getenv("DESCENT_PYTHON")
	if python == "" {
		t.Skip("this asks torchvision: run make test, or set DESCENT_PYTHON to the Python that scripts/venv prints")
	}
	folder := t.TempDir()
	out, err := exec.Command(python, "testdata/resnet.py", folder).CombinedOutput()
	if err != nil {
		t.Fatalf("resnet.py: %v\n%s", err, out)
	}
	t.Logf("%s", out)
	return folder
}

func TestResNetsAgreeWithTorchvision(t *testing.T) {
	folder := torchvision(t)
	t.Run("names", func(t *testing.T) { checkNames(t, filepath.Join(folder, "names.json")) })
	for name, stem := range map[string]models.Stem{"cifar": models.CIFAR, "imagenet": models.ImageNet} {
		for dt, tolerance := range map[tensor.DType]float64{tensor.Float64: 1e-6, tensor.Float32: 1e-3} {
			for _, mode := range []string{"train", "eval"} {
				t.Run(fmt.Sprintf("%s/%v/%s", name, dt, mode), func(t *testing.T) {
					if raced && (stem == models.CIFAR) != (dt == tensor.Float64) {
						t.Skip("under the race detector, which makes this slow, one dtype for each stem is enough")
					}
					r := open(t, filepath.Join(folder, name+".safetensors"))
					m := models.NewResNet18(random.New(1), models.ResNetOptions{Classes: 10, Stem: stem, DType: dt})
					defer nn.Release(m)
					if err := serialize.Load(filepath.Join(folder, name+".state.safetensors"), m, serialize.LoadOptions{}); err != nil {
						t.Fatal(err)
					}
					r.dt, r.tolerance = dt, tolerance
					r.steps(m, mode)
				})
			}
		}
	}
}

// checkNames holds the state of every model against torchvision's state_dict.
func checkNames(t *testing.T, path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var golden map[string][][2]any
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	type build = func(*random.Generator, models.ResNetOptions) *models.ResNet
	builds := map[string]struct {
		build
		models.ResNetOptions
	}{
		"resnet18":        {models.NewResNet18, models.ResNetOptions{}},
		"resnet34":        {models.NewResNet34, models.ResNetOptions{}},
		"resnet50":        {models.NewResNet50, models.ResNetOptions{}},
		"resnet101":       {models.NewResNet101, models.ResNetOptions{}},
		"resnet152":       {models.NewResNet152, models.ResNetOptions{}},
		"resnext50_32x4d": {models.NewResNet50, models.ResNetOptions{Groups: 32, GroupWidth: 4}},
		"wide_resnet50_2": {models.NewResNet50, models.ResNetOptions{GroupWidth: 128}},
	}
	for name, want := range golden {
		b := builds[name]
		b.Device = null.New() // only names and shapes count
		m := b.build(random.New(1), b.ResNetOptions)
		var got []string
		for key, p := range nn.State(m) {
			got = append(got, fmt.Sprint(key, p.Shape()))
		}
		var names []string
		for _, entry := range want {
			names = append(names, fmt.Sprint(entry[0], entry[1]))
		}
		if !slices.Equal(got, names) {
			for i := range min(len(got), len(names)) {
				if got[i] != names[i] {
					t.Errorf("%s: tensor %d is %s, torchvision has %s", name, i, got[i], names[i])
					break
				}
			}
			t.Errorf("%s: %d tensors, torchvision has %d", name, len(got), len(names))
		}
	}
}

// results are what torchvision computed.
type results struct {
	*testing.T
	file      *safetensors.File
	dt        tensor.DType
	tolerance float64
}

func open(t *testing.T, path string) *results {
	f, err := safetensors.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &results{T: t, file: f}
}

// steps makes five steps of SGD, and compares all that the file has of them.
func (r *results) steps(m *models.ResNet, mode string) {
	dev := m.FC.Weight.Device()
	opt := optim.NewSGD(nn.Params(m), optim.SGD{LR: 0.001, Momentum: 0.9})
	losses := r.read(mode+"/losses", dev)
	for i, want := range tensor.Values[float64](losses) {
		func() {
			s := tensor.NewScope(dev, tensor.ScopeOptions{Train: mode == "train", Rand: random.New(1)})
			defer s.Close()
			out := m.Forward(r.read("x", s).To(r.dt))
			loss := nn.CrossEntropy(out, r.read("y", s))
			opt.ZeroGrad()
			loss.Backward()
			if i == 0 {
				r.compare(mode+"/out", out)
				for name, p := range nn.Params(m) {
					r.compare(mode+"/grad/"+name, p.Grad())
				}
			}
			opt.Step()
			if got := loss.Item(); !(math.Abs(got-want) <= r.tolerance*math.Abs(want)) {
				r.Errorf("loss %d is %v, torchvision has %v", i, got, want)
			}
		}()
	}
	for name, b := range nn.State(m) {
		if b.IsBuffer() {
			r.compare(mode+"/state/"+name, b)
		}
	}
}

// compare holds the norm of the difference against the tolerance.
func (r *results) compare(key string, got *tensor.Tensor) {
	r.Helper()
	want := r.read(key, got.Device())
	if !slices.Equal(got.Shape(), want.Shape()) {
		r.Errorf("%s: shape %v, torchvision has %v", key, got.Shape(), want.Shape())
		return
	}
	v, w := values(got), values(want)
	var off, size float64
	for i := range w {
		off += (v[i] - w[i]) * (v[i] - w[i])
		size += w[i] * w[i]
	}
	if !(math.Sqrt(off) <= r.tolerance*math.Sqrt(size)) {
		r.Errorf("%s: the difference has norm %v, torchvision's %v", key, math.Sqrt(off), math.Sqrt(size))
	}
}

func values(t *tensor.Tensor) []float64 {
	return tensor.Values[float64](t.Detach().To(tensor.Float64))
}

func (r *results) read(key string, p tensor.Place) *tensor.Tensor {
	e, err := r.file.Entry(key)
	if err != nil {
		r.Fatal(err)
	}
	var data bytes.Buffer
	if _, err := e.Data.WriteTo(&data); err != nil {
		r.Fatal(err)
	}
	dt := tensor.Float64
	if e.DType == safetensors.I64 {
		dt = tensor.Int64
	}
	x, err := tensor.FromBytes(p, dt, data.Bytes(), append([]int{}, e.Shape...)...)
	if err != nil {
		r.Fatal(err)
	}
	return x
}

func TestResNetWithoutGradientsHoldsOneBlockAtATime(t *testing.T) {
	dev := null.New() // it counts no scratch memory of kernels
	m := models.NewResNet18(random.New(1), models.ResNetOptions{Classes: 10, Stem: models.CIFAR, Device: dev})
	parameters := dev.MemoryStats().Live
	dev.ResetPeak()
	s := tensor.NewScope(dev, tensor.ScopeOptions{NoGrad: true})
	x := tensor.RandN(s, random.New(1), tensor.Float32, 2, 3, 16, 16)
	y := m.Forward(x)
	if !slices.Equal(y.Shape(), []int{2, 10}) {
		t.Errorf("the logits have shape %v", y.Shape())
	}
	if held, want := s.Bytes(), (x.NumEl()+y.NumEl())*4; held != want {
		t.Errorf("the scope holds %d bytes, not %d of input and output", held, want)
	}
	image := int64(2 * 64 * 16 * 16 * 4)                              // the largest activation
	if peak := dev.MemoryStats().Peak - parameters; peak > 10*image { // a block makes 7, from 1
		t.Errorf("%d bytes were live at once, %.1f activations", peak, float64(peak)/float64(image))
	}
	s.Close()
	nn.Release(m)
	if live := dev.MemoryStats().Live; live != 0 {
		t.Errorf("%d bytes are live after Release", live)
	}
}

func TestZeroInitResidualStartsBlocksAsTheirShortcuts(t *testing.T) {
	m := models.NewResNet18(random.New(1), models.ResNetOptions{Stem: models.CIFAR, ZeroInitResidual: true})
	defer nn.Release(m)
	s := tensor.NewScope(m.FC.Weight.Device(), tensor.ScopeOptions{NoGrad: true})
	defer s.Close()
	x := tensor.Uniform(s, random.New(1), tensor.Float32, 0, 1, 1, 64, 4, 4)
	if y := m.Layer1.Forward(x); !slices.Equal(tensor.Values[float32](y), tensor.Values[float32](x)) {
		t.Error("layer1 is not the identity")
	}
}
