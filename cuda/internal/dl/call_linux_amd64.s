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

// An Arg is a pointer and a word, of which one is 0.
#define LOAD(i, reg) \
	MOVQ (16*i)(R11), reg \
	ADDQ (16*i+8)(R11), reg

// trampoline(DI *frame) in the System V convention: it spreads the arguments and calls. It uses no register that C must
// preserve, so that it need save none. The frame keeps SP a multiple of 16: 26 words for arguments on the stack, two
// of which one holds the frame's address.
TEXT trampoline<>(SB), NOSPLIT, $224-0
	MOVQ DI, 208(SP)
	MOVQ FN(DI), R10
	MOVQ ARGS(DI), R11
	MOVQ N(DI), AX

	MOVQ NFLOATS(DI), CX
	TESTQ CX, CX
	JNE  floats

integers:
	CMPQ AX, $6
	JGT  stack
	JEQ  six
	CMPQ AX, $4
	JGT  five
	JEQ  four
	CMPQ AX, $2
	JGT  three
	JEQ  two
	CMPQ AX, $1
	JEQ  one
	JMP  ready

stack:
	// AX counts down to 6; its argument goes to 8*(AX-7)(SP).
	MOVQ AX, CX
	SHLQ $4, CX
	MOVQ -16(R11)(CX*1), DX
	ADDQ -8(R11)(CX*1), DX
	MOVQ DX, -56(SP)(AX*8)
	SUBQ $1, AX
	CMPQ AX, $6
	JGT  stack

six:
	LOAD(5, R9)
five:
	LOAD(4, R8)
four:
	LOAD(3, CX)
three:
	LOAD(2, DX)
two:
	LOAD(1, SI)
one:
	LOAD(0, DI)
ready:
	MOVL $8, AX // upper bound of the vector registers used, for a function with "..."
	CALL R10
	MOVQ 208(SP), DI
	MOVQ AX, RESULT(DI)
	XORL AX, AX
	RET

floats:
	MOVQ FLOATS(DI), DX
	MOVSD 0(DX), X0
	CMPQ CX, $1
	JEQ  integers
	MOVSD 8(DX), X1
	CMPQ CX, $2
	JEQ  integers
	MOVSD 16(DX), X2
	CMPQ CX, $3
	JEQ  integers
	MOVSD 24(DX), X3
	CMPQ CX, $4
	JEQ  integers
	MOVSD 32(DX), X4
	CMPQ CX, $5
	JEQ  integers
	MOVSD 40(DX), X5
	CMPQ CX, $6
	JEQ  integers
	MOVSD 48(DX), X6
	CMPQ CX, $7
	JEQ  integers
	MOVSD 56(DX), X7
	JMP  integers
