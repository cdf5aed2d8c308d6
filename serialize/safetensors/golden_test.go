package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// A description is what testdata/peer.py says about a file: what PyTorch found in it.
type description struct {
	Metadata map[string]string
	Tensors  map[string]described
}

type described struct {
	DType  DType
	Shape  []int
	Hex    string
	Values []string // integers in decimal, floats as Python's float.hex()
}

// numbers is Values as text writes them.
func (d described) numbers(t *testing.T) []string {
	t.Helper()
	if !slices.Contains([]DType{F16, BF16, F32, F64, C64}, d.DType) {
		return d.Values
	}
	return textsOf(d.Values, func(s string) string {
		x, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		return text(x)
	})
}

func readGolden(t *testing.T, folder string) map[string]description {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden struct{ Files map[string]description }
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	return golden.Files
}

func TestReadsFilesOfTheReferenceImplementation(t *testing.T) {
	for name, want := range readGolden(t, "testdata") {
		t.Run(name, func(t *testing.T) { wantFile(t, filepath.Join("testdata", name), want) })
	}
}

// The reference implementation sorts no metadata: only files with at most one entry of it are equal to the byte.
func TestWritesTheBytesOfTheReferenceImplementation(t *testing.T) {
	for name, description := range readGolden(t, "testdata") {
		if len(description.Metadata) > 1 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("testdata", name)
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			f, err := OpenFile(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			entries := entriesOf(t, f)
			slices.SortFunc(entries, func(a, b Entry) int { return bytes.Compare([]byte(b.Name), []byte(a.Name)) })
			var got bytes.Buffer
			if err := Write(&got, f.Metadata(), entries); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("wrote\n%q\nwant\n%q", got.Bytes(), want)
			}
		})
	}
}

func entriesOf(t *testing.T, f *File) []Entry {
	t.Helper()
	var entries []Entry
	for _, name := range f.Names() {
		e, err := f.Entry(name)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	return entries
}

// wantFile reads the file in each way that there is, and compares with the description.
func wantFile(t *testing.T, path string, want description) {
	t.Helper()
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !maps.Equal(f.Metadata(), want.Metadata) || (f.Metadata() == nil) != (want.Metadata == nil) {
		t.Errorf("metadata %q, want %q", f.Metadata(), want.Metadata)
	}
	if len(f.Names()) != len(want.Tensors) {
		t.Errorf("%d tensors, want %d", len(f.Names()), len(want.Tensors))
	}
	for name, want := range want.Tensors {
		info, ok := f.Info(name)
		if !ok || info.Name != name || info.DType != want.DType || !slices.Equal(info.Shape, want.Shape) {
			t.Errorf("%q is %+v, want %s of %v", name, info, want.DType, want.Shape)
			continue
		}
		got, err := f.ReadAll(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if hex.EncodeToString(got) != want.Hex || info.Size != int64(len(got)) {
			t.Errorf("%q holds %x (%d bytes), want %s", name, got, info.Size, want.Hex)
		}
		if values := decode(t, info.DType, got); !slices.Equal(values, want.numbers(t)) {
			t.Errorf("%q has values\n%v, want\n%v", name, values, want.Values)
		}
		into := make([]byte, info.Size)
		if err := f.Read(name, into); err != nil || !bytes.Equal(into, got) {
			t.Errorf("Read of %q: %x (%v), ReadAll found %x", name, into, err, got)
		}
	}
}

// decode returns the numbers in raw as text writes them.
func decode(t *testing.T, dtype DType, raw []byte) []string {
	t.Helper()
	switch dtype {
	case Bool, U8:
		return texts[uint8](t, raw)
	case I8:
		return texts[int8](t, raw)
	case U16:
		return texts[uint16](t, raw)
	case I16:
		return texts[int16](t, raw)
	case U32:
		return texts[uint32](t, raw)
	case I32:
		return texts[int32](t, raw)
	case U64:
		return texts[uint64](t, raw)
	case I64:
		return texts[int64](t, raw)
	case F32, C64:
		return texts[float32](t, raw)
	case F64:
		return texts[float64](t, raw)
	case F16:
		return textsOf(numbers[uint16](t, raw), func(bits uint16) string { return text(float64FromHalf(bits)) })
	case BF16:
		return textsOf(numbers[uint16](t, raw), func(bits uint16) string { return text(math.Float32frombits(uint32(bits) << 16)) })
	}
	return nil
}

// texts reads raw as numbers of type T.
func texts[T any](t *testing.T, raw []byte) []string { return textsOf(numbers[T](t, raw), text[T]) }

func numbers[T any](t *testing.T, raw []byte) []T {
	t.Helper()
	list := make([]T, len(raw)/binary.Size(*new(T)))
	if _, err := binary.Decode(raw, binary.LittleEndian, list); err != nil {
		t.Fatal(err)
	}
	return list
}

func textsOf[T any](list []T, text func(T) string) []string {
	texts := make([]string, len(list))
	for i, n := range list {
		texts[i] = text(n)
	}
	return texts
}

// text writes a number so that equal texts mean equal numbers, signed zeros and all NaN included.
func text[T any](n T) string {
	switch n := any(n).(type) {
	case float32:
		return strconv.FormatFloat(float64(n), 'x', -1, 64)
	case float64:
		return strconv.FormatFloat(n, 'x', -1, 64)
	}
	return fmt.Sprint(n)
}

// float64FromHalf is IEEE 754's definition of binary16.
func float64FromHalf(bits uint16) float64 {
	exponent, fraction := int(bits>>10&0x1f), float64(bits&0x3ff)
	x := math.Ldexp(1+fraction/1024, exponent-15)
	switch {
	case exponent == 0:
		x = math.Ldexp(fraction/1024, -14)
	case exponent == 0x1f && fraction == 0:
		x = math.Inf(1)
	case exponent == 0x1f:
		x = math.NaN()
	}
	if bits>>15 == 1 {
		x = -x
	}
	return x
}
