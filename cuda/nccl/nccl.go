// Package nccl binds NCCL 2, NVIDIA's collective communication between GPUs, without cgo.
//
// One rank, mostly a process, calls [Library.UniqueID]; its bytes go to all others by whatever means there are (a file,
// MPI, Horovod); then each calls [Library.Init] with its CUDA context current. Collective calls put work on a stream and
// return; every rank must make the same ones in the same order.
//
// A [Comm] may be used by one goroutine at a time. The calls of a group ([Library.Group]) stay on one thread.
package nccl

import (
	"fmt"
	"runtime"

	"github.com/ebitengine/purego"

	"github.com/descent-ml/descent/cuda/internal/dl"
)

// MinVersion is the oldest version that serves, as [Library.Version] counts: the first with bfloat16, Avg and point-to-point
// calls that can be captured in a graph.
const MinVersion = 21000 // not in nccl.h

// Library is NCCL, open.
type Library struct {
	lib *dl.Lib
	api functions
}

type functions struct {
	getVersion     dl.Func `sym:"ncclGetVersion"`
	getErrorString dl.Func `sym:"ncclGetErrorString"`
	getLastError   dl.Func `sym:"ncclGetLastError,optional"`

	getUniqueID      dl.Func `sym:"ncclGetUniqueId"`
	initRank         dl.Func `sym:"ncclCommInitRank"`
	initRankScalable dl.Func `sym:"ncclCommInitRankScalable,optional"`
	count            dl.Func `sym:"ncclCommCount"`
	userRank         dl.Func `sym:"ncclCommUserRank"`
	device           dl.Func `sym:"ncclCommCuDevice"`
	asyncError       dl.Func `sym:"ncclCommGetAsyncError"`
	abort            dl.Func `sym:"ncclCommAbort"`
	destroy          dl.Func `sym:"ncclCommDestroy"`

	groupStart dl.Func `sym:"ncclGroupStart"`
	groupEnd   dl.Func `sym:"ncclGroupEnd"`

	allReduce     dl.Func `sym:"ncclAllReduce"`
	reduce        dl.Func `sym:"ncclReduce"`
	reduceScatter dl.Func `sym:"ncclReduceScatter"`
	allGather     dl.Func `sym:"ncclAllGather"`
	broadcast     dl.Func `sym:"ncclBroadcast"`
	send          dl.Func `sym:"ncclSend"`
	recv          dl.Func `sym:"ncclRecv"`
}

var process dl.Once[Library]

// Open finds NCCL and opens it. Every call returns the same library; a failure is not remembered. The error says what was
// searched.
func Open() (*Library, error) { return process.Get(open) }

func open() (*Library, error) {
	lib, err := dl.Open(dl.NCCL)
	if err != nil {
		return nil, err
	}
	l := &Library{lib: lib}
	if err := lib.Bind(&l.api); err != nil {
		return nil, err
	}
	v, err := l.Version()
	if err != nil {
		return nil, err
	}
	if v < MinVersion {
		return nil, lib.VersionError(FormatVersion(v), FormatVersion(MinVersion)+" or later")
	}
	return l, nil
}

// Path returns the file that was opened.
func (l *Library) Path() string { return l.lib.Path }

// Version returns NCCL's version as 10000·major + 100·minor + patch (before 2.9 it was 1000·major + …).
func (l *Library) Version() (int, error) {
	var v int32
	err := l.do(&l.api.getVersion, dl.Ptr(&v))
	return int(v), err
}

// FormatVersion writes what Version returns as people do: "2.30.7".
func FormatVersion(v int) string {
	if v < 10000 {
		return fmt.Sprintf("%d.%d.%d", v/1000, v/100%10, v%100)
	}
	return fmt.Sprintf("%d.%d.%d", v/10000, v/100%100, v%100)
}

// Result is ncclResult_t. As an error it is the sentinel that errors.Is finds in an [*Error].
type Result int32

const (
	Success            Result = 0 // ncclSuccess
	ErrUnhandledCUDA   Result = 1 // ncclUnhandledCudaError: a call of CUDA failed
	ErrSystem          Result = 2 // ncclSystemError: a call of the system failed, of its network most often
	ErrInternal        Result = 3 // ncclInternalError
	ErrInvalidArgument Result = 4 // ncclInvalidArgument
	ErrInvalidUsage    Result = 5 // ncclInvalidUsage
	ErrRemote          Result = 6 // ncclRemoteError: another rank failed or has gone
	InProgress         Result = 7 // ncclInProgress: no error, a non-blocking communicator is at work
)

// Error returns the number; an [*Error] has NCCL's own words.
func (r Result) Error() string { return fmt.Sprintf("NCCL result %d", int32(r)) }

// Error is a call that failed.
type Error struct {
	Call   string // the C function
	Code   Result
	Detail string // NCCL's words for the code, and the last thing it logged
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s (%d)", e.Call, e.Detail, int32(e.Code)) }

// Unwrap returns the code, so that errors.Is finds it.
func (e *Error) Unwrap() error { return e.Code }

func (l *Library) do(fn *dl.Func, args ...dl.Arg) error {
	if r := Result(dl.Call(fn.Addr, args...)); r != Success {
		return l.fail(fn.Name, r)
	}
	return nil
}

func (l *Library) fail(call string, r Result) error {
	detail := dl.CallString(l.api.getErrorString.Addr, dl.Int(r))
	if l.api.getLastError.Addr != 0 {
		if last := dl.CallString(l.api.getLastError.Addr, dl.Arg{}); last != "" {
			detail += ": " + last
		}
	}
	return &Error{Call: call, Code: r, Detail: detail}
}

// UniqueID is ncclUniqueId: the name of a group of ranks that is to be. It is not secret, but whoever has it can join.
type UniqueID struct {
	Internal [128]byte // internal
}

// UniqueID makes the name of a new group, in one of its ranks; others get a copy.
func (l *Library) UniqueID() (UniqueID, error) {
	var id UniqueID
	err := l.do(&l.api.getUniqueID, dl.Ptr(&id))
	return id, err
}

// Comm is one rank's membership in a group.
type Comm struct {
	lib *Library
	p   uintptr
}

// Init joins a group as one of so many ranks, for the device of the thread's current context, and waits until all have. The
// caller destroys it.
func (l *Library) Init(id UniqueID, ranks, rank int) (Comm, error) {
	c := Comm{lib: l}
	if l.api.initRankScalable.Addr != 0 {
		err := l.do(&l.api.initRankScalable, dl.Ptr(&c.p), dl.Int(ranks), dl.Int(rank), dl.Int(1), dl.Ptr(&id), dl.Arg{})
		return c, err
	}
	// Before 2.23 there is only a call that takes the name by value.
	var initRank func(comm *uintptr, ranks int32, id UniqueID, rank int32) Result
	purego.RegisterFunc(&initRank, l.api.initRank.Addr)
	if r := initRank(&c.p, int32(ranks), id, int32(rank)); r != Success {
		return Comm{}, l.fail(l.api.initRank.Name, r)
	}
	return c, nil
}

// Ranks returns how many ranks there are, this one's number, and its CUDA device.
func (c Comm) Ranks() (ranks, rank, device int, err error) {
	var n, r, d int32
	for _, q := range []struct {
		fn *dl.Func
		v  *int32
	}{{&c.lib.api.count, &n}, {&c.lib.api.userRank, &r}, {&c.lib.api.device, &d}} {
		if err := c.lib.do(q.fn, dl.Int(c.p), dl.Ptr(q.v)); err != nil {
			return 0, 0, 0, err
		}
	}
	return int(n), int(r), int(d), nil
}

// AsyncError returns the error that work on a stream has met, or nil. After one, the communicator is good only for Abort.
func (c Comm) AsyncError() error {
	var r Result
	if err := c.lib.do(&c.lib.api.asyncError, dl.Int(c.p), dl.Ptr(&r)); err != nil {
		return err
	}
	if r != Success && r != InProgress {
		return c.lib.fail(c.lib.api.asyncError.Name, r)
	}
	return nil
}

// Abort ends the membership without waiting for work or for other ranks.
func (c Comm) Abort() error { return c.lib.do(&c.lib.api.abort, dl.Int(c.p)) }

// Destroy ends the membership once its work is done.
func (c Comm) Destroy() error { return c.lib.do(&c.lib.api.destroy, dl.Int(c.p)) }

// Group makes the calls in fn as one: point-to-point exchanges that wait for each other must be, and so must those of
// several communicators in one goroutine. The work is put on its streams when fn has returned.
func (l *Library) Group(fn func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := l.do(&l.api.groupStart); err != nil {
		return err
	}
	ended := false
	defer func() { // fn may panic
		if !ended {
			dl.Call(l.api.groupEnd.Addr)
		}
	}()
	err := fn()
	ended = true
	if end := l.do(&l.api.groupEnd); err == nil {
		err = end
	}
	return err
}
