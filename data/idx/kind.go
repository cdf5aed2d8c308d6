package idx

import (
	"encoding/binary"
	"fmt"
	"io"
)

// kind is what a type of element needs to be read and written. The slices that pass through as any are []T of its T.
type kind struct {
	name  string
	size  int
	len   func(data any) (int, bool)
	read  func(r io.Reader, n int) (any, error)
	write func(w io.Writer, data any) error
}

var kinds = map[Type]kind{
	Uint8:   kindOf[uint8]("uint8"),
	Int8:    kindOf[int8]("int8"),
	Int16:   kindOf[int16]("int16"),
	Int32:   kindOf[int32]("int32"),
	Float32: kindOf[float32]("float32"),
	Float64: kindOf[float64]("float64"),
}

func kindOf[T any](name string) kind {
	size := binary.Size(*new(T))
	return kind{
		name: name,
		size: size,
		len: func(data any) (int, bool) {
			s, ok := data.([]T)
			return len(s), ok
		},
		read:  func(r io.Reader, n int) (any, error) { return readSlice[T](r, n, size) },
		write: func(w io.Writer, data any) error { return writeSlice(w, data.([]T), size) },
	}
}

func typeOf(data any) (Type, int, error) {
	for t, k := range kinds {
		if n, ok := k.len(data); ok {
			return t, n, nil
		}
	}
	return 0, 0, fmt.Errorf("idx: the format has no elements for a %T", data)
}

// pieceBytes is how much is decoded at a time.
const pieceBytes = 1 << 16

// readSlice reads n elements. The slice doubles as they arrive, so that a header that lies costs no memory.
func readSlice[T any](r io.Reader, n, size int) ([]T, error) {
	buf := make([]byte, min(pieceBytes, n*size))
	data := make([]T, 0, len(buf)/size)
	for len(data) < n {
		piece := min(n-len(data), len(buf)/size)
		if got, err := io.ReadFull(r, buf[:piece*size]); err != nil {
			return nil, fmt.Errorf("after %d of %d bytes: %w", len(data)*size+got, n*size, whole(err))
		}
		if cap(data)-len(data) < piece {
			data = append(make([]T, 0, min(n, 2*cap(data))), data...)
		}
		next := data[len(data) : len(data)+piece]
		if _, err := binary.Decode(buf[:piece*size], binary.BigEndian, next); err != nil {
			return nil, err
		}
		data = data[:len(data)+piece]
	}
	return data, nil
}

func writeSlice[T any](w io.Writer, data []T, size int) error {
	buf := make([]byte, min(pieceBytes, len(data)*size))
	for len(data) > 0 {
		piece := min(len(data), len(buf)/size)
		n, err := binary.Encode(buf, binary.BigEndian, data[:piece])
		if err != nil {
			return err
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		data = data[piece:]
	}
	return nil
}
