// exp and its constants. Polynomial and splitting of ln 2: SLEEF 3, xexpf (1.0 ULP).

CONST(one, 1.0)
CONST(half, 0.5)
CONST(log2e, 1.442695040888963407359924681001892137426645954152985934135449406931)
CONST(ln2hi, 0.693145751953125)
CONST(ln2lo, 1.428606765330187045e-06)
CONST(exp6, 0.000198527617612853646278381)
CONST(exp5, 0.00139304355252534151077271)
CONST(exp4, 0.00833336077630519866943359)
CONST(exp3, 0.0416664853692054748535156)
CONST(exp2, 0.166666671633720397949219)
CONST(expMax, 89.0)
CONST(expMin, -104.0)
BITS(bias, 0x0000007f0000007f)

// EXPPOLY: Y0 to Y2·2^Y1 with an integer Y1; the polynomial is cut in three, for a shorter chain. Uses Y3 to Y5.
#define EXPPOLY \
	VMULPS       log2e<>(SB), Y0, Y1; \
	VROUNDPS     $8, Y1, Y1; \
	VFNMADD231PS ln2hi<>(SB), Y1, Y0; \
	VFNMADD231PS ln2lo<>(SB), Y1, Y0; \
	VCVTPS2DQ    Y1, Y1; \
	VMOVUPS      exp6<>(SB), Y2; \
	VMOVUPS      exp4<>(SB), Y3; \
	VMOVUPS      exp2<>(SB), Y4; \
	VMULPS       Y0, Y0, Y5; \
	VFMADD213PS  exp5<>(SB), Y0, Y2; \
	VFMADD213PS  exp3<>(SB), Y0, Y3; \
	VFMADD213PS  half<>(SB), Y0, Y4; \
	VFMADD213PS  Y3, Y5, Y2; \
	VFMADD213PS  Y4, Y5, Y2; \
	VFMADD213PS  Y0, Y5, Y2; \
	VADDPS       one<>(SB), Y2, Y2

// EXPNEAR: exp of Y0 in [-87, 88], uses Y1 to Y5.
#define EXPNEAR \
	EXPPOLY; \
	VPSLLD $23, Y1, Y1; \
	VPADDD Y1, Y2, Y0

// EXP: exp of any Y0; the power of two is applied in two halves, to reach denormals and infinity. The operand that is
// named first passes its NaN through VMINPS and VMAXPS. Uses Y1 to Y5.
#define EXP \
	VMOVUPS expMax<>(SB), Y1; \
	VMOVUPS expMin<>(SB), Y2; \
	VMINPS  Y0, Y1, Y0; \
	VMAXPS  Y0, Y2, Y0; \
	EXPPOLY; \
	VPSRAD  $1, Y1, Y3; \
	VPSUBD  Y3, Y1, Y1; \
	VPADDD  bias<>(SB), Y3, Y3; \
	VPADDD  bias<>(SB), Y1, Y1; \
	VPSLLD  $23, Y3, Y3; \
	VPSLLD  $23, Y1, Y1; \
	VMULPS  Y3, Y2, Y2; \
	VMULPS  Y1, Y2, Y0
