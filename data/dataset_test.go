package data_test

import (
	"errors"
	"slices"
	"strconv"
	"testing"

	"github.com/descent-ml/descent/data"
)

func all[S any](t *testing.T, ds data.Dataset[S]) (got []S) {
	t.Helper()
	for i := range ds.Len() {
		s, err := ds.At(i)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, s)
	}
	return got
}

func TestDatasetsCompose(t *testing.T) {
	letters := data.Slice[string]{"a", "b", "c"}
	numbers := data.Map(count(4), func(i int) (string, error) { return strconv.Itoa(i), nil })
	joined := data.Concat(letters, data.Slice[string]{}, numbers)
	if got, want := all(t, joined), []string{"a", "b", "c", "0", "1", "2", "3"}; !slices.Equal(got, want) {
		t.Errorf("Concat: got %v, want %v", got, want)
	}
	if got, want := all(t, data.Subset(joined, []int{6, 0, 0, 3})), []string{"3", "a", "a", "0"}; !slices.Equal(got, want) {
		t.Errorf("Subset: got %v, want %v", got, want)
	}
	caught(t, func() { data.Subset(joined, []int{1, 7}) })
	caught(t, func() { data.Subset(joined, []int{-1}) })
}

func TestMapPassesErrorsOn(t *testing.T) {
	bad := errors.New("bad")
	ds := data.Map(data.Func(2, func(i int) (int, error) {
		if i == 1 {
			return 0, bad
		}
		return i, nil
	}), func(int) (int, error) { return 42, nil })
	if s, err := ds.At(0); s != 42 || err != nil {
		t.Errorf("got %d, %v", s, err)
	}
	if _, err := ds.At(1); err != bad {
		t.Errorf("got error %v", err)
	}
}

func TestSplitDividesWithoutOverlap(t *testing.T) {
	parts := data.Split(count(10), 1, 7, 0, 3)
	var got []int
	for i, n := range []int{7, 0, 3} {
		if parts[i].Len() != n {
			t.Errorf("part %d has %d samples", i, parts[i].Len())
		}
		got = append(got, all(t, parts[i])...)
	}
	if again := data.Split(count(10), 1, 7, 0, 3); !slices.Equal(all(t, again[2]), all(t, parts[2])) {
		t.Error("the same seed gives other parts")
	}
	if slices.Sort(got); !slices.Equal(got, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}) {
		t.Errorf("the parts have %v", got)
	}
	caught(t, func() { data.Split(count(10), 1, 7) })
	caught(t, func() { data.Split(count(10), 1, 7, 4) })
	caught(t, func() { data.Split(count(10), 1, -1, 11) })
}
