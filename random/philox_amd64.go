package random

import "golang.org/x/sys/cpu"

// blocks fills dst, whole blocks, with the numbers from the block counter on.
func blocks(dst []uint32, key, counter uint64) {
	if groups := len(dst) / 32; groups > 0 && cpu.X86.HasAVX2 {
		blocksAVX2(dst, groups, key, counter)
		dst = dst[32*groups:]
		counter += 8 * uint64(groups)
	}
	blocksGo(dst, key, counter)
}

// blocksAVX2 fills the first 8·groups blocks of dst.
//
//go:noescape
func blocksAVX2(dst []uint32, groups int, key, counter uint64)
