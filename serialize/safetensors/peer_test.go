package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// python runs a script of testdata with the interpreter that DESCENT_PYTHON names and returns what it prints.
func python(t *testing.T, stdin string, script string, args ...string) string {
	t.Helper()
	interpreter := os.Getenv("DESCENT_PYTHON")
	if interpreter == "" {
		t.Skip("needs Python with torch and safetensors: run make test, or set DESCENT_PYTHON to such an interpreter")
	}
	cmd := exec.Command(interpreter, append([]string{"-B", filepath.Join("testdata", script)}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, stderr.Bytes())
	}
	return string(out)
}

func TestReadsWhatPyTorchWritesToday(t *testing.T) {
	dir := t.TempDir()
	python(t, "", "make_golden.py", dir, "7")
	for name, want := range readGolden(t, dir) {
		wantFile(t, filepath.Join(dir, name), want)
	}
}

func TestPyTorchReadsWhatIsWritten(t *testing.T) {
	floats := []float32{0, float32(math.Copysign(0, -1)), 1, -1.5, 1.0 / 1024, 65504, float32(math.Inf(1)), float32(math.NaN())}
	want := description{Metadata: map[string]string{"größe": "\"\\\n\u2028🙂", "step": "3"}, Tensors: map[string]described{}}
	var entries []Entry
	add := func(name string, dtype DType, shape []int, data []byte, values []string) {
		entries = append(entries, Entry{name, dtype, shape, Bytes(data)})
		want.Tensors[name] = described{dtype, shape, hex.EncodeToString(data), values}
	}
	add("bool", Bool, []int{3}, []byte{1, 0, 1}, []string{"1", "0", "1"})
	add("größe/🙂.u8", U8, []int{2, 2}, little([]uint8{0, 1, 254, 255}), []string{"0", "1", "254", "255"})
	add("i8", I8, []int{2}, little([]int8{-128, 127}), []string{"-128", "127"})
	add("u16", U16, []int{2}, little([]uint16{1, 65535}), []string{"1", "65535"})
	add("i16", I16, []int{2}, little([]int16{-32768, 2}), []string{"-32768", "2"})
	add("u32", U32, []int{2}, little([]uint32{3, math.MaxUint32}), []string{"3", fmt.Sprint(math.MaxUint32)})
	add("i32", I32, []int{1, 2, 1}, little([]int32{math.MinInt32, 4}), []string{fmt.Sprint(math.MinInt32), "4"})
	add("u64", U64, []int{1}, little([]uint64{math.MaxUint64}), []string{fmt.Sprint(uint64(math.MaxUint64))})
	add("i64", I64, []int{}, little([]int64{math.MinInt64}), []string{fmt.Sprint(math.MinInt64)})
	add("f32", F32, []int{2, 4}, little(floats), textsOf(floats, text))
	add("c64", C64, []int{4}, little(floats), textsOf(floats, text))
	add("f64", F64, []int{}, little(math.Pi), []string{text(math.Pi)})
	add("empty", F64, []int{0, 5}, nil, []string{})
	bfloats := make([]uint16, 4)
	for i, x := range floats[:4] {
		bfloats[i] = uint16(math.Float32bits(x) >> 16)
	}
	add("bf16", BF16, []int{4}, little(bfloats), textsOf(floats[:4], text))
	halves := make([]uint16, 1<<16) // all that there are
	for i := range halves {
		halves[i] = uint16(i)
	}
	add("f16", F16, []int{1 << 8, 1 << 8}, little(halves), textsOf(halves, func(h uint16) string { return text(float64FromHalf(h)) }))
	for _, dtype := range []DType{F8E5M2, F8E4M3, F8E8M0, F8E4M3FNUZ, F8E5M2FNUZ} {
		add(string(dtype), dtype, []int{3}, []byte{1, 2, 3}, nil)
	}
	add("f4", F4, []int{2, 2}, []byte{0x12, 0x34}, nil)

	path := filepath.Join(t.TempDir(), "model.safetensors")
	if err := WriteFile(path, want.Metadata, entries); err != nil {
		t.Fatal(err)
	}
	var found map[string]description
	if err := json.Unmarshal([]byte(python(t, "", "peer.py", "describe", path)), &found); err != nil {
		t.Fatal(err)
	}
	got := found["model.safetensors"]
	if fmt.Sprint(got.Metadata) != fmt.Sprint(want.Metadata) {
		t.Errorf("PyTorch sees metadata %q, want %q", got.Metadata, want.Metadata)
	}
	if len(got.Tensors) != len(want.Tensors) {
		t.Errorf("PyTorch sees %d tensors, want %d", len(got.Tensors), len(want.Tensors))
	}
	for name, want := range want.Tensors {
		got := got.Tensors[name]
		if got.DType != want.DType || !slices.Equal(got.Shape, want.Shape) || got.Hex != want.Hex || !slices.Equal(got.numbers(t), want.Values) {
			t.Errorf("PyTorch sees %q as\n%.300v\nwant\n%.300v", name, got, want)
		}
	}
}

func little(data any) []byte {
	b, err := binary.Append(nil, binary.LittleEndian, data)
	if err != nil {
		panic(err)
	}
	return b
}

// What the reference implementation refuses is refused here, whatever bytes of good files are changed, moved or lost. The
// opposite is not so (the package's comment says where), but must be for what Write makes.
func TestRefusesWhatTheReferenceImplementationRefuses(t *testing.T) {
	var files [][]byte
	for _, file := range unusual {
		files = append(files, []byte(file))
	}
	for _, name := range []string{"shapes", "metadata", "nothing"} {
		file, err := os.ReadFile(filepath.Join("testdata", name+".safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	good := len(files)
	slices.SortFunc(files, bytes.Compare)
	rng := rand.New(rand.NewPCG(3, 4))
	for range 4000 {
		files = append(files, damaged(rng, files[rng.IntN(good)]))
	}
	var lines strings.Builder
	for _, file := range files {
		fmt.Fprintf(&lines, "%x\n", file)
	}
	verdicts := strings.Split(strings.TrimSpace(python(t, lines.String(), "peer.py", "verdict")), "\n")
	if len(verdicts) != len(files) {
		t.Fatalf("%d verdicts on %d files", len(verdicts), len(files))
	}
	var both, neither, stricter int
	for i, file := range files {
		_, err := Open(bytes.NewReader(file), int64(len(file)))
		switch ok := verdicts[i] == "ok"; {
		case err == nil && !ok:
			t.Errorf("opened %q, which is %s", file, verdicts[i])
		case err == nil:
			both++
		case !ok:
			neither++
		case i < good:
			t.Errorf("refused the good file %q: %v", file, err)
		default:
			stricter++
		}
	}
	t.Logf("%d files taken by both, %d refused by both, %d by this package only", both, neither, stricter)
	if both < good+100 || neither < 1000 {
		t.Error("too few of a kind: the damage is not of use")
	}
}

// damaged changes a few bytes of a file, mostly of its header, whose length is set right half of the time.
func damaged(rng *rand.Rand, file []byte) []byte {
	file = slices.Clone(file)
	header := file[prefix : prefix+binary.LittleEndian.Uint64(file)]
	data := slices.Clone(file[prefix+len(header):])
	const alphabet = "0123456789-.e\"\\{}[],: \n\x00\xffFIU"
	for range 1 + rng.IntN(3) {
		i := rng.IntN(len(header))
		j := min(len(header), i+1+rng.IntN(8))
		c := alphabet[rng.IntN(len(alphabet))]
		switch rng.IntN(4) {
		case 0:
			header[i] = c
		case 1:
			header = slices.Insert(header, i, c)
		case 2:
			header = slices.Delete(header, i, j)
		case 3:
			header = slices.Insert(header, rng.IntN(len(header)), slices.Clone(header[i:j])...)
		}
		if len(header) == 0 {
			header = []byte("{")
		}
	}
	length := uint64(len(header))
	if rng.IntN(4) == 0 {
		length += uint64(rng.IntN(5)) - 2
	}
	if rng.IntN(4) == 0 {
		data = append(data, 0)[rng.IntN(2):]
	}
	return slices.Concat(binary.LittleEndian.AppendUint64(nil, length), header, data)
}
