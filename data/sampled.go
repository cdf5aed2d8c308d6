package data

import (
	"context"
	"errors"
	"fmt"

	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
)

// sampled makes batches of the samples of a dataset.
type sampled[S, B any] struct {
	ds      Dataset[S]
	collate func(p tensor.Place, samples []S) (B, error)
	o       LoaderOptions
}

// whole is the number of samples in a batch of all ranks.
func (s *sampled[S, B]) whole() int { return s.o.BatchSize * s.o.World }

func (s *sampled[S, B]) left(from State) int {
	return s.count(from.Dataset-from.Samples, s.o.DropLast)
}

// count is the number of batches that n samples make.
func (s *sampled[S, B]) count(n int, dropLast bool) int {
	if dropLast {
		return n / s.whole()
	}
	return (n + s.whole() - 1) / s.whole()
}

func (s *sampled[S, B]) plan(epoch int, eval bool, from *State) (plan[B], error) {
	n := s.ds.Len()
	drop := s.o.DropLast && !eval
	switch {
	case n == 0:
		return plan[B]{}, errors.New("the dataset is empty")
	case s.count(n, drop) == 0:
		return plan[B]{}, fmt.Errorf("the dataset has %d samples, fewer than a batch of %d, and DropLast leaves nothing", n, s.whole())
	}
	var order []int // nil for the dataset's own
	if s.o.Shuffle && !eval {
		order = random.Derive(s.o.Seed, uint64(epoch)).Permutation(n)
	}
	st := s.start(epoch)
	if from != nil {
		st = *from
	}
	first, begin := st.Batch, st.Samples
	p := plan[B]{first: first, end: first + s.count(n-begin, drop)}
	// Batch k is a window of the order, of which each rank takes a piece.
	window := func(k int) (lo, hi int) {
		lo = begin + (k-first)*s.whole()
		return lo, min(lo+s.whole(), n)
	}
	p.fetch = func(ctx context.Context, place tensor.Place, k int) (B, error) {
		lo, hi := window(k)
		piece := (hi - lo + s.o.World - 1) / s.o.World
		index := make([]int, 0, piece)
		for i := s.o.Rank * piece; i < (s.o.Rank+1)*piece; i++ {
			at := lo + i
			if at >= hi {
				if eval {
					break
				}
				at = lo + i%(hi-lo) // a sample comes twice, so that ranks stay together
			}
			if order != nil {
				at = order[at]
			}
			index = append(index, at)
		}
		return s.fetch(ctx, place, index)
	}
	p.after = func(k int) State {
		_, hi := window(k - 1)
		st.Batch, st.Samples = k, hi
		return st
	}
	if lo, hi := window(p.end - 1); eval && s.o.Rank*((hi-lo+s.o.World-1)/s.o.World) >= hi-lo {
		p.end-- // nothing of the last batch is this rank's
	}
	return p, nil
}

// fetch reads the samples of these indices and collates them.
func (s *sampled[S, B]) fetch(ctx context.Context, p tensor.Place, index []int) (b B, err error) {
	samples := make([]S, len(index))
	for i, at := range index {
		if ctx.Err() != nil {
			return b, context.Cause(ctx)
		}
		if samples[i], err = s.read(at); err != nil {
			return b, fmt.Errorf("sample %d: %w", at, err)
		}
	}
	if b, err = s.make(p, samples); err != nil {
		return b, fmt.Errorf("collate samples %s: %w", list(index), err)
	}
	return b, nil
}

func (s *sampled[S, B]) read(at int) (sample S, err error) {
	defer tensor.Catch(&err)
	return s.ds.At(at)
}

func (s *sampled[S, B]) make(p tensor.Place, samples []S) (b B, err error) {
	defer tensor.Catch(&err)
	return s.collate(p, samples)
}

// list prints the first few of index.
func list(index []int) string {
	const most = 8
	if len(index) <= most {
		return fmt.Sprint(index)
	}
	short := fmt.Sprint(index[:most])
	return fmt.Sprintf("%s … %d]", short[:len(short)-1], index[len(index)-1])
}

func (s *sampled[S, B]) start(epoch int) State {
	return State{Epoch: epoch, Dataset: s.ds.Len(), Shuffle: s.o.Shuffle, Seed: s.o.Seed}
}

func (s *sampled[S, B]) check(from State) error {
	switch n := s.ds.Len(); {
	case len(from.Zip) != 0:
		return errors.New("it is a position of zipped loaders")
	case from.Dataset != n:
		return fmt.Errorf("it is in a dataset of %d samples, this one has %d", from.Dataset, n)
	case from.Shuffle != s.o.Shuffle:
		return fmt.Errorf("it has shuffle %v, the loader %v", from.Shuffle, s.o.Shuffle)
	case from.Seed != s.o.Seed:
		return fmt.Errorf("it has seed %d, the loader %d", from.Seed, s.o.Seed)
	case from.Epoch < 0 || from.Batch < 0 || from.Samples < from.Batch || from.Samples > n:
		return fmt.Errorf("there is no epoch %d, batch %d, sample %d of %d", from.Epoch, from.Batch, from.Samples, n)
	}
	return nil
}
