package cuda

import (
	"embed"
	"fmt"
	"io/fs"
	"iter"
	"strings"
	"sync"

	"github.com/descent-ml/descent/backend"
)

//go:embed kernels
var kernelFiles embed.FS

// catalogue has one function for each family of kernels, which yields every spec
// that the family may launch and the size of its arguments.
var catalogue []iter.Seq2[spec, uintptr]

// headers are the files of kernels/ by name, as a source includes them.
var headers = sync.OnceValue(func() map[string]string {
	files := map[string]string{}
	err := fs.WalkDir(kernelFiles, "kernels", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := kernelFiles.ReadFile(path)
		files[strings.TrimPrefix(path, "kernels/")] = string(text)
		return err
	})
	if err != nil {
		panic(err) // the files are in the program
	}
	return files
})

// sources are the files that file is made of, by name: itself and what it includes.
func sources(file string) map[string]string {
	all := map[string]string{}
	var add func(string)
	add = func(name string) {
		text, known := headers()[name]
		if _, done := all[name]; done || !known {
			return
		}
		all[name] = text
		for line := range strings.Lines(text) {
			if included, ok := strings.CutPrefix(line, "#include \""); ok {
				name, _, _ := strings.Cut(included, "\"")
				add(name)
			}
		}
	}
	add(file)
	return all
}

// cNames are the dtypes in .cu files.
var cNames = [backend.NumDTypes]string{
	backend.Float32:  "f32",
	backend.Float64:  "f64",
	backend.Float16:  "f16",
	backend.BFloat16: "bf16",
	backend.Int64:    "i64",
	backend.Int32:    "i32",
	backend.Int16:    "i16",
	backend.Int8:     "i8",
	backend.Uint8:    "u8",
	backend.Bool:     "boolean",
}

// source is what NVRTC compiles for k.
func (k spec) source(size uintptr) string {
	return fmt.Sprintf("#define OP %s\n#define T %s\n#define U %s\n#define V %s\n#define VARIANT %d\n#define ARGS_BYTES %d\n#include \"%s\"\n",
		k.op, cNames[k.t], cNames[k.u], cNames[k.v], k.variant, size, k.file)
}

// String names k in errors and logs: unary.cu GELU f32 f32 f32 variant 0.
func (k spec) String() string {
	return fmt.Sprintf("%s %s %s %s %s variant %d", k.file, k.op, cNames[k.t], cNames[k.u], cNames[k.v], k.variant)
}
