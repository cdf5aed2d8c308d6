package gemm

import (
	"sync"
	"unsafe"
)

// kernelArgs is what a micro-kernel reads: C (rows × nr) = or += A (rows × kc) · B (kc × nr). Strides are in bytes.
// If copyB is not nil, the first panel of rows (there is a full one) leaves B there, its rows packed one after the
// other, and the others read it there; b and copyB are then changed.
type kernelArgs struct {
	kc       int // at least 1
	a        unsafe.Pointer
	rsa, csa int
	astep    int // from one panel of mr rows to the next
	b        unsafe.Pointer
	ldb      int
	copyB    unsafe.Pointer
	c        unsafe.Pointer
	ldc      int
	rows     int // at least 1
	acc      int // 0: C is overwritten
}

// A kernel adds the products of one element of C in order of k, each by a multiply-add, then adds C.
type kernel struct {
	name   string
	mr, nr int
	kc     int // longest block of k: a panel of B of this height and one of A fit the first-level cache
	copies bool
	run    func(*kernelArgs)

	narrower *kernel // serves a C of at most its nr columns better, or nil
}

// An engine is a kernel with its scratch memory.
type engine[T Float] struct {
	kernel  kernel
	scratch sync.Pool // *scratch[T]
}

var (
	engine32 = &engine[float32]{kernel: kernels32()[0]}
	engine64 = &engine[float64]{kernel: kernels64()[0]}
)

func engineOf[T Float]() *engine[T] {
	if e, ok := any(engine32).(*engine[T]); ok {
		return e
	}
	return any(engine64).(*engine[T])
}

// plainKernel is the kernel of machines without assembly: 4×4 in registers. The race detector, which does not watch
// assembly either, and the pointer checks that come with it would slow it twentyfold.
//
//go:norace
//go:nocheckptr
func plainKernel[T Float](x *kernelArgs) {
	const mr, nr = 4, 4
	at := func(p unsafe.Pointer, off int) *T { return (*T)(unsafe.Add(p, off)) }
	for r := 0; r < x.rows; r += mr {
		rows := min(mr, x.rows-r)
		a := unsafe.Add(x.a, r/mr*x.astep)
		var s [mr][nr]T
		if rows == mr {
			var s0, s1, s2, s3 [nr]T
			for p := range x.kc {
				b := (*[nr]T)(unsafe.Add(x.b, p*x.ldb))
				ap := unsafe.Add(a, p*x.csa)
				a0, a1, a2, a3 := *at(ap, 0), *at(ap, x.rsa), *at(ap, 2*x.rsa), *at(ap, 3*x.rsa)
				b0, b1, b2, b3 := b[0], b[1], b[2], b[3]
				s0[0] += a0 * b0
				s0[1] += a0 * b1
				s0[2] += a0 * b2
				s0[3] += a0 * b3
				s1[0] += a1 * b0
				s1[1] += a1 * b1
				s1[2] += a1 * b2
				s1[3] += a1 * b3
				s2[0] += a2 * b0
				s2[1] += a2 * b1
				s2[2] += a2 * b2
				s2[3] += a2 * b3
				s3[0] += a3 * b0
				s3[1] += a3 * b1
				s3[2] += a3 * b2
				s3[3] += a3 * b3
			}
			s = [mr][nr]T{s0, s1, s2, s3}
		} else {
			for p := range x.kc {
				b := (*[nr]T)(unsafe.Add(x.b, p*x.ldb))
				for i := range rows {
					v := *at(a, i*x.rsa+p*x.csa)
					for j := range b {
						s[i][j] += v * b[j]
					}
				}
			}
		}
		for i := range rows {
			c := (*[nr]T)(unsafe.Add(x.c, (r+i)*x.ldc))
			if x.acc != 0 {
				for j := range c {
					s[i][j] += c[j]
				}
			}
			*c = s[i]
		}
	}
}

func plainKernels[T Float]() []kernel {
	return []kernel{{name: "plain", mr: 4, nr: 4, kc: 256, run: plainKernel[T]}}
}
