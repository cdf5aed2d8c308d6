package null

import (
	"slices"
	"sync"

	"github.com/descent-ml/descent/backend"
)

// Call is one call of a device, as data.
type Call struct {
	Method, Op string          // "Binary", "Add"; Op is empty for a method without opcodes
	Out, In    []backend.Array // memory as a whole (Alloc, Free, Upload, Download) is an array of bytes
	Params     any             // the remaining arguments, as one struct: of package backend or of this one; or nil
	Err        error           // what the device answered
}

// The arguments of the methods that take no struct of package backend, or two.
type (
	CopyParams struct{ Accumulate bool }
	AxisParams struct{ Axis int }
	SortParams struct {
		Axis       int
		Descending bool
	}
	ConvParams struct {
		backend.ConvParams
		backend.Epilogue
	}
	NormParams struct{ Eps float64 }
)

// Synchronises reports whether the call waits for the device.
func (c Call) Synchronises() bool { return c.Method == "Download" || c.Method == "Sync" }

// Recorder is a device that forwards every call to another one and remembers it.
// It has every optional interface; one that the other lacks answers
// ErrUnsupported. It is safe for concurrent use and issues one call at a time, so
// that the record has the device's order.
type Recorder struct {
	dev   backend.Device
	mu    sync.Mutex
	calls []Call
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
} = (*Recorder)(nil)

// Record returns a recorder of dev. The recorder and dev may use each other's buffers.
func Record(dev backend.Device) *Recorder { return &Recorder{dev: dev} }

// Calls returns what was called since the last Reset.
func (r *Recorder) Calls() []Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

// Reset forgets the calls.
func (r *Recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = nil
}

// recorded is a buffer whose Free is recorded too. The device behind never sees it.
type recorded struct {
	backend.Buffer
	by *Recorder
}

func (b *recorded) Free() {
	b.by.record("Free", nil, list(memory(b, b.Bytes())), nil, nil, func() error {
		b.Buffer.Free()
		return nil
	})
}

func memory(b backend.Buffer, bytes int) backend.Array {
	return backend.Array{Buf: b, DType: backend.Uint8, Shape: []int{bytes}, Strides: []int{1}}
}

func buf(b backend.Buffer) backend.Buffer {
	if own, ok := b.(*recorded); ok {
		return own.Buffer
	}
	return b
}

func arr(a backend.Array) backend.Array {
	a.Buf = buf(a.Buf)
	return a
}

func arrs(as []backend.Array) []backend.Array {
	as = slices.Clone(as)
	for i := range as {
		as[i] = arr(as[i])
	}
	return as
}

func par(p backend.Params) backend.Params {
	p.Slot = buf(p.Slot)
	return p
}

func epi(e backend.Epilogue) backend.Epilogue {
	e.Bias = arr(e.Bias)
	return e
}

func list(as ...backend.Array) []backend.Array { return as }

// record makes the call and notes it; op is nil for a method without opcodes.
func (r *Recorder) record(method string, op interface{ String() string }, out, in []backend.Array, params any, call func() error) error {
	c := Call{Method: method, Out: clones(out), In: clones(in), Params: params}
	if op != nil {
		c.Op = op.String()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c.Err = call()
	r.calls = append(r.calls, c)
	return c.Err
}

// clones copies the shapes, which are the caller's.
func clones(as []backend.Array) []backend.Array {
	as = slices.Clone(as)
	for i := range as {
		as[i].Shape, as[i].Strides = slices.Clone(as[i].Shape), slices.Clone(as[i].Strides)
	}
	return as
}

func (r *Recorder) String() string { return r.dev.String() }

func (r *Recorder) Alloc(bytes int) (backend.Buffer, error) {
	b := &recorded{by: r}
	err := r.record("Alloc", nil, list(memory(b, bytes)), nil, nil, func() (err error) {
		b.Buffer, err = r.dev.Alloc(bytes)
		return err
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

func (r *Recorder) Upload(dst backend.Buffer, src []byte) error {
	return r.record("Upload", nil, list(memory(dst, len(src))), nil, nil, func() error { return r.dev.Upload(buf(dst), src) })
}

func (r *Recorder) Download(dst []byte, src backend.Buffer) error {
	return r.record("Download", nil, nil, list(memory(src, len(dst))), nil, func() error { return r.dev.Download(dst, buf(src)) })
}

func (r *Recorder) Sync() error { return r.record("Sync", nil, nil, nil, nil, r.dev.Sync) }

func (r *Recorder) Copy(out, x backend.Array, accumulate bool) error {
	return r.record("Copy", nil, list(out), list(x), CopyParams{accumulate}, func() error { return r.dev.Copy(arr(out), arr(x), accumulate) })
}

func (r *Recorder) Generate(op backend.GenerateOp, out backend.Array, p backend.Params) error {
	return r.record("Generate", op, list(out), nil, p, func() error { return r.dev.Generate(op, arr(out), par(p)) })
}

func (r *Recorder) Unary(op backend.UnaryOp, out, x backend.Array, p backend.Params) error {
	return r.record("Unary", op, list(out), list(x), p, func() error { return r.dev.Unary(op, arr(out), arr(x), par(p)) })
}

func (r *Recorder) Binary(op backend.BinaryOp, out, x, y backend.Array, p backend.Params) error {
	return r.record("Binary", op, list(out), list(x, y), p, func() error { return r.dev.Binary(op, arr(out), arr(x), arr(y), par(p)) })
}

func (r *Recorder) Ternary(op backend.TernaryOp, out, x, y, z backend.Array, p backend.Params) error {
	return r.record("Ternary", op, list(out), list(x, y, z), p, func() error {
		return r.dev.Ternary(op, arr(out), arr(x), arr(y), arr(z), par(p))
	})
}

func (r *Recorder) Reduce(op backend.ReduceOp, out, x backend.Array) error {
	return r.record("Reduce", op, list(out), list(x), nil, func() error { return r.dev.Reduce(op, arr(out), arr(x)) })
}

func (r *Recorder) Scan(op backend.ScanOp, out, idx, x backend.Array, axis int) error {
	return r.record("Scan", op, list(out, idx), list(x), AxisParams{axis}, func() error { return r.dev.Scan(op, arr(out), arr(idx), arr(x), axis) })
}

func (r *Recorder) Sort(out, idx, x backend.Array, axis int, descending bool) error {
	return r.record("Sort", nil, list(out, idx), list(x), SortParams{axis, descending}, func() error {
		return r.dev.Sort(arr(out), arr(idx), arr(x), axis, descending)
	})
}

func (r *Recorder) Gather(out, x, index backend.Array, axis int) error {
	return r.record("Gather", nil, list(out), list(x, index), AxisParams{axis}, func() error { return r.dev.Gather(arr(out), arr(x), arr(index), axis) })
}

func (r *Recorder) Scatter(op backend.ScatterOp, out, index, src backend.Array, axis int) error {
	return r.record("Scatter", op, list(out), list(index, src), AxisParams{axis}, func() error {
		return r.dev.Scatter(op, arr(out), arr(index), arr(src), axis)
	})
}

func (r *Recorder) MatMul(out, x, y backend.Array, e backend.Epilogue) error {
	return r.record("MatMul", nil, list(out), list(x, y, e.Bias), e, func() error { return r.dev.MatMul(arr(out), arr(x), arr(y), epi(e)) })
}

func (r *Recorder) ChannelsLast() bool {
	d, ok := r.dev.(backend.ConvDevice)
	return ok && d.ChannelsLast()
}

func (r *Recorder) Conv(op backend.ConvOp, out, a, b backend.Array, p backend.ConvParams, e backend.Epilogue) error {
	return r.record("Conv", op, list(out), list(a, b, e.Bias), ConvParams{p, e}, func() error {
		if d, ok := r.dev.(backend.ConvDevice); ok {
			return d.Conv(op, arr(out), arr(a), arr(b), p, epi(e))
		}
		return backend.ErrUnsupported
	})
}

func (r *Recorder) Pool(op backend.PoolOp, out, idx, x backend.Array, p backend.PoolParams) error {
	outs, ins := list(out, idx), list(x)
	if op == backend.MaxPoolBackward {
		outs, ins = list(out), list(idx, x)
	}
	return r.record("Pool", op, outs, ins, p, func() error {
		if d, ok := r.dev.(backend.PoolDevice); ok {
			return d.Pool(op, arr(out), arr(idx), arr(x), p)
		}
		return backend.ErrUnsupported
	})
}

func (r *Recorder) Norm(out, mean, variance, x, weight, bias backend.Array, eps float64) error {
	return r.record("Norm", nil, list(out, mean, variance), list(x, weight, bias), NormParams{eps}, func() error {
		if d, ok := r.dev.(backend.NormDevice); ok {
			return d.Norm(arr(out), arr(mean), arr(variance), arr(x), arr(weight), arr(bias), eps)
		}
		return backend.ErrUnsupported
	})
}

func (r *Recorder) NormBackward(dx, dweight, dbias, g, x, mean, variance, weight backend.Array, eps float64) error {
	return r.record("NormBackward", nil, list(dx, dweight, dbias), list(g, x, mean, variance, weight), NormParams{eps}, func() error {
		if d, ok := r.dev.(backend.NormDevice); ok {
			return d.NormBackward(arr(dx), arr(dweight), arr(dbias), arr(g), arr(x), arr(mean), arr(variance), arr(weight), eps)
		}
		return backend.ErrUnsupported
	})
}

func (r *Recorder) Softmax(op backend.SoftmaxOp, out, x, y backend.Array, axis int) error {
	return r.record("Softmax", op, list(out), list(x, y), AxisParams{axis}, func() error {
		if d, ok := r.dev.(backend.SoftmaxDevice); ok {
			return d.Softmax(op, arr(out), arr(x), arr(y), axis)
		}
		return backend.ErrUnsupported
	})
}

func (r *Recorder) OptimizerStep(op backend.OptimizerOp, params, grads []backend.Array, state [][]backend.Array, p backend.OptimizerParams) error {
	return r.record("OptimizerStep", op, slices.Concat(append([][]backend.Array{params}, state...)...), grads, p, func() error {
		d, ok := r.dev.(backend.OptimizerDevice)
		if !ok {
			return backend.ErrUnsupported
		}
		states := make([][]backend.Array, len(state))
		for i := range state {
			states[i] = arrs(state[i])
		}
		p.Slot = buf(p.Slot)
		return d.OptimizerStep(op, arrs(params), arrs(grads), states, p)
	})
}

func (r *Recorder) Attention(out, lse, q, k, v backend.Array, p backend.AttentionParams) error {
	return r.record("Attention", nil, list(out, lse), list(q, k, v), p, func() error {
		if d, ok := r.dev.(backend.AttentionDevice); ok {
			return d.Attention(arr(out), arr(lse), arr(q), arr(k), arr(v), p)
		}
		return backend.ErrUnsupported
	})
}

func (r *Recorder) AttentionBackward(dq, dk, dv, g, out, lse, q, k, v backend.Array, p backend.AttentionParams) error {
	return r.record("AttentionBackward", nil, list(dq, dk, dv), list(g, out, lse, q, k, v), p, func() error {
		if d, ok := r.dev.(backend.AttentionDevice); ok {
			return d.AttentionBackward(arr(dq), arr(dk), arr(dv), arr(g), arr(out), arr(lse), arr(q), arr(k), arr(v), p)
		}
		return backend.ErrUnsupported
	})
}

func (r *Recorder) CrossEntropy(loss, lse, x, labels backend.Array, p backend.CrossEntropyParams) error {
	return r.record("CrossEntropy", nil, list(loss, lse), list(x, labels), p, func() error {
		if d, ok := r.dev.(backend.CrossEntropyDevice); ok {
			return d.CrossEntropy(arr(loss), arr(lse), arr(x), arr(labels), p)
		}
		return backend.ErrUnsupported
	})
}

func (r *Recorder) CrossEntropyBackward(dx, g, lse, x, labels backend.Array, p backend.CrossEntropyParams) error {
	return r.record("CrossEntropyBackward", nil, list(dx), list(g, lse, x, labels), p, func() error {
		if d, ok := r.dev.(backend.CrossEntropyDevice); ok {
			return d.CrossEntropyBackward(arr(dx), arr(g), arr(lse), arr(x), arr(labels), p)
		}
		return backend.ErrUnsupported
	})
}

func (r *Recorder) SumSquares(out backend.Array, xs []backend.Array) error {
	return r.record("SumSquares", nil, list(out), xs, nil, func() error {
		if d, ok := r.dev.(backend.OptimizerDevice); ok {
			return d.SumSquares(arr(out), arrs(xs))
		}
		return backend.ErrUnsupported
	})
}

// MemoryStats are zero where the device does not count; they are not recorded.
func (r *Recorder) MemoryStats() backend.MemoryStats {
	if d, ok := r.dev.(backend.MemoryDevice); ok {
		return d.MemoryStats()
	}
	return backend.MemoryStats{}
}

func (r *Recorder) ResetPeak() {
	if d, ok := r.dev.(backend.MemoryDevice); ok {
		d.ResetPeak()
	}
}

func (r *Recorder) EmptyCache() {
	if d, ok := r.dev.(backend.MemoryDevice); ok {
		d.EmptyCache()
	}
}
