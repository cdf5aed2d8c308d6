package optest

import "github.com/descent-ml/descent/tensor"

// norm is an op of x with a weight and a bias where there are more inputs.
func norm(op func(x, w, b *T) *T) func(x []*T) *T {
	return func(x []*T) *T { return op(x[0], pick(x, 1), pick(x, 2)) }
}

func layerNorm(eps float64, shape ...int) func(x []*T) *T {
	return norm(func(x, w, b *T) *T { return tensor.LayerNorm(x, shape, w, b, eps) })
}

func rmsNorm(eps *float64, shape ...int) func(x []*T) *T {
	return norm(func(x, w, _ *T) *T { return tensor.RMSNorm(x, shape, w, eps) })
}

var (
	batchNorm    = norm(func(x, w, b *T) *T { return tensor.BatchNorm(x, nil, nil, w, b, true, 0.1, 1e-5) })
	groupNorm    = norm(func(x, w, b *T) *T { return tensor.GroupNorm(x, 2, w, b, 1e-5) })
	instanceNorm = norm(func(x, w, b *T) *T { return tensor.InstanceNorm(x, w, b, 1e-5) })
)

func evalNorm(x []*T) *T {
	return tensor.BatchNorm(x[0], x[1], x[2], pick(x, 3), pick(x, 4), false, 0.1, 1e-3)
}

var _ = rows("norm",
	Row{name: "layer_norm", op: layerNorm(1e-5, 5), torch: "F.layer_norm(x, (5,), y, z)", in: in(f(2, 3, 5), f(5), f(5)), tol: 10},
	Row{name: "layer_norm_two_axes", op: layerNorm(0.1, 3, 2), torch: "F.layer_norm(x, (3, 2), y, z, 0.1)", in: in(f(4, 3, 2), f(3, 2), f(3, 2)), tol: 10},
	Row{name: "layer_norm_plain", op: layerNorm(1e-5, 4), torch: "F.layer_norm(x, (4,))", in: in(f(3, 4)), tol: 10},
	Row{name: "layer_norm_weight", op: layerNorm(1e-5, 4), torch: "F.layer_norm(x, (4,), y)", in: in(f(3, 4), f(4)), tol: 10},
	Row{name: "layer_norm_all", op: layerNorm(1e-5, 3, 4), torch: "F.layer_norm(x, (3, 4))", in: in(f(3, 4)), tol: 10},
	Row{name: "rms_norm", op: rmsNorm(new(1e-5), 5), torch: "F.rms_norm(x, (5,), y, 1e-5)", in: in(f(2, 3, 5), f(5)), tol: 10},
	Row{name: "rms_norm_plain", op: rmsNorm(nil, 3, 4), torch: "F.rms_norm(x, (3, 4))", in: in(f(2, 3, 4)), tol: 10},
	Row{name: "batch_norm", op: batchNorm, torch: "F.batch_norm(x, None, None, y, z, training=True)", in: in(f(4, 3, 2, 2), f(3), f(3)), tol: 20},
	Row{name: "batch_norm_flat", op: batchNorm, torch: "F.batch_norm(x, None, None, y, z, training=True)", in: in(f(6, 3), f(3), f(3)), tol: 20},
	Row{name: "batch_norm_line", op: batchNorm, torch: "F.batch_norm(x, None, None, training=True)", in: in(f(2, 3, 4)), tol: 20},
	Row{name: "batch_norm_eval", op: evalNorm, torch: "F.batch_norm(*xs, eps=1e-3)",
		in: in(f(2, 3, 2, 2), f(3).constant(), f(3).between(0.2, 2).constant(), f(3), f(3)), tol: 10},
	Row{name: "batch_norm_eval_plain", op: evalNorm, torch: "F.batch_norm(*xs, eps=1e-3)", in: in(f(4, 3), f(3).constant(), f(3).between(0.2, 2).constant()), tol: 10},
	Row{name: "group_norm", op: groupNorm, torch: "F.group_norm(x, 2, y, z)", in: in(f(2, 4, 3), f(4), f(4)), tol: 10},
	Row{name: "group_norm_image", op: groupNorm, torch: "F.group_norm(x, 2)", in: in(f(2, 4, 3, 2)), tol: 10},
	Row{name: "instance_norm", op: instanceNorm, torch: "F.instance_norm(x, weight=y, bias=z)", in: in(f(2, 3, 2, 3), f(3), f(3)), tol: 10},
	Row{name: "instance_norm_plain", op: instanceNorm, torch: "F.instance_norm(x)", in: in(f(2, 3, 5)), tol: 10},
)
