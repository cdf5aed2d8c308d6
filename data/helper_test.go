package data_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/descent-ml/descent/backend/cpu"
	"github.com/descent-ml/descent/data"
	"github.com/descent-ml/descent/tensor"
)

// seen is a batch that says which samples it has.
type seen struct{ Index *tensor.Tensor }

func collateIndex(p tensor.Place, samples []int) (seen, error) {
	v := make([]int64, len(samples))
	for i, s := range samples {
		v[i] = int64(s)
	}
	return seen{tensor.Of(p, v)}, nil
}

func (s seen) values() []int64 { return tensor.Values[int64](s.Index) }

// count is the dataset 0, 1, …, n-1.
func count(n int) data.Dataset[int] {
	return data.Func(n, func(i int) (int, error) { return i, nil })
}

func newDevice(t *testing.T) *cpu.Device {
	t.Helper()
	dev := cpu.New(cpu.Options{})
	t.Cleanup(func() {
		if live := dev.MemoryStats().Live; live != 0 {
			t.Errorf("%d bytes are still live at the end", live)
		}
	})
	return dev
}

// epoch reads all batches of an epoch.
func epoch(t *testing.T, l *data.Loader[seen], n int) (batches [][]int64) {
	t.Helper()
	for b, err := range l.Batches(t.Context(), n) {
		if err != nil {
			t.Fatal(err)
		}
		batches = append(batches, b.values())
	}
	return batches
}

func flat(batches [][]int64) []int64 { return slices.Concat(batches...) }

func upTo(n int) []int64 {
	v := make([]int64, n)
	for i := range v {
		v[i] = int64(i)
	}
	return v
}

// caught returns the *tensor.Error that fn panics with.
func caught(t *testing.T, fn func()) error {
	t.Helper()
	var err error
	func() {
		defer tensor.Catch(&err)
		fn()
	}()
	var te *tensor.Error
	if !errors.As(err, &te) {
		t.Fatalf("got error %v, want a panic with *tensor.Error", err)
	}
	return err
}
