package data_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/descent-ml/descent/data"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
)

func TestBatchesVisitEverySampleOnceInAnOrderOfSeedAndEpochAlone(t *testing.T) {
	dev := newDevice(t)
	load := func(seed uint64, workers, prefetch int) *data.Loader[seen] {
		return data.NewLoader(count(103), collateIndex, dev,
			data.LoaderOptions{BatchSize: 10, Shuffle: true, Seed: seed, Workers: workers, Prefetch: prefetch})
	}
	first := epoch(t, load(1, 0, 0), 0)
	if len(first) != 11 || len(first[10]) != 3 {
		t.Errorf("103 samples came in %d batches, the last of %d", len(first), len(first[len(first)-1]))
	}
	for _, workers := range []int{1, 2, 4} {
		for _, prefetch := range []int{0, 1, 20} {
			if got := epoch(t, load(1, workers, prefetch), 0); !slices.EqualFunc(got, first, slices.Equal) {
				t.Errorf("%d workers, prefetch %d: another order", workers, prefetch)
			}
		}
	}
	sorted := slices.Sorted(slices.Values(flat(first)))
	if !slices.Equal(sorted, upTo(103)) {
		t.Errorf("the epoch has samples %v", sorted)
	}
	others := map[string][][]int64{
		"the next epoch":      epoch(t, load(1, 0, 0), 1),
		"another seed":        epoch(t, load(2, 0, 0), 0),
		"the dataset's order": {upTo(103)},
	}
	for name, other := range others {
		if slices.Equal(flat(other), flat(first)) {
			t.Errorf("the order is that of %s", name)
		}
	}
	again := load(1, 2, 0)
	epoch(t, again, 5)
	if got := epoch(t, again, 0); !slices.EqualFunc(got, first, slices.Equal) {
		t.Error("the order depends on the epochs before")
	}
}

func TestWithoutShuffleTheOrderIsTheDatasets(t *testing.T) {
	l := data.NewLoader(count(7), collateIndex, newDevice(t), data.LoaderOptions{})
	got := epoch(t, l, 3)
	if len(got) != 7 || !slices.Equal(flat(got), upTo(7)) {
		t.Errorf("got %v", got)
	}
}

func TestDropLastLeavesOutTheIncompleteBatchOfTrainingOnly(t *testing.T) {
	l := data.NewLoader(count(10), collateIndex, newDevice(t), data.LoaderOptions{BatchSize: 4, DropLast: true})
	if got := epoch(t, l, 0); len(got) != 2 || l.Len() != 2 || !slices.Equal(flat(got), upTo(8)) {
		t.Errorf("got %v, Len %d", got, l.Len())
	}
	var all []int64
	for b, err := range l.Eval(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b.values()...)
	}
	if !slices.Equal(all, upTo(10)) {
		t.Errorf("Eval got %v", all)
	}
}

func TestScopesCarryModeAndRandomness(t *testing.T) {
	dev := newDevice(t)
	o := data.LoaderOptions{BatchSize: 2, Seed: 9}
	draw := func(workers, epoch int) (draws []uint64) {
		o.Workers = workers
		for b, err := range data.NewLoader(count(6), collateIndex, dev, o).Batches(t.Context(), epoch) {
			if err != nil {
				t.Fatal(err)
			}
			mode := b.Index.Scope().Mode()
			if !mode.Train || mode.NoGrad {
				t.Errorf("a training scope has mode %+v", mode)
			}
			draws = append(draws, mode.Rand.Uint64())
		}
		return draws
	}
	want := make([]uint64, 3)
	for k := range want {
		want[k] = random.Derive(9, 4, uint64(k)).Uint64()
	}
	for _, workers := range []int{0, 3} {
		if got := draw(workers, 4); !slices.Equal(got, want) {
			t.Errorf("%d workers: the scopes' first numbers are %v, want those of (seed, epoch, batch) %v", workers, got, want)
		}
	}
	for b, err := range data.NewLoader(count(6), collateIndex, dev, o).Eval(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if mode := b.Index.Scope().Mode(); mode.Train || !mode.NoGrad || mode.Rand != nil {
			t.Errorf("an evaluation scope has mode %+v", mode)
		}
	}
}

// Whatever ends a loop, its scope and those of the batches read ahead are closed
// and no worker is left.
func TestALoopLeavesNothingBehind(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	boom := errors.New("boom")
	ends := map[string]func(l *data.Loader[seen]){
		"end": func(l *data.Loader[seen]) { epoch(t, l, 0) },
		"break": func(l *data.Loader[seen]) {
			for range l.Batches(t.Context(), 0) {
				break
			}
		},
		"panic": func(l *data.Loader[seen]) {
			defer func() {
				if r := recover(); r != boom {
					t.Errorf("the loop panicked with %v", r)
				}
			}()
			for range l.Batches(t.Context(), 0) {
				panic(boom)
			}
		},
		"cancel": func(l *data.Loader[seen]) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			n := 0
			for _, err := range l.Batches(ctx, 0) {
				if n++; n == 2 {
					cancel(boom)
				} else if n == 3 && err != boom || n > 3 {
					t.Errorf("element %d after a cancellation has error %v", n, err)
				}
			}
			if n != 3 {
				t.Errorf("the loop ended after %d elements", n)
			}
		},
	}
	for name, end := range ends {
		for _, workers := range []int{0, 1, 4} {
			t.Run(fmt.Sprintf("%s/%d workers", name, workers), func(t *testing.T) {
				dev := newDevice(t)
				var last seen
				l := data.NewLoader(count(50), func(p tensor.Place, samples []int) (seen, error) {
					b, err := collateIndex(p, samples)
					if workers == 0 {
						last = b
					}
					return b, err
				}, dev, data.LoaderOptions{BatchSize: 2, Workers: workers})
				end(l)
				if live := dev.MemoryStats().Live; live != 0 {
					t.Errorf("%d bytes are live after the loop", live)
				}
				if workers == 0 {
					if err := caught(t, func() { last.Index.Neg() }); !strings.Contains(err.Error(), "after its scope closed") {
						t.Errorf("a batch used after the loop: %v", err)
					}
				}
			})
		}
	}
	for wait := 0; runtime.NumGoroutine() > goroutines+2 && wait < 100; wait++ { // the cpu's own pool starts two
		time.Sleep(10 * time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > goroutines+2 {
		t.Errorf("%d goroutines before, %d after", goroutines, n)
	}
}

func TestErrorsNameTheSampleAndEndTheLoopInItsPlace(t *testing.T) {
	broken := errors.New("broken pixel")
	for _, workers := range []int{0, 1, 4} {
		for name, c := range map[string]struct {
			at      func(i int) (int, error)
			collate func(p tensor.Place, s []int) (seen, error)
			want    []string
			is      error
		}{
			"At": {
				at: func(i int) (int, error) {
					if i == 23 {
						return 0, broken
					}
					return i, nil
				},
				want: []string{"batch 5", "sample 23"}, is: broken,
			},
			"panic in At": {
				at: func(i int) (int, error) {
					if i == 23 {
						tensor.Fail("decode", "no such %s", "colour")
					}
					return i, nil
				},
				want: []string{"batch 5", "sample 23", "no such colour"},
			},
			"collate": {
				collate: func(p tensor.Place, s []int) (seen, error) {
					b, _ := collateIndex(p, s)
					if slices.Contains(s, 23) {
						return b, broken
					}
					return b, nil
				},
				want: []string{"batch 5", "collate", "20 21 22 23"}, is: broken,
			},
			"panic in collate": {
				collate: func(p tensor.Place, s []int) (seen, error) {
					if slices.Contains(s, 23) {
						tensor.Of(p, []int64{1, 2}, 3)
					}
					return collateIndex(p, s)
				},
				want: []string{"batch 5", "collate", "20 21 22 23"},
			},
		} {
			t.Run(fmt.Sprintf("%s/%d workers", name, workers), func(t *testing.T) {
				if c.at == nil {
					c.at = func(i int) (int, error) { return i, nil }
				}
				if c.collate == nil {
					c.collate = collateIndex
				}
				l := data.NewLoader(data.Func(100, c.at), c.collate, newDevice(t), data.LoaderOptions{BatchSize: 4, Workers: workers})
				n := 0
				var failure error
				for b, err := range l.Batches(t.Context(), 0) {
					if failure = err; err == nil {
						n += len(b.values())
					}
				}
				if failure == nil || n != 20 {
					t.Fatalf("after %d samples, error %v", n, failure)
				}
				var te *tensor.Error
				if c.is != nil && !errors.Is(failure, c.is) || c.is == nil && !errors.As(failure, &te) {
					t.Errorf("the error %v does not wrap its cause", failure)
				}
				for _, w := range c.want {
					if !strings.Contains(failure.Error(), w) {
						t.Errorf("error %q does not say %q", failure, w)
					}
				}
			})
		}
	}
}

func TestNothingToIterateIsAnError(t *testing.T) {
	dev := newDevice(t)
	for want, l := range map[string]*data.Loader[seen]{
		"empty": data.NewLoader(count(0), collateIndex, dev, data.LoaderOptions{}),
		"10 samples, fewer than a batch of 12": data.NewLoader(count(10), collateIndex, dev,
			data.LoaderOptions{BatchSize: 4, World: 3, DropLast: true}),
	} {
		n := 0
		for _, err := range l.Batches(t.Context(), 0) {
			n++
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got error %v, want %q", err, want)
			}
		}
		if n != 1 {
			t.Errorf("%s: %d elements", want, n)
		}
	}
}

func TestImpossibleOptionsPanic(t *testing.T) {
	dev := newDevice(t)
	for _, o := range []data.LoaderOptions{
		{BatchSize: -1}, {Workers: -1}, {Prefetch: -2}, {Rank: 1}, {Rank: -1, World: 2}, {World: -1},
	} {
		caught(t, func() { data.NewLoader(count(3), collateIndex, dev, o) })
	}
}

func TestPrefetchReadsNoFurther(t *testing.T) {
	var read atomic.Int64
	ds := data.Func(1000, func(i int) (int, error) { read.Add(1); return i, nil })
	l := data.NewLoader(ds, collateIndex, newDevice(t), data.LoaderOptions{BatchSize: 10, Workers: 4, Prefetch: 3})
	k := 0
	for _, err := range l.Batches(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		k++
		if n := read.Load(); int(n) > (k+3)*10 {
			t.Fatalf("in the body of batch %d, %d samples are read", k, n)
		}
		if k == 5 {
			break
		}
	}
}
