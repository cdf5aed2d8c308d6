// Package null is a device without numbers: it counts bytes, keeps no memory and
// holds every call against the contract of package backend. A model of any size
// "trains" on it in a moment, and a caller that broke the contract (a shape, a
// dtype, a stride that leaves its buffer, a buffer used after Free) gets an error
// that names the kernel and the array.
//
// Record wraps any device and lists its calls.
package null

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/descent-ml/descent/backend"
)

func init() {
	backend.Register("null", func(index int) (backend.Device, error) {
		d := New()
		if index > 0 {
			d.name = fmt.Sprintf("null:%d", index)
		}
		return d, nil
	})
}

// Device implements backend.Device and every optional interface. Upload ignores
// its bytes and Download writes zeros. It is safe for concurrent use.
type Device struct {
	name  string
	mu    sync.Mutex
	stats backend.MemoryStats
}

var _ interface {
	backend.Device
	backend.ConvDevice
	backend.PoolDevice
	backend.NormDevice
	backend.SoftmaxDevice
	backend.OptimizerDevice
	backend.CrossEntropyDevice
	backend.AttentionDevice
	backend.MemoryDevice
} = (*Device)(nil)

// New returns a device of its own, named "null".
func New() *Device { return &Device{name: "null"} }

func (d *Device) String() string { return d.name }

type buffer struct {
	dev   *Device
	bytes int
	freed atomic.Bool
}

func (b *buffer) Bytes() int { return b.bytes }

func (b *buffer) Free() {
	if b.freed.Swap(true) {
		panic(fmt.Sprintf("%s: a buffer of %d bytes is freed twice", b.dev, b.bytes))
	}
	b.dev.count(-b.bytes)
}

func (d *Device) count(bytes int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.Live += int64(bytes)
	d.stats.Reserved = d.stats.Live
	d.stats.Peak = max(d.stats.Peak, d.stats.Live)
}

// Alloc never runs out.
func (d *Device) Alloc(bytes int) (backend.Buffer, error) {
	if bytes < 0 {
		return nil, fmt.Errorf("%s: Alloc of %d bytes", d, bytes)
	}
	d.count(bytes)
	return &buffer{dev: d, bytes: bytes}, nil
}

func (d *Device) Upload(dst backend.Buffer, src []byte) error {
	c := d.check("Upload", nil)
	c.buffer("dst", dst, len(src))
	return c.err
}

func (d *Device) Download(dst []byte, src backend.Buffer) error {
	c := d.check("Download", nil)
	if c.buffer("src", src, len(dst)); c.err == nil {
		clear(dst)
	}
	return c.err
}

func (d *Device) Sync() error { return nil }

func (d *Device) MemoryStats() backend.MemoryStats {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stats
}

func (d *Device) ResetPeak() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.Peak = d.stats.Live
}

// EmptyCache does nothing: nothing is kept.
func (d *Device) EmptyCache() {}
