// The micro-kernel for AVX2 and FMA, for float32 (6×16) and float64 (6×8): the file that includes this one defines
// MOVU, BCAST, FMA, ADDP for its element type and KERNEL, the name of the function.
//
// C[rows][two vectors] = or += A·B, six rows at a time, then what is left. Twelve accumulators Y4-Y15 hide the latency
// of the multiply-add. All strides are in bytes.
//
// AX, BX  A at rows 0 and 3 of the panel    R8  row stride of A    R9  k stride of A
// DI      B                                 R10 k stride of B
// SI, R13 C at rows 0 and 3                 R11 row stride of C
// R14     A at the panel's first element    DX  rows left          CX  k left     R12 packed copy of B or scratch

#define ZERO2(x, y) \
	VXORPS x, x, x; \
	VXORPS y, y, y

#define LOADB \
	MOVU (DI), Y0; \
	MOVU 32(DI), Y1

// One row: broadcast an element of A and multiply it into the row's accumulators.
#define ROW(addr, t, x, y) \
	BCAST addr, t; \
	FMA   Y0, t, x; \
	FMA   Y1, t, y

#define NEXT \
	ADDQ R9, AX; \
	ADDQ R9, BX; \
	ADDQ R10, DI

#define ROWS1 ROW((AX), Y2, Y4, Y5)
#define ROWS2 ROWS1; ROW((AX)(R8*1), Y3, Y6, Y7)
#define ROWS3 ROWS2; ROW((AX)(R8*2), Y2, Y8, Y9)
#define ROWS4 ROWS3; ROW((BX), Y3, Y10, Y11)
#define ROWS5 ROWS4; ROW((BX)(R8*1), Y2, Y12, Y13)
#define ROWS6 ROWS5; ROW((BX)(R8*2), Y3, Y14, Y15)

#define COPYB \
	MOVU Y0, (R12); \
	MOVU Y1, 32(R12); \
	ADDQ $64, R12

#define STEP6 LOADB; ROWS6; NEXT
#define COPYSTEP6 LOADB; COPYB; ROWS6; NEXT

#define PUT(addr0, addr1, x, y) \
	MOVU x, addr0; \
	MOVU y, addr1

#define ADDC(addr0, addr1, x, y) \
	ADDP addr0, x, x; \
	ADDP addr1, y, y

#define EACH1(DO) DO((SI), 32(SI), Y4, Y5)
#define EACH2(DO) EACH1(DO); DO((SI)(R11*1), 32(SI)(R11*1), Y6, Y7)
#define EACH3(DO) EACH2(DO); DO((SI)(R11*2), 32(SI)(R11*2), Y8, Y9)
#define EACH4(DO) EACH3(DO); DO((R13), 32(R13), Y10, Y11)
#define EACH5(DO) EACH4(DO); DO((R13)(R11*1), 32(R13)(R11*1), Y12, Y13)
#define EACH6(DO) EACH5(DO); DO((R13)(R11*2), 32(R13)(R11*2), Y14, Y15)

// The last rows: no unrolling, they are few.
#define TAIL(loop, store, ROWSN, EACHN) \
loop: \
	LOADB; \
	ROWSN; \
	NEXT; \
	DECQ  CX; \
	JNZ   loop; \
	TESTQ R12, R12; \
	JZ    store; \
	EACHN(ADDC); \
store: \
	EACHN(PUT); \
	VZEROUPPER; \
	RET

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

panel:
	MOVQ args+0(FP), CX
	MOVQ kernelArgs_b(CX), DI
	MOVQ kernelArgs_copyB(CX), R12
	MOVQ kernelArgs_kc(CX), CX
	MOVQ R14, AX
	LEAQ (R8)(R8*2), BX
	ADDQ AX, BX
	LEAQ (R11)(R11*2), R13
	ADDQ SI, R13
	ZERO2(Y4, Y5)
	ZERO2(Y6, Y7)
	ZERO2(Y8, Y9)
	ZERO2(Y10, Y11)
	ZERO2(Y12, Y13)
	ZERO2(Y14, Y15)
	CMPQ DX, $6
	JLT  last

	PREFETCHT0 (SI)
	PREFETCHT0 (SI)(R11*1)
	PREFETCHT0 (SI)(R11*2)
	PREFETCHT0 (R13)
	PREFETCHT0 (R13)(R11*1)
	PREFETCHT0 (R13)(R11*2)
	TESTQ R12, R12
	JNZ   copying
	SUBQ $4, CX
	JLT  ones

fours:
	STEP6
	STEP6
	STEP6
	STEP6
	SUBQ $4, CX
	JGE  fours

ones:
	ADDQ $4, CX
	JZ   done

one:
	STEP6
	DECQ CX
	JNZ  one

done:
	MOVQ args+0(FP), CX
	MOVQ kernelArgs_acc(CX), R12
	TESTQ R12, R12
	JZ   store
	EACH6(ADDC)

store:
	EACH6(PUT)
	ADDQ kernelArgs_astep(CX), R14
	LEAQ (R13)(R11*2), SI
	ADDQ R11, SI
	SUBQ $6, DX
	JNZ  panel
	VZEROUPPER
	RET

// The first panel of a B that is not packed leaves a packed copy for those that follow.
copying:
	COPYSTEP6
	DECQ CX
	JNZ  copying
	MOVQ args+0(FP), CX
	MOVQ kernelArgs_copyB(CX), DI
	MOVQ DI, kernelArgs_b(CX)
	MOVQ $0, kernelArgs_copyB(CX)
	MOVQ $64, R10
	JMP  done

last:
	MOVQ args+0(FP), R12
	MOVQ kernelArgs_acc(R12), R12
	CMPQ DX, $2
	JLT  rows1
	JEQ  rows2
	CMPQ DX, $4
	JLT  rows3
	JEQ  rows4
	TAIL(rows5, store5, ROWS5, EACH5)
	TAIL(rows4, store4, ROWS4, EACH4)
	TAIL(rows3, store3, ROWS3, EACH3)
	TAIL(rows2, store2, ROWS2, EACH2)
	TAIL(rows1, store1, ROWS1, EACH1)
