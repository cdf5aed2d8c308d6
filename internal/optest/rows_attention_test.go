package optest

import "github.com/descent-ml/descent/tensor"

// attention attends with a mask where there is a fourth input.
func attention(o tensor.AttentionOptions) func(x []*T) *T {
	return func(x []*T) *T {
		o := o
		o.Mask = pick(x, 3)
		return tensor.ScaledDotProductAttention(x[0], x[1], x[2], o)
	}
}

// math is PyTorch's plain kernel, which has second gradients.
const mathKernel = "torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH)(F.scaled_dot_product_attention)"

var _ = rows("attention",
	Row{name: "attention", op: attention(tensor.AttentionOptions{}), torch: mathKernel + "(*xs)", in: in(f(2, 3, 4), f(2, 5, 4), f(2, 5, 3)), tol: 3},
	Row{name: "attention_heads", op: attention(tensor.AttentionOptions{Scale: 0.3}), torch: mathKernel + "(*xs, scale=0.3)",
		in: in(f(2, 2, 3, 4), f(2, 2, 3, 4), f(2, 2, 3, 2)), tol: 3},
	Row{name: "attention_causal", op: attention(tensor.AttentionOptions{Causal: true}), torch: mathKernel + "(*xs, is_causal=True)", in: in(f(2, 4, 3), f(2, 5, 3), f(2, 5, 3)), tol: 3},
	Row{name: "attention_bool_mask", op: attention(tensor.AttentionOptions{}), torch: mathKernel + "(*xs)",
		in: in(f(2, 3, 4), f(2, 4, 4), f(2, 4, 3), bools(3, 4).of(0, 0, 0, 0, 1, 0, 1, 1)), tol: 3},
	Row{name: "attention_float_mask", op: attention(tensor.AttentionOptions{}), torch: mathKernel + "(*xs)",
		in: in(f(2, 3, 4), f(2, 4, 4), f(2, 4, 3), f(2, 1, 4)), tol: 3},
	Row{name: "attention_grouped", op: attention(tensor.AttentionOptions{GroupedQueries: true}), torch: mathKernel + "(*xs, enable_gqa=True)",
		in: in(f(1, 4, 3, 2), f(1, 2, 3, 2), f(1, 2, 3, 2)), tol: 3},
)
