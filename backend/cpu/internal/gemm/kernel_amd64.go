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

// kernels32 returns the kernels that run here, the fastest first.
func kernels32() []kernel {
	k := plainKernels[float32]()
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		k = append([]kernel{{name: "avx2", mr: 6, nr: 16, kc: 320, copies: true, run: avx2Float32}}, k...)
	}
	if cpu.X86.HasAVX512F {
		k = append([]kernel{{name: "avx512", mr: 12, nr: 32, kc: 192, copies: true, run: avx512Float32}}, k...)
	}
	return k
}

func kernels64() []kernel {
	k := plainKernels[float64]()
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		k = append([]kernel{{name: "avx2", mr: 6, nr: 8, kc: 320, copies: true, run: avx2Float64}}, k...)
	}
	if cpu.X86.HasAVX512F {
		k = append([]kernel{{name: "avx512", mr: 12, nr: 16, kc: 192, copies: true, run: avx512Float64}}, k...)
	}
	return k
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
