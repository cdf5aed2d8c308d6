// Package random is Descent's source of randomness: the counter-based generator Philox4x32-10, with the same bits on every
// device and architecture.
//
// There is no global seed. A [Generator] is a small explicit state, a key and a counter. It hands out [Stream] values, which
// name a block of numbers: element i of a stream is a pure function of the stream and i, so that any number of workers, or a
// GPU, fill parts of one result without talking to each other. Calls on [offset, offset+n) and on its pieces give the same
// bits.
//
//	g := random.Derive(seed, epoch, batch)   // the same numbers whenever this batch comes
//	s := g.Reserve(len(x))                   // the generator moves on
//	random.Normal32(s, 0, x[:n])             // two workers
//	random.Normal32(s, n, x[n:])
//
// # Which element uses which bits
//
// This is the contract that a device kernel copies. Block b of stream s is
//
//	Philox(counter = {lo(s.Counter+b), hi(s.Counter+b), 0, 0}, key = {lo(s.Key), hi(s.Key)})
//
// where lo and hi are the halves of 64 bits and s.Counter+b wraps. Word w of the stream is word w%4 of block w/4. Long i of
// the stream is word 2i (its low half) and word 2i+1 (its high half).
//
//	Uint32s     element i   word i
//	Uint64s     element i   long i
//	Uniform32   element i   (word i >> 8) · 2^-24
//	Uniform64   element i   (long i >> 11) · 2^-53
//	Bernoulli   element i   word i < Threshold(p)
//	Ints64      element i   lo + high 64 bits of the 128-bit product (long i) · (hi-lo)
//	Normal32    elements 2j and 2j+1   Box-Muller of word 2j (radius) and word 2j+1 (angle)
//	Normal64    elements 2j and 2j+1   Box-Muller of long 2j (radius) and long 2j+1 (angle)
//
// The arithmetic of the normals is in normal.go: additions, subtractions, multiplications, divisions and square roots, each
// rounded to nearest even, none fused, none subnormal. In CUDA C that is __fadd_rn, __fmul_rn, __fdiv_rn, __fsqrt_rn and
// __int2float_rn, or the same of doubles.
package random
