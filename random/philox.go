package random

// The multipliers, and the increments of the key from round to round, of Philox4x32: Salmon, Moraes, Dror and Shaw, "Parallel
// random numbers: as easy as 1, 2, 3", SC'11.
const (
	mul0, mul1   = 0xD2511F53, 0xCD9E8D57
	weyl0, weyl1 = 0x9E3779B9, 0xBB67AE85
)

// What a block is for stands in the third word of its counter, so that no number drawn is ever also a key.
const (
	forNumbers uint32 = iota
	forDerive
	forSplit
)

// Philox is the bijection Philox4x32 with 10 rounds, word for word as in Random123: it scrambles a 128-bit counter under a
// 64-bit key. Every number of this package is made of its output.
func Philox(counter [4]uint32, key [2]uint32) [4]uint32 {
	a, b, c, d := philox(counter[0], counter[1], counter[2], counter[3], key[0], key[1])
	return [4]uint32{a, b, c, d}
}

// philox keeps its state in registers, and is unrolled because that halves its time.
func philox(c0, c1, c2, c3, k0, k1 uint32) (uint32, uint32, uint32, uint32) {
	c0, c1, c2, c3 = round(c0, c1, c2, c3, k0, k1)
	k0, k1 = k0+weyl0, k1+weyl1
	c0, c1, c2, c3 = round(c0, c1, c2, c3, k0, k1)
	k0, k1 = k0+weyl0, k1+weyl1
	c0, c1, c2, c3 = round(c0, c1, c2, c3, k0, k1)
	k0, k1 = k0+weyl0, k1+weyl1
	c0, c1, c2, c3 = round(c0, c1, c2, c3, k0, k1)
	k0, k1 = k0+weyl0, k1+weyl1
	c0, c1, c2, c3 = round(c0, c1, c2, c3, k0, k1)
	k0, k1 = k0+weyl0, k1+weyl1
	c0, c1, c2, c3 = round(c0, c1, c2, c3, k0, k1)
	k0, k1 = k0+weyl0, k1+weyl1
	c0, c1, c2, c3 = round(c0, c1, c2, c3, k0, k1)
	k0, k1 = k0+weyl0, k1+weyl1
	c0, c1, c2, c3 = round(c0, c1, c2, c3, k0, k1)
	k0, k1 = k0+weyl0, k1+weyl1
	c0, c1, c2, c3 = round(c0, c1, c2, c3, k0, k1)
	k0, k1 = k0+weyl0, k1+weyl1
	return round(c0, c1, c2, c3, k0, k1)
}

func round(c0, c1, c2, c3, k0, k1 uint32) (uint32, uint32, uint32, uint32) {
	p0, p1 := uint64(c0)*mul0, uint64(c2)*mul1
	return uint32(p1>>32) ^ c1 ^ k0, uint32(p1), uint32(p0>>32) ^ c3 ^ k1, uint32(p0)
}

// block is the block of four words that a 64-bit counter names.
func block(key, counter uint64, purpose uint32) [4]uint32 {
	a, b, c, d := philox(uint32(counter), uint32(counter>>32), purpose, 0, uint32(key), uint32(key>>32))
	return [4]uint32{a, b, c, d}
}

// blocksGo is blocks in plain Go.
func blocksGo(dst []uint32, key, counter uint64) {
	k0, k1 := uint32(key), uint32(key>>32)
	for ; len(dst) >= 4; dst = dst[4:] {
		d := (*[4]uint32)(dst)
		d[0], d[1], d[2], d[3] = philox(uint32(counter), uint32(counter>>32), forNumbers, 0, k0, k1)
		counter++
	}
}
