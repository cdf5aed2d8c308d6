//go:build !noasm

#include "textflag.h"
#include "loops_amd64.h"
#include "exp_amd64.h"

BITS(minusInf, 0xff800000ff800000)
BITS(infinity, 0x7f8000007f800000)

// HORIZONTAL adds the lanes of Y0 into X0; uses X1.
#define HORIZONTAL \
	VEXTRACTF128 $1, Y0, X1; \
	VADDPS       X1, X0, X0; \
	VMOVHLPS     X0, X0, X1; \
	VADDPS       X1, X0, X0; \
	VMOVSHDUP    X0, X1; \
	VADDSS       X1, X0, X0

// EXTREME(OP, START): the extreme element of x, or NaN. Y4 to Y7 gather where an element was NaN.
#define EXTREME(OP, START) \
	MOVQ    x+0(FP), SI; \
	MOVQ    n+8(FP), CX; \
	VMOVUPS START<>(SB), Y0; \
	VMOVUPS Y0, Y1; \
	VMOVUPS Y0, Y2; \
	VMOVUPS Y0, Y3; \
	VXORPS  Y4, Y4, Y4; \
	VXORPS  Y5, Y5, Y5; \
	SUBQ    $32, CX; \
	JLT     eights; \
loop: \
	VMOVUPS (SI), Y8; \
	VMOVUPS 32(SI), Y9; \
	VMOVUPS 64(SI), Y10; \
	VMOVUPS 96(SI), Y11; \
	OP      Y8, Y0, Y0; \
	OP      Y9, Y1, Y1; \
	OP      Y10, Y2, Y2; \
	OP      Y11, Y3, Y3; \
	VCMPPS  $3, Y8, Y9, Y8; \
	VCMPPS  $3, Y10, Y11, Y10; \
	VORPS   Y8, Y4, Y4; \
	VORPS   Y10, Y5, Y5; \
	ADDQ    $128, SI; \
	SUBQ    $32, CX; \
	JGE     loop; \
eights: \
	ADDQ $24, CX; \
	JLT  tail; \
eight: \
	VMOVUPS (SI), Y8; \
	OP      Y8, Y0, Y0; \
	VCMPPS  $3, Y8, Y8, Y8; \
	VORPS   Y8, Y4, Y4; \
	ADDQ    $32, SI; \
	SUBQ    $8, CX; \
	JGE     eight; \
tail: \
	ADDQ       $8, CX; \
	JZ         done; \
	MASK; \
	VMASKMOVPS (SI), Y15, Y8; \
	VMOVUPS    START<>(SB), Y9; \
	VBLENDVPS  Y15, Y8, Y9, Y8; \
	OP         Y8, Y0, Y0; \
	VCMPPS     $3, Y8, Y8, Y8; \
	VORPS      Y8, Y4, Y4; \
done: \
	VORPS        Y5, Y4, Y4; \
	OP           Y1, Y0, Y0; \
	OP           Y3, Y2, Y2; \
	OP           Y2, Y0, Y0; \
	VEXTRACTF128 $1, Y0, X1; \
	OP           X1, X0, X0; \
	VMOVHLPS     X0, X0, X1; \
	OP           X1, X0, X0; \
	VMOVSHDUP    X0, X1; \
	OP           X1, X0, X0; \
	VMOVMSKPS    Y4, AX; \
	TESTL        AX, AX; \
	JZ           number; \
	VPCMPEQD     X0, X0, X0; \
number: \
	VMOVSS X0, ret+16(FP); \
	VZEROUPPER; \
	RET

// func sumAVX2(x *float32, n int) float32
TEXT ·sumAVX2(SB), NOSPLIT, $0-20
	MOVQ   x+0(FP), SI
	MOVQ   n+8(FP), CX
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7
	SUBQ   $64, CX
	JLT    eights

loop:
	VADDPS (SI), Y0, Y0
	VADDPS 32(SI), Y1, Y1
	VADDPS 64(SI), Y2, Y2
	VADDPS 96(SI), Y3, Y3
	VADDPS 128(SI), Y4, Y4
	VADDPS 160(SI), Y5, Y5
	VADDPS 192(SI), Y6, Y6
	VADDPS 224(SI), Y7, Y7
	ADDQ   $256, SI
	SUBQ   $64, CX
	JGE    loop

eights:
	ADDQ $56, CX
	JLT  tail

eight:
	VADDPS (SI), Y0, Y0
	ADDQ   $32, SI
	SUBQ   $8, CX
	JGE    eight

tail:
	ADDQ       $8, CX
	JZ         done
	MASK
	VMASKMOVPS (SI), Y15, Y8
	VADDPS     Y8, Y1, Y1

done:
	VADDPS Y4, Y0, Y0
	VADDPS Y5, Y1, Y1
	VADDPS Y6, Y2, Y2
	VADDPS Y7, Y3, Y3
	VADDPS Y2, Y0, Y0
	VADDPS Y3, Y1, Y1
	VADDPS Y1, Y0, Y0
	HORIZONTAL
	VMOVSS X0, ret+16(FP)
	VZEROUPPER
	RET

// func dotAVX2(x, y *float32, n int) float32
TEXT ·dotAVX2(SB), NOSPLIT, $0-28
	MOVQ   x+0(FP), SI
	MOVQ   y+8(FP), DX
	MOVQ   n+16(FP), CX
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7
	SUBQ   $64, CX
	JLT    eights

loop:
	VMOVUPS     (SI), Y8
	VMOVUPS     32(SI), Y9
	VMOVUPS     64(SI), Y10
	VMOVUPS     96(SI), Y11
	VFMADD231PS (DX), Y8, Y0
	VFMADD231PS 32(DX), Y9, Y1
	VFMADD231PS 64(DX), Y10, Y2
	VFMADD231PS 96(DX), Y11, Y3
	VMOVUPS     128(SI), Y8
	VMOVUPS     160(SI), Y9
	VMOVUPS     192(SI), Y10
	VMOVUPS     224(SI), Y11
	VFMADD231PS 128(DX), Y8, Y4
	VFMADD231PS 160(DX), Y9, Y5
	VFMADD231PS 192(DX), Y10, Y6
	VFMADD231PS 224(DX), Y11, Y7
	ADDQ        $256, SI
	ADDQ        $256, DX
	SUBQ        $64, CX
	JGE         loop

eights:
	ADDQ $56, CX
	JLT  tail

eight:
	VMOVUPS     (SI), Y8
	VFMADD231PS (DX), Y8, Y0
	ADDQ        $32, SI
	ADDQ        $32, DX
	SUBQ        $8, CX
	JGE         eight

tail:
	ADDQ        $8, CX
	JZ          done
	MASK
	VMASKMOVPS  (SI), Y15, Y8
	VMASKMOVPS  (DX), Y15, Y9
	VFMADD231PS Y9, Y8, Y1

done:
	VADDPS Y4, Y0, Y0
	VADDPS Y5, Y1, Y1
	VADDPS Y6, Y2, Y2
	VADDPS Y7, Y3, Y3
	VADDPS Y2, Y0, Y0
	VADDPS Y3, Y1, Y1
	VADDPS Y1, Y0, Y0
	HORIZONTAL
	VMOVSS X0, ret+24(FP)
	VZEROUPPER
	RET

// func maxOfAVX2(x *float32, n int) float32
TEXT ·maxOfAVX2(SB), NOSPLIT, $0-20
	EXTREME(VMAXPS, minusInf)

// func minOfAVX2(x *float32, n int) float32
TEXT ·minOfAVX2(SB), NOSPLIT, $0-20
	EXTREME(VMINPS, infinity)

// func expSumAVX2(dst, x *float32, n int, shift float32) float32
// dst = e^(x-shift); returns the sum.
TEXT ·expSumAVX2(SB), NOSPLIT, $0-36
	MOVQ         dst+0(FP), DI
	MOVQ         x+8(FP), SI
	MOVQ         n+16(FP), CX
	VBROADCASTSS shift+24(FP), Y14
	VXORPS       Y12, Y12, Y12
	VXORPS       Y13, Y13, Y13
	SUBQ         $16, CX
	JLT          eights

loop:
	VMOVUPS (SI), Y0
	VSUBPS  Y14, Y0, Y0
	EXP
	VMOVUPS Y0, (DI)
	VADDPS  Y0, Y12, Y12
	VMOVUPS 32(SI), Y0
	VSUBPS  Y14, Y0, Y0
	EXP
	VMOVUPS Y0, 32(DI)
	VADDPS  Y0, Y13, Y13
	ADDQ    $64, SI
	ADDQ    $64, DI
	SUBQ    $16, CX
	JGE     loop

eights:
	ADDQ    $8, CX
	JLT     tail
	VMOVUPS (SI), Y0
	VSUBPS  Y14, Y0, Y0
	EXP
	VMOVUPS Y0, (DI)
	VADDPS  Y0, Y12, Y12
	ADDQ    $32, SI
	ADDQ    $32, DI
	SUBQ    $8, CX

tail:
	ADDQ       $8, CX
	JZ         done
	MASK
	VMASKMOVPS (SI), Y15, Y0
	VSUBPS     Y14, Y0, Y0
	EXP
	VMASKMOVPS Y0, Y15, (DI)
	VANDPS     Y15, Y0, Y0
	VADDPS     Y0, Y13, Y13

done:
	VADDPS Y13, Y12, Y0
	HORIZONTAL
	VMOVSS X0, ret+32(FP)
	VZEROUPPER
	RET
