package serialize

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/descent-ml/descent/backend/cpu"
	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/optim"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/serialize/safetensors"
	"github.com/descent-ml/descent/tensor"
)

// net is tied, nested, and of several types.
type net struct {
	FC1   *nn.Linear
	Tied  *tensor.Tensor
	Count *tensor.Tensor
	Low   *tensor.Tensor
}

func newNet(seed uint64, width int) *net {
	dev := cpu.New(cpu.Options{})
	rng := random.New(seed)
	n := &net{FC1: nn.NewLinear(rng, 3, width, nn.LinearOptions{})}
	n.Tied = n.FC1.Weight
	n.Count = tensor.Buffer(tensor.Of(dev, []int64{int64(seed), -1 << 62}))
	n.Low = tensor.Parameter(tensor.RandN(dev, rng, tensor.BFloat16, 2, 2))
	return n
}

func (n *net) step(opt optim.Optimizer) {
	opt.ZeroGrad()
	n.FC1.Weight.SetGrad(n.FC1.Weight.Detach().MulScalar(0.5))
	opt.Step()
}

func state(m any) map[string]string {
	out := map[string]string{}
	for name, t := range nn.State(m) {
		out[name] = string(t.Bytes())
	}
	return out
}

func equal(t *testing.T, what string, a, b any) {
	t.Helper()
	x, y := state(a), state(b)
	if len(x) != len(y) {
		t.Fatalf("%s: %d tensors, then %d", what, len(x), len(y))
	}
	for name := range x {
		if x[name] != y[name] {
			t.Errorf("%s: %s differs", what, name)
		}
	}
}

func TestSavedModelLoads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.safetensors")
	a, b := newNet(1, 4), newNet(2, 4)
	if err := Save(path, a, map[string]string{"note": "x"}); err != nil {
		t.Fatal(err)
	}
	if err := Load(path, b, LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	equal(t, "load", a, b)
	var one, two bytes.Buffer
	if err := errors.Join(Write(&one, a, nil), Write(&two, b, nil)); err != nil || !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Errorf("equal models give different files (%v)", err)
	}
	c := newNet(3, 4)
	if err := Read(bytes.NewReader(one.Bytes()), int64(one.Len()), c, LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	equal(t, "read", a, c)
}

func TestFloatsConvert(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.safetensors")
	a := newNet(1, 4)
	nn.Cast(tensor.Float64, a)
	if err := Save(path, a, nil); err != nil {
		t.Fatal(err)
	}
	b := newNet(2, 4)
	if err := Load(path, b, LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	nn.Cast(tensor.Float32, a)
	if string(a.FC1.Weight.Bytes()) != string(b.FC1.Weight.Bytes()) || b.Low.DType() != tensor.BFloat16 {
		t.Error("float64 weights do not load as the model's types")
	}
}

func TestMismatchListsEverythingAndChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.safetensors")
	if err := Save(path, newNet(1, 5), nil); err != nil {
		t.Fatal(err)
	}
	var other struct {
		FC1   *nn.Linear
		FC2   *nn.Linear
		Count *tensor.Tensor
	}
	other.FC1, other.FC2 = nn.NewLinear(random.New(1), 3, 4, nn.LinearOptions{}), nn.NewLinear(random.New(1), 3, 4, nn.LinearOptions{})
	other.Count = tensor.Buffer(tensor.Of(cpu.New(cpu.Options{}), []int32{1, 2}))
	before := state(&other)
	err := Load(path, &other, LoadOptions{})
	var m *MismatchError
	if !errors.As(err, &m) {
		t.Fatalf("got %v", err)
	}
	if len(m.Missing) != 2 || len(m.Unexpected) != 2 || len(m.Mismatched) != 3 {
		t.Errorf("missing %v, unexpected %v, mismatched %v", m.Missing, m.Unexpected, m.Mismatched)
	}
	for _, want := range []string{path, "fc2.weight", "tied", "fc1.weight: shape [5 3] in the file, [4 3] in the model", "count: I64 in the file, int32 in the model"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the message lacks %q: %v", want, err)
		}
	}
	for name, v := range state(&other) {
		if before[name] != v {
			t.Errorf("%s changed", name)
		}
	}
	var loose struct{ FC1 *nn.Linear }
	loose.FC1 = nn.NewLinear(random.New(1), 3, 5, nn.LinearOptions{})
	if err := Load(path, &loose, LoadOptions{Loose: true}); err != nil {
		t.Errorf("loose: %v", err)
	}
}

// training is what a checkpoint holds.
func training(seed uint64, width int) (*Checkpoint, *net, *int) {
	n := newNet(seed, width)
	opt := optim.NewAdam(nn.Params(n), optim.Adam{LR: 0.1})
	epoch := int(seed)
	return &Checkpoint{
		Model: n, Optimizer: opt, Scheduler: optim.NewScheduler(opt, optim.ExponentialLR(0.9)),
		Generators: map[string]*random.Generator{"init": random.New(seed)},
		Values:     map[string]any{"epoch": &epoch},
	}, n, &epoch
}

func TestCheckpointResumes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.safetensors")
	a, na, _ := training(7, 4)
	for range 3 {
		na.step(a.Optimizer)
		a.Scheduler.Step()
		a.Generators["init"].Uint64()
	}
	if err := a.Save(path); err != nil {
		t.Fatal(err)
	}
	b, nb, epoch := training(8, 4)
	if err := b.Load(path); err != nil {
		t.Fatal(err)
	}
	equal(t, "load", na, nb)
	if *epoch != 7 || b.Scheduler.LastStep() != 3 || b.Optimizer.Groups()[0].LR != a.Optimizer.Groups()[0].LR {
		t.Errorf("epoch %d, step %d, lr %v", *epoch, b.Scheduler.LastStep(), b.Optimizer.Groups()[0].LR)
	}
	if a.Generators["init"].Uint64() != b.Generators["init"].Uint64() {
		t.Error("the generator does not go on where it was")
	}
	na.step(a.Optimizer)
	nb.step(b.Optimizer)
	equal(t, "a step after", na, nb)
	// The model alone comes out of the same file.
	c := newNet(9, 4)
	if err := Load(path, c, LoadOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestCheckpointOfAnotherTrainingIsRefused(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "c.safetensors")
	a, na, _ := training(7, 4)
	na.step(a.Optimizer)
	if err := a.Save(path); err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(dir, "plain.safetensors")
	if err := Save(plain, na, nil); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		path   string
		change func(c *Checkpoint)
	}{
		"fc1.weight: shape [4 3] in the file, [6 3] in the model": {path, func(c *Checkpoint) { c.Model = newNet(1, 6) }},
		"a schedule: true, this program: false":                   {path, func(c *Checkpoint) { c.Scheduler = nil }},
		"generators [init], this program []":                      {path, func(c *Checkpoint) { c.Generators = nil }},
		"values [epoch], this program [epoch step]":               {path, func(c *Checkpoint) { c.Values["step"] = new(1) }},
		"value epoch: json":                                       {path, func(c *Checkpoint) { c.Values["epoch"] = new("text") }},
		"it has no training state":                                {plain, func(*Checkpoint) {}},
		"no such file":                                            {filepath.Join(dir, "none"), func(*Checkpoint) {}},
		"2 tensors, of which 0 are this optimizer's": {path, func(c *Checkpoint) {
			c.Optimizer = optim.NewSGD(nn.Params(c.Model), optim.SGD{})
		}},
	} {
		b, _, epoch := training(8, 4)
		c.change(b)
		before, model := state(b.Model), b.Model
		err := b.Load(c.path)
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("want an error with %q, got %v", what, err)
		}
		for name, v := range state(model) {
			if before[name] != v {
				t.Errorf("%s: %s changed", what, name)
			}
		}
		if *epoch != 8 {
			t.Errorf("%s: a value changed to %d", what, *epoch)
		}
	}
}

// TestFailedSaveKeepsTheOldFile closes a tensor's device memory in the middle.
func TestFailedSaveKeepsTheOldFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.safetensors")
	c, n, _ := training(7, 4)
	if err := c.Save(path); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(path)
	n.Low.Release()
	err := c.Save(path)
	var te *tensor.Error
	if !errors.As(err, &te) {
		t.Fatalf("saving a released tensor: %v", err)
	}
	after, _ := os.ReadFile(path)
	if !bytes.Equal(before, after) {
		t.Error("a failed save changed the earlier file")
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(left) != 1 {
		t.Errorf("a failed save left %v", left)
	}
}

// FuzzCheckpoint damages a checkpoint: it loads, or is refused and changes nothing.
func FuzzCheckpoint(f *testing.F) {
	path := filepath.Join(f.TempDir(), "c.safetensors")
	a, na, _ := training(7, 2)
	na.step(a.Optimizer)
	if err := a.Save(path); err != nil {
		f.Fatal(err)
	}
	good, _ := os.ReadFile(path)
	f.Add(good)
	f.Add(good[:len(good)-3])
	f.Add(bytes.Replace(good, []byte(`\"steps\"`), []byte(`\"stepz\"`), 1))
	f.Add(bytes.Replace(good, []byte(`\"version\":1`), []byte(`\"version\":2`), 1))
	f.Fuzz(func(t *testing.T, raw []byte) {
		path := filepath.Join(t.TempDir(), "c.safetensors")
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		b, nb, _ := training(8, 2)
		before := state(nb)
		if b.Load(path) == nil {
			return
		}
		for name, v := range state(nb) {
			if before[name] != v {
				t.Errorf("%s changed by a file that was refused", name)
			}
		}
	})
}

const loadInPyTorch = `
import sys, torch
from safetensors.torch import load_file, save_file
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(3, 4)
        self.tied = self.fc1.weight
        self.register_buffer("count", torch.zeros(2, dtype=torch.int64))
        self.low = nn.Parameter(torch.zeros(2, 2, dtype=torch.bfloat16))
m = Net()
state = load_file(sys.argv[1])
m.load_state_dict({k: v for k, v in state.items() if "/" not in k}, strict=True)
with torch.no_grad():
    for p in m.parameters():
        p.mul_(2)
    m.count.add_(1)
save_file({k: v.clone() for k, v in m.state_dict().items()}, sys.argv[2])
`

// TestPyTorchReadsAndWrites: PyTorch loads a checkpoint with strict=True, doubles
// it and saves it; Descent loads that.
func TestPyTorchReadsAndWrites(t *testing.T) {
	python := os.Getenv("DESCENT_PYTHON")
	if python == "" {
		t.Skip("needs a Python with torch and safetensors: run make test, or set DESCENT_PYTHON")
	}
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.safetensors"), filepath.Join(dir, "out.safetensors")
	c, n, _ := training(7, 4)
	n.step(c.Optimizer)
	if err := c.Save(in); err != nil {
		t.Fatal(err)
	}
	if msg, err := exec.Command(python, "-c", loadInPyTorch, in, out).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, msg)
	}
	back := newNet(1, 4)
	if err := Load(out, back, LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, p := range nn.Params(n) {
		p.Assign(p.Detach().MulScalar(2))
	}
	n.Count.Assign(n.Count.Detach().AddScalar(1))
	equal(t, "PyTorch", n, back)
	f, err := safetensors.OpenFile(in)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Metadata()["format"] != "pt" {
		t.Errorf("metadata %v", f.Metadata())
	}
}
