#include "textflag.h"

// The address of a function as data has no ABI wrapper around it: C's convention is what cgocall uses.
GLOBL ·trampoline(SB), NOPTR|RODATA, $8
DATA ·trampoline(SB)/8, $trampoline<>(SB)

// frame, see call.go
#define FN 0
#define ARGS 8
#define N 16
#define FLOATS 24
#define NFLOATS 32
#define RESULT 40

// An Arg is a pointer and a word, of which one is 0. There are no more than i arguments: go and call.
#define LOAD(i, reg) \
	CMP $i, R11 \
	BLE ready \
	LDP (16*i)(R10), (R14, R15) \
	ADD R14, R15, reg

#define LOADF(i, reg) \
	CMP $i, R12 \
	BLE integers \
	FMOVD (8*i)(R13), reg

// trampoline(R0 *frame) in the AAPCS64 convention: it spreads the arguments and calls. It uses no register that C must
// preserve but FP and LR. On the stack lie 24 words for arguments, then those two, then the frame's address.
TEXT trampoline<>(SB), NOSPLIT|NOFRAME, $0
	SUB  $224, RSP
	STP  (R29, R30), 192(RSP)
	ADD  $192, RSP, R29
	MOVD R0, 208(RSP)
	MOVD FN(R0), R9
	MOVD ARGS(R0), R10
	MOVD N(R0), R11
	MOVD FLOATS(R0), R13
	MOVD NFLOATS(R0), R12

	LOADF(0, F0)
	LOADF(1, F1)
	LOADF(2, F2)
	LOADF(3, F3)
	LOADF(4, F4)
	LOADF(5, F5)
	LOADF(6, F6)
	LOADF(7, F7)

integers:
	// The last argument first; the ninth lies at 0(RSP).
	MOVD R11, R12
	MOVD RSP, R16
stack:
	CMP  $8, R12
	BLE  registers
	SUB  $1, R12
	ADD  R12<<4, R10, R13
	LDP  (R13), (R14, R15)
	ADD  R14, R15, R14
	ADD  R12<<3, R16, R13
	MOVD R14, -64(R13)
	B    stack

registers:
	LOAD(0, R0)
	LOAD(1, R1)
	LOAD(2, R2)
	LOAD(3, R3)
	LOAD(4, R4)
	LOAD(5, R5)
	LOAD(6, R6)
	LOAD(7, R7)

ready:
	CALL (R9)
	MOVD 208(RSP), R10
	MOVD R0, RESULT(R10)
	MOVD $0, R0
	LDP  192(RSP), (R29, R30)
	ADD  $224, RSP
	RET
