package tensor

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
)

// Error is the one type this module panics with: a programmer's mistake, which
// names the op, what it was given, and the line that called it. Catch turns it
// into a returned error at the boundaries.
type Error struct {
	Op   string // as PyTorch spells it
	Err  error
	Line string // the caller's file:line, outside of this module
}

func (e *Error) Error() string {
	s := "tensor: " + e.Op + ": " + e.Err.Error()
	if e.Line != "" {
		s += " (at " + e.Line + ")"
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Fail panics with an *Error, for packages that add ops of their own.
func Fail(op, format string, args ...any) { panic(newError(op, fmt.Errorf(format, args...))) }

func check(op string, err error) {
	if err != nil {
		panic(newError(op, err))
	}
}

func newError(op string, err error) *Error { return &Error{op, err, callerLine()} }

// Catch turns a panic with *Error into err; use it as `defer tensor.Catch(&err)`.
// Other panics go on.
func Catch(err *error) {
	switch r := recover().(type) {
	case nil:
	case *Error:
		*err = r
	default:
		panic(r)
	}
}

const modulePath = "github.com/descent-ml/descent/"

// callerLine is the innermost frame outside of the library, or in one of its
// tests or examples.
func callerLine() string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	for {
		f, more := frames.Next()
		user := !strings.HasPrefix(f.Function, modulePath) && !strings.HasPrefix(f.Function, "runtime.") ||
			strings.HasSuffix(f.File, "_test.go") || strings.HasPrefix(f.Function, modulePath+"examples/")
		if user && f.File != "" {
			return filepath.Base(filepath.Dir(f.File)) + "/" + filepath.Base(f.File) + fmt.Sprintf(":%d", f.Line)
		}
		if !more {
			return ""
		}
	}
}
