package dl

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// scratch is removed when all tests are done: libraries in it are never closed.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "dl"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(scratch)
	os.Exit(code)
}

// build makes a library out of C files, or skips the test, saying what is missing.
func build(tb testing.TB, file string, arguments ...string) {
	tb.Helper()
	if err := supported(); err != nil {
		tb.Skip(err)
	}
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		tb.Skip("gcc is not installed (Debian, Ubuntu: sudo apt-get install gcc libc6-dev)")
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		tb.Fatal(err)
	}
	arguments = append([]string{"-O1", "-shared", "-fPIC", "-o", file, "-Wl,-soname," + filepath.Base(file)}, arguments...)
	if out, err := exec.Command(gcc, arguments...).CombinedOutput(); err != nil {
		tb.Fatalf("gcc %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
}

var calls struct {
	sync.Once
	lib *Lib
}

// callee returns testdata/calls.c, with functions args0 to args32 beside it that fold their arguments into one number.
func callee(tb testing.TB) *Lib {
	tb.Helper()
	calls.Do(func() {
		var source strings.Builder
		for n := range MaxArgs + 1 {
			var parameters, sum []string
			for i := range n {
				parameters = append(parameters, fmt.Sprintf("unsigned long a%d", i))
				sum = append(sum, fmt.Sprintf("h = h*%d + a%d;", foldBase, i))
			}
			fmt.Fprintf(&source, "unsigned long args%d(%s) { unsigned long h = 1; %s return h; }\n",
				n, strings.Join(parameters, ", "), strings.Join(sum, " "))
		}
		generated := filepath.Join(scratch, "args.c")
		if err := os.WriteFile(generated, []byte(source.String()), 0o644); err != nil {
			tb.Fatal(err)
		}
		file := filepath.Join(scratch, "libcalls.so")
		build(tb, file, "testdata/calls.c", generated)
		lib, err := Open(Spec{Name: "the test library", Sonames: []string{"libcalls.so"}, Dirs: []string{scratch}})
		if err != nil {
			tb.Fatal(err)
		}
		calls.lib = lib
	})
	if calls.lib == nil {
		tb.Skip("the test library was not built: gcc is not installed (Debian, Ubuntu: sudo apt-get install gcc libc6-dev)")
	}
	return calls.lib
}

const foldBase = 1000003

func function(tb testing.TB, name string) uintptr {
	tb.Helper()
	addr := callee(tb).Sym(name)
	if addr == 0 {
		tb.Fatalf("testdata/calls.c has no %s", name)
	}
	return addr
}
