package optest

import "github.com/descent-ml/descent/tensor"

func maxPool(o tensor.MaxPool2dOptions, kernel ...int) func(x *T) *T {
	return func(x *T) *T { return tensor.MaxPool2d(x, [2]int(kernel), o) }
}

func avgPool(o tensor.AvgPool2dOptions, kernel ...int) func(x *T) *T {
	return func(x *T) *T { return tensor.AvgPool2d(x, [2]int(kernel), o) }
}

func adaptiveAvg(h, w int) func(x *T) *T {
	return func(x *T) *T { return tensor.AdaptiveAvgPool2d(x, [2]int{h, w}) }
}

func adaptiveMax(h, w int) func(x *T) (*T, *T) {
	return func(x *T) (*T, *T) { return tensor.AdaptiveMaxPool2d(x, [2]int{h, w}) }
}

const straight = "the gradient does not depend on the input"

var _ = rows("pool",
	Row{name: "max_pool2d", op: maxPool(tensor.MaxPool2dOptions{}, 2, 2), torch: "F.max_pool2d(x, 2)", in: in(f(2, 3, 4, 5)), ints: true, noSecond: straight},
	Row{name: "max_pool2d_unbatched", op: maxPool(tensor.MaxPool2dOptions{}, 3, 1), torch: "F.max_pool2d(x, (3, 1))", in: in(f(2, 4, 5)), noSecond: straight},
	Row{name: "max_pool2d_stride_padding", op: maxPool(tensor.MaxPool2dOptions{Stride: [2]int{2, 1}, Padding: [2]int{1, 1}}, 3, 2),
		torch: "F.max_pool2d(x, (3, 2), (2, 1), 1)", in: in(f(2, 2, 6, 5)), noSecond: straight},
	Row{name: "max_pool2d_dilation", op: maxPool(tensor.MaxPool2dOptions{Stride: [2]int{1, 1}, Dilation: [2]int{2, 3}}, 2, 2),
		torch: "F.max_pool2d(x, 2, 1, dilation=(2, 3))", in: in(f(1, 2, 5, 6)), noSecond: straight},
	Row{name: "max_pool2d_ceil", op: maxPool(tensor.MaxPool2dOptions{Stride: [2]int{2, 3}, CeilMode: true}, 2, 2),
		torch: "F.max_pool2d(x, 2, (2, 3), ceil_mode=True)", in: in(f(1, 2, 5, 6)), noSecond: straight},
	Row{name: "max_pool2d_indices", op: func(x *T) (*T, *T) {
		return tensor.MaxPool2dWithIndices(x, [2]int{2, 3}, tensor.MaxPool2dOptions{Stride: [2]int{1, 2}, Padding: [2]int{1, 1}})
	}, torch: "F.max_pool2d_with_indices(x, (2, 3), (1, 2), 1)", in: in(f(2, 2, 3, 5)), noSecond: straight},
	Row{name: "adaptive_max_pool2d", op: adaptiveMax(2, 3), torch: "F.adaptive_max_pool2d_with_indices(x, (2, 3))", in: in(f(2, 2, 5, 7)), noSecond: straight},
	Row{name: "adaptive_max_pool2d_even", op: adaptiveMax(2, 3), torch: "F.adaptive_max_pool2d_with_indices(x, (2, 3))", in: in(f(2, 4, 6)), noSecond: straight},
	Row{name: "avg_pool2d", op: avgPool(tensor.AvgPool2dOptions{}, 2, 2), torch: "F.avg_pool2d(x, 2)", in: in(f(2, 3, 4, 5)), noSecond: straight},
	Row{name: "avg_pool2d_unbatched", op: avgPool(tensor.AvgPool2dOptions{}, 3, 1), torch: "F.avg_pool2d(x, (3, 1))", in: in(f(2, 4, 5)), noSecond: straight},
	Row{name: "avg_pool2d_padding", op: avgPool(tensor.AvgPool2dOptions{Stride: [2]int{2, 1}, Padding: [2]int{1, 1}}, 3, 2),
		torch: "F.avg_pool2d(x, (3, 2), (2, 1), 1)", in: in(f(2, 2, 6, 5)), noSecond: straight},
	Row{name: "avg_pool2d_without_padding", op: avgPool(tensor.AvgPool2dOptions{Stride: [2]int{2, 1}, Padding: [2]int{1, 1}, NoCountIncludePad: true}, 3, 2),
		torch: "F.avg_pool2d(x, (3, 2), (2, 1), 1, count_include_pad=False)", in: in(f(2, 2, 6, 5)), noSecond: straight},
	Row{name: "avg_pool2d_ceil", op: avgPool(tensor.AvgPool2dOptions{Stride: [2]int{2, 3}, Padding: [2]int{1, 1}, CeilMode: true}, 3, 2),
		torch: "F.avg_pool2d(x, (3, 2), (2, 3), 1, ceil_mode=True)", in: in(f(1, 2, 6, 6)), noSecond: straight},
	Row{name: "avg_pool2d_divisor", op: avgPool(tensor.AvgPool2dOptions{Divisor: 3}, 2, 3), torch: "F.avg_pool2d(x, (2, 3), divisor_override=3)", in: in(f(1, 2, 4, 6)), noSecond: straight},
	Row{name: "adaptive_avg_pool2d", op: adaptiveAvg(3, 2), torch: "F.adaptive_avg_pool2d(x, (3, 2))", in: in(f(2, 2, 7, 5)), noSecond: straight},
	Row{name: "adaptive_avg_pool2d_even", op: adaptiveAvg(2, 3), torch: "F.adaptive_avg_pool2d(x, (2, 3))", in: in(f(2, 4, 6)), noSecond: straight},
	Row{name: "adaptive_avg_pool2d_one", op: adaptiveAvg(1, 1), torch: "F.adaptive_avg_pool2d(x, 1)", in: in(f(2, 3, 3, 4)), noSecond: straight},
	Row{name: "adaptive_avg_pool2d_larger", op: adaptiveAvg(5, 3), torch: "F.adaptive_avg_pool2d(x, (5, 3))", in: in(f(1, 2, 3, 2)), noSecond: straight},
)
