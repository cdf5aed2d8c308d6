package headers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// bindings are the packages below cuda/ that are checked. Packages cuda and nvrtc have not all their C names in comments;
// those are here. A constant that is in neither place fails the test.
var bindings = map[string]map[string]string{
	".":        driverNames,
	"nvrtc":    nvrtcNames,
	"cublaslt": nil,
	"cudnn":    nil,
	"nccl":     nil,
}

// Every exported constant, every struct that C sees, every function and the number of arguments of every call in package
// cuda and its bindings are what NVIDIA's headers say: a C program is made of them and compiled against the headers of
// CUDA 13, cuDNN and NCCL in the wheels.
func TestBindingsAreWhatNVIDIAsHeadersSay(t *testing.T) {
	wheels := Wheels(t)
	check(t, []string{"cuda.h", "nvrtc.h", "cublasLt.h", "cudnn.h", "nccl.h"},
		[]string{wheels + "/cu13/include", wheels + "/cudnn/include", wheels + "/nccl/include"},
		[]string{".", "nvrtc", "cublaslt", "cudnn", "nccl"}, profiler)
}

// The same for what there is of CUDA 12: the driver and NVRTC.
func TestBindingsAreWhatCUDA12sHeadersSay(t *testing.T) {
	wheels := Wheels(t)
	check(t, []string{"cuda.h", "nvrtc.h"},
		[]string{wheels + "/cuda_runtime/include", wheels + "/cuda_nvrtc/include"},
		[]string{".", "nvrtc"}, append(slices.Clone(profiler), "CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER")) // which came with 13
}

// profiler names what stands in cudaProfiler.h, which no wheel has.
var profiler = []string{"cuProfilerStart", "cuProfilerStop"}

// check reads packages and compares all but the names in without.
func check(t *testing.T, includes, folders, packages, without []string) {
	t.Helper()
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("a C compiler is needed: gcc is not here (Debian, Ubuntu: sudo apt-get install gcc libc6-dev)")
	}
	var all source
	for _, name := range packages {
		s := read(t, name, bindings[name])
		for _, m := range s.missing {
			t.Error(m)
		}
		var indirect []string // called through a variable: their arguments are not counted
		for _, f := range s.symbols {
			if !slices.ContainsFunc(s.calls, func(c callOf) bool { return c.c == f.c }) {
				indirect = append(indirect, f.c)
			}
		}
		t.Logf("%-8s %4d constants, %d structs, %3d functions, %3d calls; not seen called: %s",
			name, len(s.constants), len(s.structs), len(s.symbols), len(s.calls), strings.Join(indirect, " "))
		if len(s.constants) == 0 || len(s.symbols) == 0 || len(s.calls) == 0 {
			t.Errorf("%s: nothing was found to check", name)
		}
		all.constants = append(all.constants, s.constants...)
		all.structs = append(all.structs, s.structs...)
		all.symbols = append(all.symbols, s.symbols...)
		all.calls = append(all.calls, s.calls...)
	}
	left := len(all.constants) + len(all.symbols)
	all.constants = slices.DeleteFunc(all.constants, func(c constantOf) bool { return slices.Contains(without, c.c) })
	all.symbols = slices.DeleteFunc(all.symbols, func(s symbolOf) bool { return slices.Contains(without, s.c) })
	all.calls = slices.DeleteFunc(all.calls, func(c callOf) bool { return slices.Contains(without, c.c) })
	if left -= len(all.constants) + len(all.symbols); left != len(without) {
		t.Errorf("of the names that are not checked, %q, only %d occur", without, left)
	}
	for _, m := range compare(t, gcc, program(includes, all), folders) {
		t.Error(m)
	}
}

// compare compiles a program and runs it. It returns what either complains about.
func compare(t *testing.T, gcc, text string, folders []string) []string {
	t.Helper()
	dir := t.TempDir()
	file, binary := filepath.Join(dir, "headers.c"), filepath.Join(dir, "headers")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"-w", "-Werror=implicit-function-declaration", "-fmax-errors=0", "-o", binary, file}
	for _, folder := range folders {
		args = append(args, "-isystem", folder)
	}
	// The wheels lack one internal header, which the compiler triton brings.
	args = append(args, "-idirafter", filepath.Join(filepath.Dir(Wheels(t)), "triton/backends/nvidia/include"))
	if out, err := exec.Command(gcc, args...).CombinedOutput(); err != nil {
		var errors []string
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, " error: ") {
				errors = append(errors, strings.TrimSpace(line))
			}
		}
		if errors == nil {
			t.Fatalf("gcc: %v\n%s", err, out)
		}
		return errors
	}
	out, err := exec.Command(binary).Output()
	if err != nil {
		t.Fatalf("the program made of the bindings: %v", err)
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' })
}

// program writes the C program. It prints a line for every difference; what the headers do not know at all, gcc reports at
// the line of the Go file.
func program(includes []string, s source) string {
	var b strings.Builder
	b.WriteString("#include <stdio.h>\n#include <stddef.h>\n")
	for _, name := range includes {
		fmt.Fprintf(&b, "#include <%s>\n", name)
	}
	b.WriteString(`static void same(const char *where, const char *what, long long go, long long c) {
	if (go != c) printf("%s: %s is %lld, in C %lld\n", where, what, go, c);
}
int main(void) {
`)
	for _, c := range s.constants {
		fmt.Fprintf(&b, "#line %d %q\n\tsame(\"%s:%d\", \"%s (%s)\", %dLL, (long long)(%s));\n",
			c.pos.Line, c.pos.Filename, c.pos.Filename, c.pos.Line, c.name, c.c, c.value, c.c)
	}
	for _, c := range s.structs {
		fmt.Fprintf(&b, "#line %d %q\n\tsame(\"%s:%d\", \"the size of %s (%s)\", %d, sizeof(%s));\n",
			c.pos.Line, c.pos.Filename, c.pos.Filename, c.pos.Line, c.name, c.c, c.size, c.c)
		for _, f := range c.fields {
			fmt.Fprintf(&b, "#line %d %q\n\tsame(\"%s:%d\", \"the offset of %s.%s\", %d, offsetof(%s, %s));\n\tsame(\"%[3]s:%[4]d\", \"the size of %[5]s.%[6]s\", %[10]d, sizeof(((%[8]s *)0)->%[9]s));\n",
				f.pos.Line, f.pos.Filename, f.pos.Filename, f.pos.Line, c.name, f.name, f.offset, c.c, f.c, f.size)
		}
	}
	for _, f := range s.symbols {
		fmt.Fprintf(&b, "#line %d %q\n\t(void)sizeof(&%s);\n", f.pos.Line, f.pos.Filename, f.c)
	}
	for _, c := range s.calls {
		fmt.Fprintf(&b, "#line %d %q\n\t(void)sizeof((%s(%s), 0));\n",
			c.pos.Line, c.pos.Filename, c.c, strings.TrimSuffix(strings.Repeat("0, ", c.args), ", "))
	}
	b.WriteString("\treturn 0;\n}\n")
	return b.String()
}

// The check itself finds what it is for.
func TestMistakesAreFound(t *testing.T) {
	wheels := Wheels(t)
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("a C compiler is needed: gcc is not here (Debian, Ubuntu: sudo apt-get install gcc libc6-dev)")
	}
	s := read(t, "nccl", nil)
	find := func(what string, s source, want string) {
		t.Helper()
		found := strings.Join(compare(t, gcc, program([]string{"nccl.h"}, s), []string{wheels + "/cu13/include", wheels + "/nccl/include"}), "\n")
		if !strings.Contains(found, want) {
			t.Errorf("%s: %q, want %q in it", what, found, want)
		}
	}
	wrong := s.constants[0]
	wrong.value++
	find("a wrong value", source{constants: []constantOf{wrong}}, fmt.Sprintf("%s:%d: %s (%s) is %d, in C %d", wrong.pos.Filename, wrong.pos.Line, wrong.name, wrong.c, wrong.value, wrong.value-1))
	wrong.c = "ncclNoSuchThing"
	find("an unknown name", source{constants: []constantOf{wrong}}, "ncclNoSuchThing")
	layout := s.structs[0]
	layout.size++
	find("a wrong size", source{structs: []structOf{layout}}, "the size of UniqueID (ncclUniqueId) is 129, in C 128")
	call := s.calls[0]
	call.args++
	find("an argument too many", source{calls: []callOf{call}}, "too many arguments")
	symbol := s.symbols[0]
	symbol.c += "_v99"
	find("an unknown function", source{symbols: []symbolOf{symbol}}, symbol.c)

	bare := read(t, ".", nil)
	if len(bare.missing) == 0 {
		t.Error("constants without a C name are not found")
	}
}
