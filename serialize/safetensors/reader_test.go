package safetensors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// raw is a file with this header and data bytes of data, written without this package's help.
func raw(header string, data int) string {
	length := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return string(length) + header + strings.Repeat("d", data)
}

func openString(file string) (*File, error) { return Open(strings.NewReader(file), int64(len(file))) }

// Files that the format allows, though this package or the reference implementation would write none of them so.
var unusual = map[string]string{
	"no tensor":                  raw(`{}`, 0),
	"white space":                raw("{ \"a\" :\t{ \"shape\" : [ 2 , 2 ] ,\n\"data_offsets\":[ 0 , 16 ], \"dtype\": \"F32\" } }\r\n\t ", 16),
	"data not in order":          raw(`{"b":{"dtype":"U8","shape":[3],"data_offsets":[5,8]},"a":{"dtype":"U8","shape":[5],"data_offsets":[0,5]}}`, 8),
	"unaligned":                  raw(`{"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]},"b":{"dtype":"F64","shape":[],"data_offsets":[1,9]}}`, 9),
	"empty between":              raw(`{"z":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[0],"data_offsets":[4,4]},"a":{"dtype":"F32","shape":[7,0],"data_offsets":[4,4]},"c":{"dtype":"U8","shape":[1],"data_offsets":[4,5]}}`, 5),
	"metadata last":              raw(`{"a":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]},"__metadata__":{"k":"v","":""}}`, 1),
	"empty metadata":             raw(`{"__metadata__":{}}`, 0),
	"escapes":                    raw(`{"\u0061\/\ud83d\ude42\\ud800":{"dtype":"\u0055\u0038","shape":[1],"data_offsets":[0,1]}}`, 1),
	"packed below a byte":        raw(`{"f4":{"dtype":"F4","shape":[1,2],"data_offsets":[0,1]},"f6":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[1,4]},"f6 too":{"dtype":"F6_E3M2","shape":[2,2],"data_offsets":[4,7]}}`, 7),
	"a field's name as a key":    raw(`{"dtype":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1),
	"metadata's name as a value": raw(`{"__metadata__":{"__metadata__":"__metadata__"}}`, 0),
}

func TestOpensWhatTheFormatAllows(t *testing.T) {
	for name, file := range unusual {
		if _, err := openString(file); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	f, err := openString(unusual["empty between"])
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"z", "a", "b", "c"}; !slices.Equal(f.Names(), want) {
		t.Errorf("names %q, want the order of the data %q", f.Names(), want)
	}
	if f, err = openString(unusual["escapes"]); err != nil {
		t.Fatal(err)
	}
	if want := []string{`a/🙂\ud800`}; !slices.Equal(f.Names(), want) {
		t.Errorf("names %q, want %q", f.Names(), want)
	}
}

// Each file is refused by an error that names the place: the key and the field where there is one.
func TestRefusesHostileFiles(t *testing.T) {
	tensor := func(fields string) string { return raw(`{"conv":{`+fields+`}}`, 16) }
	shaped := func(shape string) string { return tensor(`"dtype":"F32","shape":` + shape + `,"data_offsets":[0,16]`) }
	placed := func(offsets string) string { return tensor(`"dtype":"F32","shape":[2,2],"data_offsets":` + offsets) }
	good := placed("[0,16]")
	if _, err := openString(good); err != nil {
		t.Fatal(err)
	}
	const entry = `{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}`
	for _, test := range []struct{ name, file, want string }{
		{"nothing", "", "header: a file of 0 bytes"},
		{"7 bytes", good[:7], "header: a file of 7 bytes"},
		{"a length without a header", "\x3c\x00\x00\x00\x00\x00\x00\x00", "header: length 60 is more than the 0 bytes that follow it"},
		{"a length over the limit", "\x01\xe1\xf5\x05\x00\x00\x00\x00" + good[8:], "header: length 100000001 is over the limit"},
		{"the largest length", "\xff\xff\xff\xff\xff\xff\xff\xff" + good[8:], "header: length 18446744073709551615 is over the limit"},
		{"a negative length", "\x00\x00\x00\x00\x00\x00\x00\x80" + good[8:], "header: length 9223372036854775808 is over the limit"},
		{"no header", raw("", 0), `header: begins with ""`},
		{"an array", raw("[]", 0), `header: begins with "["`},
		{"leading white space", raw(" {}", 0), `header: begins with " "`},
		{"a byte order mark", raw("\ufeff{}", 0), `header: begins with`},
		{"another file's start", "PK\x03\x04\x00\x00\x00\x00" + good, `header: length 67324752 is more than`},
		{"cut JSON", raw("{", 0), "header: unexpected EOF"},
		{"cut in a tensor", raw(`{"conv":{"dtype":"F32","shape":[2,`, 0), `header: tensor "conv": shape: unexpected EOF`},
		{"two values", raw(`{}{}`, 0), "header: more than one JSON value"},
		{"zeros behind", raw("{}\x00", 0), "header: more than one JSON value"},
		{"a trailing comma", raw(`{"__metadata__":{},}`, 0), "header: invalid character"},
		{"a comment", raw(`{/**/}`, 0), "header: invalid character"},
		{"a key that is no string", raw(`{1:{}}`, 0), "header: invalid character"},
		{"bytes that are not UTF-8", raw("{\"\xff\":"+entry+"}", 16), "header: not UTF-8"},
		{"half a surrogate pair", raw(`{"\ud83d":`+entry+`}`, 16), "header: half a surrogate pair (at byte 2)"},
		{"a pair the wrong way round", raw(`{"\ude42\ud83d":`+entry+`}`, 16), "header: half a surrogate pair"},
		{"half a pair at the end", raw(`{"\ud83d`, 0), "header: half a surrogate pair"},
		{"a raw control character", raw("{\"a\nb\":"+entry+"}", 16), "header: invalid character"},

		{"the same tensor twice", raw(`{"conv":`+entry+`,"conv":`+entry+`}`, 16), `header: the key "conv" comes twice`},
		{"the same tensor spelt otherwise", raw(`{"conv":`+entry+`,"c\u006fnv":`+entry+`}`, 16), `header: the key "conv" comes twice`},
		{"metadata twice", raw(`{"__metadata__":{},"__metadata__":{}}`, 0), `header: the key "__metadata__" comes twice`},
		{"the same metadata twice", raw(`{"__metadata__":{"k":"v","k":"v"}}`, 0), `header: __metadata__: the key "k" comes twice`},
		{"the same field twice", tensor(`"dtype":"F32","dtype":"F32","shape":[2,2],"data_offsets":[0,16]`), `tensor "conv": the key "dtype" comes twice`},

		{"metadata null", raw(`{"__metadata__":null}`, 0), "header: __metadata__: not {"},
		{"metadata a number", raw(`{"__metadata__":{"epoch":3}}`, 0), `header: __metadata__: "epoch": not a string`},
		{"metadata nested", raw(`{"__metadata__":{"k":{"l":"m"}}}`, 0), `header: __metadata__: "k": not a string`},
		{"metadata null inside", raw(`{"__metadata__":{"k":null}}`, 0), `header: __metadata__: "k": not a string`},

		{"a tensor that is an array", raw(`{"conv":["F32",[2,2],[0,16]]}`, 16), `tensor "conv": not {`},
		{"a tensor that is null", raw(`{"conv":null}`, 0), `tensor "conv": not {`},
		{"no dtype", tensor(`"shape":[2,2],"data_offsets":[0,16]`), `tensor "conv": dtype: missing`},
		{"no shape", tensor(`"dtype":"F32","data_offsets":[0,16]`), `tensor "conv": shape: missing`},
		{"no offsets", tensor(`"dtype":"F32","shape":[2,2]`), `tensor "conv": data_offsets: 0 numbers, not 2`},
		{"another field", tensor(`"dtype":"F32","shape":[2,2],"data_offsets":[0,16],"strides":[1,2]`), `tensor "conv": field "strides"`},
		{"a field in capitals", tensor(`"DType":"F32","shape":[2,2],"data_offsets":[0,16]`), `tensor "conv": field "DType"`},
		{"an unknown dtype", tensor(`"dtype":"F31","shape":[2,2],"data_offsets":[0,16]`), `tensor "conv": dtype: "F31" is not one of the format's`},
		{"a dtype in small letters", tensor(`"dtype":"f32","shape":[2,2],"data_offsets":[0,16]`), `tensor "conv": dtype: "f32"`},
		{"a dtype that is a number", tensor(`"dtype":32,"shape":[2,2],"data_offsets":[0,16]`), `tensor "conv": dtype: not a string`},

		{"a negative dimension", shaped("[-2,-2]"), `tensor "conv": shape: "-2" is not an integer`},
		{"minus zero", shaped("[-0]"), `tensor "conv": shape: "-0" is`},
		{"a fraction", shaped("[2.0,2]"), `tensor "conv": shape: "2.0" is`},
		{"an exponent", shaped("[4e0]"), `tensor "conv": shape: "4e0" is`},
		{"a leading zero", shaped("[04]"), `tensor "conv": shape: invalid character`},
		{"a dimension as text", shaped(`["4"]`), `tensor "conv": shape: not a number`},
		{"a shape that is a number", shaped("4"), `tensor "conv": shape: not [`},
		{"a shape null", shaped("null"), `tensor "conv": shape: not [`},
		{"a dimension of 2^63", shaped("[9223372036854775808]"), `tensor "conv": shape: "9223372036854775808" is`},
		{"elements that overflow", shaped("[4294967296,4294967296]"), `tensor "conv": shape: [4294967296 4294967296] of F32: too large`},
		{"elements that overflow to the right size", shaped("[4,2305843009213693953]"), `tensor "conv": shape:`},
		{"bytes that overflow", shaped("[4611686018427387904]"), `tensor "conv": shape:`},
		{"strides that overflow", raw(`{"conv":{"dtype":"F32","shape":[4294967296,4294967296,0],"data_offsets":[0,0]}}`, 0), `tensor "conv": shape:`},
		{"strides that overflow behind a zero", raw(`{"conv":{"dtype":"F32","shape":[0,4294967296,4294967296],"data_offsets":[0,0]}}`, 0), `tensor "conv": shape:`},
		{"deep nesting", shaped(strings.Repeat("[", 100_000)), `tensor "conv": shape: not a number`},
		{"deep nesting of objects", raw(strings.Repeat(`{"a":`, 100_000), 0), `header: tensor "a": field "a"`},
		{"a million dimensions", shaped("[2" + strings.Repeat(",2", 100_000) + "]"), `tensor "conv": shape: [2 2 2 2 2 2 2 2 2 2]… (100001 dimensions) of F32: too large`},
		{"packed elements that end within a byte", raw(`{"conv":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}}`, 2), `tensor "conv": shape: [3] of F4: ends within a byte`},

		{"one offset", placed("[0]"), `tensor "conv": data_offsets: 1 numbers`},
		{"three offsets", placed("[0,16,16]"), `tensor "conv": data_offsets: 3 numbers`},
		{"an end before the start", placed("[16,0]"), `tensor "conv": data_offsets: 16 comes after 0`},
		{"a negative offset", placed("[-16,0]"), `tensor "conv": data_offsets: "-16" is`},
		{"a huge offset", placed("[9223372036854775791,9223372036854775807]"), `tensor "conv": data_offsets: [9223372036854775791, 9223372036854775807] go beyond`},
		{"less data than the shape", placed("[0,4]"), `tensor "conv": data_offsets: [0, 4] are 4 bytes, but F32 of shape [2 2] takes 16`},
		{"more data than the shape", placed("[0,32]"), `tensor "conv": data_offsets: [0, 32] are 32 bytes`},
		{"a cut file", good[:len(good)-1], `tensor "conv": data_offsets: [0, 16] go beyond the 15 bytes of data in the file`},
		{"bytes behind the data", good + "PK", "header: data_offsets: no tensor holds the last 2 bytes of the file"},
		{"bytes and no tensor", raw("{}", 5), "header: data_offsets: no tensor holds the last 5 bytes"},
		{"a hole before the data", raw(`{"conv":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2), `tensor "conv": data_offsets: [1, 2] leave a hole behind 0`},
		{"a hole between", raw(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[8],"data_offsets":[8,16]}}`, 16), `tensor "b": data_offsets: [8, 16] leave a hole behind 4`},
		{"an overlap", raw(`{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]},"b":{"dtype":"U8","shape":[8],"data_offsets":[8,16]}}`, 16), `tensor "b": data_offsets: [8, 16] overlap another tensor, which ends at 9`},
		{"the same data twice", raw(`{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}`, 16), `tensor "b": data_offsets: [0, 8] overlap`},
		{"an empty tensor amid another", raw(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[0],"data_offsets":[2,2]}}`, 4), `tensor "b": data_offsets: [2, 2] overlap`},
		{"an empty tensor outside", raw(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[0],"data_offsets":[9,9]}}`, 4), `tensor "b": data_offsets: [9, 9] go beyond`},
		{"a long name", raw(`{"`+strings.Repeat("x", 100_000)+`":{}}`, 0), "x\"…: dtype: missing"},
	} {
		f, err := openString(test.file)
		if err == nil {
			t.Errorf("%s: opened with tensors %.100q", test.name, f.Names())
		} else if got := err.Error(); !strings.HasPrefix(got, "safetensors: header: ") || !strings.Contains(got, test.want) {
			t.Errorf("%s: error\n%q, want one that says\n%q", test.name, got, test.want)
		} else if len(got) > 400 {
			t.Errorf("%s: an error of %d bytes", test.name, len(got))
		}
	}
}

// A file may say that its header has 100 MB: nothing of the kind is allocated for one that is shorter.
func TestAllocatesNoMoreThanTheFileHolds(t *testing.T) {
	file := "\x00\xe1\xf5\x05\x00\x00\x00\x00{}"
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := openString(file); err == nil {
		t.Error("opened")
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes allocated for a file of %d", n, len(file))
	}
}

// The reader's size may be a lie, or the file may change after it was opened.
func TestDataThatVanishesIsAnError(t *testing.T) {
	file := raw(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}`, 4)
	for n := range file {
		f, err := Open(strings.NewReader(file[:n]), int64(len(file)))
		if err == nil {
			_, err = f.ReadAll("a")
			if err != nil && !strings.Contains(err.Error(), `tensor "a": data: unexpected EOF`) {
				t.Errorf("%d bytes: %v", n, err)
			}
			if err := Write(io.Discard, nil, entriesOf(t, f)); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%d bytes: rewritten with %v", n, err)
			}
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes of %d: %v, want io.ErrUnexpectedEOF", n, len(file), err)
		}
	}
	if _, err := Open(strings.NewReader(file), -1); err == nil {
		t.Error("opened with a negative size")
	}
}

func TestErrorsNameTheFile(t *testing.T) {
	dir := t.TempDir()
	missing, bad, good := filepath.Join(dir, "missing"), filepath.Join(dir, "bad"), filepath.Join(dir, "good")
	if err := errors.Join(os.WriteFile(bad, []byte(raw("{}", 1)), 0o666), os.WriteFile(good, []byte(raw("{}", 0)), 0o666)); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFile(missing); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), missing) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := OpenFile(bad); err == nil || !strings.HasPrefix(err.Error(), "safetensors: "+bad+": header: ") {
		t.Errorf("a bad file: %v", err)
	}
	if _, err := OpenFile(dir); err == nil || !strings.HasPrefix(err.Error(), "safetensors: "+dir+": not a regular file") {
		t.Errorf("a folder: %v", err)
	}
	f, err := OpenFile(good)
	if err != nil {
		t.Fatal(err)
	}
	want := "safetensors: " + good + `: tensor "conv": no such tensor`
	_, errAll := f.ReadAll("conv")
	_, errEntry := f.Entry("conv")
	for _, err := range []error{f.Read("conv", nil), errAll, errEntry} {
		if err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	if _, ok := f.Info("conv"); ok {
		t.Error("Info found a tensor")
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := f.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
}

func TestReadWantsTheTensorsSize(t *testing.T) {
	f, err := openString(raw(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}`, 4))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 3, 5} {
		want := fmt.Sprintf(`safetensors: tensor "a": data: %d bytes to read 4 into`, n)
		if err := f.Read("a", make([]byte, n)); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

// What a File hands out is the caller's: writing to it changes nothing for others.
func TestResultsAreCopies(t *testing.T) {
	f, err := openString(raw(`{"__metadata__":{"k":"v"},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}`, 4))
	if err != nil {
		t.Fatal(err)
	}
	f.Names()[0] = "b"
	f.Metadata()["k"] = "w"
	info, _ := f.Info("a")
	info.Shape[0] = 5
	if again, _ := f.Info("a"); f.Names()[0] != "a" || f.Metadata()["k"] != "v" || again.Shape[0] != 4 {
		t.Errorf("changed to %q %q %v", f.Names(), f.Metadata(), again)
	}
}

func TestSeveralGoroutinesReadAtOnce(t *testing.T) {
	f, err := OpenFile(filepath.Join("testdata", "dtypes.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	whole, err := os.ReadFile(filepath.Join("testdata", "dtypes.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, name := range f.Names() {
				info, _ := f.Info(name)
				got, err := f.ReadAll(name)
				if err != nil || !bytes.Equal(got, whole[info.Offset:info.Offset+info.Size]) {
					t.Errorf("%s: %x (%v)", name, got, err)
				}
			}
		})
	}
	wg.Wait()
}
