//go:build !noasm

#include "textflag.h"
#include "loops_amd64.h"
#include "exp_amd64.h"

BITS(signBit, 0x8000000080000000)
BITS(absBits, 0x7fffffff7fffffff)
BITS(infinity, 0x7f8000007f800000)
BITS(minusInf, 0xff800000ff800000)
BITS(quietNaN, 0x7fc000007fc00000)
CONST(two, 2.0)

// func expAVX2(dst, x *float32, n int)
TEXT ·expAVX2(SB), NOSPLIT, $0-24
	UNARY(EXP)

// Logarithm: the significand is taken to [2/3, 4/3) by integer arithmetic; log1p by a polynomial in two chains.
// N. Juffa, "Efficient implementation of natural logarithm (ln) and exponentiation", Stack Overflow 39821367: 0.85 ULP.
BITS(logSplit, 0x3f2aaaab3f2aaaab)
BITS(exponent, 0xff800000ff800000)
CONST(smallest, 1.17549435082228750797e-38)
CONST(two23, 8388608.0)
CONST(minus23, -23.0)
CONST(ulpOfOne, 1.1920928955078125e-7)
CONST(logR6, -0.130310058593750)
CONST(logT6, 0.140869140625)
CONST(logR5, -0.121484190225601196289)
CONST(logT5, 0.139814853668212890625)
CONST(logR4, -0.166846051812171936035)
CONST(logT4, 0.200120344758033752441)
CONST(logR3, -0.249996200203895568848)
CONST(logR2, 0.333331972360610961914)
CONST(minusHalf, -0.5)
CONST(ln2, 0.693147180559945309417)

#define LOG \
	VMOVUPS      Y0, Y14; \
	VCMPPS       $1, smallest<>(SB), Y0, Y1; \
	VMULPS       two23<>(SB), Y0, Y2; \
	VBLENDVPS    Y1, Y2, Y0, Y0; \
	VANDPS       minus23<>(SB), Y1, Y1; \
	VPSUBD       logSplit<>(SB), Y0, Y2; \
	VPAND        exponent<>(SB), Y2, Y2; \
	VPSUBD       Y2, Y0, Y0; \
	VCVTDQ2PS    Y2, Y2; \
	VFMADD231PS  ulpOfOne<>(SB), Y2, Y1; \
	VSUBPS       one<>(SB), Y0, Y0; \
	VMULPS       Y0, Y0, Y2; \
	VMOVUPS      logR6<>(SB), Y3; \
	VMOVUPS      logT6<>(SB), Y4; \
	VFMADD213PS  logR5<>(SB), Y2, Y3; \
	VFMADD213PS  logT5<>(SB), Y2, Y4; \
	VFMADD213PS  logR4<>(SB), Y2, Y3; \
	VFMADD213PS  logT4<>(SB), Y2, Y4; \
	VFMADD213PS  logR3<>(SB), Y2, Y3; \
	VFMADD231PS  Y0, Y4, Y3; \
	VFMADD213PS  logR2<>(SB), Y0, Y3; \
	VFMADD213PS  minusHalf<>(SB), Y0, Y3; \
	VFMADD213PS  Y0, Y2, Y3; \
	VFMADD231PS  ln2<>(SB), Y1, Y3; \
	VXORPS       Y4, Y4, Y4; \
	VCMPPS       $0, infinity<>(SB), Y14, Y0; \
	VBLENDVPS    Y0, Y14, Y3, Y3; \
	VCMPPS       $0, Y4, Y14, Y0; \
	VBLENDVPS    Y0, minusInf<>(SB), Y3, Y3; \
	VCMPPS       $9, Y4, Y14, Y0; \
	VBLENDVPS    Y0, quietNaN<>(SB), Y3, Y0

// func logAVX2(dst, x *float32, n int)
TEXT ·logAVX2(SB), NOSPLIT, $0-24
	UNARY(LOG)

// Hyperbolic tangent: Cephes tanhf, an odd polynomial below 0.625 and 1 - 2/(e^2|x| + 1) above.
CONST(tanhSplit, 0.625)
CONST(tanhMax, 20.0)
CONST(tanh5, -5.70498872745E-3)
CONST(tanh4, 2.06390887954E-2)
CONST(tanh3, -5.37397155531E-2)
CONST(tanh2, 1.33314422036E-1)
CONST(tanh1, -3.33332819422E-1)

#define TANH \
	VMOVUPS     Y0, Y14; \
	VANDPS      absBits<>(SB), Y0, Y13; \
	VADDPS      Y13, Y13, Y0; \
	VMOVUPS     tanhMax<>(SB), Y1; \
	VMINPS      Y0, Y1, Y0; \
	EXPNEAR; \
	VADDPS      one<>(SB), Y0, Y0; \
	VMOVUPS     two<>(SB), Y1; \
	VDIVPS      Y0, Y1, Y0; \
	VMOVUPS     one<>(SB), Y1; \
	VSUBPS      Y0, Y1, Y0; \
	VANDPS      signBit<>(SB), Y14, Y1; \
	VORPS       Y1, Y0, Y0; \
	VMULPS      Y14, Y14, Y2; \
	VMOVUPS     tanh5<>(SB), Y3; \
	VFMADD213PS tanh4<>(SB), Y2, Y3; \
	VFMADD213PS tanh3<>(SB), Y2, Y3; \
	VFMADD213PS tanh2<>(SB), Y2, Y3; \
	VFMADD213PS tanh1<>(SB), Y2, Y3; \
	VMULPS      Y2, Y3, Y3; \
	VFMADD213PS Y14, Y14, Y3; \
	VCMPPS      $1, tanhSplit<>(SB), Y13, Y1; \
	VBLENDVPS   Y1, Y3, Y0, Y0

// func tanhAVX2(dst, x *float32, n int)
TEXT ·tanhAVX2(SB), NOSPLIT, $0-24
	UNARY(TANH)

// DENOMINATOR: Y0 to 1 + e^-Y0.
#define DENOMINATOR \
	VXORPS signBit<>(SB), Y0, Y0; \
	EXP; \
	VADDPS one<>(SB), Y0, Y0

#define SIGMOID \
	DENOMINATOR; \
	VMOVUPS one<>(SB), Y1; \
	VDIVPS  Y0, Y1, Y0

// func sigmoidAVX2(dst, x *float32, n int)
TEXT ·sigmoidAVX2(SB), NOSPLIT, $0-24
	UNARY(SIGMOID)

#define SILU \
	VMOVUPS Y0, Y14; \
	DENOMINATOR; \
	VDIVPS  Y0, Y14, Y0

// func siluAVX2(dst, x *float32, n int)
TEXT ·siluAVX2(SB), NOSPLIT, $0-24
	UNARY(SILU)

// Error function: a polynomial below 475/512, 1 - e^polynomial above.
// N. Juffa, "Need for a fast, faithfully-rounded erff", Stack Overflow 35148198: 1 ULP.
CONST(erfSplit, 0.927734375)
CONST(erfMin, -60.0)
CONST(erfA6, -1.72853469848632812500e-5)
CONST(erfA5, 3.83197126211598515511e-4)
CONST(erfA4, -3.88396438211202621460e-3)
CONST(erfA3, 2.42546219378709793091e-2)
CONST(erfA2, -0.106777877)
CONST(erfA1, -0.634846687)
CONST(erfA0, -0.128717512)
CONST(erfB6, -5.96761703491210937500e-4)
CONST(erfB5, 4.99119423329830169678e-3)
CONST(erfB4, -2.67681349068880081177e-2)
CONST(erfB3, 0.112819924950599670410)
CONST(erfB2, -0.376125335693359375)
CONST(erfB1, 0.128379166126251220703)

#define ERF \
	VMOVUPS      Y0, Y14; \
	VANDPS       absBits<>(SB), Y0, Y13; \
	VMULPS       Y0, Y0, Y12; \
	VMOVUPS      erfA6<>(SB), Y0; \
	VMOVUPS      erfA4<>(SB), Y1; \
	VFMADD213PS  erfA5<>(SB), Y13, Y0; \
	VFMADD213PS  erfA3<>(SB), Y13, Y1; \
	VFMADD213PS  Y1, Y12, Y0; \
	VFMADD213PS  erfA2<>(SB), Y13, Y0; \
	VFMADD213PS  erfA1<>(SB), Y13, Y0; \
	VFMADD213PS  erfA0<>(SB), Y13, Y0; \
	VFMSUB213PS  Y13, Y13, Y0; \
	VMOVUPS      erfMin<>(SB), Y1; \
	VMAXPS       Y0, Y1, Y0; \
	EXPNEAR; \
	VMOVUPS      one<>(SB), Y1; \
	VSUBPS       Y0, Y1, Y0; \
	VANDPS       signBit<>(SB), Y14, Y1; \
	VORPS        Y1, Y0, Y0; \
	VMOVUPS      erfB6<>(SB), Y2; \
	VFMADD213PS  erfB5<>(SB), Y12, Y2; \
	VFMADD213PS  erfB4<>(SB), Y12, Y2; \
	VFMADD213PS  erfB3<>(SB), Y12, Y2; \
	VFMADD213PS  erfB2<>(SB), Y12, Y2; \
	VFMADD213PS  erfB1<>(SB), Y12, Y2; \
	VFMADD213PS  Y14, Y14, Y2; \
	VCMPPS       $1, erfSplit<>(SB), Y13, Y1; \
	VBLENDVPS    Y1, Y2, Y0, Y0

// func erfAVX2(dst, x *float32, n int)
TEXT ·erfAVX2(SB), NOSPLIT, $0-24
	UNARY(ERF)

CONST(sqrtHalf, 0.707106781186547524400844362104849039)

// HALFTIMES: Y0 to Y11/2·(1 + Y0).
#define HALFTIMES \
	VADDPS one<>(SB), Y0, Y0; \
	VMULPS half<>(SB), Y11, Y1; \
	VMULPS Y1, Y0, Y0

#define GELU \
	VMOVUPS Y0, Y11; \
	VMULPS  sqrtHalf<>(SB), Y0, Y0; \
	ERF; \
	HALFTIMES

// func geluAVX2(dst, x *float32, n int)
TEXT ·geluAVX2(SB), NOSPLIT, $0-24
	UNARY(GELU)

CONST(geluCube, 0.044715)
CONST(sqrt2overPi, 0.797884560802865355879892119868763737)

#define GELUTANH \
	VMOVUPS     Y0, Y11; \
	VMULPS      Y0, Y0, Y1; \
	VMULPS      Y0, Y1, Y1; \
	VFMADD231PS geluCube<>(SB), Y1, Y0; \
	VMULPS      sqrt2overPi<>(SB), Y0, Y0; \
	TANH; \
	HALFTIMES

// func geluTanhAVX2(dst, x *float32, n int)
TEXT ·geluTanhAVX2(SB), NOSPLIT, $0-24
	UNARY(GELUTANH)

#define SQRT(y, x, t) VSQRTPS x, x

// func sqrtAVX2(dst, x *float32, n int)
TEXT ·sqrtAVX2(SB), NOSPLIT, $0-24
	CHEAP(SQRT)

#define RSQRT(y, x, t) \
	VSQRTPS x, x; \
	VDIVPS  x, y, x

// func rsqrtAVX2(dst, x *float32, n int)
TEXT ·rsqrtAVX2(SB), NOSPLIT, $0-24
	VMOVUPS one<>(SB), Y4
	CHEAP(RSQRT)

#define ABS(y, x, t) VANDPS y, x, x

// func absAVX2(dst, x *float32, n int)
TEXT ·absAVX2(SB), NOSPLIT, $0-24
	VMOVUPS absBits<>(SB), Y4
	CHEAP(ABS)

#define NEG(y, x, t) VXORPS y, x, x

// func negAVX2(dst, x *float32, n int)
TEXT ·negAVX2(SB), NOSPLIT, $0-24
	VMOVUPS signBit<>(SB), Y4
	CHEAP(NEG)

// VMAXPS gives the operand named first if either is NaN, or both are zero.
#define RELU(y, x, t) VMAXPS x, y, x

// func reluAVX2(dst, x *float32, n int)
TEXT ·reluAVX2(SB), NOSPLIT, $0-24
	VXORPS Y4, Y4, Y4
	CHEAP(RELU)
