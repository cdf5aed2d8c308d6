package train_test

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu"
	"github.com/descent-ml/descent/data"
	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/optim"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
)

// mlp is a network with dropout, so that a training that draws other random numbers
// ends elsewhere.
type mlp struct {
	FC1, FC2 *nn.Linear
	Drop     *nn.Dropout
}

func newMLP(dev backend.Device, seed uint64, in, hidden, out int, drop float64) *mlp {
	rng := random.New(seed)
	o := nn.LinearOptions{Device: dev}
	return &mlp{nn.NewLinear(rng, in, hidden, o), nn.NewLinear(rng, hidden, out, o), nn.NewDropout(drop)}
}

func (m *mlp) Forward(x *tensor.Tensor) *tensor.Tensor {
	return m.FC2.Forward(m.Drop.Forward(m.FC1.Forward(x).ReLU()))
}

// bits are the values of a model's parameters and buffers by name.
func bits(m any) map[string][]float32 {
	v := map[string][]float32{}
	for name, p := range nn.State(m) {
		v[name] = tensor.Values[float32](p.Detach().To(tensor.Float32))
	}
	return v
}

func same(a, b map[string][]float32) bool { return maps.EqualFunc(a, b, slices.Equal[[]float32]) }

// clusters are n points around three corners of a square, which are their classes.
func clusters(n int, seed uint64) data.Slice[data.Sample] {
	x := make([]float32, 2*n)
	random.Normal32(random.New(seed).Reserve(2*n), 0, x)
	s := make(data.Slice[data.Sample], n)
	for i := range s {
		class := i % 3
		corner := [3][2]float32{{2, 2}, {-2, 2}, {2, -2}}[class]
		s[i] = data.Sample{X: []float32{corner[0] + x[2*i]/2, corner[1] + x[2*i+1]/2}, Y: int64(class)}
	}
	return s
}

func newDevice(t *testing.T) *cpu.Device {
	t.Helper()
	return cpu.New(cpu.Options{})
}

// live is the memory that dev has handed out: between two steps, that of
// parameters, gradients and optimizers, which the first step allocates.
func live(dev *cpu.Device) int64 { return dev.MemoryStats().Live }

func sgd(m any, lr float64) optim.Optimizer { return optim.NewSGD(nn.Params(m), optim.SGD{LR: lr}) }

func isTensorError(err error) bool {
	var te *tensor.Error
	return errors.As(err, &te)
}

// caught returns what a panic with *tensor.Error in fn says.
func caught(t *testing.T, fn func()) string {
	t.Helper()
	var err error
	func() {
		defer tensor.Catch(&err)
		fn()
	}()
	if err == nil {
		t.Fatal("there was no panic with *tensor.Error")
	}
	return err.Error()
}

// counting counts the calls that wait for the device.
type counting struct {
	*cpu.Device
	waits *int
}

func (c counting) Download(dst []byte, src backend.Buffer) error {
	*c.waits++
	return c.Device.Download(dst, src)
}

func (c counting) Sync() error {
	*c.waits++
	return c.Device.Sync()
}
