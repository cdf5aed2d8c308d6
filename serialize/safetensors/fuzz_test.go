package safetensors

import (
	"bytes"
	"encoding/binary"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// FuzzOpen mutates whole files.
func FuzzOpen(f *testing.F) {
	for _, file := range seeds(f) {
		f.Add(file)
	}
	f.Fuzz(reopens)
}

// FuzzHeader mutates headers, whose length is then set right, so that more of the files are nearly good.
func FuzzHeader(f *testing.F) {
	for _, file := range seeds(f) {
		n := binary.LittleEndian.Uint64(file)
		f.Add(string(file[prefix:prefix+n]), uint16(uint64(len(file))-prefix-n))
	}
	f.Fuzz(func(t *testing.T, header string, data uint16) {
		reopens(t, []byte(raw(header, int(data))))
	})
}

func seeds(f *testing.F) [][]byte {
	paths, err := filepath.Glob(filepath.Join("testdata", "*.safetensors"))
	if err != nil || len(paths) == 0 {
		f.Fatal("no seeds in testdata ", err)
	}
	var files [][]byte
	for _, path := range paths {
		file, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		files = append(files, file)
	}
	for _, file := range unusual {
		files = append(files, []byte(file))
	}
	return files
}

// reopens holds that a file that opens can be read whole, written again and opened again with the same content, and that
// writing that once more gives the same bytes.
func reopens(t *testing.T, file []byte) {
	first, err := Open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return
	}
	again := written(t, first.Metadata(), entriesOf(t, first))
	second, err := Open(bytes.NewReader(again), int64(len(again)))
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(first.Metadata(), second.Metadata()) || len(first.Names()) != len(second.Names()) {
		t.Errorf("metadata %q, names %q; again %q, %q", first.Metadata(), first.Names(), second.Metadata(), second.Names())
	}
	total := 0
	for _, name := range first.Names() {
		a, _ := first.Info(name)
		b, ok := second.Info(name)
		if !ok || a.DType != b.DType || !slices.Equal(a.Shape, b.Shape) {
			t.Errorf("%q is %+v, again %+v", name, a, b)
		}
		x, err := first.ReadAll(name)
		y, errAgain := second.ReadAll(name)
		if err != nil || errAgain != nil || !bytes.Equal(x, y) {
			t.Errorf("%q holds %x (%v), again %x (%v)", name, x, err, y, errAgain)
		}
		total += len(x)
	}
	if header := binary.LittleEndian.Uint64(file); uint64(len(file)) != prefix+header+uint64(total) {
		t.Errorf("%d bytes of data in a file of %d with a header of %d", total, len(file), header)
	}
	if once := written(t, second.Metadata(), entriesOf(t, second)); !bytes.Equal(once, again) {
		t.Errorf("written twice: %q and %q", again, once)
	}
}
