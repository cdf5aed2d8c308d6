package cuda

import (
	"cmp"
	"math"
	"unsafe"

	"github.com/descent-ml/descent/backend"
)

// heads mirrors Heads of attention.cuh.
type heads struct {
	data             uint64
	batch, head, row int64
}

// attentionArgs mirrors AttentionArgs of attention.cuh.
type attentionArgs struct {
	q, k, v, out, g, dq, dk, dv, lse heads
	statistics                       uint64
	scale, unit, sign                float64
	heads, keyHeads, group           uint32
	queries, keys, features, causal  uint32
	tiles, rows, _                   uint32
}

// attentionPart is one of the kernels.
type attentionPart uint8

const (
	attentionForward    attentionPart = iota // out and lse
	attentionQueries                         // dq
	attentionKeys                            // dk and dv
	attentionStatistics                      // what the gradients need of each query
)

var attentionOps = [...]string{"Attention", "AttentionQueries", "AttentionKeys", "AttentionStatistics"}

const (
	mostFeatures     = 128
	attentionRow     = 16  // bytes: rows begin at multiples of them
	statisticsRows   = 32  // that a block has
	attentionThreads = 256 // of the blocks of attention.cu
)

// attentionPlan is how a kernel is launched.
type attentionPlan struct {
	spec    spec
	tile    int    // queries or keys of a block
	threads uint32 // of a block
	shared  uint32 // bytes of a block
}

// planAttention chooses the kernel for heads of so many features.
func (d *Device) planAttention(part attentionPart, t backend.DType, features int) attentionPlan {
	room := 64
	if features > room {
		room = 128
	}
	if t.Size() == 2 && d.arch >= 80 && part != attentionStatistics {
		return tensorAttention(part, t, room)
	}
	return plainAttention(part, t, room)
}

// tensorAttention is the plan of attention_tensor.cu, whose tiles it follows.
func tensorAttention(part attentionPart, t backend.DType, room int) attentionPlan {
	p := attentionPlan{
		spec:    spec{file: "attention_tensor.cu", op: attentionOps[part], t: t, u: t, v: t, variant: uint8(room)},
		threads: 128,
	}
	const size, statistic = 2, 8 // bytes of an element, and of what a query has
	rows, columns := 128, 32
	if part == attentionForward {
		if room == 64 {
			columns = 64
		}
		p.tile, p.shared = rows, uint32((rows+2*columns)*room*size)
		return p
	}
	if room == 128 {
		rows = 64
	}
	p.tile, p.shared = rows, uint32((2*rows+4*columns)*room*size)
	if part == attentionKeys {
		p.shared += uint32(2 * columns * statistic)
	}
	return p
}

// plainAttention is the plan of attention.cu, whose tiles it follows.
func plainAttention(part attentionPart, t backend.DType, room int) attentionPlan {
	acc := statistics(t)
	p := attentionPlan{
		spec:    spec{file: "attention.cu", op: attentionOps[part], t: t, u: t, v: t, variant: uint8(room)},
		threads: attentionThreads,
	}
	if part == attentionStatistics {
		p.spec.file, p.spec.variant, p.tile = "attention_statistics.cu", 0, statisticsRows
		return p
	}
	size := acc.Size()
	lanes := 16 / size
	rows, columns, copies := 16, 16, 2 // copies: tiles of rows in shared memory, and of columns
	switch {
	case part == attentionForward:
		rows, columns, copies = 16*1024/(size*room), 16*lanes, 1
	case size*room == 256:
		rows, columns = 64, 32
	case size*room == 512 && part == attentionKeys:
		rows = 32
	case size*room == 512:
		columns = 32
	}
	p.tile = rows
	p.shared = uint32(size * (copies*(rows+columns)*(room+lanes) + rows*(columns+lanes)))
	return p
}

func init() {
	catalogue = append(catalogue, func(yield func(spec, uintptr) bool) {
		for _, t := range floats {
			if !yield(plainAttention(attentionStatistics, t, 0).spec, unsafe.Sizeof(attentionArgs{})) {
				return
			}
			for part := attentionForward; part <= attentionKeys; part++ {
				for _, room := range []int{64, 128} {
					if !yield(plainAttention(part, t, room).spec, unsafe.Sizeof(attentionArgs{})) ||
						t.Size() == 2 && !yield(tensorAttention(part, t, room).spec, unsafe.Sizeof(attentionArgs{})) {
						return
					}
				}
			}
		}
	})
}

// attentionCall has the arguments of an op's kernels, and copies of arrays that
// they do not take as they lie.
type attentionCall struct {
	d      *Device
	dtype  backend.DType
	args   attentionArgs
	copies [8]struct {
		*temporary
		target backend.Array // what it is copied to in the end, if it has memory
	}
	made int
}

// start takes the sizes. It refuses what some kernel of the op or of its gradient does not do.
func (c *attentionCall) start(d *Device, op string, q, k *backend.Array, p backend.AttentionParams) error {
	features := q.Shape[3]
	if !q.DType.IsFloat() || q.DType != k.DType || features > mostFeatures || max(k.Shape[2], q.Shape[0]*q.Shape[1]*q.Shape[2], k.Shape[0]*k.Shape[1]*k.Shape[2]) >= most {
		return unsupported(op, q.DType)
	}
	for part := attentionForward; part <= attentionKeys; part++ {
		if int(d.planAttention(part, q.DType, features).shared) > d.sharedPerBlock {
			return unsupported(op, q.DType)
		}
	}
	c.d, c.dtype = d, q.DType
	c.args = attentionArgs{
		heads: uint32(q.Shape[1]), keyHeads: uint32(k.Shape[1]), group: uint32(q.Shape[1] / max(1, k.Shape[1])),
		queries: uint32(q.Shape[2]), keys: uint32(k.Shape[2]), features: uint32(features),
		rows:  uint32(q.Shape[0] * q.Shape[1] * q.Shape[2]),
		scale: p.Scale, unit: math.Abs(p.Scale) * math.Log2E, sign: 1,
	}
	switch {
	case p.Scale < 0:
		c.args.sign = -1
	case p.Scale == 0:
		c.args.unit, c.args.sign = 1, 0
	}
	if p.Causal {
		c.args.causal = 1
	}
	return nil
}

// headsOf describes [batch, heads, length] and the features behind.
func headsOf(a *backend.Array) heads {
	return heads{addr(*a), int64(a.Strides[0]), int64(a.Strides[1]), int64(a.Strides[2])}
}

// rowsReady reports whether the kernels take a as it lies.
func rowsReady(a *backend.Array) bool {
	if addr(*a)%attentionRow != 0 || a.Shape[3] > 1 && a.Strides[3] != 1 {
		return false
	}
	lanes := attentionRow / a.DType.Size()
	for axis := range 3 {
		if a.Shape[axis] > 1 && a.Strides[axis]%lanes != 0 {
			return false
		}
	}
	return true
}

// reads describes an input, or a copy that the kernels take.
func (c *attentionCall) reads(to *heads, a *backend.Array) error {
	t, err := c.place(to, a)
	if t != nil {
		err = c.d.Copy(t.Array, *a, false)
	}
	return err
}

// writes describes an output, or a temporary from which finish copies it.
func (c *attentionCall) writes(to *heads, a *backend.Array) error {
	t, err := c.place(to, a)
	if t != nil {
		c.copies[c.made-1].target = *a
	}
	return err
}

// place describes a, or the temporary that it returns.
func (c *attentionCall) place(to *heads, a *backend.Array) (*temporary, error) {
	if rowsReady(a) {
		*to = headsOf(a)
		return nil, nil
	}
	lanes, shape := attentionRow/a.DType.Size(), [4]int(a.Shape)
	shape[3] = int(roundUp(int64(shape[3]), int64(lanes)))
	t, err := c.d.temporary(a.DType, shape[:], false)
	if err != nil {
		return nil, err
	}
	c.copies[c.made].temporary = t
	c.made++
	t.Shape[3] = a.Shape[3]
	*to = headsOf(&t.Array)
	return t, nil
}

// finish copies the outputs to where they belong.
func (c *attentionCall) finish() error {
	for i := range c.copies[:c.made] {
		if t := &c.copies[i]; t.target.Buf != nil {
			if err := c.d.Copy(t.target, t.Array, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// free gives the temporaries back.
func (c *attentionCall) free() {
	for i := range c.copies[:c.made] {
		c.copies[i].free()
	}
}

// launch starts a kernel for so many lines of queries or keys.
func (c *attentionCall) launch(part attentionPart, lines, length int) error {
	p := c.d.planAttention(part, c.dtype, int(c.args.features))
	tiles := ceilDiv(length, p.tile)
	if tiles*lines == 0 {
		return nil
	}
	c.args.tiles = uint32(tiles)
	return c.d.launch(p.spec, [3]uint32{uint32(tiles * lines), 1, 1}, p.threads, p.shared, unsafe.Pointer(&c.args), unsafe.Sizeof(c.args))
}

// Attention computes softmax(q·kᵀ·Scale)·v for heads of up to 128 features.
func (d *Device) Attention(out, lse, q, k, v backend.Array, p backend.AttentionParams) error {
	note(d, "Attention", noOp, out, p)
	var c attentionCall
	if err := c.start(d, "Attention", &q, &k, p); err != nil {
		return err
	}
	defer c.free()
	a := &c.args
	a.lse = headsOf(&lse)
	if err := cmp.Or(c.reads(&a.q, &q), c.reads(&a.k, &k), c.reads(&a.v, &v), c.writes(&a.out, &out)); err != nil {
		return err
	}
	if err := c.launch(attentionForward, q.Shape[0]*q.Shape[1], q.Shape[2]); err != nil {
		return err
	}
	return c.finish()
}

// AttentionBackward computes the gradients of q, k and v, with the same bits each time.
func (d *Device) AttentionBackward(dq, dk, dv, g, out, lse, q, k, v backend.Array, p backend.AttentionParams) error {
	note(d, "AttentionBackward", noOp, dq, p)
	var c attentionCall
	if err := c.start(d, "AttentionBackward", &q, &k, p); err != nil {
		return err
	}
	defer c.free()
	a := &c.args
	a.lse = headsOf(&lse)
	if err := cmp.Or(c.reads(&a.q, &q), c.reads(&a.k, &k), c.reads(&a.v, &v), c.reads(&a.g, &g), c.reads(&a.out, &out),
		c.writes(&a.dq, &dq), c.writes(&a.dk, &dk), c.writes(&a.dv, &dv)); err != nil {
		return err
	}
	lines, queries := q.Shape[0]*q.Shape[1], q.Shape[2]
	notes, err := d.scratch(2 * lines * queries * lse.DType.Size())
	if err != nil {
		return err
	}
	defer notes.free()
	a.statistics = notes.addr()
	if err := c.launch(attentionStatistics, 1, lines*queries); err != nil {
		return err
	}
	if err := c.launch(attentionQueries, lines, queries); err != nil {
		return err
	}
	if err := c.launch(attentionKeys, k.Shape[0]*k.Shape[1], k.Shape[2]); err != nil {
		return err
	}
	return c.finish()
}
