package gemm

import "unsafe"

// copyRows copies rows rows of n elements, ld and from apart.
func copyRows[T Float](dst []T, ld int, src []T, from, rows, n int) {
	switch n {
	case 16:
		copyRowsOf[[16]T](dst, ld, src, from, rows)
	case 8:
		copyRowsOf[[8]T](dst, ld, src, from, rows)
	case 6:
		copyRowsOf[[6]T](dst, ld, src, from, rows)
	default:
		for r := range rows {
			copy(dst[r*ld:r*ld+n], src[r*from:r*from+n])
		}
	}
}

// copyRowsOf copies rows of a length known to the compiler, which it moves through vector registers.
func copyRowsOf[R [6]T | [8]T | [16]T, T Float](dst []T, ld int, src []T, from, rows int) {
	size := int(unsafe.Sizeof(T(0)))
	n := int(unsafe.Sizeof(*new(R))) / size
	_, _ = dst[(rows-1)*ld+n-1], src[(rows-1)*from+n-1]
	d, s := unsafe.Pointer(&dst[0]), unsafe.Pointer(&src[0])
	for r := range rows {
		*(*R)(unsafe.Add(d, r*ld*size)) = *(*R)(unsafe.Add(s, r*from*size))
	}
}

// transpose copies rows×cols elements of src, whose rows are from apart, to the columns of dst, whose rows are ld apart.
func transpose[T Float](dst []T, ld int, src []T, from, rows, cols int) {
	_, _ = dst[(cols-1)*ld+rows-1], src[(rows-1)*from+cols-1]
	doneCols := 0
	r := 0
	if edge := transposeEdge[T](); edge > 0 {
		doneCols = cols / edge * edge
		size := int(unsafe.Sizeof(T(0)))
		if doneCols > 0 {
			for ; r+edge <= rows; r += edge {
				transposeBlocks[T](unsafe.Pointer(&dst[r]), ld*size, unsafe.Pointer(&src[r*from]), from*size, doneCols/edge)
				for q := doneCols; q < cols; q++ {
					for i := range edge {
						dst[q*ld+r+i] = src[(r+i)*from+q]
					}
				}
			}
		}
	}
	for ; r < rows; r++ {
		for q, v := range src[r*from : r*from+cols] {
			dst[q*ld+r] = v
		}
	}
}
