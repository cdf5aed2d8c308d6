package data

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
)

// LoaderOptions are the options of NewLoader.
type LoaderOptions struct {
	// BatchSize is the number of samples in a batch; 0 is 1. With a World, it is
	// that of each rank.
	BatchSize int
	// Shuffle visits the samples in another order in each epoch, which is a
	// function of Seed and the epoch.
	Shuffle bool
	// Seed is that of the order and of the scopes' generators (dropout).
	Seed uint64
	// DropLast leaves out the last batch of an epoch if it is incomplete. Eval
	// never does.
	DropLast bool

	// Workers is the number of goroutines that read and collate batches while the
	// loop's body runs; 0 reads each batch when the loop asks for it.
	Workers int
	// Prefetch is the most batches that are ready or in work ahead of the loop,
	// and with them the memory they take; 0 is twice the number of workers.
	Prefetch int

	// World shards each batch over so many processes, of which this is number
	// Rank; 0 is 1. In training every rank gets the same number of batches, for
	// which a few samples of an incomplete last batch come twice; in Eval each
	// sample comes once, and some ranks may get a batch less.
	Rank, World int
}

func (o LoaderOptions) check() LoaderOptions {
	if o.BatchSize == 0 {
		o.BatchSize = 1
	}
	if o.World == 0 {
		o.World = 1
	}
	if o.Prefetch == 0 {
		o.Prefetch = 2 * o.Workers
	}
	switch {
	case o.BatchSize < 0:
		tensor.Fail("loader", "BatchSize is %d", o.BatchSize)
	case o.Workers < 0 || o.Prefetch < 0:
		tensor.Fail("loader", "Workers is %d and Prefetch is %d", o.Workers, o.Prefetch)
	case o.World < 0 || o.Rank < 0 || o.Rank >= o.World:
		tensor.Fail("loader", "Rank %d is not in a World of %d", o.Rank, o.World)
	}
	return o
}

// Loader iterates over a dataset in batches of type B. Each batch comes in a scope
// of its own, which owns its tensors and all that is computed from them, and which
// closes when the loop's body ends, also by break, return or panic.
//
// What it yields depends on the dataset, Seed and the epoch alone, not on Workers.
// Its methods are safe for concurrent use, but State is then that of the latest
// training loop.
type Loader[B any] struct {
	dev backend.Device
	o   LoaderOptions
	src source[B]

	mu     sync.Mutex
	at     State
	resume bool // the next loop over epoch at.Epoch goes on from at
}

// source is where batches come from: sampled from a dataset, or zipped.
type source[B any] interface {
	// left is the number of batches from a position to the end of its epoch.
	left(from State) int
	// plan says what a pass consists of; from is the position to go on from, nil
	// for the beginning.
	plan(epoch int, eval bool, from *State) (plan[B], error)
	// start is the position at the beginning of an epoch.
	start(epoch int) State
	// check holds a position against the source.
	check(from State) error
}

// plan is one pass, or the rest of one.
type plan[B any] struct {
	first, end int // numbers of the batches to yield
	fetch      func(ctx context.Context, p tensor.Place, k int) (B, error)
	after      func(k int) State // the position when k batches have been yielded
}

// NewLoader makes a loader of ds on dev. collate makes a batch of samples; it gets
// the batch's scope as the place to create tensors in, and runs in several
// goroutines at once if there are workers. An augmentation finds its randomness in
// the scope's Rand, which a batch does not share. samples is collate's own.
//
// An option that makes no sense panics.
func NewLoader[S, B any](ds Dataset[S], collate func(p tensor.Place, samples []S) (B, error), dev backend.Device, o LoaderOptions) *Loader[B] {
	o = o.check()
	return newLoader(dev, o, &sampled[S, B]{ds, collate, o})
}

func newLoader[B any](dev backend.Device, o LoaderOptions, src source[B]) *Loader[B] {
	return &Loader[B]{dev: dev, o: o, src: src, at: src.start(0)}
}

// Len is the number of batches in an epoch of training.
func (l *Loader[B]) Len() int { return l.src.left(l.src.start(0)) }

// Left is the number of batches after the current position in its epoch.
func (l *Loader[B]) Left() int { return l.src.left(l.State()) }

// Device is where the batches are made.
func (l *Loader[B]) Device() backend.Device { return l.dev }

// Batches iterates over an epoch in scopes in training mode, whose generator is a
// function of (Seed, epoch, number of the batch). After SetState with a position
// in this epoch, the next loop goes on from there, without reading what comes
// before it.
//
// An error of the dataset or of collate, also a *tensor.Error that they panic with,
// ends the loop as its last element, as does ctx when it is canceled. An empty
// dataset is an error.
func (l *Loader[B]) Batches(ctx context.Context, epoch int) iter.Seq2[B, error] {
	return func(yield func(B, error) bool) {
		from := l.begin(epoch)
		p, err := l.plan(epoch, false, from)
		if err != nil {
			fail(yield, err)
			return
		}
		open := func(k int) tensor.ScopeOptions {
			return tensor.ScopeOptions{Train: true, Rand: l.generator(epoch, k)}
		}
		if l.run(ctx, p, open, yield, func(k int) { l.move(p.after(k)) }) {
			l.move(l.src.start(epoch + 1))
		}
	}
}

// Eval iterates once over the dataset, in its order, in scopes in eval mode that
// record no gradients. Errors are as in Batches; the position does not change.
func (l *Loader[B]) Eval(ctx context.Context) iter.Seq2[B, error] {
	return func(yield func(B, error) bool) {
		p, err := l.plan(0, true, nil)
		if err != nil {
			fail(yield, err)
			return
		}
		open := func(int) tensor.ScopeOptions { return tensor.ScopeOptions{NoGrad: true} }
		l.run(ctx, p, open, yield, func(int) {})
	}
}

// fail ends a sequence with an error.
func fail[B any](yield func(B, error) bool, err error) {
	var none B
	yield(none, err)
}

func (l *Loader[B]) plan(epoch int, eval bool, from *State) (plan[B], error) {
	if epoch < 0 {
		return plan[B]{}, fmt.Errorf("data: there is no epoch %d", epoch)
	}
	p, err := l.src.plan(epoch, eval, from)
	if err != nil {
		return p, fmt.Errorf("data: %w", err)
	}
	return p, nil
}

// generator is the randomness of one batch; ranks differ.
func (l *Loader[B]) generator(epoch, k int) *random.Generator {
	path := []uint64{uint64(epoch), uint64(k)}
	if l.o.World > 1 {
		path = append(path, uint64(l.o.Rank))
	}
	return random.Derive(l.o.Seed, path...)
}

// made is a batch in its open scope, or why there is none.
type made[B any] struct {
	scope *tensor.Scope
	batch B
	err   error
}

func (m made[B]) close() {
	if m.scope != nil {
		m.scope.Close()
	}
}

// run yields the batches of p and reports whether it came to the end; passed is
// told the number of those yielded so far, before the body runs.
func (l *Loader[B]) run(ctx context.Context, p plan[B], open func(k int) tensor.ScopeOptions, yield func(B, error) bool, passed func(k int)) bool {
	produce := func(ctx context.Context, k int) made[B] {
		return produce(ctx, tensor.NewScope(l.dev, open(k)), p, k)
	}
	k := p.first
	for m := range ahead(ctx, p.first, p.end, l.o.Workers, l.o.Prefetch, produce, made[B].close) {
		if ctx.Err() != nil { // noticed while waiting
			m.close()
			break
		}
		if m.err != nil {
			fail(yield, m.err)
			return false
		}
		k++
		passed(k)
		if !give(m, yield) {
			return false
		}
	}
	if k < p.end {
		fail(yield, context.Cause(ctx))
	}
	return k >= p.end
}

// give runs the loop's body on m and closes its scope when that ends, however.
func give[B any](m made[B], yield func(B, error) bool) bool {
	defer m.close()
	return yield(m.batch, nil)
}

// produce makes batch k in s, which it closes if it fails.
func produce[B any](ctx context.Context, s *tensor.Scope, p plan[B], k int) (m made[B]) {
	done := false
	defer func() {
		if !done {
			s.Close()
		}
	}()
	b, err := p.fetch(ctx, s, k)
	if err != nil {
		return made[B]{err: fmt.Errorf("data: batch %d: %w", k, err)}
	}
	done = true
	return made[B]{scope: s, batch: b}
}
