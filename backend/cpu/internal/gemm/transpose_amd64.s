//go:build !noasm

#include "textflag.h"

// func transpose8x8Float32(dst unsafe.Pointer, ldd int, src unsafe.Pointer, lds, blocks int)
// Transposes blocks of 8×8 that lie side by side in src and one below the other in dst. Strides are in bytes.
TEXT ·transpose8x8Float32(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ ldd+8(FP), R8
	MOVQ src+16(FP), SI
	MOVQ lds+24(FP), R9
	MOVQ blocks+32(FP), CX
	LEAQ (R9)(R9*2), R10
	LEAQ (R8)(R8*2), R11

block:
	LEAQ       (SI)(R9*4), DX
	VMOVUPS    (SI), X0
	VMOVUPS    (SI)(R9*1), X1
	VMOVUPS    (SI)(R9*2), X2
	VMOVUPS    (SI)(R10*1), X3
	VINSERTF128 $1, (DX), Y0, Y0
	VINSERTF128 $1, (DX)(R9*1), Y1, Y1
	VINSERTF128 $1, (DX)(R9*2), Y2, Y2
	VINSERTF128 $1, (DX)(R10*1), Y3, Y3
	VMOVUPS    16(SI), X4
	VMOVUPS    16(SI)(R9*1), X5
	VMOVUPS    16(SI)(R9*2), X6
	VMOVUPS    16(SI)(R10*1), X7
	VINSERTF128 $1, 16(DX), Y4, Y4
	VINSERTF128 $1, 16(DX)(R9*1), Y5, Y5
	VINSERTF128 $1, 16(DX)(R9*2), Y6, Y6
	VINSERTF128 $1, 16(DX)(R10*1), Y7, Y7
	VUNPCKLPS  Y1, Y0, Y8
	VUNPCKHPS  Y1, Y0, Y9
	VUNPCKLPS  Y3, Y2, Y10
	VUNPCKHPS  Y3, Y2, Y11
	VUNPCKLPS  Y5, Y4, Y12
	VUNPCKHPS  Y5, Y4, Y13
	VUNPCKLPS  Y7, Y6, Y14
	VUNPCKHPS  Y7, Y6, Y15
	VUNPCKLPD  Y10, Y8, Y0
	VUNPCKHPD  Y10, Y8, Y1
	VUNPCKLPD  Y11, Y9, Y2
	VUNPCKHPD  Y11, Y9, Y3
	VUNPCKLPD  Y14, Y12, Y4
	VUNPCKHPD  Y14, Y12, Y5
	VUNPCKLPD  Y15, Y13, Y6
	VUNPCKHPD  Y15, Y13, Y7
	LEAQ       (DI)(R8*4), DX
	VMOVUPS    Y0, (DI)
	VMOVUPS    Y1, (DI)(R8*1)
	VMOVUPS    Y2, (DI)(R8*2)
	VMOVUPS    Y3, (DI)(R11*1)
	VMOVUPS    Y4, (DX)
	VMOVUPS    Y5, (DX)(R8*1)
	VMOVUPS    Y6, (DX)(R8*2)
	VMOVUPS    Y7, (DX)(R11*1)
	ADDQ       $32, SI
	LEAQ       (DX)(R8*4), DI
	DECQ       CX
	JNZ        block
	VZEROUPPER
	RET

// func transpose4x4Float64(dst unsafe.Pointer, ldd int, src unsafe.Pointer, lds, blocks int)
// The same for blocks of 4×4.
TEXT ·transpose4x4Float64(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ ldd+8(FP), R8
	MOVQ src+16(FP), SI
	MOVQ lds+24(FP), R9
	MOVQ blocks+32(FP), CX
	LEAQ (R9)(R9*2), R10
	LEAQ (R8)(R8*2), R11

block4:
	VMOVUPD    (SI), Y0
	VMOVUPD    (SI)(R9*1), Y1
	VMOVUPD    (SI)(R9*2), Y2
	VMOVUPD    (SI)(R10*1), Y3
	VUNPCKLPD  Y1, Y0, Y4
	VUNPCKHPD  Y1, Y0, Y5
	VUNPCKLPD  Y3, Y2, Y6
	VUNPCKHPD  Y3, Y2, Y7
	VPERM2F128 $0x20, Y6, Y4, Y0
	VPERM2F128 $0x20, Y7, Y5, Y1
	VPERM2F128 $0x31, Y6, Y4, Y2
	VPERM2F128 $0x31, Y7, Y5, Y3
	VMOVUPD    Y0, (DI)
	VMOVUPD    Y1, (DI)(R8*1)
	VMOVUPD    Y2, (DI)(R8*2)
	VMOVUPD    Y3, (DI)(R11*1)
	ADDQ       $32, SI
	LEAQ       (DI)(R8*4), DI
	DECQ       CX
	JNZ        block4
	VZEROUPPER
	RET
