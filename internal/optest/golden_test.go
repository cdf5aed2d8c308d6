package optest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/tensor"
)

var (
	update = flag.Bool("update", false, "ask PyTorch for testdata anew")
	topic  = flag.String("topic", "", "the topic to update, instead of all")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *update {
		for _, name := range slices.Sorted(maps.Keys(table)) {
			if *topic == "" || *topic == name {
				if err := regenerate(name); err != nil {
					fmt.Fprintln(os.Stderr, "optest:", err)
					os.Exit(1)
				}
			}
		}
	}
	os.Exit(m.Run())
}

// array is a tensor in the files: the numbers stand in one string.
type array struct {
	DType string `json:"dtype"`
	Shape []int  `json:"shape"`
	V     string `json:"v,omitempty"`
	Track bool   `json:"track,omitempty"`
}

// question asks for one row in one dtype.
type question struct {
	Want   string  `json:"want"`
	Float  bool    `json:"float"`
	Second bool    `json:"second"`
	In     []array `json:"in"`
}

// answer is PyTorch's; a missing array is null.
type answer struct {
	Out    []*array
	Grad   []*array
	Second []*array
	Error  string // it refuses
	Absent string // it has not implemented this dtype
}

type golden struct {
	By   string
	Rows map[string]struct {
		Of   string // the digest of the question
		Runs map[string]*answer
	}
}

func (r *Row) questions() map[string]question {
	q := map[string]question{}
	ask := func(key string, dt backend.DType, want string, value func(k int) []float64, shape func(k int) []int) {
		a := question{Want: want, Float: dt.IsFloat(), Second: r.noSecond == "" && key == "float64"}
		for k, i := range r.in {
			v := value(k)
			if i.float() {
				v = fit(v, dt)
			}
			a.In = append(a.In, array{i.dtype(dt).String(), shape(k), format(v), r.tracked(k)})
		}
		q[key] = a
	}
	shape := func(k int) []int { return append([]int{}, r.in[k].Shape...) }
	ask("float64", tensor.Float64, "grads", r.values, shape)
	for _, dt := range []backend.DType{tensor.Float32, tensor.Float16, tensor.BFloat16} {
		ask(dt.String(), dt, "dtypes", r.values, shape)
	}
	if r.each || r.ints {
		for _, dt := range integers {
			ask(dt.String(), dt, "values", r.values, shape)
		}
	}
	if r.each && r.special != "-" {
		for _, dt := range []backend.DType{tensor.Float64, tensor.Float32} {
			v := r.specials()
			ask("special "+dt.String(), dt, "grads", func(k int) []float64 { return v[k] },
				func(k int) []int { return []int{len(v[k])} })
		}
	}
	return q
}

var integers = []backend.DType{tensor.Int64, tensor.Int32, tensor.Int16, tensor.Int8, tensor.Uint8, tensor.Bool}

// specials are those of r's inputs; the ones that are no floats stay in their range.
func (r *Row) specials() [][]float64 {
	v := specials(len(r.in))
	for k, i := range r.in {
		if !i.float() {
			for j := range v[k] {
				v[k][j] = float64((j*7 + k) % 2)
			}
		}
	}
	return v
}

func (r *Row) digest() string {
	text, err := json.Marshal([]any{r.torch, r.questions()})
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(text))[:16]
}

func goldenFile(topic string) string { return filepath.Join("testdata", topic+".json") }

const howTo = "run go test ./internal/optest -update (it needs PyTorch: scripts/venv)"

func readGolden(t *testing.T, topic string) *golden {
	var g golden
	text, err := os.ReadFile(goldenFile(topic))
	if err == nil {
		err = json.Unmarshal(text, &g)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return &g
	}
	if err != nil {
		t.Fatalf("%s: %v", goldenFile(topic), err)
	}
	return &g
}

func (g *golden) row(t *testing.T, r *Row) map[string]*answer {
	a, ok := g.Rows[r.name]
	switch {
	case !ok:
		t.Fatalf("there is no answer of PyTorch's: %s", howTo)
	case a.Of != r.digest():
		t.Fatalf("the row has changed since PyTorch answered: %s", howTo)
	}
	return a.Runs
}

// regenerate asks golden.py about one topic.
func regenerate(topic string) error {
	type ask struct {
		Name  string              `json:"name"`
		Torch string              `json:"torch"`
		Of    string              `json:"of"`
		Runs  map[string]question `json:"runs"`
	}
	var list []ask
	for _, r := range table[topic] {
		list = append(list, ask{r.name, r.torch, r.digest(), r.questions()})
	}
	text, err := json.Marshal(map[string]any{"topic": topic, "rows": list})
	if err != nil {
		return err
	}
	python := os.Getenv("PYTHON")
	if python == "" {
		path, err := exec.Command("../../scripts/venv").Output()
		if err != nil {
			return fmt.Errorf("scripts/venv: %w", err)
		}
		python = strings.TrimSpace(string(path))
	}
	c := exec.Command(python, "golden.py")
	c.Stdin, c.Stderr = bytes.NewReader(text), os.Stderr
	out, err := c.Output()
	if err != nil {
		return fmt.Errorf("golden.py: %w", err)
	}
	if err := os.MkdirAll("testdata", 0o777); err != nil {
		return err
	}
	return os.WriteFile(goldenFile(topic), out, 0o666)
}

func format(v []float64) string {
	s := make([]string, len(v))
	for i, x := range v {
		s[i] = strconv.FormatFloat(x, 'g', -1, 64)
	}
	return strings.Join(s, " ")
}

func (a *array) values(t *testing.T) []float64 {
	t.Helper()
	words := strings.Fields(a.V)
	v := make([]float64, len(words))
	for i, w := range words {
		x, err := strconv.ParseFloat(w, 64)
		if err != nil {
			t.Fatal(err)
		}
		v[i] = x
	}
	return v
}
