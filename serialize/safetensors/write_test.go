package safetensors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func written(t *testing.T, meta map[string]string, entries []Entry) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, meta, entries); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// everyDType is one tensor of 24 elements, which fill whole bytes in each dtype, and one of none, for each dtype.
func everyDType() []Entry {
	rng := rand.New(rand.NewPCG(1, 2))
	var entries []Entry
	for _, d := range dtypes {
		data := make([]byte, 24*d.bits/8)
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		entries = append(entries,
			Entry{string(d.name), d.name, []int{2, 3, 4}, Bytes(data)},
			Entry{string(d.name) + ".empty", d.name, []int{3, 0}, Bytes(nil)})
	}
	return entries
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	meta := map[string]string{"format": "pt", "text": "\x00\x1f\"\\/\u2028🙂\ufffd", "": ""}
	for _, meta := range []map[string]string{meta, {}, nil} {
		entries := everyDType()
		for i, name := range []string{"", "\x00\x07\b\t\n\v\f\r\x1f\x7f", "\"\\/<>&", "größe\u2028🙂\ufffd", "dtype"} {
			entries = append(entries, Entry{name, U8, []int{i}, Bytes(strings.Repeat("e", i))})
		}
		entries = append(entries, Entry{"scalar", F32, nil, Bytes("abcd")})
		file := written(t, meta, entries)
		f, err := Open(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Metadata(); !maps.Equal(got, meta) || (got == nil) != (meta == nil) {
			t.Errorf("metadata %q, want %q", got, meta)
		}
		if got := f.Names(); len(got) != len(entries) {
			t.Errorf("%d tensors, want %d", len(got), len(entries))
		}
		for _, e := range entries {
			info, ok := f.Info(e.Name)
			if !ok || info.DType != e.DType || !slices.Equal(info.Shape, e.Shape) {
				t.Errorf("%q: %+v, want %s of %v", e.Name, info, e.DType, e.Shape)
			}
			if got, err := f.ReadAll(e.Name); err != nil || !bytes.Equal(got, e.Data.(Bytes)) {
				t.Errorf("%q: %x (%v), want %x", e.Name, got, err, e.Data)
			}
		}
	}
}

func TestOrderOfTheInputChangesNoByte(t *testing.T) {
	entries := everyDType()
	meta := map[string]string{}
	for i := range 50 {
		meta[fmt.Sprint("key ", i)] = fmt.Sprint(i)
	}
	want := written(t, meta, entries)
	for range 5 {
		rand.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
		before := slices.Clone(entries)
		if got := written(t, maps.Clone(meta), entries); !bytes.Equal(got, want) {
			t.Error("another order of the entries gives another file")
		}
		for i := range entries {
			if entries[i].Name != before[i].Name {
				t.Fatal("Write sorts its caller's slice")
			}
		}
	}
}

func TestDataIsAligned(t *testing.T) {
	for n := range 9 {
		entries := append(everyDType(), Entry{strings.Repeat("n", n), U8, []int{n}, Bytes(make([]byte, n))})
		file := written(t, nil, entries)
		if length := binary.LittleEndian.Uint64(file); length%8 != 0 {
			t.Errorf("header of %d bytes", length)
		}
		f, err := Open(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range f.Names() {
			info, _ := f.Info(name)
			if align := int64(dtypes[info.DType.rank()].bits / 8); align > 0 && info.Offset%align != 0 {
				t.Errorf("%s at %d", name, info.Offset)
			}
		}
	}
}

type writerTo func(io.Writer) (int64, error)

func (f writerTo) WriteTo(w io.Writer) (int64, error) { return f(w) }

func TestRefusesToWriteWhatCannotBeRead(t *testing.T) {
	fault := errors.New("injected")
	entry := func(e Entry) []Entry { return append(everyDType(), e) }
	four := Bytes("abcd")
	var huge []Entry // 2^63 bytes
	for i := range 16 {
		huge = append(huge, Entry{string(rune('a' + i)), U8, []int{1 << 59}, four})
	}
	for _, test := range []struct {
		name    string
		meta    map[string]string
		entries []Entry
		want    string
		started bool // whether the fault can be seen only once writing has begun
	}{
		{"the metadata's name", nil, entry(Entry{"__metadata__", F32, nil, four}), `tensor "__metadata__": the format keeps this name`, false},
		{"a name twice", nil, entry(Entry{"F64", F32, nil, four}), `tensor "F64": two entries have this name`, false},
		{"a name that is not UTF-8", nil, entry(Entry{"a\xff", F32, nil, four}), `tensor "a\xff": the name is not UTF-8`, false},
		{"an unknown dtype", nil, entry(Entry{"a", "F31", nil, four}), `tensor "a": dtype: "F31" is not one of the format's`, false},
		{"no dtype", nil, entry(Entry{"a", "", nil, four}), `tensor "a": dtype: "" is not`, false},
		{"a negative dimension", nil, entry(Entry{"a", F32, []int{-1, -1}, four}), `tensor "a": shape: [-1 -1] of F32: -1 is negative`, false},
		{"a size that overflows", nil, entry(Entry{"a", F32, []int{1 << 31, 1 << 31}, four}), `tensor "a": shape:`, false},
		{"sizes that overflow together", nil, huge, `tensor "p": shape: [576460752303423488]: too large for a file`, false},
		{"a part of a byte", nil, entry(Entry{"a", F6E2M3, []int{3}, four}), `tensor "a": shape: [3] of F6_E2M3: ends within a byte`, false},
		{"no data", nil, entry(Entry{"a", F32, nil, nil}), `tensor "a": data: nil`, false},
		{"metadata that is not UTF-8", map[string]string{"k": "\xff"}, nil, `__metadata__: "k": not UTF-8`, false},
		{"a metadata key that is not UTF-8", map[string]string{"k\xff": ""}, nil, `__metadata__: "k\xff": not UTF-8`, false},
		{"too little data", nil, entry(Entry{"a", F64, nil, four}), `tensor "a": data: 4 bytes are missing of 8`, true},
		{"too much data", nil, entry(Entry{"a", U8, []int{3}, four}), `tensor "a": data: 1 bytes more than`, true},
		{"data for an empty tensor", nil, entry(Entry{"a", U8, []int{0}, four}), `tensor "a": data: 4 bytes more than`, true},
		{"a source that fails", nil, entry(Entry{"a", F32, nil, writerTo(func(io.Writer) (int64, error) { return 0, fault })}), `tensor "a": data: injected`, true},
	} {
		var out bytes.Buffer
		err := Write(&out, test.meta, test.entries)
		if err == nil || !strings.HasPrefix(err.Error(), "safetensors: ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %.200v, want one that says %s", test.name, err, test.want)
		}
		if out.Len() > 0 != test.started {
			t.Errorf("%s: %d bytes written", test.name, out.Len())
		}

		path := filepath.Join(t.TempDir(), "model.safetensors")
		if err := os.WriteFile(path, []byte("previous"), 0o666); err != nil {
			t.Fatal(err)
		}
		err = WriteFile(path, test.meta, test.entries)
		if err == nil || !strings.HasPrefix(err.Error(), "safetensors: "+path+": ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %.200v, want one that names %s and says %s", test.name, err, path, test.want)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != "previous" {
			t.Errorf("%s: the previous file now holds %.40q (%v)", test.name, got, err)
		}
	}
}

// The reader refuses the second header for what is in it, having accepted its length.
func TestHeaderLimitIsTheReadersLimit(t *testing.T) {
	room := maxHeader - len(`{"__metadata__":{"k":""}}`)
	if err := Write(io.Discard, map[string]string{"k": strings.Repeat("v", room)}, nil); err != nil {
		t.Error(err)
	}
	err := Write(io.Discard, map[string]string{"k": strings.Repeat("v", room+1)}, nil)
	if want := "safetensors: header: 100000008 bytes are over the format's limit of 100000000"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	for n, want := range map[int]string{maxHeader: `begins with "["`, maxHeader + 1: "length 100000001 is over the limit"} {
		if _, err := openString(raw(strings.Repeat("[", n), 0)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a header of %d bytes: %v, want an error that says %s", n, err, want)
		}
	}
}

func TestAFullDiskIsAnError(t *testing.T) {
	file := written(t, nil, everyDType())
	for n := 0; n < len(file); n += 13 {
		full := errors.New("disk full")
		err := Write(&limited{n, full}, nil, everyDType())
		if !errors.Is(err, full) {
			t.Errorf("room for %d of %d bytes: error %v", n, len(file), err)
		}
	}
	if err := Write(iotest.TruncateWriter(io.Discard, 0), nil, everyDType()); err != nil {
		t.Error(err)
	}
}

type limited struct {
	left int
	err  error
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n
	if n < len(p) {
		return n, l.err
	}
	return n, nil
}

func TestWriteFileMayReadTheFileThatItReplaces(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows replaces no file that is open")
	}
	path := filepath.Join(t.TempDir(), "model.safetensors")
	if err := WriteFile(path, map[string]string{"step": "1"}, everyDType()); err != nil {
		t.Fatal(err)
	}
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := WriteFile(path, map[string]string{"step": "2"}, entriesOf(t, f)); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if want := written(t, map[string]string{"step": "2"}, everyDType()); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes (%v), want the same tensors with new metadata, %d bytes", len(got), err, len(want))
	}
}

// A gigabyte passes through without being held: the source makes it as it is asked for, and the sink forgets it.
func TestWriteStreams(t *testing.T) {
	const size = 1 << 30
	chunk := make([]byte, 1<<20)
	source := writerTo(func(w io.Writer) (n int64, err error) {
		for ; n < size && err == nil; n += int64(len(chunk)) {
			_, err = w.Write(chunk)
		}
		return n, err
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := Write(io.Discard, nil, []Entry{{"a", F32, []int{size / 4}, source}}); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes allocated", n)
	}
}

func TestSize(t *testing.T) {
	for _, d := range dtypes {
		if got, err := d.name.Size([]int{2, 3, 4}); err != nil || got != int64(24*d.bits/8) {
			t.Errorf("24 elements of %s: %d bytes (%v)", d.name, got, err)
		}
		if got, err := d.name.Size([]int{2, 0}); err != nil || got != 0 {
			t.Errorf("no element of %s: %d bytes (%v)", d.name, got, err)
		}
	}
}
