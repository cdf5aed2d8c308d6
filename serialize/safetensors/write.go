package safetensors

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/descent-ml/descent/internal/atomicfile"
)

// An Entry is a tensor to be written.
type Entry struct {
	Name  string // not "__metadata__", which the format keeps for itself
	DType DType
	Shape []int       // [] or nil for a scalar
	Data  io.WriterTo // called once; must put out DType.Size(Shape) bytes, little-endian and row-major
}

// Bytes is the Data of a tensor that is in memory.
type Bytes []byte

// WriteTo writes b.
func (b Bytes) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(b)
	return int64(n), err
}

// Write writes a file that holds the tensors, and the metadata unless meta is nil. The same input gives the same bytes,
// whatever the order of entries: the tensors are sorted as the reference implementation sorts them, by descending
// alignment and then by name, and so are the keys of meta, by name. The header is padded so that every tensor of whole
// bytes lies at a multiple of its element's size. All is checked before the first byte is written, but for the length of what the
// entries put out. Data is streamed: no more than the header is held in memory.
func Write(w io.Writer, meta map[string]string, entries []Entry) error {
	if err := write(w, meta, entries); err != nil {
		return fmt.Errorf("safetensors: %w", err)
	}
	return nil
}

// WriteFile writes as Write does to the file at path, which is replaced whole or, on an error, left as it was. Entries
// may be read from the file that is replaced.
func WriteFile(path string, meta map[string]string, entries []Entry) error {
	err := atomicfile.Write(path, func(w io.Writer) error {
		if err := write(w, meta, entries); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("safetensors: %w", err)
	}
	return nil
}

func write(w io.Writer, meta map[string]string, entries []Entry) error {
	entries = slices.SortedFunc(slices.Values(entries), func(a, b Entry) int {
		return cmp.Or(cmp.Compare(b.DType.rank(), a.DType.rank()), cmp.Compare(a.Name, b.Name))
	})
	header, sizes, err := makeHeader(meta, entries)
	if err != nil {
		return err
	}
	if _, err := w.Write(header); err != nil {
		return err
	}
	for i, e := range entries {
		data := exact{w, sizes[i]}
		if _, err := e.Data.WriteTo(&data); err != nil {
			return fmt.Errorf("tensor %s: data: %w", quote(e.Name), err)
		}
		if data.left > 0 {
			return fmt.Errorf("tensor %s: data: %d bytes are missing of %d", quote(e.Name), data.left, sizes[i])
		}
	}
	return nil
}

// makeHeader returns the start of a file up to the data of the entries, and the sizes of these. The text is the reference
// implementation's to the byte.
func makeHeader(meta map[string]string, entries []Entry) (header []byte, sizes []int64, err error) {
	header = append(make([]byte, prefix, 128*(1+len(entries))), '{')
	key := func(s string) {
		if c := header[len(header)-1]; c != '{' {
			header = append(header, ',')
		}
		header = append(appendString(header, s), ':')
	}
	if meta != nil {
		key(metadataKey)
		header = append(header, '{')
		for _, k := range slices.Sorted(maps.Keys(meta)) {
			if !utf8.ValidString(k) || !utf8.ValidString(meta[k]) {
				return nil, nil, fmt.Errorf("%s: %s: not UTF-8", metadataKey, quote(k))
			}
			key(k)
			header = appendString(header, meta[k])
		}
		header = append(header, '}')
	}
	seen := map[string]bool{}
	var end int64
	for _, e := range entries {
		size, err := e.check(seen, math.MaxInt64-end)
		if err != nil {
			return nil, nil, fmt.Errorf("tensor %s: %w", quote(e.Name), err)
		}
		seen[e.Name] = true
		key(e.Name)
		header = append(header, `{"dtype":"`...)
		header = append(header, e.DType...)
		header = append(header, `","shape":`...)
		header = appendIntegers(header, e.Shape)
		header = append(header, `,"data_offsets":`...)
		header = appendIntegers(header, []int64{end, end + size})
		header = append(header, '}')
		sizes = append(sizes, size)
		end += size
	}
	header = append(header, '}')
	for len(header)%8 != 0 {
		header = append(header, ' ')
	}
	if len(header)-prefix > maxHeader {
		return nil, nil, fmt.Errorf("header: %d bytes are over the format's limit of %d", len(header)-prefix, maxHeader)
	}
	binary.LittleEndian.PutUint64(header, uint64(len(header)-prefix))
	return header, sizes, nil
}

// check returns the size of the entry, which may take one of the names that are not seen, and up to room bytes.
func (e *Entry) check(seen map[string]bool, room int64) (int64, error) {
	switch {
	case e.Name == metadataKey:
		return 0, errors.New("the format keeps this name for the metadata")
	case seen[e.Name]:
		return 0, errors.New("two entries have this name")
	case !utf8.ValidString(e.Name):
		return 0, errors.New("the name is not UTF-8")
	case e.Data == nil:
		return 0, errors.New("data: nil")
	}
	size, err := e.DType.Size(e.Shape)
	if err == nil && size > room {
		err = fmt.Errorf("shape: %s: too large for a file", shapeText(e.Shape))
	}
	return size, err
}

func appendIntegers[T int | int64](b []byte, list []T) []byte {
	b = append(b, '[')
	for i, n := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(n), 10)
	}
	return append(b, ']')
}

// appendString appends s as JSON with the escapes that JSON demands and no other, which is how the reference
// implementation writes it (encoding/json also escapes U+2028).
func appendString(b []byte, s string) []byte {
	const short = "\b\t\n\f\r"
	b = append(b, '"')
	plain := 0 // where the run begins that needs no escape
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[plain:i]...)
		plain = i + 1
		if j := strings.IndexByte(short, c); j >= 0 {
			b = append(b, '\\', "btnfr"[j])
		} else if c < ' ' {
			b = fmt.Appendf(b, `\u%04x`, c)
		} else {
			b = append(b, '\\', c)
		}
	}
	return append(append(b, s[plain:]...), '"')
}

// exact passes on the bytes of one tensor, and not one more.
type exact struct {
	w    io.Writer
	left int64
}

func (e *exact) Write(p []byte) (int, error) {
	if int64(len(p)) > e.left {
		return 0, fmt.Errorf("%d bytes more than its dtype and shape take", int64(len(p))-e.left)
	}
	n, err := e.w.Write(p)
	e.left -= int64(n)
	return n, err
}
