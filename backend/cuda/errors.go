package cuda

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"github.com/descent-ml/descent/backend"
	cu "github.com/descent-ml/descent/cuda"
)

func unsupported(op any, dtype backend.DType) error {
	return fmt.Errorf("cuda: %v of %v: %w", op, dtype, backend.ErrUnsupported)
}

// alive is the error of a device that is lost or closed.
func (d *Device) alive() error {
	if err := d.lost.Load(); err != nil {
		return *err
	}
	return nil
}

// failed names op in an error of CUDA's, nil for none. An error that the context
// does not survive is what the device answers from then on.
func (d *Device) failed(op string, err error) error {
	if err == nil {
		return nil
	}
	if lost := d.alive(); lost != nil {
		return lost
	}
	err = fmt.Errorf("%s: %s: %w", d.name, op, err)
	var code cu.Result
	if errors.As(err, &code) && code.Lost() {
		hint := "; this op or one before it made the error, which DESCENT_CUDA_BLOCKING=1 tells"
		if d.options.Blocking {
			hint = ""
		}
		lost := fmt.Errorf("%w (the device is lost to this process%s)", err, hint)
		d.lost.CompareAndSwap(nil, &lost)
		return d.alive()
	}
	return err
}

// launched ends a launch: in a blocking device it waits for the kernel.
func (d *Device) launched(op string, err error) error {
	if err == nil && d.options.Blocking && d.capturing() == nil {
		err = d.bound(d.compute.Synchronize)
	}
	return d.failed(op, err)
}

// errorWord mirrors ErrorWord of common.cuh. It lies in the device's memory; the
// first kernel that meets bad data writes it, and the next Download or Sync
// reports it.
type errorWord struct {
	code        uint32 // 0: none
	op          uint32 // from faultID
	index, size int64
}

const (
	indexOutOfRange = 1 + iota
	divisionByZero
	negativeExponent
)

var faultNames []string

// faultID is the number that stands for an op in the error word. Package variables
// keep it: var gatherID = faultID("Gather").
func faultID(op string) uint32 {
	faultNames = append(faultNames, op)
	return uint32(len(faultNames) - 1)
}

// error is what w says, nil for nothing.
func (w *errorWord) error(device string) error {
	var err error
	switch w.code {
	case 0:
		return nil
	case indexOutOfRange:
		err = &backend.IndexError{Index: w.index, Size: int(w.size)}
	case divisionByZero:
		err = errors.New("ZeroDivisionError: integer division by zero")
	case negativeExponent:
		err = errors.New("integers to negative integer powers are not allowed")
	default:
		err = fmt.Errorf("error %d", w.code)
	}
	name := "a kernel"
	if int(w.op) < len(faultNames) {
		name = faultNames[w.op]
	}
	return fmt.Errorf("%s: %s: %w", device, name, err)
}

// faults is the device's error word.
type faults struct {
	mu   sync.Mutex // of those who report
	word cu.DevicePtr
}

const errorWordBytes = uint64(unsafe.Sizeof(errorWord{}))

// errorWord is the address for the arguments of a kernel that may fail.
func (d *Device) errorWord() uint64 { return uint64(d.faults.word) }

func (f *faults) open(d *Device) (err error) {
	if f.word, err = d.ctx.Alloc(errorWordBytes); err != nil {
		return err
	}
	return d.ctx.Set8(f.word, 0, errorWordBytes, d.compute)
}

func (f *faults) close(d *Device) error {
	if f.word == 0 {
		return nil
	}
	return d.ctx.Free(f.word)
}

// report clears the word, which l found set, and returns what it said; nil if
// somebody else was quicker.
func (f *faults) report(d *Device, l *landing) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := d.ctx.CopyToHost(unsafe.Pointer(l.word), f.word, errorWordBytes, d.compute); err != nil {
		return d.failed("error word", err)
	}
	if err := d.compute.Synchronize(); err != nil {
		return d.failed("error word", err)
	}
	if l.word.code == 0 {
		return nil
	}
	if err := d.ctx.Set8(f.word, 0, errorWordBytes, d.compute); err != nil {
		return d.failed("error word", err)
	}
	return l.word.error(d.name)
}
