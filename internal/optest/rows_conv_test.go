package optest

import "github.com/descent-ml/descent/tensor"

// conv2d is Conv2d with a bias where there is a third input.
func conv2d(o tensor.Conv2dOptions) func(x []*T) *T {
	return func(x []*T) *T { return tensor.Conv2d(x[0], x[1], pick(x, 2), o) }
}

func conv1d(o tensor.Conv1dOptions) func(x []*T) *T {
	return func(x []*T) *T { return tensor.Conv1d(x[0], x[1], pick(x, 2), o) }
}

func convTranspose2d(o tensor.ConvTranspose2dOptions) func(x []*T) *T {
	return func(x []*T) *T { return tensor.ConvTranspose2d(x[0], x[1], pick(x, 2), o) }
}

var _ = rows("conv",
	Row{name: "conv2d", op: conv2d(tensor.Conv2dOptions{}), torch: "F.conv2d(*xs)", in: in(f(2, 3, 5, 4), f(4, 3, 3, 2), f(4)), tol: 10},
	Row{name: "conv2d_no_bias", op: conv2d(tensor.Conv2dOptions{}), torch: "F.conv2d(*xs)", in: in(f(1, 2, 4, 4), f(3, 2, 2, 2)), tol: 10},
	Row{name: "conv2d_pointwise", op: conv2d(tensor.Conv2dOptions{}), torch: "F.conv2d(*xs)", in: in(f(2, 5, 3, 3), f(4, 5, 1, 1), f(4)), tol: 10},
	Row{name: "conv2d_unbatched", op: conv2d(tensor.Conv2dOptions{}), torch: "F.conv2d(*xs)", in: in(f(2, 4, 5), f(3, 2, 2, 3), f(3)), tol: 10},
	Row{name: "conv2d_stride", op: conv2d(tensor.Conv2dOptions{Stride: [2]int{2, 3}}), torch: "F.conv2d(*xs, stride=(2, 3))",
		in: in(f(2, 2, 6, 8), f(3, 2, 3, 2), f(3)), tol: 10},
	Row{name: "conv2d_padding", op: conv2d(tensor.Conv2dOptions{Padding: [2]int{2, 1}}), torch: "F.conv2d(*xs, padding=(2, 1))",
		in: in(f(1, 2, 3, 4), f(3, 2, 3, 3), f(3)), tol: 10},
	Row{name: "conv2d_dilation", op: conv2d(tensor.Conv2dOptions{Dilation: [2]int{2, 1}, Padding: [2]int{1, 1}}), torch: "F.conv2d(*xs, padding=1, dilation=(2, 1))",
		in: in(f(1, 2, 6, 5), f(2, 2, 3, 3), f(2)), tol: 10},
	Row{name: "conv2d_groups", op: conv2d(tensor.Conv2dOptions{Groups: 2, Stride: [2]int{2, 2}, Padding: [2]int{1, 1}}),
		torch: "F.conv2d(*xs, stride=2, padding=1, groups=2)", in: in(f(2, 4, 5, 5), f(6, 2, 3, 3), f(6)), tol: 10},
	Row{name: "conv2d_depthwise", op: conv2d(tensor.Conv2dOptions{Groups: 3, Padding: [2]int{1, 1}}),
		torch: "F.conv2d(*xs, padding=1, groups=3)", in: in(f(2, 3, 4, 4), f(6, 1, 3, 3), f(6)), tol: 10},
	Row{name: "conv2d_same", op: conv2d(tensor.Conv2dOptions{Same: true, Dilation: [2]int{1, 3}}),
		torch: "F.conv2d(*xs, padding='same', dilation=(1, 3))", in: in(f(1, 2, 5, 6), f(2, 2, 3, 2), f(2)), tol: 10},
	Row{name: "conv1d", op: conv1d(tensor.Conv1dOptions{Stride: 2, Padding: 1, Dilation: 2, Groups: 2}),
		torch: "F.conv1d(*xs, stride=2, padding=1, dilation=2, groups=2)", in: in(f(2, 4, 9), f(4, 2, 3), f(4)), tol: 10},
	Row{name: "conv1d_unbatched", op: conv1d(tensor.Conv1dOptions{Same: true}),
		torch: "F.conv1d(*xs, padding='same')", in: in(f(2, 5), f(4, 2, 4)), tol: 10},
	Row{name: "conv_transpose2d", op: convTranspose2d(tensor.ConvTranspose2dOptions{Stride: [2]int{2, 3}, Padding: [2]int{1, 0}, OutputPadding: [2]int{1, 2}, Groups: 2}),
		torch: "F.conv_transpose2d(*xs, stride=(2, 3), padding=(1, 0), output_padding=(1, 2), groups=2)", in: in(f(2, 4, 3, 2), f(4, 3, 3, 2), f(6)), tol: 10},
	Row{name: "conv_transpose2d_dilation", op: convTranspose2d(tensor.ConvTranspose2dOptions{Dilation: [2]int{2, 2}}),
		torch: "F.conv_transpose2d(*xs, dilation=2)", in: in(f(1, 2, 3, 3), f(2, 3, 2, 2)), tol: 10},
)
