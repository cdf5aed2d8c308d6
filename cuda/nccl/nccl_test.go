package nccl

import (
	"errors"
	"strings"
	"testing"
	"unsafe"

	"github.com/descent-ml/descent/cuda/internal/headers"
)

func realLibrary(t *testing.T) *Library {
	t.Helper()
	headers.Libraries(t)
	l, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestVersionOfTheRealLibrary(t *testing.T) {
	l := realLibrary(t)
	v, err := l.Version()
	if err != nil {
		t.Fatal(err)
	}
	if v < MinVersion || !strings.HasPrefix(FormatVersion(v), "2.") {
		t.Errorf("version %d (%s)", v, FormatVersion(v))
	}
	t.Logf("NCCL %s at %s", FormatVersion(v), l.Path())
}

// Names need the network, not a GPU. Two of them differ.
func TestUniqueIDsDiffer(t *testing.T) {
	l := realLibrary(t)
	a, err := l.UniqueID()
	if err != nil {
		t.Skipf("NCCL makes no name here: %v", err)
	}
	b, err := l.UniqueID()
	if err != nil {
		t.Fatal(err)
	}
	if a == b || a == (UniqueID{}) {
		t.Error("two names are the same, or empty")
	}
}

// Both ways to join are tried: by pointer, and the older one by value.
func TestInitWithoutGPUSaysWhy(t *testing.T) {
	l := realLibrary(t)
	id, err := l.UniqueID()
	if err != nil {
		t.Skipf("NCCL makes no name here: %v", err)
	}
	old := *l
	old.api.initRankScalable.Addr = 0
	for _, l := range []*Library{l, &old} {
		c, err := l.Init(id, 1, 0)
		if err == nil {
			c.Abort()
			t.Skip("a GPU is here")
		}
		var e *Error
		if !errors.As(err, &e) || e.Detail == "" || !errors.Is(err, ErrUnhandledCUDA) {
			t.Errorf("Init without a GPU: %v", err)
		}
		t.Log(err)
	}
}

func TestGroupEndsWhenItsFunctionFailsOrPanics(t *testing.T) {
	l := realLibrary(t)
	boom := errors.New("boom")
	if err := l.Group(func() error { return boom }); err != boom {
		t.Errorf("the function's error became %v", err)
	}
	func() {
		defer func() { recover() }()
		l.Group(func() error { panic(boom) })
	}()
	// A group that was left open would have swallowed this error until its end.
	if err := l.Group(func() error { return nil }); err != nil {
		t.Errorf("a group after one that panicked: %v", err)
	}
}

func TestWrongArgumentIsNamed(t *testing.T) {
	l := realLibrary(t)
	err := Comm{lib: l}.AllReduce(0, 0, 1, Float32, Sum, 0)
	var e *Error
	if !errors.As(err, &e) || e.Call != "ncclAllReduce" || !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("AllReduce without a communicator: %v", err)
	}
}

func TestVersionsAreWrittenAsPeopleDo(t *testing.T) {
	for v, want := range map[int]string{23007: "2.30.7", 21000: "2.10.0", 2804: "2.8.4"} {
		if got := FormatVersion(v); got != want {
			t.Errorf("FormatVersion(%d) = %s, want %s", v, got, want)
		}
	}
	if unsafe.Sizeof(UniqueID{}) != 128 {
		t.Error("the size of a UniqueID")
	}
}
