//go:build !noasm

#include "textflag.h"
#include "go_asm.h"
#include "loops_amd64.h"

// func adamAVX2(p, dp, m, v, vmax *float32, n int, c *adamScalars)
// vmax may be nil. The comments of Adam.Update hold the formula.
TEXT ·adamAVX2(SB), NOSPLIT, $0-56
	MOVQ p+0(FP), DI
	MOVQ dp+8(FP), SI
	MOVQ m+16(FP), DX
	MOVQ v+24(FP), BX
	MOVQ vmax+32(FP), R8
	MOVQ n+40(FP), CX
	MOVQ c+48(FP), R10
	VBROADCASTSS adamScalars_mix1(R10), Y14
	VBROADCASTSS adamScalars_beta2(R10), Y13
	VBROADCASTSS adamScalars_mix2(R10), Y12
	VBROADCASTSS adamScalars_step(R10), Y11
	VBROADCASTSS adamScalars_root(R10), Y10
	VBROADCASTSS adamScalars_eps(R10), Y9
	VBROADCASTSS adamScalars_decay(R10), Y8
	VBROADCASTSS adamScalars_couple(R10), Y7

// Y0 p, Y1 gradient, Y2 m, Y3 v; Y4 and Y5 are free.
#define ADAM \
	VBROADCASTSS adamScalars_factor(R10), Y4; \
	VBROADCASTSS adamScalars_fromGrad(R10), Y5; \
	VMULPS       Y4, Y1, Y1; \
	VFMADD231PS  Y7, Y0, Y1; \
	VFNMADD231PS Y8, Y0, Y0; \
	VSUBPS       Y2, Y1, Y4; \
	VBLENDVPS    Y5, Y1, Y2, Y2; \
	VFMADD231PS  Y14, Y4, Y2; \
	VMULPS       Y1, Y12, Y4; \
	VMULPS       Y1, Y4, Y4; \
	VFMADD213PS  Y4, Y13, Y3

// Y4 = √v/root + eps and the step.
#define APPLY(v) \
	VSQRTPS v, Y4; \
	VDIVPS  Y10, Y4, Y4; \
	VADDPS  Y9, Y4, Y4; \
	VMULPS  Y2, Y11, Y5; \
	VDIVPS  Y4, Y5, Y5; \
	VSUBPS  Y5, Y0, Y0

	SUBQ  $8, CX
	JLT   tail

loop:
	VMOVUPS (DI), Y0
	VMOVUPS (SI), Y1
	VMOVUPS (DX), Y2
	VMOVUPS (BX), Y3
	ADAM
	VMOVUPS Y2, (DX)
	VMOVUPS Y3, (BX)
	TESTQ   R8, R8
	JZ      apply
	VMOVUPS (R8), Y4
	VCMPPS  $3, Y4, Y4, Y5
	VMAXPS  Y3, Y4, Y3
	VBLENDVPS Y5, Y4, Y3, Y3
	VMOVUPS Y3, (R8)
	ADDQ    $32, R8

apply:
	APPLY(Y3)
	VMOVUPS Y0, (DI)
	ADDQ    $32, DI
	ADDQ    $32, SI
	ADDQ    $32, DX
	ADDQ    $32, BX
	SUBQ    $8, CX
	JGE     loop

tail:
	ADDQ       $8, CX
	JZ         done
	MASK
	VMASKMOVPS (DI), Y15, Y0
	VMASKMOVPS (SI), Y15, Y1
	VMASKMOVPS (DX), Y15, Y2
	VMASKMOVPS (BX), Y15, Y3
	ADAM
	VMASKMOVPS Y2, Y15, (DX)
	VMASKMOVPS Y3, Y15, (BX)
	TESTQ      R8, R8
	JZ         last
	VMASKMOVPS (R8), Y15, Y4
	VCMPPS     $3, Y4, Y4, Y5
	VMAXPS     Y3, Y4, Y3
	VBLENDVPS  Y5, Y4, Y3, Y3
	VMASKMOVPS Y3, Y15, (R8)

last:
	APPLY(Y3)
	VMASKMOVPS Y0, Y15, (DI)

done:
	VZEROUPPER
	RET

// func sgdAVX2(p, dp, buf *float32, n int, c *sgdScalars)
// buf is nil without momentum. The comments of SGD.Step hold the formula.
TEXT ·sgdAVX2(SB), NOSPLIT, $0-40
	MOVQ p+0(FP), DI
	MOVQ dp+8(FP), SI
	MOVQ buf+16(FP), DX
	MOVQ n+24(FP), CX
	MOVQ c+32(FP), AX
	VBROADCASTSS sgdScalars_factor(AX), Y14
	VBROADCASTSS sgdScalars_decay(AX), Y13
	VBROADCASTSS sgdScalars_momentum(AX), Y12
	VBROADCASTSS sgdScalars_mix(AX), Y11
	VBROADCASTSS sgdScalars_useGrad(AX), Y10
	VBROADCASTSS sgdScalars_useBuf(AX), Y9
	VBROADCASTSS sgdScalars_lr(AX), Y8

// Y0 p, Y1 gradient.
#define DECAY \
	VMULPS      Y14, Y1, Y1; \
	VFMADD231PS Y13, Y0, Y1

// Y2 buf = momentum·buf + mix·g, and Y1 = useGrad·g + useBuf·buf.
#define MOMENTUM \
	VMULPS      Y1, Y11, Y3; \
	VFMADD213PS Y3, Y12, Y2; \
	VMULPS      Y10, Y1, Y1; \
	VFMADD231PS Y9, Y2, Y1

	SUBQ $8, CX
	JLT  tail

loop:
	VMOVUPS (DI), Y0
	VMOVUPS (SI), Y1
	DECAY
	TESTQ   DX, DX
	JZ      apply
	VMOVUPS (DX), Y2
	MOMENTUM
	VMOVUPS Y2, (DX)
	ADDQ    $32, DX

apply:
	VFNMADD231PS Y8, Y1, Y0
	VMOVUPS Y0, (DI)
	ADDQ    $32, DI
	ADDQ    $32, SI
	SUBQ    $8, CX
	JGE     loop

tail:
	ADDQ       $8, CX
	JZ         done
	MASK
	VMASKMOVPS (DI), Y15, Y0
	VMASKMOVPS (SI), Y15, Y1
	DECAY
	TESTQ      DX, DX
	JZ         last
	VMASKMOVPS (DX), Y15, Y2
	MOMENTUM
	VMASKMOVPS Y2, Y15, (DX)

last:
	VFNMADD231PS Y8, Y1, Y0
	VMASKMOVPS Y0, Y15, (DI)

done:
	VZEROUPPER
	RET
