// Package optest has the op table: one row tests an op completely, on every
// device. It is all tests; this comment says how to write a row.
//
// Rows stand in rows_TOPIC_test.go, in one call of rows("TOPIC", ...). A row is
//
//	{name: "addcmul", op: tensor.Addcmul, torch: "torch.addcmul(x, y, z, value=0.5)", in: in(f(2, 3), f(3), f(2, 1))},
//
// where op is a Go function of tensors (any of the signatures in Row.call),
// torch the same as a Python expression of x, y, z (or xs, a list) that gives a
// tensor or a tuple of them, with torch and F (torch.nn.functional) at hand, and
// in the inputs, from package random under the row's name:
//
//	f(2, 3)              float, about [-2, 2], exact in bfloat16, without ties
//	f(2, 3).between(0.1, 3)
//	ints(0, 5, 2, 3)     Int64 in [0, 5) of shape [2, 3], whatever dtype the row is tested in
//	bools(2, 3)
//	.constant()          no gradient is asked for
//	.of(1, 0, math.NaN()) these very values first
//
// What each row is held to:
//
//   - values, gradients and second gradients are PyTorch's, in float64 and in
//     float32; values in float16 and bfloat16 are near them; dtypes are PyTorch's
//   - gradients and second gradients agree with central differences in float64
//   - transposed, sliced, expanded and channels-last inputs give the same
//   - a scope's close leaves no memory behind; without recording a scope holds
//     the inputs and the results alone, and a backward pass leaves only gradients
//   - the null device gives results of the same shape and dtype
//
// The flag each adds, for an elementwise op, integers and bool in every float
// input (where PyTorch refuses, so must the op), special values (zeros,
// infinities, NaN, kinks) and empty tensors. The other flags stand beside Row.
//
// PyTorch's side is in testdata/TOPIC.json. After a change of rows run
//
//	go test ./internal/optest -update          # all topics: make golden
//	go test ./internal/optest -update -topic unary
//
// which asks the Python that scripts/venv prints (PyTorch 2.15; PYTHON overrides
// it) through golden.py. A row without an answer, or changed since, fails.
// -run TestOps/unary/exp runs one row.
package optest
