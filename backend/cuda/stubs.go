package cuda

import "github.com/descent-ml/descent/backend"

// What no family of kernels serves yet. Each leaves this file as its kernels come.
// A method begins with note: note(d, "Unary", op, out, p), note(d, "Copy", noOp, out, accumulate).

type (
	matmulState    struct{} // of matmul.go: what it keeps for a device, ready when zero
	convState      struct{} // of conv.go
	attentionState struct{} // of attention.go
)

func (d *Device) Copy(out, x backend.Array, accumulate bool) error {
	return unsupported("Copy", x.DType)
}

func (d *Device) Generate(op backend.GenerateOp, out backend.Array, p backend.Params) error {
	return unsupported(op, out.DType)
}

func (d *Device) Unary(op backend.UnaryOp, out, x backend.Array, p backend.Params) error {
	return unsupported(op, x.DType)
}

func (d *Device) Binary(op backend.BinaryOp, out, x, y backend.Array, p backend.Params) error {
	return unsupported(op, x.DType)
}

func (d *Device) Ternary(op backend.TernaryOp, out, x, y, z backend.Array, p backend.Params) error {
	return unsupported(op, out.DType)
}

func (d *Device) Reduce(op backend.ReduceOp, out, x backend.Array) error {
	return unsupported(op, x.DType)
}

func (d *Device) Scan(op backend.ScanOp, out, idx, x backend.Array, axis int) error {
	return unsupported(op, x.DType)
}

func (d *Device) Sort(out, idx, x backend.Array, axis int, descending bool) error {
	return unsupported("Sort", x.DType)
}

func (d *Device) Gather(out, x, index backend.Array, axis int) error {
	return unsupported("Gather", x.DType)
}

func (d *Device) Scatter(op backend.ScatterOp, out, index, src backend.Array, axis int) error {
	return unsupported(op, out.DType)
}

func (d *Device) MatMul(out, x, y backend.Array, e backend.Epilogue) error {
	return unsupported("MatMul", x.DType)
}

func (d *Device) Conv(op backend.ConvOp, out, a, b backend.Array, p backend.ConvParams, e backend.Epilogue) error {
	return unsupported(op, a.DType)
}

func (d *Device) ChannelsLast() bool { return true }

func (d *Device) Pool(op backend.PoolOp, out, idx, x backend.Array, p backend.PoolParams) error {
	return unsupported(op, x.DType)
}

func (d *Device) Norm(out, mean, variance, x, weight, bias backend.Array, eps float64) error {
	return unsupported("Norm", x.DType)
}

func (d *Device) NormBackward(dx, dweight, dbias, g, x, mean, variance, weight backend.Array, eps float64) error {
	return unsupported("NormBackward", x.DType)
}

func (d *Device) Softmax(op backend.SoftmaxOp, out, x, y backend.Array, axis int) error {
	return unsupported(op, x.DType)
}

func (d *Device) CrossEntropy(loss, lse, x, labels backend.Array, p backend.CrossEntropyParams) error {
	return unsupported("CrossEntropy", x.DType)
}

func (d *Device) CrossEntropyBackward(dx, g, lse, x, labels backend.Array, p backend.CrossEntropyParams) error {
	return unsupported("CrossEntropyBackward", x.DType)
}

func (d *Device) OptimizerStep(op backend.OptimizerOp, params, grads []backend.Array, state [][]backend.Array, p backend.OptimizerParams) error {
	if len(params) == 0 {
		return nil
	}
	return unsupported(op, params[0].DType)
}

func (d *Device) SumSquares(out backend.Array, xs []backend.Array) error {
	return unsupported("SumSquares", out.DType)
}

func (d *Device) Attention(out, lse, q, k, v backend.Array, p backend.AttentionParams) error {
	return unsupported("Attention", q.DType)
}

func (d *Device) AttentionBackward(dq, dk, dv, g, out, lse, q, k, v backend.Array, p backend.AttentionParams) error {
	return unsupported("AttentionBackward", q.DType)
}
