package tensor

import (
	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/random"
)

// Slots are the scalars in device memory of a step that is captured: those that
// another run of it changes, such as the learning rate and the numbers that dropout
// draws. It belongs to one goroutine; train.Capture uses it.
type Slots struct {
	dev    backend.Device
	chunks []*slotChunk
	start  random.Stream // of the run's generator
}

// slotChunk is one buffer of slots.
type slotChunk struct {
	buf     backend.Buffer
	table   []byte
	updates []func() backend.Scalars
}

const slotsPerChunk = 256

// NewSlots makes an empty set on dev.
func NewSlots(dev backend.Device) *Slots { return &Slots{dev: dev} }

// Begin says at which state the generator of the scopes of the next run starts.
func (s *Slots) Begin(start random.Stream) { s.start = start }

// Add makes a slot whose scalars are update's, called now and by each Refresh, and
// returns where it stands.
func (s *Slots) Add(update func() backend.Scalars) (backend.Buffer, int) {
	const op = "slot"
	last := len(s.chunks) - 1
	if last < 0 || len(s.chunks[last].updates) == slotsPerChunk {
		buf, err := s.dev.Alloc(slotsPerChunk * backend.ScalarsBytes)
		check(op, err)
		s.chunks = append(s.chunks, &slotChunk{buf: buf})
		last++
	}
	c := s.chunks[last]
	c.table = backend.AppendScalars(c.table, update())
	c.updates = append(c.updates, update)
	check(op, s.dev.Upload(c.buf, c.table))
	return c.buf, len(c.updates) - 1
}

// Refresh computes all scalars again, in the order in which they were added, and
// uploads them.
func (s *Slots) Refresh() {
	for _, c := range s.chunks {
		c.table = c.table[:0]
		for _, update := range c.updates {
			c.table = backend.AppendScalars(c.table, update())
		}
		check("slot", s.dev.Upload(c.buf, c.table))
	}
}

// Release frees the slots.
func (s *Slots) Release() {
	for _, c := range s.chunks {
		c.buf.Free()
	}
	s.chunks = nil
}

// random is the slot of a kernel that draws random numbers. A checkpoint that
// draws them again gets the same.
func (s *Slots) random(op string, sc backend.Scalars) backend.Params {
	if sc.Key != s.start.Key {
		Fail(op, "a captured step draws from another generator than its scope's; it would draw the same numbers each time")
	}
	ahead := sc.Counter - s.start.Counter
	buf, i := s.Add(func() backend.Scalars {
		sc.Key, sc.Counter = s.start.Key, s.start.Counter+ahead
		return sc
	})
	return backend.Params{Slot: buf, SlotIndex: i}
}

// SetSlots makes the random kernels of s and its children take their numbers from
// slots.
func (s *Scope) SetSlots(slots *Slots) { s.slots = slots }

// random are the parameters of a kernel that draws random numbers in s.
func (s *Scope) random(op string, sc backend.Scalars) backend.Params {
	for ; s != nil; s = s.parent {
		if s.slots != nil {
			return s.slots.random(op, sc)
		}
	}
	return backend.Params{Scalars: sc}
}
