// Loops over contiguous float32 for AVX2. Every loop ends with the same instructions under a mask, so that an element's
// value does not depend on its place. DI, SI, DX, BX walk over the operands, CX counts, Y15 is the mask of the tail.

// CONST defines eight copies of a float32, to stand as a memory operand.
#define CONST(name, v) \
DATA name<>+0(SB)/4, $v; \
DATA name<>+4(SB)/4, $v; \
DATA name<>+8(SB)/4, $v; \
DATA name<>+12(SB)/4, $v; \
DATA name<>+16(SB)/4, $v; \
DATA name<>+20(SB)/4, $v; \
DATA name<>+24(SB)/4, $v; \
DATA name<>+28(SB)/4, $v; \
GLOBL name<>(SB), RODATA|NOPTR, $32

// BITS is CONST for two copies of a 32-bit pattern in one 64-bit word.
#define BITS(name, v) \
DATA name<>+0(SB)/8, $v; \
DATA name<>+8(SB)/8, $v; \
DATA name<>+16(SB)/8, $v; \
DATA name<>+24(SB)/8, $v; \
GLOBL name<>(SB), RODATA|NOPTR, $32

DATA masks<>+0(SB)/8, $-1
DATA masks<>+8(SB)/8, $-1
DATA masks<>+16(SB)/8, $-1
DATA masks<>+24(SB)/8, $-1
DATA masks<>+32(SB)/8, $0
DATA masks<>+40(SB)/8, $0
DATA masks<>+48(SB)/8, $0
DATA masks<>+56(SB)/8, $0
GLOBL masks<>(SB), RODATA|NOPTR, $64

// MASK sets Y15 to the first CX of eight elements and clobbers AX and CX.
#define MASK \
	LEAQ masks<>+32(SB), AX; \
	SHLQ $2, CX; \
	SUBQ CX, AX; \
	VMOVUPS (AX), Y15

// UNARY(BODY): BODY takes Y0 to Y0; it may use Y1 to Y14. For long operations, which overlap by themselves.
#define UNARY(BODY) \
	MOVQ dst+0(FP), DI; \
	MOVQ x+8(FP), SI; \
	MOVQ n+16(FP), CX; \
	SUBQ $8, CX; \
	JLT  tail; \
loop: \
	VMOVUPS (SI), Y0; \
	BODY; \
	VMOVUPS Y0, (DI); \
	ADDQ $32, SI; \
	ADDQ $32, DI; \
	SUBQ $8, CX; \
	JGE  loop; \
tail: \
	ADDQ $8, CX; \
	JZ   done; \
	MASK; \
	VMASKMOVPS (SI), Y15, Y0; \
	BODY; \
	VMASKMOVPS Y0, Y15, (DI); \
done: \
	VZEROUPPER; \
	RET

// BINARY(OP): OP(y, x, t) takes an element of each operand to x; t is free. For cheap operations: four at a time.
#define BINARY(OP) \
	MOVQ dst+0(FP), DI; \
	MOVQ x+8(FP), SI; \
	MOVQ y+16(FP), DX; \
	MOVQ n+24(FP), CX; \
	SUBQ $32, CX; \
	JLT  eights; \
loop: \
	VMOVUPS (SI), Y0; \
	VMOVUPS 32(SI), Y1; \
	VMOVUPS 64(SI), Y2; \
	VMOVUPS 96(SI), Y3; \
	VMOVUPS (DX), Y4; \
	VMOVUPS 32(DX), Y5; \
	VMOVUPS 64(DX), Y6; \
	VMOVUPS 96(DX), Y7; \
	OP(Y4, Y0, Y8); \
	OP(Y5, Y1, Y9); \
	OP(Y6, Y2, Y10); \
	OP(Y7, Y3, Y11); \
	VMOVUPS Y0, (DI); \
	VMOVUPS Y1, 32(DI); \
	VMOVUPS Y2, 64(DI); \
	VMOVUPS Y3, 96(DI); \
	ADDQ $128, SI; \
	ADDQ $128, DX; \
	ADDQ $128, DI; \
	SUBQ $32, CX; \
	JGE  loop; \
eights: \
	ADDQ $24, CX; \
	JLT  tail; \
eight: \
	VMOVUPS (SI), Y0; \
	VMOVUPS (DX), Y4; \
	OP(Y4, Y0, Y8); \
	VMOVUPS Y0, (DI); \
	ADDQ $32, SI; \
	ADDQ $32, DX; \
	ADDQ $32, DI; \
	SUBQ $8, CX; \
	JGE  eight; \
tail: \
	ADDQ $8, CX; \
	JZ   done; \
	MASK; \
	VMASKMOVPS (SI), Y15, Y0; \
	VMASKMOVPS (DX), Y15, Y4; \
	OP(Y4, Y0, Y8); \
	VMASKMOVPS Y0, Y15, (DI); \
done: \
	VZEROUPPER; \
	RET

// CHEAP(OP) is BINARY with Y4, which the function sets, for every y.
#define CHEAP(OP) \
	MOVQ dst+0(FP), DI; \
	MOVQ x+8(FP), SI; \
	MOVQ n+16(FP), CX; \
	SUBQ $32, CX; \
	JLT  eights; \
loop: \
	VMOVUPS (SI), Y0; \
	VMOVUPS 32(SI), Y1; \
	VMOVUPS 64(SI), Y2; \
	VMOVUPS 96(SI), Y3; \
	OP(Y4, Y0, Y8); \
	OP(Y4, Y1, Y9); \
	OP(Y4, Y2, Y10); \
	OP(Y4, Y3, Y11); \
	VMOVUPS Y0, (DI); \
	VMOVUPS Y1, 32(DI); \
	VMOVUPS Y2, 64(DI); \
	VMOVUPS Y3, 96(DI); \
	ADDQ $128, SI; \
	ADDQ $128, DI; \
	SUBQ $32, CX; \
	JGE  loop; \
eights: \
	ADDQ $24, CX; \
	JLT  tail; \
eight: \
	VMOVUPS (SI), Y0; \
	OP(Y4, Y0, Y8); \
	VMOVUPS Y0, (DI); \
	ADDQ $32, SI; \
	ADDQ $32, DI; \
	SUBQ $8, CX; \
	JGE  eight; \
tail: \
	ADDQ $8, CX; \
	JZ   done; \
	MASK; \
	VMASKMOVPS (SI), Y15, Y0; \
	OP(Y4, Y0, Y8); \
	VMASKMOVPS Y0, Y15, (DI); \
done: \
	VZEROUPPER; \
	RET
