package backendtest

import (
	"encoding/binary"
	"errors"
	"math"
	"sync"

	"github.com/descent-ml/descent/backend"
)

// testGraph captures calls and holds a graph to do again what they did.
func testGraph(b *bench) {
	d, ok := b.dev.(backend.GraphDevice)
	if !ok {
		return
	}
	const n = 3000
	shape := []int{n}
	// steps computes y += relu(scalar·x + 1) by temporaries, the scalar standing in a slot.
	type state struct {
		x, y array
		slot backend.Buffer
	}
	begin := func(b *bench) state {
		s := state{b.array(backend.Float32, shape, contiguous, []float64{3, -1, 0.5}), b.array(backend.Float32, shape, contiguous, []float64{0}), b.alloc(2 * backend.ScalarsBytes)}
		b.must(b.dev.Upload(s.slot, backend.AppendScalars(make([]byte, backend.ScalarsBytes), backend.Scalars{A: 2})))
		return s
	}
	temp := func() (backend.Array, error) {
		buf, err := b.dev.Alloc(4 * n)
		return backend.Array{Buf: buf, DType: backend.Float32, Shape: shape, Strides: []int{1}}, err
	}
	steps := func(s state) error {
		one, err := temp()
		if err != nil {
			return err
		}
		defer one.Buf.Free()
		if err := b.dev.Binary(backend.Mul, one, s.x.Array, backend.Array{DType: backend.Float32}, backend.Params{Slot: s.slot, SlotIndex: 1}); err != nil {
			return err
		}
		two, err := temp()
		if err != nil {
			return err
		}
		defer two.Buf.Free()
		if err := b.dev.Binary(backend.Add, two, one, backend.Array{DType: backend.Float32}, backend.Params{Scalars: backend.Scalars{A: 1}}); err != nil {
			return err
		}
		if err := b.dev.Unary(backend.ReLU, two, two, backend.Params{}); err != nil {
			return err
		}
		return b.dev.Copy(s.y.Array, two, true)
	}
	wants := func(b *bench, call string, s state, third ...float64) {
		b.Helper()
		got := b.read(call, s.y)[:3]
		equal(b, call, got, third)
	}
	capture := func(b *bench, fn func() error) backend.Graph {
		b.Helper()
		g, err := d.Capture(fn)
		if err != nil {
			b.Fatalf("Capture: %v", err)
		}
		return g
	}

	b.sub("DoesItAgain", func(b *bench) {
		s := begin(b)
		g := capture(b, func() error { return steps(s) })
		defer g.Free()
		wants(b, "Capture runs the function once", s, 7, 0, 2)
		b.must(g.Launch())
		b.must(g.Launch())
		wants(b, "two launches", s, 21, 0, 6)
		b.must(b.dev.Upload(s.slot, backend.AppendScalars(make([]byte, backend.ScalarsBytes), backend.Scalars{A: -1})))
		b.must(g.Launch())
		wants(b, "a launch with another scalar in the slot", s, 21, 2, 6.5)
		x := b.array(backend.Float32, shape, contiguous, []float64{-4, 0, 0})
		b.must(b.dev.Copy(s.x.Array, x.Array, false))
		b.must(g.Launch())
		wants(b, "a launch with another input", s, 26, 3, 7.5)
	})
	b.sub("MemoryIsItsOwn", func(b *bench) {
		s := begin(b)
		g := capture(b, func() error { return steps(s) })
		for range 3 { // whoever gets memory now must not get the graph's
			b.array(backend.Float32, shape, contiguous, []float64{99})
			b.must(g.Launch())
		}
		wants(b, "launches beside other memory", s, 28, 0, 8)
		g.Free()
		if m, ok := b.dev.(backend.MemoryDevice); ok {
			start := m.MemoryStats().Live
			for range 5 {
				capture(b, func() error { return steps(s) }).Free()
			}
			if end := m.MemoryStats().Live; end != start {
				b.Errorf("graphs that were freed hold %d bytes", end-start)
			}
		}
	})
	b.sub("WhatItFreesOfOthersStaysReadable", func(b *bench) {
		s := begin(b)
		x, err := temp()
		b.must(err)
		b.must(b.dev.Copy(x, s.x.Array, false))
		g := capture(b, func() error {
			err := b.dev.Copy(s.y.Array, x, true)
			x.Buf.Free()
			return err
		})
		defer g.Free()
		b.array(backend.Float32, shape, contiguous, []float64{99})
		b.must(g.Launch())
		wants(b, "an input that was freed in the capture", s, 6, -2, 1)
	})
	b.sub("AnUploadHappensOnce", func(b *bench) {
		s := begin(b)
		g := capture(b, func() error {
			x, err := temp()
			if err != nil {
				return err
			}
			if err := b.dev.Upload(x.Buf, floats(5, 6, 7)); err != nil {
				return err
			}
			first := x
			first.Shape, first.Strides = []int{3}, []int{1}
			y := s.y.Array
			y.Shape, y.Strides = first.Shape, first.Strides
			if err := b.dev.Copy(y, first, true); err != nil {
				return err
			}
			x.Buf.Free()
			return steps(s) // its temporaries must not lie there
		})
		defer g.Free()
		wants(b, "an upload in a capture", s, 12, 6, 9)
		b.must(g.Launch())
		wants(b, "its value in the next launch", s, 24, 12, 18)
	})
	b.sub("NothingMayWait", func(b *bench) {
		s := begin(b)
		for name, wait := range map[string]func() error{
			"Sync":     b.dev.Sync,
			"Download": func() error { return b.dev.Download(make([]byte, 4), s.y.Buf) },
		} {
			if g, err := d.Capture(wait); err == nil {
				g.Free()
				b.Errorf("%s in a capture is no error", name)
			}
		}
		failed := errors.New("failed")
		if _, err := d.Capture(func() error {
			if err := steps(s); err != nil {
				return err
			}
			return failed
		}); !errors.Is(err, failed) {
			b.Errorf("a capture whose function fails answers %v", err)
		}
		func() {
			defer func() {
				if recover() == nil {
					b.Error("a panic in a capture went lost")
				}
			}()
			d.Capture(func() error { panic(failed) })
		}()
		b.must(b.dev.Sync())
		g := capture(b, func() error { return steps(begin(b)) })
		g.Free()
	})
	b.sub("OtherGoroutinesPass", func(b *bench) {
		s, other := begin(b), begin(b)
		var wg sync.WaitGroup
		g := capture(b, func() error {
			started := make(chan bool)
			wg.Go(func() {
				close(started)
				buf, err := b.dev.Alloc(4 * n)
				if err == nil {
					err = b.dev.Upload(buf, make([]byte, 4*n))
					buf.Free()
				}
				if err == nil {
					err = steps(other)
				}
				if err != nil {
					b.T.Errorf("another goroutine: %v", err)
				}
			})
			<-started
			return steps(s)
		})
		wg.Wait()
		defer g.Free()
		b.must(g.Launch())
		wants(b, "the graph", s, 14, 0, 4)
		wants(b, "the other goroutine's calls", other, 7, 0, 2)
	})
	b.sub("Calls", func(b *bench) {
		s := begin(b)
		list := func() []backend.GraphCall {
			g := capture(b, func() error { return steps(s) })
			defer g.Free()
			return g.Calls()
		}
		one, two := list(), list()
		equal(b, "the calls of two captures of one function", one, two)
		if len(one) != 4 {
			b.Errorf("4 calls are listed as %v", one)
		}
		for _, c := range one {
			if c.Name == "" || c.Line == "" || c.Shape != "[3000]" {
				b.Errorf("a call is listed as %+v", c)
			}
		}
	})
}

func floats(vals ...float32) []byte {
	var raw []byte
	for _, v := range vals {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return raw
}
