//go:build !amd64

package random

// blocks fills dst, whole blocks, with the numbers from the block counter on.
func blocks(dst []uint32, key, counter uint64) { blocksGo(dst, key, counter) }
