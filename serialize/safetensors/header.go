package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	prefix      = 8           // the header's length, a little-endian uint64
	maxHeader   = 100_000_000 // the reference implementation's limit
	metadataKey = "__metadata__"
)

// readHeader returns the JSON text of the file, which it allocates only once the length is known to fit.
func readHeader(r io.ReaderAt, size int64) ([]byte, error) {
	if size < prefix {
		return nil, fmt.Errorf("a file of %d bytes has no room for its length", size)
	}
	file := io.NewSectionReader(r, 0, size)
	var length [prefix]byte
	if _, err := io.ReadFull(file, length[:]); err != nil {
		return nil, cutShort(err)
	}
	n := binary.LittleEndian.Uint64(length[:])
	if n > maxHeader {
		return nil, fmt.Errorf("length %d is over the limit of %d bytes", n, maxHeader)
	}
	if int64(n) > size-prefix {
		return nil, fmt.Errorf("length %d is more than the %d bytes that follow it", n, size-prefix)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(file, text); err != nil {
		return nil, cutShort(err)
	}
	return text, nil
}

// parseHeader reads the JSON text. The tensors come in its order, with Offset and Size as data_offsets gives them: counted
// from the end of the header, and not yet checked but for begin <= end.
func parseHeader(text []byte) (meta map[string]string, tensors []Info, err error) {
	if len(text) == 0 || text[0] != '{' {
		return nil, nil, fmt.Errorf("header: begins with %q, not with '{'", text[:min(len(text), 1)])
	}
	if err := checkUnicode(text); err != nil {
		return nil, nil, fmt.Errorf("header: %w", err)
	}
	p := parser{json.NewDecoder(bytes.NewReader(text))}
	p.json.UseNumber()
	err = p.object(func(key string) (err error) {
		if key == metadataKey {
			if meta, err = p.metadata(); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
			return nil
		}
		t, err := p.tensor(key)
		if err != nil {
			return fmt.Errorf("tensor %s: %w", quote(key), err)
		}
		tensors = append(tensors, t)
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("header: %w", err)
	}
	if _, err := p.json.Token(); err != io.EOF {
		return nil, nil, fmt.Errorf("header: more than one JSON value (at byte %d)", p.json.InputOffset())
	}
	return meta, tensors, nil
}

// place sorts the tensors by their data, which begins at start, and makes their offsets count from the start of the file.
// The tensors must cover every byte from there to size once: a file with room for something else could pass for a file of
// another kind as well.
func place(tensors []Info, start, size int64) error {
	slices.SortFunc(tensors, func(a, b Info) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Size, b.Size), cmp.Compare(a.Name, b.Name))
	})
	end := start
	for i := range tensors {
		t := &tensors[i]
		if err := t.check(end-start, size-start); err != nil {
			return fmt.Errorf("header: tensor %s: %w", quote(t.Name), err)
		}
		t.Offset += start
		end += t.Size
	}
	if end != size {
		return fmt.Errorf("header: data_offsets: no tensor holds the last %d bytes of the file", size-end)
	}
	return nil
}

// check holds a tensor against the format: the one before it ends at end, and there are size bytes of data.
func (t *Info) check(end, size int64) error {
	want, err := t.DType.Size(t.Shape)
	if err != nil {
		return err
	}
	switch {
	case t.Size != want:
		err = fmt.Errorf("are %d bytes, but %s of shape %s takes %d", t.Size, t.DType, shapeText(t.Shape), want)
	case t.Size > size-t.Offset:
		err = fmt.Errorf("go beyond the %d bytes of data in the file: is it cut short?", size)
	case t.Offset < end:
		err = fmt.Errorf("overlap another tensor, which ends at %d", end)
	case t.Offset > end:
		err = fmt.Errorf("leave a hole behind %d, where the tensor before ends", end)
	default:
		return nil
	}
	return fmt.Errorf("data_offsets: [%d, %d] %w", t.Offset, t.Offset+t.Size, err)
}

// A parser reads the few forms that a header has, token by token: what has another form is refused where it begins, so
// nothing nests deeper than the format does.
type parser struct{ json *json.Decoder }

func (p parser) metadata() (map[string]string, error) {
	meta := map[string]string{}
	return meta, p.object(func(key string) (err error) {
		if meta[key], err = p.string(); err != nil {
			return fmt.Errorf("%s: %w", quote(key), err)
		}
		return nil
	})
}

func (p parser) tensor(name string) (Info, error) {
	t := Info{Name: name}
	var offsets []int64
	err := p.object(func(field string) (err error) {
		switch field {
		case "dtype":
			var s string
			s, err = p.string()
			t.DType = DType(s)
		case "shape":
			t.Shape, err = integers[int](p)
		case "data_offsets":
			offsets, err = integers[int64](p)
		default:
			return fmt.Errorf("field %s: not one of the format's", quote(field))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", field, err)
		}
		return nil
	})
	switch {
	case err != nil:
		return t, err
	case t.DType == "":
		return t, errors.New("dtype: missing")
	case t.Shape == nil:
		return t, errors.New("shape: missing")
	case len(offsets) != 2:
		return t, fmt.Errorf("data_offsets: %d numbers, not 2", len(offsets))
	case offsets[0] > offsets[1]:
		return t, fmt.Errorf("data_offsets: %d comes after %d", offsets[0], offsets[1])
	}
	t.Offset, t.Size = offsets[0], offsets[1]-offsets[0]
	return t, nil
}

// object calls value, which reads the value, for each key of the object that comes next.
func (p parser) object(value func(key string) error) error {
	if err := p.delim('{'); err != nil {
		return err
	}
	seen := map[string]bool{}
	for p.json.More() {
		key, err := p.string()
		if err != nil {
			return err
		}
		if seen[key] {
			return fmt.Errorf("the key %s comes twice", quote(key))
		}
		seen[key] = true
		if err := value(key); err != nil {
			return err
		}
	}
	return p.delim('}')
}

// integers reads an array of integers that are not negative; it is never nil.
func integers[T int | int64](p parser) ([]T, error) {
	if err := p.delim('['); err != nil {
		return nil, err
	}
	list := []T{}
	for p.json.More() {
		token, err := p.token()
		if err != nil {
			return nil, err
		}
		number, ok := token.(json.Number)
		if !ok {
			return nil, p.not("a number")
		}
		n, err := strconv.ParseUint(number.String(), 10, 63)
		if err != nil || uint64(T(n)) != n {
			return nil, fmt.Errorf("%s is not an integer, negative or too large", quote(number.String()))
		}
		list = append(list, T(n))
	}
	return list, p.delim(']')
}

func (p parser) string() (string, error) {
	token, err := p.token()
	if err != nil {
		return "", err
	}
	s, ok := token.(string)
	if !ok {
		return "", p.not("a string")
	}
	return s, nil
}

func (p parser) delim(want json.Delim) error {
	token, err := p.token()
	if err == nil && token != want {
		err = p.not(want.String())
	}
	return err
}

func (p parser) token() (json.Token, error) {
	token, err := p.json.Token()
	if err != nil {
		return nil, fmt.Errorf("%w (at byte %d)", cutShort(err), p.json.InputOffset())
	}
	return token, nil
}

func (p parser) not(form string) error {
	return fmt.Errorf("not %s (at byte %d)", form, p.json.InputOffset())
}

// checkUnicode refuses what encoding/json would replace by U+FFFD without a word: bytes that are not UTF-8, and half a
// surrogate pair in escapes. (JSON has no backslash outside of strings, so the search needs no parser.)
func checkUnicode(text []byte) error {
	if !utf8.Valid(text) {
		return errors.New("not UTF-8")
	}
	for i := 0; ; {
		next := bytes.IndexByte(text[i:], '\\')
		if next < 0 {
			return nil
		}
		i += next
		n := 2
		if unit := codeUnit(text[i:]); utf16.IsSurrogate(unit) {
			n = len(`\uXXXX\uXXXX`)
			if utf16.DecodeRune(unit, codeUnit(text[i+n/2:])) == utf8.RuneError {
				return fmt.Errorf("half a surrogate pair (at byte %d)", i)
			}
		}
		i = min(i+n, len(text))
	}
}

// codeUnit reads the escape \uXXXX with which text begins, and is -1 for anything else.
func codeUnit(text []byte) rune {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return -1
	}
	unit, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(unit)
}

func cutShort(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// quote and shapeText keep an error readable, whatever stands in a file.
func quote(s string) string {
	if len(s) > 100 {
		return strconv.Quote(strings.ToValidUTF8(s[:100], "")) + "…"
	}
	return strconv.Quote(s)
}

func shapeText(shape []int) string {
	if len(shape) > 10 {
		return fmt.Sprintf("%v… (%d dimensions)", shape[:10], len(shape))
	}
	return fmt.Sprint(shape)
}
