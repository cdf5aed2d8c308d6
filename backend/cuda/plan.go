package cuda

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/descent-ml/descent/backend"
	cu "github.com/descent-ml/descent/cuda"
	"github.com/descent-ml/descent/cuda/cudnn"
)

// convKey is all that a plan depends on. Shapes are x [N, C, H, W], the weight
// [F, C/groups, KH, KW] and y [N, F, OH, OW] whichever of them is the output.
type convKey struct {
	op         backend.ConvOp
	dtype      backend.DType
	bias, relu bool
	x, w, y    [4]int
	params     backend.ConvParams
}

// keyOf is the key of a call of Conv.
func keyOf(op backend.ConvOp, out, a, b *backend.Array, p *backend.ConvParams, e *backend.Epilogue) convKey {
	k := convKey{op: op, dtype: out.DType, bias: e.Bias.Buf != nil, relu: e.Act == backend.ReLU, params: *p}
	switch op {
	case backend.ConvForward:
		k.y, k.x, k.w = [4]int(out.Shape), [4]int(a.Shape), [4]int(b.Shape)
	case backend.ConvBackwardInput:
		k.x, k.y, k.w = [4]int(out.Shape), [4]int(a.Shape), [4]int(b.Shape)
	default:
		k.w, k.y, k.x = [4]int(out.Shape), [4]int(a.Shape), [4]int(b.Shape)
	}
	return k
}

// output is the shape of the result.
func (k *convKey) output() [4]int {
	switch k.op {
	case backend.ConvForward:
		return k.y
	case backend.ConvBackwardInput:
		return k.x
	}
	return k.w
}

// What cuDNN knows the tensors of a graph by. Those from uidSum on are virtual.
const (
	uidX = 1 + iota
	uidW
	uidY
	uidBias
	uidProduct
	uidSum
)

var cudnnTypes = [...]cudnn.DataType{
	backend.Float32:  cudnn.Float32,
	backend.Float64:  cudnn.Float64,
	backend.Float16:  cudnn.Float16,
	backend.BFloat16: cudnn.BFloat16,
}

// graph describes the convolution to cuDNN, with bias and ReLU if fused.
func (k *convKey) graph(lib *cudnn.Library, target cudnn.Target, channelsLast, fused bool) *cudnn.Graph {
	g := lib.NewGraph(target)
	compute := cudnn.Float32
	if k.dtype == backend.Float64 {
		compute = cudnn.Float64
	}
	tensor := func(uid int64, shape [4]int, virtual bool) cudnn.Descriptor {
		t := cudnn.Tensor{UID: uid, Type: cudnnTypes[k.dtype], Virtual: virtual}
		if virtual {
			t.Type = compute
		}
		t.Dims, t.Strides = make([]int64, 4), make([]int64, 4)
		for i, n := range packedStrides(nil, shape[:], channelsLast) {
			t.Dims[i], t.Strides[i] = int64(shape[i]), int64(n)
		}
		return g.Tensor(t)
	}
	bias, relu := fused && k.bias, fused && k.relu
	outID := [...]int64{backend.ConvForward: uidY, backend.ConvBackwardInput: uidX, backend.ConvBackwardWeight: uidW}[k.op]
	out := tensor(outID, k.output(), false)
	product := out
	if bias || relu {
		product = tensor(uidProduct, k.output(), true)
	}
	conv := cudnn.Conv{Compute: compute, Pad: pair(k.params.Padding), Stride: pair(k.params.Stride), Dilation: pair(k.params.Dilation)}
	switch k.op {
	case backend.ConvForward:
		g.ConvForward(conv, tensor(uidX, k.x, false), tensor(uidW, k.w, false), product)
	case backend.ConvBackwardInput:
		g.ConvBackwardData(conv, tensor(uidY, k.y, false), tensor(uidW, k.w, false), product)
	default:
		g.ConvBackwardFilter(conv, tensor(uidX, k.x, false), tensor(uidY, k.y, false), product)
	}
	if bias {
		sum := out
		if relu {
			sum = tensor(uidSum, k.output(), true)
		}
		b := tensor(uidBias, [4]int{1, k.output()[1], 1, 1}, false)
		g.Pointwise(cudnn.Pointwise{Mode: cudnn.Add, Compute: compute, X: product, B: b, Y: sum})
		product = sum
	}
	if relu {
		g.Pointwise(cudnn.Pointwise{Mode: cudnn.ReLUFwd, Compute: compute, X: product, Y: out})
	}
	return g
}

func pair(v [2]int) []int64 { return []int64{int64(v[0]), int64(v[1])} }

// convPlan is how a convolution is done: by a plan for tensors in one order, which
// adds the bias and applies ReLU if fused. Without a plan err says why.
type convPlan struct {
	plan                *cudnn.Plan
	channelsLast, fused bool
	err                 error
}

// convState is what a device keeps for convolutions.
type convState struct {
	convPlans atomic.Pointer[map[convKey]*convPlan] // read without a lock

	convMu     sync.Mutex // of what follows, and of the handle's use
	convOpened bool
	convErr    error // why there is no cuDNN
	cudnn      *cudnn.Library
	handle     cudnn.Handle
	handleOn   uintptr // the stream that the handle works on
}

// openCuDNN finds the library at the first call. The caller holds convMu.
func (d *Device) openCuDNN() error {
	if d.convOpened {
		return d.convErr
	}
	d.convOpened = true
	d.convErr = d.bound(func() (err error) {
		if d.cudnn, err = cudnn.Open(); err == nil {
			d.handle, err = d.cudnn.NewHandle()
		}
		return err
	})
	if d.convErr != nil {
		if log := d.options.Logger; log != nil {
			log.Warn("convolutions are done without cuDNN", slog.String("device", d.name), slog.Any("reason", d.convErr))
		}
		d.convErr = fmt.Errorf("%w (cuDNN: %w)", backend.ErrUnsupported, d.convErr)
	}
	return d.convErr
}

// maxConvWorkspace is the most scratch memory that a plan may want: what a faster
// one saves is not worth the room that it takes from activations.
const maxConvWorkspace = 2 << 30

// closeConv gives the plans and the handle back.
func (d *Device) closeConv() error {
	d.convMu.Lock()
	defer d.convMu.Unlock()
	if plans := d.convPlans.Swap(nil); plans != nil {
		for _, p := range *plans {
			if p.plan != nil {
				p.plan.Destroy()
			}
		}
	}
	if !d.convOpened || d.convErr != nil {
		return nil
	}
	d.convOpened = false
	return d.handle.Destroy()
}

// planOf returns how to do k, asking cuDNN the first time. try runs a plan, for
// Autotune; it may be nil.
func (d *Device) planOf(k convKey, try func(*convPlan) error) (*convPlan, error) {
	if plans := d.convPlans.Load(); plans != nil {
		if p := (*plans)[k]; p != nil {
			return p, p.err
		}
	}
	d.convMu.Lock()
	defer d.convMu.Unlock()
	if err := d.openCuDNN(); err != nil {
		return nil, err
	}
	plans := d.convPlans.Load()
	if plans != nil && (*plans)[k] != nil {
		return (*plans)[k], (*plans)[k].err
	}
	begin := time.Now()
	p, err := d.search(k, try)
	if err != nil && !errors.Is(err, backend.ErrUnsupported) {
		return nil, d.failed(k.op.String(), err)
	}
	if log := d.options.Logger; log != nil {
		if err != nil {
			log.Warn("no plan", slog.String("device", d.name), slog.String("op", k.op.String()), slog.Any("reason", err))
		} else {
			log.Debug("plan", slog.String("device", d.name), slog.String("op", k.op.String()), slog.Any("x", k.x), slog.Any("w", k.w), slog.String("plan", p.plan.String()),
				slog.Bool("channelsLast", p.channelsLast), slog.Bool("fused", p.fused), slog.Duration("took", time.Since(begin)))
		}
	}
	if err != nil {
		p = &convPlan{err: fmt.Errorf("cuda: %v of %v %v: %w", k.op, k.dtype, k.x, err)}
	}
	table := map[convKey]*convPlan{}
	if plans != nil {
		table = maps.Clone(*plans)
	}
	table[k] = p
	d.convPlans.Store(&table)
	return p, p.err
}

// forms are the ways to put k to cuDNN, without plans: with the channels last or in
// rows, with the epilogue or without, best first.
func (k *convKey) forms() []convPlan {
	var list []convPlan
	for _, channelsLast := range []bool{true, false} {
		list = append(list, convPlan{channelsLast: channelsLast, fused: true})
		if k.bias || k.relu {
			list = append(list, convPlan{channelsLast: channelsLast})
		}
	}
	return list
}

// search finds the plan of the first form that has one: the one that cuDNN ranks
// first, or the fastest of several. It fails with ErrUnsupported if cuDNN says that
// there is none.
func (d *Device) search(k convKey, try func(*convPlan) error) (*convPlan, error) {
	wanted := 1
	if try != nil {
		wanted = 8
	}
	var refused []error
	for _, form := range k.forms() {
		err := d.bound(func() error {
			plans, err := k.plans(d.cudnn, d.handle, form, cudnn.Search{Exclude: excluded(k.dtype, &d.options), MaxWorkspace: min(d.mem.limit/4, maxConvWorkspace)}, wanted)
			if err == nil && len(plans) > 1 {
				return d.fastestPlan(&form, plans, try)
			}
			if err == nil {
				form.plan = plans[0]
			}
			return err
		})
		if err == nil {
			return &form, nil
		}
		if !errors.Is(err, backend.ErrUnsupported) {
			return nil, err
		}
		refused = append(refused, err)
	}
	return nil, errors.Join(refused...)
}

// plans asks cuDNN for up to n plans of a form, the best first. Without any the error
// is ErrUnsupported if cuDNN refused them all for that reason.
func (k *convKey) plans(lib *cudnn.Library, target cudnn.Target, form convPlan, s cudnn.Search, n int) ([]*cudnn.Plan, error) {
	g := k.graph(lib, target, form.channelsLast, form.fused)
	defer g.Destroy()
	var plans []*cudnn.Plan
	var refused, failed []error
	for plan, err := range g.Plans(s) {
		if err == nil {
			if plans = append(plans, plan); len(plans) == n {
				break
			}
			continue
		}
		if of := new(*cudnn.Error); errors.As(err, of) && !errors.Is(err, cudnn.StatusNotSupported) {
			failed = append(failed, err)
		}
		refused = append(refused, err)
	}
	switch {
	case len(plans) > 0:
		return plans, nil
	case len(failed) > 0:
		return nil, errors.Join(failed...)
	}
	return nil, fmt.Errorf("%w (%w)", backend.ErrUnsupported, errors.Join(refused...))
}

// excluded are the notes of engines that are not wanted: those that do not compute
// in the type that was asked for, or not to its precision.
func excluded(dtype backend.DType, o *Options) []cudnn.NumericalNote {
	notes := []cudnn.NumericalNote{cudnn.NoteReducedPrecisionReduction}
	if dtype == backend.Float32 {
		notes = append(notes, cudnn.NoteDownConvertInputs)
		if !o.TF32 {
			notes = append(notes, cudnn.NoteTensorCore, cudnn.NoteFFT, cudnn.NoteWinogradTile4x4, cudnn.NoteWinogradTile6x6, cudnn.NoteWinogradTile13x13)
		}
	}
	if o.Deterministic {
		notes = append(notes, cudnn.NoteNondeterministic)
	}
	return notes
}

// fastestPlan times plans and keeps one.
func (d *Device) fastestPlan(p *convPlan, plans []*cudnn.Plan, try func(*convPlan) error) error {
	times, err := d.race(len(plans), func(i int) error {
		p.plan = plans[i]
		return try(p)
	})
	best := fastest(times)
	p.plan = plans[best]
	for i, plan := range slices.Backward(plans) {
		if i != best || err != nil {
			plan.Destroy()
		}
	}
	return err
}

// race runs n candidates on the compute stream, each once to warm up and then
// several times, and returns the time of each. A candidate that fails is slow; the
// error is that of all.
func (d *Device) race(n int, run func(i int) error) ([]time.Duration, error) {
	const rounds = 3
	times := make([]time.Duration, n)
	var errs []error
	var events [2]cu.Event
	for i := range events {
		var err error
		if events[i], err = d.ctx.NewEvent(true); err != nil {
			return nil, err
		}
		defer events[i].Destroy()
	}
	for i := range n {
		err := func() error {
			if err := run(i); err != nil {
				return err
			}
			if err := events[0].Record(d.compute); err != nil {
				return err
			}
			for range rounds {
				if err := run(i); err != nil {
					return err
				}
			}
			if err := events[1].Record(d.compute); err != nil {
				return err
			}
			if err := events[1].Synchronize(); err != nil {
				return err
			}
			var err error
			times[i], err = events[1].Since(events[0])
			return err
		}()
		if err != nil {
			times[i] = 1<<63 - 1
			errs = append(errs, err)
		}
	}
	if len(errs) < n {
		return times, nil
	}
	return times, errors.Join(errs...)
}
