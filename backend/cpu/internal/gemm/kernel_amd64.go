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

// kernels32 returns the kernels that run here, the fastest first.
func kernels32() []kernel {
	var k []kernel
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		k = append(k, kernel{name: "avx2", mr: 6, nr: 16, kc: 320, copies: true, run: avx2Float32})
	}
	return append(k, plainKernels[float32]()...)
}

func kernels64() []kernel {
	var k []kernel
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		k = append(k, kernel{name: "avx2", mr: 6, nr: 8, kc: 320, copies: true, run: avx2Float64})
	}
	return append(k, plainKernels[float64]()...)
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
