//go:build !amd64 || noasm

package gemm

import "unsafe"

func kernels32() []kernel { return plainKernels[float32]() }
func kernels64() []kernel { return plainKernels[float64]() }

func transposeEdge[T Float]() int { return 0 }

func transposeBlocks[T Float](dst unsafe.Pointer, ldd int, src unsafe.Pointer, lds, blocks int) {}
