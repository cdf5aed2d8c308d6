package data_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/descent-ml/descent/data"
	"github.com/descent-ml/descent/tensor"
)

// rest makes a position of src's, through JSON, the one of l, and reads what is left
// of the epoch.
func rest(t *testing.T, l *data.Loader[seen], at data.State) [][]int64 {
	t.Helper()
	text, err := json.Marshal(at)
	if err != nil {
		t.Fatal(err)
	}
	var st data.State
	if err := json.Unmarshal(text, &st); err != nil {
		t.Fatal(err)
	}
	if err := l.SetState(st); err != nil {
		t.Fatal(err)
	}
	return epoch(t, l, st.Epoch)
}

func TestALoopGoesOnFromAnyPositionAsIfItHadNotStopped(t *testing.T) {
	dev := newDevice(t)
	var mu sync.Mutex
	read := map[int]int{}
	ds := data.Func(53, func(i int) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		read[i]++
		return i, nil
	})
	for _, workers := range []int{0, 1, 4} {
		o := data.LoaderOptions{BatchSize: 5, Shuffle: true, Seed: 3, Workers: workers}
		whole := epoch(t, data.NewLoader(ds, collateIndex, dev, o), 7)
		for stop := 1; stop <= len(whole); stop++ {
			l := data.NewLoader(ds, collateIndex, dev, o)
			var at data.State
			for range l.Batches(t.Context(), 7) {
				if at = l.State(); at.Batch == stop {
					break
				}
			}
			if l.Left() != len(whole)-stop {
				t.Errorf("after %d of %d batches, %d are left", stop, len(whole), l.Left())
			}
			if at.Epoch != 7 || at.Batch != stop || at.Samples != min(5*stop, 53) || l.State().Batch != stop {
				t.Fatalf("%d workers: after %d batches, the position is %+v", workers, stop, at)
			}
			clear(read)
			l = data.NewLoader(ds, collateIndex, dev, o)
			got := rest(t, l, at)
			if !slices.EqualFunc(got, whole[stop:], slices.Equal) {
				t.Errorf("%d workers: from batch %d on, got %v, want %v", workers, stop, got, whole[stop:])
			}
			for _, i := range flat(whole[:stop]) {
				if read[int(i)] > 0 {
					t.Fatalf("%d workers: sample %d was read again", workers, i)
				}
			}
			if end := l.State(); end.Epoch != 8 || end.Batch != 0 || end.Samples != 0 {
				t.Errorf("after the epoch, the position is %+v", end)
			}
			if again := epoch(t, l, 7); !slices.EqualFunc(again, whole, slices.Equal) {
				t.Errorf("a second loop over the epoch is not whole")
			}
		}
	}
}

func TestResumedScopesHaveTheRandomnessOfTheirBatch(t *testing.T) {
	dev := newDevice(t)
	o := data.LoaderOptions{BatchSize: 5, Seed: 3}
	draws := func(l *data.Loader[seen]) (v []uint64) {
		for b, err := range l.Batches(t.Context(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			v = append(v, b.Index.Scope().Rand().Uint64())
		}
		return v
	}
	l := data.NewLoader(count(30), collateIndex, dev, o)
	whole := draws(l)
	for range l.Batches(t.Context(), 0) {
		if l.State().Batch == 2 {
			break
		}
	}
	resumed := data.NewLoader(count(30), collateIndex, dev, o)
	if err := resumed.SetState(l.State()); err != nil {
		t.Fatal(err)
	}
	if got := draws(resumed); !slices.Equal(got, whole[2:]) {
		t.Errorf("got %v, want %v", got, whole[2:])
	}
}

func TestAPositionOfAnotherLoaderIsRefused(t *testing.T) {
	dev := newDevice(t)
	l := data.NewLoader(count(30), collateIndex, dev, data.LoaderOptions{Shuffle: true, Seed: 3})
	good := l.State()
	for want, change := range map[string]func(*data.State){
		"samples":   func(s *data.State) { s.Dataset = 31 },
		"seed":      func(s *data.State) { s.Seed++ },
		"shuffle":   func(s *data.State) { s.Shuffle = false },
		"no epoch":  func(s *data.State) { s.Epoch = -1 },
		"sample 31": func(s *data.State) { s.Samples = 31 },
		"batch 2":   func(s *data.State) { s.Batch, s.Samples = 2, 1 },
		"zipped":    func(s *data.State) { s.Zip = []data.State{{}, {}} },
	} {
		bad := good
		change(&bad)
		if err := l.SetState(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("position %+v: error %v, want %q", bad, err, want)
		}
	}
	if _, ok := l.Resuming(); ok {
		t.Error("a refused position is pending")
	}
	if err := l.SetState(good); err != nil {
		t.Error(err)
	}
	if st, ok := l.Resuming(); !ok || !reflect.DeepEqual(st, good) {
		t.Errorf("pending is %+v, %v", st, ok)
	}
	for range l.Batches(t.Context(), 0) {
		if _, ok := l.Resuming(); ok {
			t.Error("a position that a loop has gone on from is pending")
		}
		break
	}
}

// ranks reads an epoch of every rank, from a position or the beginning.
func ranks(t *testing.T, world, batch, n int, at *data.State) (all [][][]int64, loaders []*data.Loader[seen]) {
	t.Helper()
	dev := newDevice(t)
	for r := range world {
		l := data.NewLoader(count(n), collateIndex, dev,
			data.LoaderOptions{BatchSize: batch, Shuffle: true, Seed: 5, World: world, Rank: r})
		if at != nil {
			all = append(all, rest(t, l, *at))
		} else {
			all = append(all, epoch(t, l, 0))
		}
		loaders = append(loaders, l)
	}
	return all, loaders
}

func TestRanksShareEachBatchAndStayTogether(t *testing.T) {
	for _, n := range []int{48, 49, 53, 59} {
		single, _ := ranks(t, 1, 12, n, nil)
		for _, world := range []int{2, 3, 4} {
			all, loaders := ranks(t, world, 12/world, n, nil)
			for r, got := range all {
				if len(got) != len(single[0]) || loaders[r].Len() != len(got) {
					t.Fatalf("%d samples: rank %d of %d has %d batches, one process %d", n, r, world, len(got), len(single[0]))
				}
			}
			for k, want := range single[0] {
				var joined []int64
				for r := range world {
					if len(all[r][k]) == 0 {
						t.Fatalf("rank %d has an empty batch %d", r, k)
					}
					joined = append(joined, all[r][k]...)
				}
				if extra := len(joined) - len(want); extra < 0 || extra >= world {
					t.Errorf("%d samples, %d ranks: batch %d has %d for %d", n, world, k, len(joined), len(want))
				}
				if joined = joined[:len(want)]; !slices.Equal(joined, want) {
					t.Errorf("%d samples, %d ranks: batch %d is %v, of one process %v", n, world, k, joined, want)
				}
			}
		}
	}
}

func TestEvalShowsEachSampleToOneRank(t *testing.T) {
	dev := newDevice(t)
	for _, n := range []int{1, 2, 5, 9, 12, 13} {
		var got []int64
		for r := range 4 {
			l := data.NewLoader(count(n), collateIndex, dev, data.LoaderOptions{BatchSize: 2, World: 4, Rank: r, Workers: 1})
			for b, err := range l.Eval(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, b.values()...)
			}
		}
		if slices.Sort(got); !slices.Equal(got, upTo(n)) {
			t.Errorf("%d samples: the ranks saw %v", n, got)
		}
	}
}

func TestAnotherWorldGoesOnWithTheSamplesThatAreLeft(t *testing.T) {
	dev := newDevice(t)
	whole, _ := ranks(t, 1, 12, 60, nil)
	l := data.NewLoader(count(60), collateIndex, dev, data.LoaderOptions{BatchSize: 6, Shuffle: true, Seed: 5, World: 2})
	for range l.Batches(t.Context(), 0) {
		if l.State().Batch == 2 {
			break
		}
	}
	at := l.State()
	for _, world := range []int{1, 2, 3, 4} {
		all, _ := ranks(t, world, 12/world, 60, &at)
		for k, want := range whole[0][2:] {
			var joined []int64
			for r := range world {
				joined = append(joined, all[r][k]...)
			}
			if !slices.Equal(joined, want) {
				t.Errorf("world %d: batch %d is %v, want %v", world, k+2, joined, want)
			}
		}
	}
	// Batches of another size use up the rest, too.
	all, _ := ranks(t, 2, 5, 60, &at)
	var joined []int64
	for _, rank := range all {
		joined = append(joined, flat(rank)...)
	}
	want := slices.Sorted(slices.Values(flat(whole[0][2:])))
	slices.Sort(joined)
	if joined = slices.Compact(joined); !slices.Equal(joined, want) {
		t.Errorf("got %v, want %v", joined, want)
	}
}

func TestZipCollatesBothBatchesInOneScope(t *testing.T) {
	dev := newDevice(t)
	for _, workers := range []int{0, 2} {
		a := data.NewLoader(count(20), collateIndex, dev, data.LoaderOptions{BatchSize: 4, Shuffle: true, Seed: 1, Workers: workers})
		b := data.NewLoader(count(90), collateIndex, dev, data.LoaderOptions{BatchSize: 4, Shuffle: true, Seed: 2})
		z := data.Zip(a, b)
		if z.Len() != 5 {
			t.Errorf("Len is %d", z.Len())
		}
		wantA, wantB := epoch(t, a, 1), epoch(t, b, 1)
		type pair = data.Pair[seen, seen]
		read := func(z *data.Loader[pair]) (got []string) {
			for p, err := range z.Batches(t.Context(), 1) {
				if err != nil {
					t.Fatal(err)
				}
				p.First.Index.Add(p.Second.Index) // unrelated scopes would panic
				got = append(got, fmt.Sprint(p.First.values(), p.Second.values(), p.First.Index.Scope().Rand().Uint64()))
			}
			return got
		}
		whole := read(z)
		if len(whole) != 5 {
			t.Fatalf("%d pairs", len(whole))
		}
		for k, got := range whole {
			if want := fmt.Sprint(wantA[k], wantB[k]); !strings.HasPrefix(got, want) {
				t.Errorf("pair %d is %s, want %s", k, got, want)
			}
		}
		for range z.Batches(t.Context(), 1) {
			if z.State().Batch == 3 {
				if z.Left() != 2 {
					t.Errorf("%d pairs are left", z.Left())
				}
				break
			}
		}
		text, err := json.Marshal(z.State())
		if err != nil {
			t.Fatal(err)
		}
		var st data.State
		if err := json.Unmarshal(text, &st); err != nil {
			t.Fatal(err)
		}
		resumed := data.Zip(a, b)
		if err := resumed.SetState(st); err != nil {
			t.Fatal(err)
		}
		if got := read(resumed); !slices.Equal(got, whole[3:]) {
			t.Errorf("resumed: %v, want %v", got, whole[3:])
		}
		if err := resumed.SetState(a.State()); err == nil {
			t.Error("a position of one loader was taken for one of two")
		}
	}
}

func TestTwoLoopsDoNotMix(t *testing.T) {
	dev := newDevice(t)
	l := data.NewLoader(count(4), collateIndex, dev, data.LoaderOptions{})
	for a := range l.Batches(t.Context(), 0) {
		for b := range l.Eval(t.Context()) {
			if err := caught(t, func() { a.Index.Add(b.Index) }); !strings.Contains(err.Error(), "data.Zip") {
				t.Errorf("the error %q does not name the way out", err)
			}
			break
		}
		break
	}
}

func TestZipOfTwoDevicesPanics(t *testing.T) {
	a := data.NewLoader(count(4), collateIndex, newDevice(t), data.LoaderOptions{})
	b := data.NewLoader(count(4), collateIndex, newDevice(t), data.LoaderOptions{})
	caught(t, func() { data.Zip(a, b) })
}

func TestStackChecksTheSizeOfEachSample(t *testing.T) {
	s := tensor.NewScope(newDevice(t), tensor.ScopeOptions{})
	defer s.Close()
	collate := data.Stack(2, 3)
	b, err := collate(s, []data.Sample{{X: []float32{0, 1, 2, 3, 4, 5}, Y: 7}, {X: []float32{6, 7, 8, 9, 10, 11}, Y: 8}})
	if err != nil {
		t.Fatal(err)
	}
	if b.Scope() != s || b.Len() != 2 || fmt.Sprint(b.X.Shape(), b.Y.Shape()) != "[2 2 3] [2]" {
		t.Errorf("a batch of %d, %v and %v", b.Len(), b.X.Shape(), b.Y.Shape())
	}
	if got := fmt.Sprint(tensor.Values[float32](b.X), tensor.Values[int64](b.Y)); got != "[0 1 2 3 4 5 6 7 8 9 10 11] [7 8]" {
		t.Errorf("got %s", got)
	}
	if _, err := collate(s, []data.Sample{{X: make([]float32, 6)}, {X: make([]float32, 5)}}); err == nil || !strings.Contains(err.Error(), "sample 1") {
		t.Errorf("got error %v", err)
	}
}
