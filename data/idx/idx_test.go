package idx_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"math"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"

	"github.com/descent-ml/descent/data/idx"
)

// arrays has one of each type, with the values at the ends of its range.
var arrays = []*idx.Array{
	{Dims: []int{2, 3}, Data: []uint8{0, 1, 127, 128, 254, 255}},
	{Dims: []int{4}, Data: []int8{-128, -1, 0, 127}},
	{Dims: []int{1, 2, 2}, Data: []int16{math.MinInt16, -2, 7, math.MaxInt16}},
	{Dims: []int{3}, Data: []int32{math.MinInt32, 1 << 16, math.MaxInt32}},
	{Dims: []int{2, 2}, Data: []float32{-1.5, float32(math.Inf(1)), math.MaxFloat32, math.SmallestNonzeroFloat32}},
	{Dims: []int{2}, Data: []float64{math.Pi, math.Inf(-1)}},
	{Dims: []int{0, 28, 28}, Data: []uint8{}},
}

func encode(t testing.TB, a *idx.Array) []byte {
	t.Helper()
	var file bytes.Buffer
	if err := idx.Write(&file, a); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func compress(t testing.TB, data []byte) []byte {
	t.Helper()
	var file bytes.Buffer
	w := gzip.NewWriter(&file)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func readBytes(data []byte) (*idx.Array, error) {
	return idx.Read(bytes.NewReader(data), idx.Options{})
}

func TestReadGivesBackWhatWriteWrote(t *testing.T) {
	for _, want := range arrays {
		file := encode(t, want)
		for form, data := range map[string][]byte{"plain": file, "gzip": compress(t, file)} {
			got, err := idx.Read(iotest.OneByteReader(bytes.NewReader(data)), idx.Options{})
			if err != nil {
				t.Errorf("%v, %s: %v", want.Type(), form, err)
			} else if !reflect.DeepEqual(got, want) || got.Type() != want.Type() {
				t.Errorf("%v, %s: got %v, want %v", want.Type(), form, got, want)
			}
		}
	}
}

// The bytes are the format's description applied by hand.
func TestWriteLaysBytesOutAsTheFormatSays(t *testing.T) {
	got := encode(t, &idx.Array{Dims: []int{1, 2}, Data: []int16{-2, 0x0102}})
	want := []byte{0, 0, 0x0B, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xfe, 0x01, 0x02}
	if !bytes.Equal(got, want) {
		t.Errorf("wrote % x, want % x", got, want)
	}
}

func TestManyPiecesArriveInOrder(t *testing.T) {
	data := make([]int32, 100_003) // several times the decoder's buffer, and no multiple of it
	for i := range data {
		data[i] = int32(i)
	}
	got, err := readBytes(encode(t, &idx.Array{Dims: []int{len(data)}, Data: data}))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Data.([]int32), data) {
		t.Error("the data came back different")
	}
}

func TestTruncatedFilesNameTheFileAndTheField(t *testing.T) {
	file := encode(t, arrays[2])
	for n := range len(file) {
		want := "data"
		switch {
		case n < 4:
			want = "magic number"
		case n < 16:
			want = "dimension " + string("012"[(n-4)/4])
		}
		_, err := idx.ReadFile(fstest.MapFS{"some.idx": {Data: file[:n]}}, "some.idx", idx.Options{})
		checkError(t, err, io.ErrUnexpectedEOF, "some.idx", want)
	}
	for zipped, n := compress(t, file), 0; n < len(zipped); n++ {
		_, err := readBytes(zipped[:n])
		if n == 1 { // one byte of gzip's two is not yet gzip
			checkError(t, err, io.ErrUnexpectedEOF, "magic number")
			continue
		}
		checkError(t, err, io.ErrUnexpectedEOF)
	}
}

func TestTrailingBytesAreAnError(t *testing.T) {
	file := encode(t, arrays[0])
	_, err := readBytes(append(slices.Clone(file), 0))
	checkError(t, err, nil, "end", "more follows")
	_, err = readBytes(compress(t, append(slices.Clone(file), 0)))
	checkError(t, err, nil, "end", "more follows")
	_, err = readBytes(append(compress(t, file), "junk"...))
	checkError(t, err, nil, "end")
}

func TestBadHeadersAreErrors(t *testing.T) {
	for _, c := range []struct {
		header []byte
		want   string
	}{
		{[]byte{0, 1, 8, 1, 0, 0, 0, 0}, "not an IDX file"},
		{[]byte("PK\x03\x04 and more"), "not an IDX file"},
		{[]byte{0, 0, 0x0A, 1, 0, 0, 0, 0}, "0x0a"},
		{[]byte{0, 0, 8, 0}, "no dimensions"},
		{append([]byte{0, 0, 8, 2}, bytes.Repeat([]byte{0xff}, 8)...), "limit"},
		{append([]byte{0, 0, 0x0E, 255}, bytes.Repeat([]byte{0xff}, 4*255)...), "limit"},
		{append([]byte{0, 0, 8, 3}, 0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 4), "limit"}, // 2^64 elements
	} {
		_, err := readBytes(c.header)
		checkError(t, err, nil, c.want)
	}
}

func TestLimitBoundsTheData(t *testing.T) {
	file := encode(t, arrays[3]) // 12 bytes of data
	if _, err := idx.Read(bytes.NewReader(file), idx.Options{MaxBytes: 12}); err != nil {
		t.Error(err)
	}
	_, err := idx.Read(bytes.NewReader(file), idx.Options{MaxBytes: 11})
	checkError(t, err, nil, "limit of 11 bytes")
}

func TestHeaderThatLiesCostsNoMemory(t *testing.T) {
	for _, kind := range []byte{8, 0x0E} {
		file := append([]byte{0, 0, kind, 2, 0, 1, 0, 0, 0xff, 0xff, 0xff, 0xff}, make([]byte, 100)...) // 2^48 elements
		for _, limit := range []int64{0, math.MaxInt64} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := idx.Read(bytes.NewReader(file), idx.Options{MaxBytes: limit})
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Fatal("no error")
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
				t.Errorf("type 0x%02x, limit %d: allocated %d bytes for a file of %d", kind, limit, used, len(file))
			}
		}
	}
}

func TestDamagedGzipIsAnErrorOrHarmless(t *testing.T) {
	want := arrays[0]
	zipped := compress(t, encode(t, want))
	for i := range zipped {
		for bit := range 8 {
			damaged := slices.Clone(zipped)
			damaged[i] ^= 1 << bit
			got, err := readBytes(damaged)
			if err == nil && !reflect.DeepEqual(got, want) {
				t.Errorf("byte %d bit %d flipped: no error, and data %v", i, bit, got)
			}
		}
	}
	zipped[len(zipped)-8] ^= 1
	_, err := idx.ReadFile(fstest.MapFS{"some.gz": {Data: zipped}}, "some.gz", idx.Options{})
	checkError(t, err, gzip.ErrChecksum, "some.gz")
}

func TestReadFileReportsMissingFilesAndDevices(t *testing.T) {
	_, err := idx.ReadFile(fstest.MapFS{}, "absent.idx", idx.Options{})
	checkError(t, err, fs.ErrNotExist, "absent.idx")
	broken := errors.New("the disk is on fire")
	_, err = idx.Read(io.MultiReader(bytes.NewReader(encode(t, arrays[0])[:14]), iotest.ErrReader(broken)), idx.Options{})
	checkError(t, err, broken, "data", "after 2 of 6 bytes")
}

func TestWriteRefusesWhatTheFormatCannotHold(t *testing.T) {
	for _, a := range []*idx.Array{
		{Dims: []int{2}, Data: []int64{1, 2}},
		{Dims: []int{2}, Data: nil},
		{Dims: []int{3}, Data: []uint8{1, 2}},
		{Dims: []int{-1, -2}, Data: []uint8{1, 2}},
		{Dims: []int{}, Data: []uint8{1}},
		{Dims: make([]int, 256), Data: []uint8{}},
		{Dims: []int{1 << 16, 1 << 16, 1 << 16, 1 << 16}, Data: []uint8{}}, // 2^64 elements
	} {
		var file bytes.Buffer
		if err := idx.Write(&file, a); err == nil || file.Len() > 0 {
			t.Errorf("dimensions %v of %T: error %v, %d bytes written", a.Dims, a.Data, err, file.Len())
		}
	}
	full := errors.New("disk full")
	if err := idx.Write(failingWriter{full}, arrays[0]); !errors.Is(err, full) {
		t.Errorf("a failing writer gives error %v", err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// What Read accepts, Write writes so that Read gives it again.
func FuzzRead(f *testing.F) {
	for _, a := range arrays {
		file := encode(f, a)
		f.Add(file)
		f.Add(file[:len(file)*2/3])
		f.Add(compress(f, file))
	}
	f.Add([]byte{0, 0, 8, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0, 0, 0x0D, 3, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0x1f, 0x8b, 8})
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := idx.Read(bytes.NewReader(data), idx.Options{MaxBytes: 1 << 20})
		if err != nil {
			return
		}
		file := encode(t, a)
		again, err := readBytes(file)
		if err != nil {
			t.Fatalf("%v of %v cannot be read again: %v", a.Dims, a.Type(), err)
		}
		if !bytes.Equal(encode(t, again), file) { // bytes, for the sake of NaN
			t.Fatalf("%v of %v changed", a.Dims, a.Type())
		}
	})
}

// checkError fails unless err wraps target, if there is one, and says all of texts.
func checkError(t *testing.T, err, target error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one that says %q", texts)
		return
	}
	if target != nil && !errors.Is(err, target) {
		t.Errorf("error %q is no %q", err, target)
	}
	for _, text := range append(texts, "idx: ") {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q does not say %q", err, text)
		}
	}
}
