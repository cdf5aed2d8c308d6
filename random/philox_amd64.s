#include "textflag.h"

// A register holds one counter word of four blocks, each in the low half of a 64-bit lane, where VPMULUDQ takes its operands;
// what stands in the high halves does not matter. The lanes hold blocks 0, 2, 1, 3, the order in which unpacking within the
// halves of a register brings them to memory in sequence.
DATA lanes<>+0(SB)/8, $0
DATA lanes<>+8(SB)/8, $2
DATA lanes<>+16(SB)/8, $1
DATA lanes<>+24(SB)/8, $3
GLOBL lanes<>(SB), RODATA|NOPTR, $32

DATA multipliers<>+0(SB)/4, $0xD2511F53
DATA multipliers<>+4(SB)/4, $0xCD9E8D57
GLOBL multipliers<>(SB), RODATA|NOPTR, $8

DATA weyl<>+0(SB)/8, $0x9E3779B99E3779B9
DATA weyl<>+8(SB)/8, $0x9E3779B99E3779B9
DATA weyl<>+16(SB)/8, $0x9E3779B99E3779B9
DATA weyl<>+24(SB)/8, $0x9E3779B99E3779B9
DATA weyl<>+32(SB)/8, $0xBB67AE85BB67AE85
DATA weyl<>+40(SB)/8, $0xBB67AE85BB67AE85
DATA weyl<>+48(SB)/8, $0xBB67AE85BB67AE85
DATA weyl<>+56(SB)/8, $0xBB67AE85BB67AE85
GLOBL weyl<>(SB), RODATA|NOPTR, $64

// One round of four blocks: the new c1 and c3 are the products' low halves, and stand in p1 and p0. Y12, Y13 hold the
// multipliers, Y14, Y15 the round's key.
#define ROUND(c0, c1, c2, c3, p0, p1) \
	VPMULUDQ Y12, c0, p0; \
	VPMULUDQ Y13, c2, p1; \
	VPXOR    Y14, c1, c1; \
	VPXOR    Y15, c3, c3; \
	VPSRLQ   $32, p1, c0; \
	VPSRLQ   $32, p0, c2; \
	VPXOR    c1, c0, c0;  \
	VPXOR    c3, c2, c2

#define NEXT_KEY \
	VPADDD weyl<>+0(SB), Y14, Y14;  \
	VPADDD weyl<>+32(SB), Y15, Y15

// Two rounds of eight blocks, after which the words are in the registers where they were.
#define TWO_ROUNDS \
	ROUND(Y0, Y1, Y2, Y3, Y4, Y5);   \
	ROUND(Y6, Y7, Y8, Y9, Y10, Y11); \
	NEXT_KEY;                        \
	ROUND(Y0, Y5, Y2, Y4, Y3, Y1);   \
	ROUND(Y6, Y11, Y8, Y10, Y9, Y7); \
	NEXT_KEY

// Counters of four blocks from AX on; AX moves on.
#define COUNTERS(x0, c0, c1, c2, c3) \
	VMOVQ        AX, x0;              \
	VPBROADCASTQ x0, c0;              \
	VPADDQ       lanes<>(SB), c0, c0; \
	VPSRLQ       $32, c0, c1;         \
	VPXOR        c2, c2, c2;          \
	VPXOR        c3, c3, c3;          \
	ADDQ         $4, AX

// Four blocks to memory.
#define STORE(c0, c1, c2, c3, offset) \
	VPSLLQ      $32, c1, c1;       \
	VPSLLQ      $32, c3, c3;       \
	VPBLENDD    $0xAA, c1, c0, c0; \
	VPBLENDD    $0xAA, c3, c2, c2; \
	VPUNPCKLQDQ c2, c0, c1;        \
	VPUNPCKHQDQ c2, c0, c3;        \
	VMOVDQU     c1, offset(DI);    \
	VMOVDQU     c3, (offset+32)(DI)

// func blocksAVX2(dst []uint32, groups int, key, counter uint64)
TEXT ·blocksAVX2(SB), NOSPLIT, $0-48
	MOVQ         dst_base+0(FP), DI
	MOVQ         groups+24(FP), CX
	MOVQ         key+32(FP), R8
	MOVQ         R8, R9
	SHRQ         $32, R9
	MOVQ         counter+40(FP), AX
	VPBROADCASTD multipliers<>+0(SB), Y12
	VPBROADCASTD multipliers<>+4(SB), Y13

group:
	VMOVD        R8, X14
	VPBROADCASTD X14, Y14
	VMOVD        R9, X15
	VPBROADCASTD X15, Y15
	COUNTERS(X0, Y0, Y1, Y2, Y3)
	COUNTERS(X6, Y6, Y7, Y8, Y9)
	TWO_ROUNDS
	TWO_ROUNDS
	TWO_ROUNDS
	TWO_ROUNDS
	TWO_ROUNDS
	STORE(Y0, Y1, Y2, Y3, 0)
	STORE(Y6, Y7, Y8, Y9, 64)
	ADDQ         $128, DI
	DECQ         CX
	JNZ          group
	VZEROUPPER
	RET
