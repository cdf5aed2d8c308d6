package gemm

import (
	"fmt"
	"sync"
	"unsafe"

	"github.com/descent-ml/descent/backend/cpu/internal/parallel"
)

// multiply computes the product p at each point of the batch.
func multiply[T Float](p problem[T], batch []BatchDim) {
	if p.m < 0 || p.n < 0 || p.k < 0 {
		panic(fmt.Sprintf("gemm: negative size in %d×%d×%d", p.m, p.k, p.n))
	}
	count := 1
	for _, d := range batch {
		if d.Size < 0 {
			panic(fmt.Sprintf("gemm: negative batch size %d", d.Size))
		}
		count *= d.Size
	}
	if p.m == 0 || p.n == 0 || count == 0 {
		return
	}
	p.check(batch)
	p, batch, count = fold(p, batch, count)

	j := jobOf[T]()
	defer j.release()
	j.problem, j.batch, j.count = p, batch, count
	j.kernel = j.e.kernel
	if n := j.kernel.narrower; n != nil && j.n <= n.nr {
		j.kernel = *n
	}
	j.orient()
	j.plan(parallel.Threads())
	tiles, flops := count*j.gm*j.gn, 2*p.m*p.n*p.k*count
	if flops < inlineFlops {
		j.tiles(0, tiles)
		return
	}
	if j.shared != nil {
		parallel.Tasks(len(j.shared)/j.panelBlock(), j.packShared)
	}
	parallel.For(tiles, taskFlops*tiles/flops, j.run)
}

// check panics on a view that leaves its data, at any point of the batch, and on a bias of another length.
func (p *problem[T]) check(batch []BatchDim) {
	check("C", p.c, p.m, p.n, batch, func(d BatchDim) int { return d.C })
	if p.k > 0 && p.a.pack == nil {
		check("A", p.a.Matrix, p.m, p.k, batch, func(d BatchDim) int { return d.A })
	}
	if p.k > 0 && p.b.pack == nil {
		check("B", p.b.Matrix, p.k, p.n, batch, func(d BatchDim) int { return d.B })
	}
	if p.ep.Bias != nil && len(p.ep.Bias) != p.n {
		panic(fmt.Sprintf("gemm: bias has %d values, C has %d columns", len(p.ep.Bias), p.n))
	}
}

// fold makes rows of the batch dimensions that share B and whose A and C go on where the last row ends: a layer
// applied to [batch, sequence, features] is one product.
func fold[T Float](p problem[T], batch []BatchDim, count int) (problem[T], []BatchDim, int) {
	for len(batch) > 0 && p.a.pack == nil {
		d := batch[len(batch)-1]
		if d.Size != 1 && (d.B != 0 || d.A != p.m*p.a.RowStride || d.C != p.m*p.c.RowStride) {
			break
		}
		p.m *= d.Size
		count /= d.Size
		batch = batch[:len(batch)-1]
	}
	return p, batch, count
}

const (
	inlineFlops = 300e3 // below, the work is not worth a fork
	taskFlops   = 200e3 // a task holds at least so much
	tileFlops   = 1.2e6 // a product is not cut into smaller tiles

	maxRows, maxCols = 576, 512 // largest tile
	blockRows        = 144      // rows of A between two passes over the tile's B: they stay in the second-level cache
	shareBytes       = 16 << 20 // largest B that is packed ahead for all tiles
)

// A job is one call: the problem, oriented so that the kernel's vectors run along the columns of B, and its plan.
type job[T Float] struct {
	problem[T]
	e       *engine[T]
	kernel  kernel
	batch   []BatchDim
	count   int
	swapped bool // C's transpose is computed: a and b changed places
	direct  bool // the kernel may store to C
	dots    bool // each element of C is a dot product of two contiguous vectors

	gm, gn, tm, tn int // grid of tiles and the size of one
	kc             int // block of k
	shared         []T // all of B packed ahead: blocks of k, in each the panels
	sharedBuf      []T

	run        func(lo, hi int) // tiles and packShared, bound once
	packShared func(i int)
}

var jobs32, jobs64 sync.Pool

func jobPool[T Float]() *sync.Pool {
	if _, ok := any(T(0)).(float32); ok {
		return &jobs32
	}
	return &jobs64
}

func jobOf[T Float]() *job[T] {
	j, _ := jobPool[T]().Get().(*job[T])
	if j == nil {
		j = new(job[T])
		j.run, j.packShared = j.tiles, j.packSharedPanel
	}
	j.e = engineOf[T]()
	return j
}

// release gives the job back, without what it points to.
func (j *job[T]) release() {
	*j = job[T]{sharedBuf: j.sharedBuf, run: j.run, packShared: j.packShared}
	jobPool[T]().Put(j)
}

// orient chooses between C = A·B and Cᵀ = Bᵀ·Aᵀ. The operand on the right must have unit stride along its rows; one
// that does not is transposed while it is packed, once for each tile row, and a C that has it along its columns is
// transposed when a tile is done. Where that costs more than it brings (few rows or columns), the elements are computed
// one by one.
func (j *job[T]) orient() {
	if j.n == 1 {
		j.c.ColStride = 1
	} else if j.m == 1 {
		j.c.RowStride = j.n
	}
	if j.a.pack == nil && j.b.pack == nil { // a PackFunc serves its own side
		asIs := j.cost(j.b.Matrix, j.c.ColStride, j.n, j.m)
		swapped := j.cost(j.a.T(), j.c.RowStride, j.m, j.n)
		j.dots = j.a.ColStride == 1 && j.b.RowStride == 1 && j.dotCost() < min(asIs, swapped)
		j.swapped = swapped < asIs && !j.dots
	}
	if j.swapped {
		j.a, j.b = j.b, j.a
		j.a.Matrix, j.b.Matrix, j.c = j.a.T(), j.b.T(), j.c.T()
		j.m, j.n = j.n, j.m
	}
	j.direct = (j.c.ColStride == 1 || j.n == 1) && (j.c.RowStride > 0 || j.m == 1)
}

// cost estimates, in multiply-adds for each k, the product with n columns of the vector operand b: whole vectors are
// computed, and to transpose an element costs about as much as 24 multiply-adds.
func (j *job[T]) cost(b Matrix[T], cColStride, n, m int) int {
	const transposed = 24
	c := roundUp(n, j.kernel.nr) * m
	if b.ColStride != 1 && n > 1 {
		c += transposed * n * ((m-1)/maxRows + 1)
	}
	if cColStride != 1 && n > 1 {
		c += transposed * n * m / max(j.k, 1)
	}
	return c
}

// dotCost is the cost of dot products: they load two vectors for each multiply-add, and each ends in a sum over lanes.
func (j *job[T]) dotCost() int {
	const lanes = 500
	return 2*j.m*j.n + lanes*j.m*j.n/max(j.k, 1)
}

// plan cuts C into tiles, enough for the threads but none too small, and decides whether B is packed ahead.
// Nothing here changes the order of a sum.
func (j *job[T]) plan(threads int) {
	blocks := (max(j.k, 1) + j.kernel.kc - 1) / j.kernel.kc
	j.kc = roundUp((max(j.k, 1)+blocks-1)/blocks, 8)

	want, flops := 1, 2*j.m*j.n*j.k*j.count
	if threads > 1 {
		want = min(4*threads, flops/tileFlops)
		if want < threads {
			want = min(threads, flops/(inlineFlops/2))
		} else {
			want = roundUp(want, threads)
		}
	}
	j.grid(max(want, 1), threads)
	nr := j.kernel.nr
	colPanels := (j.n-1)/nr + 1
	if flops < inlineFlops {
		return
	}
	size := roundUp(j.k, j.kc) * colPanels * nr
	if len(j.batch) == 0 && j.gm > 1 && !j.unitB() && !j.dots && size*int(unsafe.Sizeof(T(0))) <= shareBytes {
		j.sharedBuf = grow(j.sharedBuf, size)
		j.shared = j.sharedBuf[:size]
	}
}

// grid sets the number and the size of the tiles: of all grids with at least want tiles, the one that moves least. In
// units of a multiply-add for each k, to read an element of A costs about readA, in every column of tiles; an element
// of B readB, in every row of tiles (both measured on Zen 3); and threads that wait cost the work they do not do.
func (j *job[T]) grid(want, threads int) {
	readA, readB := 4, 10
	if j.a.ColStride != 1 {
		readA = 14
	}
	mr, nr := j.kernel.mr, j.kernel.nr
	rowPanels, colPanels := (j.m-1)/mr+1, (j.n-1)/nr+1
	leastRows, leastCols := (j.m-1)/maxRows+1, (j.n-1)/maxCols+1
	best := -1
	for gm := leastRows; gm <= min(rowPanels, max(leastRows, want)); gm++ {
		gn := min(colPanels, max(leastCols, (want-1)/(gm*j.count)+1))
		tm, tn := (rowPanels-1)/gm*mr+mr, (colPanels-1)/gn*nr+nr
		tiles := ((j.m-1)/tm + 1) * ((j.n-1)/tn + 1) * j.count
		cost := readA*j.m*gn + readB*j.n*gm + j.m*j.n*(max(want, roundUp(tiles, threads))-tiles)/tiles
		if best < 0 || cost < best {
			best, j.tm, j.tn = cost, tm, tn
		}
	}
	j.gm, j.gn = (j.m-1)/j.tm+1, (j.n-1)/j.tn+1
}

// unitB reports whether the kernel can read B where it lies.
func (j *job[T]) unitB() bool { return j.b.pack == nil && j.b.ColStride == 1 }

// panelBlock is the size of one packed panel of B.
func (j *job[T]) panelBlock() int { return j.kc * j.kernel.nr }

// packSharedPanel packs panel i of the whole B: all panels of the first block of k, then those of the next.
func (j *job[T]) packSharedPanel(i int) {
	panels := (j.n-1)/j.kernel.nr + 1
	p0, j0 := i/panels*j.kc, i%panels*j.kernel.nr
	size := j.panelBlock()
	j.packB(j.shared[i*size:(i+1)*size], j.b.Offset, p0, min(j.kc, j.k-p0), j0, min(j.kernel.nr, j.n-j0))
}

// sharedPanel returns the packed panel of B that begins at row p0 and column j0.
func (j *job[T]) sharedPanel(p0, j0 int) *T {
	panels := (j.n-1)/j.kernel.nr + 1
	return &j.shared[(p0/j.kc*panels+j0/j.kernel.nr)*j.panelBlock()]
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }

// grow returns b with room for n elements, aligned to a cache line; what it held is lost.
func grow[T Float](b []T, n int) []T {
	if cap(b) >= n {
		return b[:n]
	}
	const line = 64
	size := int(unsafe.Sizeof(T(0)))
	b = make([]T, n+line/size)
	skip := (line - int(uintptr(unsafe.Pointer(&b[0]))%line)) % line / size
	return b[skip : skip+n]
}
