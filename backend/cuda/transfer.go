package cuda

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/descent-ml/descent/backend"
	cu "github.com/descent-ml/descent/cuda"
)

const (
	ringBytes  = 16 << 20
	pieceBytes = 1 << 20  // of a transfer; others get their turn in between
	overlap    = 64 << 10 // the least upload that is worth its events
)

// staging is a ring of pinned memory that uploads go through: the caller has its
// bytes back at once, and the copy runs when the device gets there.
//
// An upload to memory that no work has used since it was handed out runs on a
// stream of its own, beside earlier kernels; it waits only for the work before the
// memory was freed. A mark is an event in the compute stream; marks counts them.
type staging struct {
	marks atomic.Uint64 // the number of marks begun

	mu         sync.Mutex
	ring       unsafe.Pointer
	head, tail uint64 // bytes handed out and taken back; their rest by ringBytes is the place
	flight     [128]struct {
		end  uint64
		done cu.Event
	} // a queue of what was handed out: of those from first on, the first n
	first, n int

	mark     cu.Event
	recorded uint64 // its number
}

func (s *staging) open(d *Device) (err error) {
	for i := range s.flight {
		if s.flight[i].done, err = d.ctx.NewEvent(false); err != nil {
			return err
		}
	}
	s.mark, err = d.ctx.NewEvent(false)
	return err
}

func (s *staging) close(d *Device) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	events := []cu.Event{s.mark}
	for _, f := range s.flight {
		events = append(events, f.done)
	}
	err := destroy(events)
	if s.ring != nil {
		err = errors.Join(err, d.ctx.FreeHost(s.ring))
		s.ring = nil
	}
	return err
}

func destroy(events []cu.Event) error {
	var errs []error
	for _, e := range events {
		if e.Handle() != 0 {
			errs = append(errs, e.Destroy())
		}
	}
	return errors.Join(errs...)
}

// reserve returns n bytes of the ring, waiting for old copies only if it is full.
func (s *staging) reserve(d *Device, n uint64) (unsafe.Pointer, error) {
	if s.ring == nil {
		ring, err := d.ctx.AllocHost(ringBytes)
		if err != nil {
			return nil, err
		}
		s.ring = ring
	}
	n = uint64(roundUp(int64(n), 64))
	start := s.head
	if start%ringBytes+n > ringBytes {
		start = (start/ringBytes + 1) * ringBytes
	}
	for s.n == len(s.flight) || start+n-s.tail > ringBytes {
		oldest := &s.flight[s.first]
		if err := oldest.done.Synchronize(); err != nil {
			return nil, err
		}
		s.tail = oldest.end
		s.first, s.n = (s.first+1)%len(s.flight), s.n-1
	}
	s.head = start + n
	return unsafe.Add(s.ring, start%ringBytes), nil
}

// send puts the copy of the piece that was reserved last into a stream.
func (s *staging) send(d *Device, dst uint64, piece unsafe.Pointer, n int, stream cu.Stream) (cu.Event, error) {
	f := &s.flight[(s.first+s.n)%len(s.flight)]
	if err := d.ctx.CopyToDevice(cu.DevicePtr(dst), piece, uint64(n), stream); err != nil {
		return f.done, err
	}
	if err := f.done.Record(stream); err != nil {
		return f.done, errors.Join(err, stream.Synchronize())
	}
	f.end = s.head
	s.n++
	return f.done, nil
}

// waitFor makes the stream of copies wait for mark number after, recording it if
// there is none of that number yet.
func (s *staging) waitFor(d *Device, after uint64) error {
	if after == 0 {
		return nil
	}
	if after > s.recorded {
		// Whoever frees a block and still sees the old count issued its work before
		// the event that is recorded now.
		n := s.marks.Add(1)
		if err := s.mark.Record(d.compute); err != nil {
			return err
		}
		s.recorded = n
	}
	return d.copies.Wait(s.mark)
}

// Upload copies src to the start of dst, in the order of the calls, and returns
// before the device has done so. In a captured function it is done once and is no
// part of the graph.
func (d *Device) Upload(dst backend.Buffer, src []byte) error {
	b := dst.(*buffer)
	if len(src) > b.bytes {
		return fmt.Errorf("%s: upload of %d bytes to a buffer of %d", d.name, len(src), b.bytes)
	}
	if err := d.alive(); err != nil || len(src) == 0 {
		return err
	}
	if c := d.capturing(); c != nil {
		if err := c.keep(b); err != nil {
			return d.failed("Upload", err)
		}
	}
	return d.failed("Upload", d.bound(func() error { return d.staging.upload(d, b, src) }))
}

func (s *staging) upload(d *Device, b *buffer, src []byte) error {
	fresh, after, stream := false, uint64(0), d.compute
	if len(src) >= overlap && !b.used.Load() {
		var private bool
		if after, private = d.mem.origin(b); !private {
			fresh, stream = true, d.copies
		}
	}
	at := b.use()
	var done cu.Event
	for start := true; len(src) > 0; start = false {
		n := min(len(src), pieceBytes)
		err := func() error {
			s.mu.Lock()
			defer s.mu.Unlock()
			if fresh && start {
				if err := s.waitFor(d, after); err != nil {
					return err
				}
			}
			piece, err := s.reserve(d, uint64(n))
			if err != nil {
				return err
			}
			copy(unsafe.Slice((*byte)(piece), n), src)
			if done, err = s.send(d, at, piece, n, stream); err != nil || !fresh || n < len(src) {
				return err
			}
			return d.compute.Wait(done)
		}()
		if err != nil {
			return err
		}
		at += uint64(n)
		src = src[n:]
	}
	return nil
}

// Download copies the start of src to dst once all work before it is done. An error
// that the data showed a kernel is reported here or by Sync, once.
func (d *Device) Download(dst []byte, src backend.Buffer) error {
	b := src.(*buffer)
	if len(dst) > b.bytes {
		return fmt.Errorf("%s: download of %d bytes from a buffer of %d", d.name, len(dst), b.bytes)
	}
	return d.await("Download", dst, b.use())
}

// Sync waits for all work issued so far, and reports errors as Download does.
func (d *Device) Sync() error { return d.await("Sync", nil, 0) }

func (d *Device) await(call string, dst []byte, src uint64) error {
	if err := d.alive(); err != nil {
		return err
	}
	if d.capturing() != nil {
		return fmt.Errorf("%s: %s in a captured function: nothing in it may wait for the device", d.name, call)
	}
	if err := d.ctx.Bind(); err != nil {
		return d.failed(call, err)
	}
	defer d.ctx.Unbind()
	l, err := d.landings.get(d)
	if err != nil {
		return d.failed(call, err)
	}
	if err := l.receive(d, dst, src); err != nil {
		return d.failed(call, err) // l is lost: a copy to it may be under way
	}
	if l.word.code != 0 {
		err = d.faults.report(d, l)
	}
	d.landings.put(l)
	return err
}

// landing is pinned memory that downloads arrive in, by halves.
type landing struct {
	half [2]unsafe.Pointer
	done [2]cu.Event
	word *errorWord
}

const halfBytes = 512 << 10

// receive copies the device's memory at src to dst, and its error word.
func (l *landing) receive(d *Device, dst []byte, src uint64) error {
	pieces := max(1, (len(dst)+halfBytes-1)/halfBytes)
	piece := func(i int) []byte { return dst[i*halfBytes : min(len(dst), (i+1)*halfBytes)] }
	for i := range pieces + 1 {
		if i < pieces { // one is under way while the one before it is copied
			at := src + uint64(i)*halfBytes
			if n := len(piece(i)); n > 0 {
				if err := d.ctx.CopyToHost(l.half[i%2], cu.DevicePtr(at), uint64(n), d.compute); err != nil {
					return err
				}
			}
			if i == pieces-1 {
				if err := d.ctx.CopyToHost(unsafe.Pointer(l.word), d.faults.word, errorWordBytes, d.compute); err != nil {
					return err
				}
			}
			if err := l.done[i%2].Record(d.compute); err != nil {
				return err
			}
		}
		if i > 0 {
			if err := l.done[(i-1)%2].Synchronize(); err != nil {
				return err
			}
			p := piece(i - 1)
			copy(p, unsafe.Slice((*byte)(l.half[(i-1)%2]), len(p)))
		}
	}
	return nil
}

// landings are those of a device: one for each download at a time.
type landings struct {
	mu   sync.Mutex
	all  []*landing
	free []*landing
}

func (ls *landings) get(d *Device) (*landing, error) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if n := len(ls.free); n > 0 {
		l := ls.free[n-1]
		ls.free = ls.free[:n-1]
		return l, nil
	}
	l := &landing{}
	at, err := d.ctx.AllocHost(2*halfBytes + errorWordBytes)
	if err != nil {
		return nil, err
	}
	l.half = [2]unsafe.Pointer{at, unsafe.Add(at, halfBytes)}
	l.word = (*errorWord)(unsafe.Add(at, 2*halfBytes))
	ls.all = append(ls.all, l)
	for i := range l.done {
		if l.done[i], err = d.ctx.NewEvent(false); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (ls *landings) put(l *landing) {
	ls.mu.Lock()
	ls.free = append(ls.free, l)
	ls.mu.Unlock()
}

func (ls *landings) close(d *Device) error {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	var errs []error
	for _, l := range ls.all {
		errs = append(errs, destroy(slices.Clone(l.done[:])), d.ctx.FreeHost(l.half[0]))
	}
	ls.all, ls.free = nil, nil
	return errors.Join(errs...)
}
