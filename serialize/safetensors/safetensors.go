// Package safetensors reads and writes safetensors files (github.com/huggingface/safetensors), the format in which most
// weights are published today. A file is a JSON header (name, dtype, shape and place of each tensor, and string metadata)
// and then the tensors' bytes, little-endian and row-major, without a gap. This package knows bytes, not tensors:
// package serialize makes tensors of them.
//
// A file is taken for hostile. The reader allocates nothing whose size the file does not hold, keeps the rules of the
// reference implementation, and refuses a few things more that it takes: leading white space, a key that comes twice,
// fields that the format does not define, a null for metadata, and dimensions beside a 0 whose product overflows.
package safetensors

import (
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
)

// Info describes a tensor in a file.
type Info struct {
	Name   string
	DType  DType
	Shape  []int // [] for a scalar
	Offset int64 // of its first byte from the start of the file
	Size   int64 // in bytes
}

// A File is an open safetensors file. Only its header is in memory. Several goroutines may use it at once.
type File struct {
	path    string // "" if not known
	r       io.ReaderAt
	closer  io.Closer // nil if the reader is the caller's
	meta    map[string]string
	tensors []Info // in the order of their data
	index   map[string]int
}

// OpenFile opens the file at path. The caller closes it.
func OpenFile(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	file, err := open(f, path)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("safetensors: %s: %w", path, err)
	}
	return file, nil
}

func open(f *os.File, path string) (*File, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("not a regular file (%s)", info.Mode())
	}
	file, err := newFile(f, info.Size())
	if err != nil {
		return nil, err
	}
	file.path, file.closer = path, f
	return file, nil
}

// Open reads the header of the file of size bytes in r, and checks it against the size. It keeps r, which must not
// change while the File is in use.
func Open(r io.ReaderAt, size int64) (*File, error) {
	f, err := newFile(r, size)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	return f, nil
}

func newFile(r io.ReaderAt, size int64) (*File, error) {
	header, err := readHeader(r, size)
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	f := &File{r: r}
	if f.meta, f.tensors, err = parseHeader(header); err != nil {
		return nil, err
	}
	start := int64(prefix + len(header))
	if err := place(f.tensors, start, size); err != nil {
		return nil, err
	}
	f.index = make(map[string]int, len(f.tensors))
	for i := range f.tensors {
		f.index[f.tensors[i].Name] = i
	}
	return f, nil
}

// Close closes the file that OpenFile opened; a reader given to Open stays open.
func (f *File) Close() error {
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}

// Names lists the tensors in the order of their data, empty ones at one place by name. The slice is the caller's.
func (f *File) Names() []string {
	names := make([]string, len(f.tensors))
	for i := range f.tensors {
		names[i] = f.tensors[i].Name
	}
	return names
}

// Metadata returns a copy of the file's metadata: nil if it has none, not even an empty map.
func (f *File) Metadata() map[string]string { return maps.Clone(f.meta) }

// Info describes the tensor of that name; ok tells whether there is one. The shape is the caller's.
func (f *File) Info(name string) (info Info, ok bool) {
	i, ok := f.index[name]
	if !ok {
		return Info{}, false
	}
	info = f.tensors[i]
	info.Shape = slices.Clone(info.Shape)
	return info, true
}

// Read fills dst with the bytes of the tensor: dst must have its size.
func (f *File) Read(name string, dst []byte) error {
	i, ok := f.index[name]
	if !ok {
		return f.errorf(name, "no such tensor")
	}
	t := &f.tensors[i]
	if int64(len(dst)) != t.Size {
		return f.errorf(name, "data: %d bytes to read %d into", len(dst), t.Size)
	}
	if _, err := io.ReadFull(t.section(f.r), dst); err != nil {
		return f.errorf(name, "data: %w", cutShort(err))
	}
	return nil
}

// ReadAll returns the bytes of the tensor in a new slice.
func (f *File) ReadAll(name string) ([]byte, error) {
	i, ok := f.index[name]
	if !ok {
		return nil, f.errorf(name, "no such tensor")
	}
	if f.tensors[i].Size > math.MaxInt {
		return nil, f.errorf(name, "data: %d bytes do not fit this machine's memory", f.tensors[i].Size)
	}
	dst := make([]byte, f.tensors[i].Size)
	return dst, f.Read(name, dst)
}

// Entry returns the tensor in the form that Write takes. Its data is read when it is written, so that a file of any size
// is filtered or renamed without holding a tensor in memory; f must stay open until then.
func (f *File) Entry(name string) (Entry, error) {
	info, ok := f.Info(name)
	if !ok {
		return Entry{}, f.errorf(name, "no such tensor")
	}
	return Entry{Name: info.Name, DType: info.DType, Shape: info.Shape, Data: stored{f, info}}, nil
}

// stored is the data of a tensor in a file.
type stored struct {
	f    *File
	info Info
}

func (s stored) WriteTo(w io.Writer) (int64, error) {
	n, err := io.Copy(w, s.info.section(s.f.r))
	if err == nil && n < s.info.Size {
		err = s.f.errorf(s.info.Name, "data: %w", io.ErrUnexpectedEOF)
	}
	return n, err
}

func (t *Info) section(r io.ReaderAt) *io.SectionReader {
	return io.NewSectionReader(r, t.Offset, t.Size)
}

func (f *File) errorf(tensor, format string, args ...any) error {
	where := "safetensors: "
	if f.path != "" {
		where += f.path + ": "
	}
	return fmt.Errorf(where+"tensor %s: "+format, append([]any{quote(tensor)}, args...)...)
}
