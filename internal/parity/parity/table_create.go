package main

import "github.com/descent-ml/descent/tensor"

var creation = []operator{
	row("arange", "start, end=None, step=1, dtype=None", func(a args) *T {
		if a.none("end") {
			a.values["start"], a.values["end"] = int64(0), a.values["start"]
		}
		dt := a.dtype("dtype", a.numbers("start", "end", "step"))
		return tensor.Arange(a.place, dt, a.float("start"), a.float("end"), a.float("step"))
	}),
	row("linspace", "start, end, steps, dtype=None", func(a args) *T {
		return tensor.Linspace(a.place, a.dtype("dtype", tensor.Float32), a.float("start"), a.float("end"), a.int("steps"))
	}),
	row("eye", "n, m=None, dtype=None", func(a args) *T {
		n := a.int("n")
		m := n
		if !a.none("m") {
			m = a.int("m")
		}
		return tensor.Eye(a.place, a.dtype("dtype", tensor.Float32), n, m)
	}),
	row("full", "size, fill_value, dtype=None", func(a args) *T {
		return tensor.Full(a.place, a.dtype("dtype", a.numbers("fill_value")), a.float("fill_value"), a.ints("size")...)
	}),
	row("zeros", "size, dtype=None", func(a args) *T {
		return tensor.Zeros(a.place, a.dtype("dtype", tensor.Float32), a.ints("size")...)
	}),
	row("ones", "size, dtype=None", func(a args) *T {
		return tensor.Ones(a.place, a.dtype("dtype", tensor.Float32), a.ints("size")...)
	}),
	row("full_like", "input, fill_value, dtype=None", func(a args) *T {
		return tensor.FullLike(a.cast("input"), a.float("fill_value"))
	}),
	row("zeros_like", "input, dtype=None", func(a args) *T { return tensor.ZerosLike(a.cast("input")) }),
	row("ones_like", "input, dtype=None", func(a args) *T { return tensor.OnesLike(a.cast("input")) }),
	row("new_zeros", "input, size, dtype=None", func(a args) *T {
		x := a.tensor("input")
		return tensor.Zeros(x.Place(), a.dtype("dtype", x.DType()), a.ints("size")...)
	}),
	row("new_ones", "input, size, dtype=None", func(a args) *T {
		x := a.tensor("input")
		return tensor.Ones(x.Place(), a.dtype("dtype", x.DType()), a.ints("size")...)
	}),
	row("new_full", "input, size, fill_value, dtype=None", func(a args) *T {
		x := a.tensor("input")
		return tensor.Full(x.Place(), a.dtype("dtype", x.DType()), a.float("fill_value"), a.ints("size")...)
	}),
}

var casts = []operator{
	row("to", "input, where, dtype=None, copy=False, non_blocking=False", func(a args) *T {
		x := a.tensor("input")
		for _, name := range []string{"where", "dtype"} {
			switch v := a.values[name].(type) {
			case *T:
				return x.To(v.DType())
			case dtypeName:
				return x.To(a.dtype(name, 0))
			}
		}
		return x
	}),
	cast("double", tensor.Float64),
	cast("float", tensor.Float32),
	cast("half", tensor.Float16),
	cast("bfloat16", tensor.BFloat16),
	cast("long", tensor.Int64),
	cast("int", tensor.Int32),
	cast("short", tensor.Int16),
	cast("char", tensor.Int8),
	cast("byte", tensor.Uint8),
	cast("bool", tensor.Bool),
	unary("clone", (*T).Clone),
	unary("contiguous", (*T).Contiguous),
}

func cast(name string, dt tensor.DType) operator {
	return unary(name, func(x *T) *T { return x.To(dt) })
}
