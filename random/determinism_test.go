package random_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/descent-ml/descent/random"
)

var update = flag.Bool("update", false, "write testdata/determinism.txt anew")

const determinismHeader = `# A determinism check: what this package gave when this file was written, by go test -run Determinism -update. It says that
# every architecture, compiler and version gives the same bits, not that they are right: the other tests say that.
# Kind, SHA-256 of 20,011 elements from element 3 on (little endian), the first three elements.
`

func TestDeterminismOfEveryBit(t *testing.T) {
	got := bytes.NewBufferString(determinismHeader)
	s := random.Derive(1, 2, 3).Reserve(0)
	record(got, "Uint32s", s, random.Uint32s)
	record(got, "Uint64s", s, random.Uint64s)
	record(got, "Uniform32", s, random.Uniform32)
	record(got, "Uniform64", s, random.Uniform64)
	record(got, "Normal32", s, random.Normal32)
	record(got, "Normal64", s, random.Normal64)
	record(got, "Bernoulli(0.1)", s, func(s random.Stream, offset int, dst []uint8) { random.Bernoulli(s, offset, 0.1, dst) })
	record(got, "Ints64(-9,1e6)", s, func(s random.Stream, offset int, dst []int64) { random.Ints64(s, offset, -9, 1e6, dst) })
	record(got, "Permutation", s, func(s random.Stream, _ int, dst []uint32) {
		g := random.New(0)
		g.SetState(s)
		for i, v := range g.Split().Permutation(len(dst)) {
			dst[i] = uint32(v)
		}
	})

	const file = "testdata/determinism.txt"
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("these bits differ from those recorded:\n%s\nwant\n%s", got, want)
	}
}

func record[T any](w *bytes.Buffer, name string, s random.Stream, fill func(s random.Stream, offset int, dst []T)) {
	dst := make([]T, 20_011)
	fill(s, 3, dst)
	var data bytes.Buffer
	binary.Write(&data, binary.LittleEndian, dst)
	size := data.Len() / len(dst)
	fmt.Fprintf(w, "%s %x", name, sha256.Sum256(data.Bytes()))
	for i := range 3 {
		element := data.Bytes()[i*size : (i+1)*size]
		fmt.Fprintf(w, " %x", element)
	}
	fmt.Fprintln(w)
}
