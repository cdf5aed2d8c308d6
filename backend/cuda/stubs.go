package cuda

import "github.com/descent-ml/descent/backend"

// What no family of kernels serves yet. Each leaves this file as its kernels come.
// A method begins with note: note(d, "Unary", op, out, p), note(d, "Copy", noOp, out, accumulate).

type (
	attentionState struct{} // of attention.go
)

func (d *Device) Attention(out, lse, q, k, v backend.Array, p backend.AttentionParams) error {
	return unsupported("Attention", q.DType)
}

func (d *Device) AttentionBackward(dq, dk, dv, g, out, lse, q, k, v backend.Array, p backend.AttentionParams) error {
	return unsupported("AttentionBackward", q.DType)
}
