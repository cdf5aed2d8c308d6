package cuda

import (
	"time"

	"github.com/descent-ml/descent/cuda/internal/dl"
)

// Flags of cuda.h.
const (
	streamNonBlocking  = 1 // CU_STREAM_NON_BLOCKING
	eventDisableTiming = 2 // CU_EVENT_DISABLE_TIMING
)

// CaptureMode is CUstreamCaptureMode: which calls that wait or allocate are forbidden to a thread.
type CaptureMode int32

const (
	CaptureGlobal      CaptureMode = 0 // CU_STREAM_CAPTURE_MODE_GLOBAL: those during its own captures and others' global ones; a thread begins with it
	CaptureThreadLocal CaptureMode = 1 // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: those during its own captures
	CaptureRelaxed     CaptureMode = 2 // CU_STREAM_CAPTURE_MODE_RELAXED: none
)

// ExchangeCaptureMode sets the mode of the calling thread and returns what it was. A library that loads its kernels when
// it first runs them must have CaptureRelaxed to do so in a capture.
func (c *Context) ExchangeCaptureMode(m CaptureMode) (old CaptureMode, err error) {
	err = c.driver.do(&c.driver.api.threadCaptureMode, dl.Ptr(&m))
	return m, err
}

// Stream is a queue of work on a device (CUstream). Work in one runs in order; streams run beside each other.
type Stream struct {
	driver *Driver
	handle uintptr
}

// NewStream makes a stream that does not wait for the default one. See [Context.StreamPriorities]; 0 is the least.
func (c *Context) NewStream(priority int) (Stream, error) {
	s := Stream{driver: c.driver}
	err := c.driver.do(&c.driver.api.streamCreate, dl.Ptr(&s.handle), dl.Int(streamNonBlocking), dl.Int(priority))
	return s, err
}

// Handle is the CUstream.
func (s Stream) Handle() uintptr { return s.handle }

// Synchronize waits until the stream's work is done, and returns the error of work that failed.
func (s Stream) Synchronize() error {
	return s.driver.do(&s.driver.api.streamSynchronize, dl.Int(s.handle))
}

// Query reports whether the stream's work is done, without waiting.
func (s Stream) Query() (bool, error) { return s.driver.ready(&s.driver.api.streamQuery, s.handle) }

// Wait makes later work in the stream wait for what the event recorded last. The event may be of another device.
func (s Stream) Wait(e Event) error {
	return s.driver.do(&s.driver.api.streamWaitEvent, dl.Int(s.handle), dl.Int(e.handle), dl.Int(0))
}

// Destroy frees the stream once its work is done. It does not wait.
func (s Stream) Destroy() error { return s.driver.do(&s.driver.api.streamDestroy, dl.Int(s.handle)) }

// BeginCapture makes later work in the stream part of a graph instead of running it. Until [Stream.EndCapture] this thread
// must make no call that waits for the device or allocates (see [Context.ExchangeCaptureMode]); other threads may. The
// goroutine must stay bound.
func (s Stream) BeginCapture() error {
	return s.driver.do(&s.driver.api.streamBeginCapture, dl.Int(s.handle), dl.Int(CaptureThreadLocal))
}

// EndCapture ends the capture and returns what was captured. It must be called even after a call in between failed; the
// capture is then invalid, which EndCapture returns as an error.
func (s Stream) EndCapture() (Graph, error) {
	g := Graph{driver: s.driver}
	err := s.driver.do(&s.driver.api.streamEndCapture, dl.Int(s.handle), dl.Ptr(&g.handle))
	return g, err
}

// Capturing reports whether the stream is being captured; an invalidated capture counts.
func (s Stream) Capturing() (bool, error) {
	var status int32
	err := s.driver.do(&s.driver.api.streamIsCapturing, dl.Int(s.handle), dl.Ptr(&status))
	return status != 0, err
}

// Event marks a place in a stream (CUevent).
type Event struct {
	driver *Driver
	handle uintptr
}

// NewEvent makes an event. One without timing is cheaper, and cannot be asked with [Event.Since].
func (c *Context) NewEvent(timing bool) (Event, error) {
	flags := eventDisableTiming
	if timing {
		flags = 0
	}
	e := Event{driver: c.driver}
	err := c.driver.do(&c.driver.api.eventCreate, dl.Ptr(&e.handle), dl.Int(flags))
	return e, err
}

// Handle is the CUevent.
func (e Event) Handle() uintptr { return e.handle }

// Record puts the event into a stream. It moves there from where it was recorded before.
func (e Event) Record(s Stream) error {
	return e.driver.do(&e.driver.api.eventRecord, dl.Int(e.handle), dl.Int(s.handle))
}

// Query reports whether the stream is past the event. An event that was never recorded counts as passed.
func (e Event) Query() (bool, error) { return e.driver.ready(&e.driver.api.eventQuery, e.handle) }

// Synchronize waits until the stream is past the event.
func (e Event) Synchronize() error {
	return e.driver.do(&e.driver.api.eventSynchronize, dl.Int(e.handle))
}

// Since returns the time between two events that are passed, both with timing. Its resolution is about half a microsecond.
func (e Event) Since(start Event) (time.Duration, error) {
	var ms float32
	err := e.driver.do(&e.driver.api.eventElapsedTime, dl.Ptr(&ms), dl.Int(start.handle), dl.Int(e.handle))
	return time.Duration(float64(ms) * float64(time.Millisecond)), err
}

// Destroy frees the event.
func (e Event) Destroy() error { return e.driver.do(&e.driver.api.eventDestroy, dl.Int(e.handle)) }
