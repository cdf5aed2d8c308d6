// Package data brings samples to a training loop as batches of tensors: datasets
// with random access, and a Loader that shuffles, reads ahead in parallel, and
// can go on from the middle of an epoch.
//
//	loader := data.NewLoader(ds, collate, dev, data.LoaderOptions{BatchSize: 64, Shuffle: true, Seed: 1, Workers: 2})
//	for b, err := range loader.Batches(ctx, epoch) {
//		if err != nil {
//			return err
//		}
//		loss := nn.CrossEntropy(model.Forward(b.X), b.Y)
//		…
//	} // here all tensors of this step are freed
package data

import (
	"fmt"

	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
)

// Dataset is a number of samples with random access.
type Dataset[S any] interface {
	// Len is the number of samples. It must not change while a Loader iterates.
	Len() int
	// At reads sample i, 0 <= i < Len(). It must be safe for concurrent use and
	// give the same sample each time.
	At(i int) (S, error)
}

// Slice is a dataset in memory.
type Slice[S any] []S

// Len is the length of the slice.
func (s Slice[S]) Len() int { return len(s) }

// At is s[i].
func (s Slice[S]) At(i int) (S, error) { return s[i], nil }

// Func is a dataset of n samples that at computes or reads.
func Func[S any](n int, at func(i int) (S, error)) Dataset[S] {
	if n < 0 {
		tensor.Fail("dataset", "a dataset of %d samples", n)
	}
	return function[S]{n, at}
}

type function[S any] struct {
	n  int
	at func(i int) (S, error)
}

func (f function[S]) Len() int            { return f.n }
func (f function[S]) At(i int) (S, error) { return f.at(i) }

// Map applies fn to each sample when it is read. fn must be safe for concurrent
// use.
func Map[S, T any](ds Dataset[S], fn func(S) (T, error)) Dataset[T] {
	return Func(ds.Len(), func(i int) (T, error) {
		s, err := ds.At(i)
		if err != nil {
			var none T
			return none, err
		}
		return fn(s)
	})
}

// Subset has the samples of ds at the given indices, in their order; an index may
// come more than once. It panics if one is out of range. indices is not copied.
func Subset[S any](ds Dataset[S], indices []int) Dataset[S] {
	n := ds.Len()
	for at, i := range indices {
		if i < 0 || i >= n {
			tensor.Fail("subset", "index %d at position %d is out of range for %d samples", i, at, n)
		}
	}
	return Func(len(indices), func(i int) (S, error) { return ds.At(indices[i]) })
}

// Concat has the samples of all of ds, one dataset after the other.
func Concat[S any](ds ...Dataset[S]) Dataset[S] {
	n := 0
	for _, d := range ds {
		n += d.Len()
	}
	return Func(n, func(i int) (S, error) {
		for _, d := range ds {
			if i < d.Len() {
				return d.At(i)
			}
			i -= d.Len()
		}
		var none S
		return none, fmt.Errorf("data: sample %d is beyond the end", i)
	})
}

// Split divides ds at random into parts of the given sizes, which must add up to
// its length. The same seed gives the same parts.
func Split[S any](ds Dataset[S], seed uint64, sizes ...int) []Dataset[S] {
	order := random.New(seed).Permutation(ds.Len())
	parts := make([]Dataset[S], len(sizes))
	for i, n := range sizes {
		if n < 0 || n > len(order) {
			tensor.Fail("split", "sizes %v do not add up to %d samples", sizes, ds.Len())
		}
		parts[i], order = Subset(ds, order[:n:n]), order[n:]
	}
	if len(order) > 0 {
		tensor.Fail("split", "sizes %v do not add up to %d samples", sizes, ds.Len())
	}
	return parts
}
