package main

import "github.com/descent-ml/descent/tensor"

var convolutions = []operator{
	row("nn.functional.conv2d", "input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1", func(a args) *T {
		o := tensor.Conv2dOptions{Stride: a.pair("stride"), Dilation: a.pair("dilation"), Groups: a.groups()}
		switch a.values["padding"] {
		case "same":
			o.Same = true
		case "valid":
		default:
			o.Padding = a.pair("padding")
		}
		return tensor.Conv2d(a.tensor("input"), a.tensor("weight"), a.maybe("bias"), o)
	}),
	row("nn.functional.conv1d", "input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1", func(a args) *T {
		o := tensor.Conv1dOptions{Stride: a.pair("stride")[0], Dilation: a.pair("dilation")[0], Groups: a.groups()}
		switch a.values["padding"] {
		case "same":
			o.Same = true
		case "valid":
		default:
			o.Padding = a.pair("padding")[0]
		}
		return tensor.Conv1d(a.tensor("input"), a.tensor("weight"), a.maybe("bias"), o)
	}),
	row("nn.functional.conv_transpose2d", "input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1", func(a args) *T {
		return tensor.ConvTranspose2d(a.tensor("input"), a.tensor("weight"), a.maybe("bias"), tensor.ConvTranspose2dOptions{
			Stride: a.pair("stride"), Padding: a.pair("padding"), OutputPadding: a.pair("output_padding"),
			Dilation: a.pair("dilation"), Groups: a.groups(),
		})
	}),
}

// pair is one int for both axes, or one each; zeros for None and an empty tuple.
func (a args) pair(name string) [2]int {
	switch v := a.ints(name); len(v) {
	case 0:
		return [2]int{}
	case 1:
		return [2]int{v[0], v[0]}
	case 2:
		return [2]int{v[0], v[1]}
	default:
		cannot("%s has %d numbers", name, len(v))
	}
	return [2]int{}
}

func (a args) groups() int {
	n := a.int("groups")
	if n == 0 {
		cannot("0 groups are the default, 1")
	}
	return n
}

var pools = []operator{
	rows("nn.functional.max_pool2d", "input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False", func(a args) []*T {
		return a.withIndices(tensor.MaxPool2dWithIndices(a.tensor("input"), a.pair("kernel_size"), tensor.MaxPool2dOptions{
			Stride: a.pair("stride"), Padding: a.pair("padding"), Dilation: a.pair("dilation"), CeilMode: a.bool("ceil_mode"),
		}))
	}),
	row("nn.functional.avg_pool2d", "input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None", func(a args) *T {
		o := tensor.AvgPool2dOptions{
			Stride: a.pair("stride"), Padding: a.pair("padding"), CeilMode: a.bool("ceil_mode"),
			NoCountIncludePad: !a.bool("count_include_pad"),
		}
		if !a.none("divisor_override") {
			if o.Divisor = a.int("divisor_override"); o.Divisor == 0 {
				cannot("a divisor of 0 is the default, the number of elements")
			}
		}
		return tensor.AvgPool2d(a.tensor("input"), a.pair("kernel_size"), o)
	}),
	row("nn.functional.adaptive_avg_pool2d", "input, output_size", func(a args) *T {
		return tensor.AdaptiveAvgPool2d(a.tensor("input"), a.outputSize())
	}),
	rows("nn.functional.adaptive_max_pool2d", "input, output_size, return_indices=False", func(a args) []*T {
		return a.withIndices(tensor.AdaptiveMaxPool2d(a.tensor("input"), a.outputSize()))
	}),
}

func (a args) withIndices(y, indices *T) []*T {
	if a.bool("return_indices") {
		return []*T{y, indices}
	}
	return []*T{y}
}

// outputSize is that of an adaptive pool, where None stands for the input's size.
func (a args) outputSize() [2]int {
	list, ok := a.values["output_size"].([]any)
	if !ok {
		return a.pair("output_size")
	}
	if len(list) != 2 {
		cannot("output_size has %d numbers", len(list))
	}
	var size [2]int
	for i, v := range list {
		if n, ok := v.(int64); ok {
			size[i] = int(n)
		} else {
			size[i] = a.tensor("input").Size(i - 2)
		}
	}
	return size
}

var norms = []operator{
	row("nn.functional.batch_norm", "input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5", func(a args) *T {
		buffer := func(name string) *T {
			if a.none(name) {
				return nil
			}
			return tensor.Buffer(a.tensor(name))
		}
		return tensor.BatchNorm(a.tensor("input"), buffer("running_mean"), buffer("running_var"), a.maybe("weight"), a.maybe("bias"),
			a.bool("training"), a.float("momentum"), a.float("eps"))
	}),
	row("nn.functional.layer_norm", "input, normalized_shape, weight=None, bias=None, eps=1e-5", func(a args) *T {
		return tensor.LayerNorm(a.tensor("input"), a.ints("normalized_shape"), a.maybe("weight"), a.maybe("bias"), a.float("eps"))
	}),
	row("nn.functional.group_norm", "input, num_groups, weight=None, bias=None, eps=1e-5", func(a args) *T {
		return tensor.GroupNorm(a.tensor("input"), a.int("num_groups"), a.maybe("weight"), a.maybe("bias"), a.float("eps"))
	}),
	row("nn.functional.instance_norm", "input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5", func(a args) *T {
		// In this mode the running statistics are only written to.
		return tensor.InstanceNorm(a.tensor("input"), a.maybe("weight"), a.maybe("bias"), a.float("eps"))
	}),
	row("nn.functional.rms_norm", "input, normalized_shape, weight=None, eps=None", func(a args) *T {
		var eps *float64
		if !a.none("eps") {
			eps = new(a.float("eps"))
		}
		return tensor.RMSNorm(a.tensor("input"), a.ints("normalized_shape"), a.maybe("weight"), eps)
	}),
}
