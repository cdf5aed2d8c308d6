package backend

// UnaryOp names an elementwise function of one array. The scalars a function
// takes stand in Params, in the order of the comments.
type UnaryOp uint8

const (
	Identity UnaryOp = iota
	Neg
	Abs
	Sign
	Square
	Reciprocal
	Sqrt
	Rsqrt
	Exp
	Exp2
	Expm1
	Log
	Log2
	Log10
	Log1p
	Sin
	Cos
	Tan
	Asin
	Acos
	Atan
	Sinh
	Cosh
	Asinh
	Acosh
	Atanh
	Tanh
	Sigmoid
	LogSigmoid
	Erf
	Erfc
	ReLU
	LeakyReLU // A: slope for x < 0
	ELU       // A: alpha
	GELU      // x·Φ(x), by erf
	GELUTanh  // the tanh approximation
	SiLU
	Softplus // A: beta, B: threshold, above which it is the identity
	Mish
	Hardtanh // A, B: bounds; at and beyond them the gradient is 0
	Clamp    // A, B: bounds, ±Inf for none; integers take N and M, the extreme int64s for none
	Dropout  // x·B, but 0 where element i, row-major, of the stream's Bernoulli(A) is 1; floats only
	Floor
	Ceil
	Round // half to even
	Trunc
	Not // logical; out is Bool
	IsNaN
	IsInf
	IsFinite
	NumUnary
)

// BinaryOp names an elementwise function of two arrays. The ops from Eq to
// LogicalXor write Bool.
type BinaryOp uint8

const (
	Add BinaryOp = iota
	Sub
	Mul
	Div      // true division, floats only
	FloorDiv // rounds to minus infinity, as Python's //
	TruncDiv
	Remainder // the sign of the divisor, as Python's %
	Fmod      // the sign of the dividend, as C's fmod
	Pow
	Maximum // NaN if either is
	Minimum
	Atan2
	SiLUMul // y·x·σ(x), the gate of a SwiGLU layer
	BitAnd
	BitOr
	BitXor
	Eq
	Ne
	Lt
	Le
	Gt
	Ge
	LogicalAnd
	LogicalOr
	LogicalXor
	// Fused gradients: x is the gradient of the output.
	ReLUGrad      // y: the output
	LeakyReLUGrad // y: the input; A: slope
	ELUGrad       // y: the input; A: alpha
	TanhGrad      // y: the output
	SigmoidGrad   // y: the output
	GELUGrad      // y: the input
	GELUTanhGrad  // y: the input
	SiLUGrad      // y: the input
	SoftplusGrad  // y: the input; A: beta, B: threshold
	HardtanhGrad  // y: the input; A, B: bounds (gradient inside the open interval)
	NumBinary
)

// TernaryOp names an elementwise function of three arrays.
type TernaryOp uint8

const (
	Where   TernaryOp = iota // x (Bool) ? y : z
	Addcmul                  // x + A·y·z
	Addcdiv                  // x + A·y/z
	Lerp                     // x + z·(y-x), from the nearer end
	NumTernary
)

// ReduceOp names a reduction.
type ReduceOp uint8

const (
	Sum ReduceOp = iota // integers and Bool sum into Int64
	Mean
	Prod
	Max // NaN if there is one; Bool too
	Min
	ArgMax // out is Int64: the first index of the maximum in the reduced axes taken as one, row-major; NaN is the largest
	ArgMin // likewise; NaN is the smallest
	All    // out is Bool
	Any
	NumReduce
)

// ScanOp names a running reduction along one axis. The ops from firstPick on have
// a second output, the position that each value comes from.
type ScanOp uint8

const (
	CumSum ScanOp = iota
	CumProd
	CumMax // a later equal value takes over, and so does NaN, for good
	CumMin
	NumScan

	firstPick = CumMax
)

// HasIndex reports whether op has the second output.
func (op ScanOp) HasIndex() bool { return op >= firstPick }

// ScatterOp says what becomes of a value that is already there.
type ScatterOp uint8

const (
	ScatterAssign ScatterOp = iota // with equal indices the last one in row-major order wins
	ScatterAdd
	NumScatter
)

// GenerateOp names a way to fill an array from nothing.
type GenerateOp uint8

const (
	Fill      GenerateOp = iota // A for floats, N for integers and Bool
	Arange                      // start A, step B; for integers start N, step M
	Uniform                     // in [A, B)
	Normal                      // mean A, standard deviation B
	Bernoulli                   // 1 with probability A
	RandInt                     // integers in [N, M)
	NumGenerate
)
