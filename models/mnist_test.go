package models_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/descent-ml/descent/backend/cpu"
	"github.com/descent-ml/descent/models"
	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
)

// The names and shapes are those of the network in PyTorch's examples
// (github.com/pytorch/examples, mnist/main.py), and of an equal perceptron.
func TestMNISTNetworks(t *testing.T) {
	for name, c := range map[string]struct {
		model nn.Module
		state []string
	}{
		"cnn": {models.NewMNISTCNN(random.New(1)), []string{
			"conv1.weight[32 1 3 3]", "conv1.bias[32]", "conv2.weight[64 32 3 3]", "conv2.bias[64]",
			"fc1.weight[128 9216]", "fc1.bias[128]", "fc2.weight[10 128]", "fc2.bias[10]"}},
		"mlp": {models.NewMNISTMLP(random.New(1)), []string{
			"fc1.weight[512 784]", "fc1.bias[512]", "fc2.weight[256 512]", "fc2.bias[256]", "fc3.weight[10 256]", "fc3.bias[10]"}},
	} {
		t.Run(name, func(t *testing.T) {
			var state []string
			for key, p := range nn.State(c.model) {
				state = append(state, fmt.Sprint(key, p.Shape()))
			}
			if !slices.Equal(state, c.state) {
				t.Errorf("the state is %q", state)
			}
			dev := cpu.New(cpu.Options{Poison: true})
			nn.To(dev, c.model)
			live := dev.MemoryStats().Live
			for range 2 {
				s := tensor.NewScope(dev, tensor.ScopeOptions{Train: true, Rand: random.New(2)})
				logits := c.model.Forward(tensor.RandN(s, random.New(3), tensor.Float32, 2, 1, 28, 28))
				if !slices.Equal(logits.Shape(), []int{2, 10}) {
					t.Errorf("the logits have shape %v", logits.Shape())
				}
				nn.CrossEntropy(logits, tensor.Of(s, []int64{3, 9})).Backward()
				s.Close()
			}
			if now := dev.MemoryStats().Live; now != 2*live { // parameters and gradients
				t.Errorf("%d bytes are live after two steps, %d with gradients are expected", now, 2*live)
			}
			nn.Release(c.model)
			if now := dev.MemoryStats().Live; now != 0 {
				t.Errorf("%d bytes are live after Release", now)
			}
		})
	}
}
