// Package idx reads and writes IDX, the format of the MNIST family of data sets: a two-byte zero, the type of the elements,
// the number of dimensions, each dimension in 32 bits, and the elements in row-major order, all big-endian
// (the description is at the foot of Yann LeCun's MNIST page).
//
// Input is not trusted: what the header claims is held against the limit and against what the stream really has, and memory
// grows only with the data that arrives. All functions are safe for concurrent use.
package idx

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/bits"
)

// Type is the type of an array's elements, as the format numbers it.
type Type uint8

// The format's six types.
const (
	Uint8   Type = 0x08
	Int8    Type = 0x09
	Int16   Type = 0x0B
	Int32   Type = 0x0C
	Float32 Type = 0x0D
	Float64 Type = 0x0E
)

// String is the name of the Go type: "uint8".
func (t Type) String() string {
	if k, ok := kinds[t]; ok {
		return k.name
	}
	return fmt.Sprintf("type 0x%02x", uint8(t))
}

// Array is the content of an IDX file.
type Array struct {
	Dims []int // 1 to 255 of them
	Data any   // []uint8, []int8, []int16, []int32, []float32 or []float64: the elements, the last dimension fastest
}

// Type is the type of a's elements. It panics if Data is none of the six kinds of slice.
func (a *Array) Type() Type {
	t, _, err := typeOf(a.Data)
	if err != nil {
		panic(err.Error())
	}
	return t
}

// Options of the readers; the zero value is the default.
type Options struct {
	// MaxBytes is the most data, once decompressed, that is accepted. Zero means 2 GiB.
	MaxBytes int64
}

// ReadFile reads the file name of fsys, compressed by gzip or not. Its errors begin with the name.
func ReadFile(fsys fs.FS, name string, opts Options) (*Array, error) {
	file, err := fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("idx: %w", err) // names the file itself
	}
	defer file.Close()
	a, err := read(file, opts)
	if err != nil {
		return nil, fmt.Errorf("idx: %s: %w", name, err)
	}
	return a, nil
}

// Read reads r, compressed by gzip or not, to its end. An error names the field of the format at which it was met: bytes
// that follow the data are one, and so is a checksum of gzip that does not match. The Array is the caller's.
func Read(r io.Reader, opts Options) (*Array, error) {
	a, err := read(r, opts)
	if err != nil {
		return nil, fmt.Errorf("idx: %w", err)
	}
	return a, nil
}

func read(r io.Reader, opts Options) (*Array, error) {
	buffered := bufio.NewReaderSize(r, 1<<16)
	r = buffered
	if start, _ := buffered.Peek(2); len(start) == 2 && start[0] == 0x1f && start[1] == 0x8b {
		unzipped, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, fmt.Errorf("gzip header: %w", whole(err))
		}
		r = unzipped
	}

	var magic [4]byte
	if _, err := io.ReadFull(r, magic[:]); err != nil {
		return nil, fmt.Errorf("magic number: %w", whole(err))
	}
	t := Type(magic[2])
	k, known := kinds[t]
	switch {
	case magic[0] != 0 || magic[1] != 0:
		return nil, fmt.Errorf("magic number: % x does not begin with two zeros: not an IDX file", magic)
	case !known:
		return nil, fmt.Errorf("magic number: element %v is none of the format's", t)
	case magic[3] == 0:
		return nil, errors.New("magic number: no dimensions")
	}

	dims := make([]int, magic[3])
	for i := range dims {
		var dim [4]byte
		if _, err := io.ReadFull(r, dim[:]); err != nil {
			return nil, fmt.Errorf("dimension %d of %d: %w", i, len(dims), whole(err))
		}
		d := binary.BigEndian.Uint32(dim[:])
		if uint64(d) > math.MaxInt {
			return nil, fmt.Errorf("dimension %d of %d: %d is too large for this machine", i, len(dims), d)
		}
		dims[i] = int(d)
	}

	limit := opts.MaxBytes
	if limit <= 0 {
		limit = 2 << 30
	}
	limit = min(limit, math.MaxInt)
	n, ok := product(dims)
	if !ok || uint64(n) > uint64(limit)/uint64(k.size) {
		return nil, fmt.Errorf("dimensions %v of %v: more than the limit of %d bytes", dims, t, limit)
	}
	data, err := k.read(r, n)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	switch rest, err := io.CopyN(io.Discard, r, 1); {
	case rest != 0:
		return nil, fmt.Errorf("end: more follows the data of dimensions %v of %v", dims, t)
	case err != io.EOF: // gzip's checksum is checked here
		return nil, fmt.Errorf("end: %w", err)
	}
	return &Array{Dims: dims, Data: data}, nil
}

// Write writes a to w, uncompressed: give it a gzip.Writer, and close that, for a compressed file. It is an error, and nothing
// is written, if Data is none of the six kinds of slice or its length is not the product of Dims.
func Write(w io.Writer, a *Array) error {
	t, length, err := typeOf(a.Data)
	if err != nil {
		return err
	}
	if len(a.Dims) < 1 || len(a.Dims) > math.MaxUint8 {
		return fmt.Errorf("idx: an array of %d dimensions; the format holds 1 to 255", len(a.Dims))
	}
	header := []byte{0, 0, byte(t), byte(len(a.Dims))}
	for i, d := range a.Dims {
		if d < 0 || uint64(d) > math.MaxUint32 {
			return fmt.Errorf("idx: dimension %d is %d; the format holds 0 to 2^32-1", i, d)
		}
		header = binary.BigEndian.AppendUint32(header, uint32(d))
	}
	if n, ok := product(a.Dims); !ok || n != length {
		return fmt.Errorf("idx: %d elements do not fill dimensions %v", length, a.Dims)
	}
	if _, err := w.Write(header); err != nil {
		return err
	}
	return kinds[t].write(w, a.Data)
}

// product is the number of elements of an array, and whether an int holds it.
func product(dims []int) (int, bool) {
	n, ok := uint64(1), true
	for _, d := range dims {
		if d == 0 {
			return 0, true
		}
		over, low := bits.Mul64(n, uint64(d))
		n, ok = low, ok && over == 0 && low <= math.MaxInt
	}
	return int(n), ok
}

// whole turns the end of a stream into what it is to a reader that wants more.
func whole(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
