// The micro-kernel for AVX-512, for float32 (12×32) and float64 (12×16); see kernel_avx2.h. Twenty-four accumulators
// Z8-Z31. What is left of the rows is done in passes of 8, 4, 2 and 1.
// Its results are tested under Bochs 2.7 (corei7_skylake_x); its speed on a real processor is not yet measured.
//
// AX, BX   A at rows 0 and 6 of the panel    R8, R13, R12  1, 3 and 5 row strides of A    R9 k stride of A
// DI       B                                 R10           k stride of B
// SI       C, row by row                     R11           row stride of C
// R14      A at the panel's first element    DX rows left  CX k left                      R15 packed copy of B

#define ZERO2(x, y) \
	VPXORQ x, x, x; \
	VPXORQ y, y, y

#define LOADB \
	MOVU (DI), Z0; \
	MOVU 64(DI), Z1

#define ROW(addr, t, x, y) \
	BCAST addr, t; \
	FMA   Z0, t, x; \
	FMA   Z1, t, y

#define NEXT \
	ADDQ R9, AX; \
	ADDQ R9, BX; \
	ADDQ R10, DI

#define ROWS1 ROW((AX), Z2, Z8, Z9)
#define ROWS2 ROWS1; ROW((AX)(R8*1), Z3, Z10, Z11)
#define ROWS4 ROWS2; ROW((AX)(R8*2), Z4, Z12, Z13); ROW((AX)(R13*1), Z5, Z14, Z15)
#define ROWS8 ROWS4; ROW((AX)(R8*4), Z2, Z16, Z17); ROW((AX)(R12*1), Z3, Z18, Z19); \
	ROW((BX), Z4, Z20, Z21); ROW((BX)(R8*1), Z5, Z22, Z23)
#define ROWS12 ROWS8; ROW((BX)(R8*2), Z2, Z24, Z25); ROW((BX)(R13*1), Z3, Z26, Z27); \
	ROW((BX)(R8*4), Z4, Z28, Z29); ROW((BX)(R12*1), Z5, Z30, Z31)

#define COPYB \
	MOVU Z0, (R15); \
	MOVU Z1, 64(R15); \
	ADDQ $128, R15

#define STEP12 LOADB; ROWS12; NEXT
#define COPYSTEP12 LOADB; COPYB; ROWS12; NEXT

#define PUT(x, y) \
	MOVU x, (SI); \
	MOVU y, 64(SI); \
	ADDQ R11, SI

#define ADDPUT(x, y) \
	ADDP (SI), x, x; \
	ADDP 64(SI), y, y; \
	PUT(x, y)

#define EACH1(DO) DO(Z8, Z9)
#define EACH2(DO) EACH1(DO); DO(Z10, Z11)
#define EACH4(DO) EACH2(DO); DO(Z12, Z13); DO(Z14, Z15)
#define EACH8(DO) EACH4(DO); DO(Z16, Z17); DO(Z18, Z19); DO(Z20, Z21); DO(Z22, Z23)
#define EACH12(DO) EACH8(DO); DO(Z24, Z25); DO(Z26, Z27); DO(Z28, Z29); DO(Z30, Z31)

// START points to the panel's operands; CX is args before and k after.
#define START \
	MOVQ args+0(FP), CX; \
	MOVQ kernelArgs_b(CX), DI; \
	MOVQ kernelArgs_kc(CX), CX; \
	MOVQ R14, AX; \
	LEAQ (AX)(R13*2), BX

#define ADDING(none) \
	MOVQ  args+0(FP), CX; \
	CMPQ  kernelArgs_acc(CX), $0; \
	JEQ   none

// PASS does n rows, if there are so many, and advances A by n rows.
#define PASS(n, skip, loop, none, end, ROWSN, EACHN) \
	CMPQ DX, $n; \
	JLT  skip; \
	START; \
	EACHN(ZERO2); \
loop: \
	LOADB; \
	ROWSN; \
	NEXT; \
	DECQ CX; \
	JNZ  loop; \
	ADDING(none); \
	EACHN(ADDPUT); \
	JMP  end; \
none: \
	EACHN(PUT); \
end: \
	MOVQ  R8, AX; \
	IMULQ $n, AX; \
	ADDQ  AX, R14; \
	SUBQ  $n, DX; \
skip:

// func KERNEL(args *kernelArgs)
TEXT KERNEL(SB), NOSPLIT, $0-8
	MOVQ args+0(FP), DX
	MOVQ kernelArgs_rsa(DX), R8
	MOVQ kernelArgs_csa(DX), R9
	MOVQ kernelArgs_ldb(DX), R10
	MOVQ kernelArgs_ldc(DX), R11
	MOVQ kernelArgs_c(DX), SI
	MOVQ kernelArgs_a(DX), R14
	MOVQ kernelArgs_rows(DX), DX
	LEAQ (R8)(R8*2), R13
	LEAQ (R8)(R8*4), R12
	SUBQ $12, DX
	JLT  last

panel:
	START
	EACH12(ZERO2)
	MOVQ args+0(FP), R15
	MOVQ kernelArgs_copyB(R15), R15
	TESTQ R15, R15
	JNZ  copying
	SUBQ $2, CX
	JLT  ones

twos:
	STEP12
	STEP12
	SUBQ $2, CX
	JGE  twos

ones:
	ADDQ $2, CX
	JZ   done
	STEP12

done:
	MOVQ args+0(FP), CX
	ADDQ kernelArgs_astep(CX), R14
	CMPQ kernelArgs_acc(CX), $0
	JEQ  store
	EACH12(ADDPUT)
	JMP  next

store:
	EACH12(PUT)

next:
	SUBQ $12, DX
	JGE  panel

last:
	ADDQ $12, DX
	PASS(8, skip8, loop8, none8, end8, ROWS8, EACH8)
	PASS(4, skip4, loop4, none4, end4, ROWS4, EACH4)
	PASS(2, skip2, loop2, none2, end2, ROWS2, EACH2)
	PASS(1, skip1, loop1, none1, end1, ROWS1, EACH1)
	VZEROUPPER
	RET

copying:
	COPYSTEP12
	DECQ CX
	JNZ  copying
	MOVQ args+0(FP), CX
	MOVQ kernelArgs_copyB(CX), DI
	MOVQ DI, kernelArgs_b(CX)
	MOVQ $0, kernelArgs_copyB(CX)
	MOVQ $128, R10
	JMP  done
