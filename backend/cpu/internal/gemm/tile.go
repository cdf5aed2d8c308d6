package gemm

import (
	"unsafe"

	"github.com/descent-ml/descent/backend/cpu/internal/vec"
)

// scratch is what one tile needs. args lives here because the kernel is called through a variable.
type scratch[T Float] struct {
	args kernelArgs
	a    []T // a block of A, packed
	b    []T // a block of B, packed
	edge []T // the columns of C beyond the last whole panel
	c    []T // the tile, where the kernel cannot store to C
	line []T // the tile transposed
}

// A tile is a part of C, with the operands' places at its point of the batch.
type tile struct{ i0, rows, j0, cols, a, b, c int }

// tiles computes tiles lo to hi.
func (j *job[T]) tiles(lo, hi int) {
	s, _ := j.e.scratch.Get().(*scratch[T])
	if s == nil {
		s = new(scratch[T])
	}
	for i := lo; i < hi; i++ {
		j.tile(s, j.place(i))
	}
	s.args = kernelArgs{} // keep nothing alive
	j.e.scratch.Put(s)
}

func (j *job[T]) place(i int) tile {
	grid := j.gm * j.gn
	at, i := i/grid, i%grid
	t := tile{a: j.a.Offset, b: j.b.Offset, c: j.c.Offset, i0: i / j.gn * j.tm, j0: i % j.gn * j.tn}
	t.rows, t.cols = min(j.tm, j.m-t.i0), min(j.tn, j.n-t.j0)
	for d := len(j.batch) - 1; d >= 0; d-- {
		x := at % j.batch[d].Size
		at /= j.batch[d].Size
		a, b := j.batch[d].A, j.batch[d].B
		if j.swapped {
			a, b = b, a
		}
		t.a, t.b, t.c = t.a+x*a, t.b+x*b, t.c+x*j.batch[d].C
	}
	t.c += t.i0*j.c.RowStride + t.j0*j.c.ColStride
	return t
}

// tile computes one tile of C, block by block of k, and finishes it while it is in cache.
func (j *job[T]) tile(s *scratch[T], t tile) {
	nr := j.kernel.nr
	c, ldc := j.c.Data[t.c:], j.c.RowStride
	if !j.direct {
		ldc = roundUp(t.cols, nr)
		s.c = grow(s.c, t.rows*ldc)
		c = s.c
	}
	acc := j.ep.Accumulate && j.direct
	if j.dots {
		j.tileOfDots(t, c, ldc, acc)
		acc = true
	} else {
		for p0 := 0; p0 < j.k; p0 += j.kc {
			j.block(s, t, p0, c, ldc, acc)
			acc = true
		}
	}
	if !acc { // k is 0
		for r := range t.rows {
			clear(c[r*ldc : r*ldc+t.cols])
		}
	}
	if j.direct {
		j.finishRows(t, c, ldc)
	} else if j.c.RowStride == 1 && j.c.ColStride > 0 {
		j.finishColumns(s, t)
	} else {
		j.finishElements(s, t)
	}
}

// block adds the products of one block of k to the tile. Blocks of rows of A pass over the panels of B.
func (j *job[T]) block(s *scratch[T], t tile, p0 int, c []T, ldc int, acc bool) {
	size := int(unsafe.Sizeof(T(0)))
	nr, panel := j.kernel.nr, j.panelBlock()
	kc := min(j.kc, j.k-p0)
	x := &s.args
	x.kc, x.acc = kc, 0
	if acc {
		x.acc = 1
	}
	unit, copies := j.unitB(), j.kernel.copies && t.rows >= 2*j.kernel.mr
	if j.shared == nil {
		s.b = grow(s.b, ((t.cols-1)/nr+1)*panel)
	}
	for i0 := 0; i0 < t.rows; i0 += blockRows {
		rows := min(blockRows, t.rows-i0)
		j.blockA(s, t, t.i0+i0, rows, p0, kc)
		x.rows = rows
		a := x.a
		for j0 := 0; j0 < t.cols; j0 += nr {
			width := min(nr, t.cols-j0)
			x.a, x.ldb, x.copyB = a, nr*size, nil
			switch {
			case j.shared != nil:
				x.b = unsafe.Pointer(j.sharedPanel(p0, t.j0+j0))
			case unit && width == nr && (i0 == 0 || !copies):
				x.b = unsafe.Pointer(&j.b.Data[t.b+p0*j.b.RowStride+t.j0+j0])
				x.ldb = j.b.RowStride * size
				if copies {
					x.copyB = unsafe.Pointer(&s.b[j0/nr*panel])
				}
			default:
				if i0 == 0 {
					j.packB(s.b[j0/nr*panel:], t.b, p0, kc, t.j0+j0, width)
				}
				x.b = unsafe.Pointer(&s.b[j0/nr*panel])
			}
			if width == nr || !j.direct {
				x.c, x.ldc = unsafe.Pointer(&c[i0*ldc+j0]), ldc*size
				j.kernel.run(x)
				continue
			}
			s.edge = grow(s.edge, blockRows*nr)
			x.c, x.ldc, x.acc = unsafe.Pointer(&s.edge[0]), nr*size, 0
			j.kernel.run(x)
			for r := range rows {
				from, to := s.edge[r*nr:r*nr+width], c[(i0+r)*ldc+j0:(i0+r)*ldc+j0+width]
				if acc {
					for q, v := range from {
						to[q] += v
					}
				} else {
					copy(to, from)
				}
			}
			if acc {
				x.acc = 1
			}
		}
	}
}

// tileOfDots computes the tile one element at a time, over the longer side outside, so that the other operand stays in
// cache.
func (j *job[T]) tileOfDots(t tile, c []T, ldc int, acc bool) {
	element := func(r, q int) {
		a := j.a.Data[t.a+(t.i0+r)*j.a.RowStride:][:j.k]
		b := j.b.Data[t.b+(t.j0+q)*j.b.ColStride:][:j.k]
		v := dot(a, b)
		if acc {
			v += c[r*ldc+q]
		}
		c[r*ldc+q] = v
	}
	if t.rows >= t.cols {
		for r := range t.rows {
			for q := range t.cols {
				element(r, q)
			}
		}
		return
	}
	for q := range t.cols {
		for r := range t.rows {
			element(r, q)
		}
	}
}

// blockA points the kernel at a block of A, where it lies or packed.
func (j *job[T]) blockA(s *scratch[T], t tile, i0, rows, p0, kc int) {
	size := int(unsafe.Sizeof(T(0)))
	x := &s.args
	if j.a.pack == nil && !j.packsA(t, kc) {
		x.a = unsafe.Pointer(&j.a.Data[t.a+i0*j.a.RowStride+p0*j.a.ColStride])
		x.rsa, x.csa = j.a.RowStride*size, j.a.ColStride*size
		x.astep = j.kernel.mr * x.rsa
		return
	}
	s.a = grow(s.a, roundUp(rows, j.kernel.mr)*(kc+16))
	x.a = unsafe.Pointer(&s.a[0])
	if j.a.pack == nil && j.a.RowStride == 1 && j.a.ColStride >= 0 {
		mr := j.kernel.mr
		x.rsa, x.csa, x.astep = size, mr*size, mr*kc*size
		for r := 0; r < rows; r += mr {
			src := j.a.Data[t.a+i0+r+p0*j.a.ColStride:]
			copyRows(s.a[r*kc:], mr, src, j.a.ColStride, kc, min(mr, rows-r))
		}
		return
	}
	// Rows one after the other; the strides' difference from a power of two keeps them in different cache sets.
	x.rsa, x.csa, x.astep = kc*size, size, j.kernel.mr*kc*size
	if j.a.pack != nil {
		j.a.pack(s.a, kc, i0, rows, p0, kc)
		return
	}
	for r := range rows {
		at := t.a + (i0+r)*j.a.RowStride + p0*j.a.ColStride
		to := s.a[r*kc : (r+1)*kc]
		if j.a.ColStride == 1 {
			copy(to, j.a.Data[at:])
			continue
		}
		for p := range to {
			to[p] = j.a.Data[at+p*j.a.ColStride]
		}
	}
}

// packsA reports whether a block of A is worth a copy. It is read once for each panel of B; contiguous rows are read
// well where they lie, and columns while they are few.
func (j *job[T]) packsA(t tile, kc int) bool {
	panels := t.cols / j.kernel.nr
	return panels > 24 || panels > 6 && kc > 128 && j.a.ColStride != 1
}

// packB copies a panel of B, kc rows of nr, the columns beyond width zero.
func (j *job[T]) packB(dst []T, offset, p0, kc, j0, width int) {
	nr := j.kernel.nr
	dst = dst[:kc*nr]
	if width < nr {
		clear(dst)
	}
	if j.b.pack != nil {
		j.b.pack(dst, nr, p0, kc, j0, width)
		return
	}
	at := offset + p0*j.b.RowStride + j0*j.b.ColStride
	switch {
	case j.b.ColStride == 1 && j.b.RowStride >= 0:
		copyRows(dst, nr, j.b.Data[at:], j.b.RowStride, kc, width)
	case j.b.RowStride == 1 && j.b.ColStride >= 0:
		transpose(dst, nr, j.b.Data[at:], j.b.ColStride, width, kc)
	default:
		for p := range kc {
			for q := range width {
				dst[p*nr+q] = j.b.Data[at+p*j.b.RowStride+q*j.b.ColStride]
			}
		}
	}
}

// finishRows applies the epilogue to a tile whose rows are contiguous in C.
func (j *job[T]) finishRows(t tile, c []T, ldc int) {
	if j.ep.Bias == nil && !j.ep.ReLU {
		return
	}
	for r := range t.rows {
		row := c[r*ldc : r*ldc+t.cols]
		if j.ep.Bias != nil {
			if j.swapped {
				v := j.ep.Bias[t.i0+r]
				for q := range row {
					row[q] += v
				}
			} else {
				add(row, j.ep.Bias[t.j0:t.j0+t.cols])
			}
		}
		if j.ep.ReLU {
			relu(row)
		}
	}
}

// finishColumns moves a tile out of scratch to a C whose columns are contiguous, and applies the epilogue.
func (j *job[T]) finishColumns(s *scratch[T], t tile) {
	c, ldc := j.c.Data[t.c:], j.c.ColStride
	ld := roundUp(t.cols, j.kernel.nr)
	if j.ep.Accumulate {
		s.line = grow(s.line, t.cols*t.rows)
		transpose(s.line, t.rows, s.c, ld, t.rows, t.cols)
	} else {
		transpose(c, ldc, s.c, ld, t.rows, t.cols)
	}
	for q := range t.cols {
		column := c[q*ldc : q*ldc+t.rows]
		if j.ep.Accumulate {
			add(column, s.line[q*t.rows:(q+1)*t.rows])
		}
		if j.ep.Bias != nil {
			if j.swapped {
				add(column, j.ep.Bias[t.i0:t.i0+t.rows])
			} else {
				v := j.ep.Bias[t.j0+q]
				for r := range column {
					column[r] += v
				}
			}
		}
		if j.ep.ReLU {
			relu(column)
		}
	}
}

// finishElements does the same for a C without unit stride.
func (j *job[T]) finishElements(s *scratch[T], t tile) {
	ld := roundUp(t.cols, j.kernel.nr)
	for r := range t.rows {
		for q := range t.cols {
			// Not a slice at t.c: a stride may be negative.
			y := &j.c.Data[t.c+r*j.c.RowStride+q*j.c.ColStride]
			v := s.c[r*ld+q]
			if j.ep.Accumulate {
				v += *y
			}
			if j.ep.Bias != nil {
				if j.swapped {
					v += j.ep.Bias[t.i0+r]
				} else {
					v += j.ep.Bias[t.j0+q]
				}
			}
			if j.ep.ReLU && v < 0 {
				v = 0
			}
			*y = v
		}
	}
}

// add computes x += y.
func add[T Float](x, y []T) {
	if x, ok := any(x).([]float32); ok {
		vec.Add(x, x, any(y).([]float32))
		return
	}
	for i := range x {
		x[i] += y[i]
	}
}

// dot returns the sum of x·y in an order that is a function of the length.
func dot[T Float](x, y []T) T {
	if x, ok := any(x).([]float32); ok {
		return T(vec.Dot(x, any(y).([]float32)))
	}
	var s [4]T
	for ; len(x) >= 4; x, y = x[4:], y[4:] {
		s[0] += x[0] * y[0]
		s[1] += x[1] * y[1]
		s[2] += x[2] * y[2]
		s[3] += x[3] * y[3]
	}
	for i, v := range x {
		s[i] += v * y[i]
	}
	return s[0] + s[1] + (s[2] + s[3])
}

// relu computes x = max(x, 0).
func relu[T Float](x []T) {
	if x, ok := any(x).([]float32); ok {
		vec.ReLU(x, x)
		return
	}
	for i, v := range x {
		if v < 0 {
			x[i] = 0
		}
	}
}
