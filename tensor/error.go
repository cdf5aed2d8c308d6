package tensor

import (
	"fmt"

	"github.com/descent-ml/descent/backend"
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

func newError(op string, err error) *Error { return &Error{op, err, backend.UserLine()} }

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
