//go:build !noasm

#include "textflag.h"
#include "loops_amd64.h"

#define ADD(y, x, t) VADDPS y, x, x
#define SUB(y, x, t) VSUBPS y, x, x
#define RSUB(y, x, t) VSUBPS x, y, x
#define MUL(y, x, t) VMULPS y, x, x
#define DIV(y, x, t) VDIVPS y, x, x
#define RDIV(y, x, t) VDIVPS x, y, x

// VMAXPS and VMINPS give the operand named first when either is NaN: where x is NaN, x is put back.
#define MAX(y, x, t) \
	VMAXPS    y, x, t; \
	VCMPPS    $3, x, x, Y14; \
	VBLENDVPS Y14, x, t, x

#define MIN(y, x, t) \
	VMINPS    y, x, t; \
	VCMPPS    $3, x, x, Y14; \
	VBLENDVPS Y14, x, t, x

// 0 where x ≤ 0, elsewhere y.
#define RELUGRAD(y, x, t) \
	VXORPS  t, t, t; \
	VCMPPS  $2, t, x, t; \
	VANDNPS y, t, x

// func addAVX2(dst, x, y *float32, n int)
TEXT ·addAVX2(SB), NOSPLIT, $0-32
	BINARY(ADD)

// func subAVX2(dst, x, y *float32, n int)
TEXT ·subAVX2(SB), NOSPLIT, $0-32
	BINARY(SUB)

// func mulAVX2(dst, x, y *float32, n int)
TEXT ·mulAVX2(SB), NOSPLIT, $0-32
	BINARY(MUL)

// func divAVX2(dst, x, y *float32, n int)
TEXT ·divAVX2(SB), NOSPLIT, $0-32
	BINARY(DIV)

// func maxAVX2(dst, x, y *float32, n int)
TEXT ·maxAVX2(SB), NOSPLIT, $0-32
	BINARY(MAX)

// func minAVX2(dst, x, y *float32, n int)
TEXT ·minAVX2(SB), NOSPLIT, $0-32
	BINARY(MIN)

// func reluGradAVX2(dst, x, y *float32, n int)
TEXT ·reluGradAVX2(SB), NOSPLIT, $0-32
	BINARY(RELUGRAD)

// func addScalarAVX2(dst, x *float32, n int, s float32)
TEXT ·addScalarAVX2(SB), NOSPLIT, $0-28
	VBROADCASTSS s+24(FP), Y4
	CHEAP(ADD)

// func rsubScalarAVX2(dst, x *float32, n int, s float32)
TEXT ·rsubScalarAVX2(SB), NOSPLIT, $0-28
	VBROADCASTSS s+24(FP), Y4
	CHEAP(RSUB)

// func mulScalarAVX2(dst, x *float32, n int, s float32)
TEXT ·mulScalarAVX2(SB), NOSPLIT, $0-28
	VBROADCASTSS s+24(FP), Y4
	CHEAP(MUL)

// func divScalarAVX2(dst, x *float32, n int, s float32)
TEXT ·divScalarAVX2(SB), NOSPLIT, $0-28
	VBROADCASTSS s+24(FP), Y4
	CHEAP(DIV)

// func rdivScalarAVX2(dst, x *float32, n int, s float32)
TEXT ·rdivScalarAVX2(SB), NOSPLIT, $0-28
	VBROADCASTSS s+24(FP), Y4
	CHEAP(RDIV)

// func maxScalarAVX2(dst, x *float32, n int, s float32)
TEXT ·maxScalarAVX2(SB), NOSPLIT, $0-28
	VBROADCASTSS s+24(FP), Y4
	CHEAP(MAX)

// func minScalarAVX2(dst, x *float32, n int, s float32)
TEXT ·minScalarAVX2(SB), NOSPLIT, $0-28
	VBROADCASTSS s+24(FP), Y4
	CHEAP(MIN)

// func axpyAVX2(dst, x, y *float32, n int, s float32)
// dst = x + s·y
TEXT ·axpyAVX2(SB), NOSPLIT, $0-36
	VBROADCASTSS s+32(FP), Y13
#define AXPY(y, x, t) VFMADD231PS y, Y13, x
	BINARY(AXPY)

// func mulAddAVX2(dst, x, y, z *float32, n int)
// dst = x·y + z
TEXT ·mulAddAVX2(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ y+16(FP), DX
	MOVQ z+24(FP), BX
	MOVQ n+32(FP), CX
	SUBQ $8, CX
	JLT  tail

loop:
	VMOVUPS     (SI), Y0
	VMOVUPS     (DX), Y1
	VFMADD213PS (BX), Y1, Y0
	VMOVUPS     Y0, (DI)
	ADDQ        $32, SI
	ADDQ        $32, DX
	ADDQ        $32, BX
	ADDQ        $32, DI
	SUBQ        $8, CX
	JGE         loop

tail:
	ADDQ        $8, CX
	JZ          done
	MASK
	VMASKMOVPS  (SI), Y15, Y0
	VMASKMOVPS  (DX), Y15, Y1
	VMASKMOVPS  (BX), Y15, Y2
	VFMADD213PS Y2, Y1, Y0
	VMASKMOVPS  Y0, Y15, (DI)

done:
	VZEROUPPER
	RET
