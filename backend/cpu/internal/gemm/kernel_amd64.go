//go:build !noasm

package gemm

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

//go:noescape
func avx2Float32(args *kernelArgs)

//go:noescape
func avx2Float64(args *kernelArgs)

//go:noescape
func avx512Float32(args *kernelArgs)

//go:noescape
func avx512Float64(args *kernelArgs)

var (
	avx2of32   = kernel{name: "avx2", mr: 6, nr: 16, kc: 320, copies: true, run: avx2Float32}
	avx2of64   = kernel{name: "avx2", mr: 6, nr: 8, kc: 320, copies: true, run: avx2Float64}
	avx512of32 = kernel{name: "avx512", mr: 12, nr: 32, kc: 192, copies: true, run: avx512Float32, narrower: &avx2of32}
	avx512of64 = kernel{name: "avx512", mr: 12, nr: 16, kc: 192, copies: true, run: avx512Float64, narrower: &avx2of64}
)

// kernels32 returns the kernels that run here, the fastest first.
func kernels32() []kernel { return append(usable(avx512of32, avx2of32), plainKernels[float32]()...) }

func kernels64() []kernel { return append(usable(avx512of64, avx2of64), plainKernels[float64]()...) }

func usable(avx512, avx2 kernel) []kernel {
	switch has2 := cpu.X86.HasAVX2 && cpu.X86.HasFMA; {
	case has2 && cpu.X86.HasAVX512F:
		return []kernel{avx512, avx2}
	case has2:
		return []kernel{avx2}
	}
	return nil
}

//go:noescape
func transpose8x8Float32(dst unsafe.Pointer, ldd int, src unsafe.Pointer, lds, blocks int)

//go:noescape
func transpose4x4Float64(dst unsafe.Pointer, ldd int, src unsafe.Pointer, lds, blocks int)

// transposeEdge is the edge of the blocks of transposeBlocks, 0 if there is no such kernel.
func transposeEdge[T Float]() int {
	if !cpu.X86.HasAVX2 {
		return 0
	}
	return 32 / int(unsafe.Sizeof(T(0)))
}

func transposeBlocks[T Float](dst unsafe.Pointer, ldd int, src unsafe.Pointer, lds, blocks int) {
	if unsafe.Sizeof(T(0)) == 4 {
		transpose8x8Float32(dst, ldd, src, lds, blocks)
	} else {
		transpose4x4Float64(dst, ldd, src, lds, blocks)
	}
}
