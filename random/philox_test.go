package random_test

import (
	"bufio"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/descent-ml/descent/random"
)

func TestPhiloxGivesTheKnownAnswersOfRandom123(t *testing.T) {
	file, err := os.Open("testdata/philox4x32_10.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	vectors := 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		var w [10]uint32
		fields := strings.Fields(lines.Text())
		if len(fields) != len(w) {
			t.Fatalf("%q has %d words, want %d", lines.Text(), len(fields), len(w))
		}
		for i, field := range fields {
			v, err := strconv.ParseUint(field, 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			w[i] = uint32(v)
		}
		vectors++
		got := random.Philox([4]uint32(w[:4]), [2]uint32(w[4:6]))
		if want := [4]uint32(w[6:]); got != want {
			t.Errorf("Philox(%x, %x) = %08x, want %08x", w[:4], w[4:6], got, want)
		}
	}
	if vectors != 3 {
		t.Errorf("read %d vectors, want 3", vectors)
	}
}

// The layout that the package comment promises to kernels, written out once more from Philox alone.
func TestWordsLieAsDocumented(t *testing.T) {
	for _, counter := range []uint64{0, 1, math.MaxUint32 - 2, math.MaxUint64 - 5} { // two carry, one wraps
		s := random.Stream{Key: 0x0123456789abcdef, Counter: counter}
		var want []uint32
		for b := range uint64(40) {
			c := counter + b
			words := random.Philox([4]uint32{uint32(c), uint32(c >> 32)}, [2]uint32{0x89abcdef, 0x01234567})
			want = append(want, words[:]...)
		}
		for offset := range 9 {
			for n := range len(want) - offset + 1 {
				got := make([]uint32, n)
				random.Uint32s(s, offset, got)
				if !slices.Equal(got, want[offset:offset+n]) {
					t.Fatalf("counter %#x: words %d to %d are not the documented ones", counter, offset, offset+n)
				}
			}
		}
	}
}
