package data

import (
	"context"
	"fmt"

	"github.com/descent-ml/descent/tensor"
)

// Pair is what Zip yields: a batch of each loader, both in one scope.
type Pair[A, B any] struct {
	First  A
	Second B
}

// Len is the number of samples in First, which must be Sized.
func (p Pair[A, B]) Len() int {
	s, ok := any(p.First).(Sized)
	if !ok {
		tensor.Fail("zip", "%T has no method Len", p.First)
	}
	return s.Len()
}

// Zip iterates over two loaders at once. The batches of a pair share one scope, so
// that their tensors mix in one op, which those of two separate loops do not. It
// ends with the shorter one.
//
// The order of each loader is its own; the scopes' generators are those of a, and
// so are Workers and Prefetch. The loaders' own positions stay as they are; that of
// the result has both. It panics if they are on different devices.
func Zip[A, B any](a *Loader[A], b *Loader[B]) *Loader[Pair[A, B]] {
	if a.dev != b.dev {
		tensor.Fail("zip", "the loaders are on %v and %v", a.dev, b.dev)
	}
	return newLoader(a.dev, a.o, &zipped[A, B]{a.src, b.src})
}

type zipped[A, B any] struct {
	a source[A]
	b source[B]
}

func (z *zipped[A, B]) left(from State) int {
	return min(z.a.left(from.Zip[0]), z.b.left(from.Zip[1]))
}

func (z *zipped[A, B]) plan(epoch int, eval bool, from *State) (p plan[Pair[A, B]], err error) {
	var fromA, fromB *State
	st := z.start(epoch)
	if from != nil {
		st = *from
		fromA, fromB = &st.Zip[0], &st.Zip[1]
	}
	a, err := z.a.plan(epoch, eval, fromA)
	if err != nil {
		return p, fmt.Errorf("first loader: %w", err)
	}
	b, err := z.b.plan(epoch, eval, fromB)
	if err != nil {
		return p, fmt.Errorf("second loader: %w", err)
	}
	p.first, p.end = a.first, min(a.end, b.end)
	p.fetch = func(ctx context.Context, place tensor.Place, k int) (pair Pair[A, B], err error) {
		if pair.First, err = a.fetch(ctx, place, k); err != nil {
			return pair, fmt.Errorf("first loader: %w", err)
		}
		if pair.Second, err = b.fetch(ctx, place, k); err != nil {
			return pair, fmt.Errorf("second loader: %w", err)
		}
		return pair, nil
	}
	p.after = func(k int) State {
		st.Batch = k
		st.Zip = []State{a.after(k), b.after(k)}
		return st
	}
	return p, nil
}

func (z *zipped[A, B]) start(epoch int) State {
	return State{Epoch: epoch, Zip: []State{z.a.start(epoch), z.b.start(epoch)}}
}

func (z *zipped[A, B]) check(from State) error {
	if len(from.Zip) != 2 {
		return fmt.Errorf("it is no position of two zipped loaders")
	}
	for _, st := range from.Zip {
		if st.Epoch != from.Epoch || st.Batch != from.Batch {
			return fmt.Errorf("its loaders are at epoch %d, batch %d instead of %d, %d", st.Epoch, st.Batch, from.Epoch, from.Batch)
		}
	}
	if err := z.a.check(from.Zip[0]); err != nil {
		return fmt.Errorf("first loader: %w", err)
	}
	if err := z.b.check(from.Zip[1]); err != nil {
		return fmt.Errorf("second loader: %w", err)
	}
	return nil
}
