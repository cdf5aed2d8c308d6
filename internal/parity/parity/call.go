package main

import (
	"fmt"
	"strings"

	"github.com/descent-ml/descent/tensor"
)

// inexpressible is panicked with where Descent has no way to say a call.
type inexpressible string

func cannot(format string, args ...any) { panic(inexpressible(fmt.Sprintf(format, args...))) }

// An operator is a name of op_db, its parameters in PyTorch's order, and how
// Descent says it. A parameter without default is required; None is nil.
type operator struct {
	name       string
	parameters string // "input, dim=None, keepdim=False"
	run        func(a args) []*tensor.Tensor
}

// args are the arguments of one call by the names of their parameters, and
// where tensors without inputs go.
type args struct {
	values map[string]any
	place  *tensor.Scope
}

// bind gives positional and keyword arguments their names, as Python does.
// Keywords that only say where or in what memory order a result goes mean
// nothing here; any other unknown one is inexpressible.
func (o operator) bind(place *tensor.Scope, input any, positional []any, keywords map[string]any) args {
	a := map[string]any{}
	positional = append([]any{input}, positional...)
	known := map[string]bool{}
	names := strings.Split(o.parameters, ", ")
	for i, p := range names {
		name, def, optional := strings.Cut(p, "=")
		name, variadic := strings.CutPrefix(name, "*")
		known[name] = true
		if variadic {
			if v, ok := keywords[name]; ok {
				a[name] = v
			} else {
				a[name] = spread(positional[min(i, len(positional)):])
				positional = positional[:min(i, len(positional))]
			}
			continue
		}
		v, given := keywords[name]
		switch {
		case i < len(positional):
			a[name] = positional[i]
		case given:
			a[name] = v
		case optional:
			a[name] = literal(def)
		default:
			cannot("%s without %s", o.name, name)
		}
	}
	if len(positional) > len(names) {
		cannot("%s has %d positional arguments, got %d", o.name, len(names), len(positional))
	}
	for name, v := range keywords {
		switch {
		case known[name] || v == nil:
		case name == "device" || name == "layout" || name == "memory_format" || name == "requires_grad" || name == "pin_memory":
		default:
			cannot("%s has no argument %s", o.name, name)
		}
	}
	return args{a, place}
}

// spread undoes Python's freedom to write sizes one by one or as one tuple.
func spread(rest []any) []any {
	if len(rest) == 1 {
		if list, ok := rest[0].([]any); ok {
			return list
		}
	}
	return rest
}

func literal(s string) any {
	switch s {
	case "None":
		return nil
	case "True", "False":
		return s == "True"
	}
	var i int64
	if n, err := fmt.Sscanf(s, "%d", &i); n == 1 && err == nil && !strings.ContainsAny(s, ".e") {
		return i
	}
	var f float64
	if n, err := fmt.Sscanf(s, "%g", &f); n == 1 && err == nil {
		return f
	}
	return strings.Trim(s, "'")
}

func as[T any](a args, name, what string) T {
	v, ok := a.values[name].(T)
	if !ok {
		cannot("%s is %s, Go wants %s", name, kind(a.values[name]), what)
	}
	return v
}

func kind(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case int64:
		return "an int"
	case float64:
		return "a float"
	case []any:
		return "a list"
	case *tensor.Tensor:
		return "a tensor"
	case python:
		return string(v)
	}
	return fmt.Sprintf("a %T", v)
}

func (a args) none(name string) bool { return a.values[name] == nil }

func (a args) isTensor(name string) bool {
	_, ok := a.values[name].(*tensor.Tensor)
	return ok
}

func (a args) tensor(name string) *tensor.Tensor { return as[*tensor.Tensor](a, name, "a tensor") }

// maybe is nil for None.
func (a args) maybe(name string) *tensor.Tensor {
	if a.none(name) {
		return nil
	}
	return a.tensor(name)
}

func (a args) tensors(name string) []*tensor.Tensor {
	list := as[[]any](a, name, "tensors")
	ts := make([]*tensor.Tensor, len(list))
	for i, v := range list {
		t, ok := v.(*tensor.Tensor)
		if !ok {
			cannot("%s[%d] is %s, Go wants a tensor", name, i, kind(v))
		}
		ts[i] = t
	}
	return ts
}

func (a args) bool(name string) bool     { return as[bool](a, name, "a bool") }
func (a args) string(name string) string { return as[string](a, name, "a string") }

func (a args) int(name string) int { return int(as[int64](a, name, "an int")) }

func (a args) float(name string) float64 {
	switch v := a.values[name].(type) {
	case int64:
		return float64(v)
	case bool:
		if v {
			return 1
		}
		return 0
	}
	return as[float64](a, name, "a number")
}

// ints is nil for None, and one int stands for a list of one.
func (a args) ints(name string) []int {
	switch v := a.values[name].(type) {
	case nil:
		return nil
	case int64:
		return []int{int(v)}
	}
	list := as[[]any](a, name, "ints")
	ints := make([]int, len(list))
	for i, v := range list {
		n, ok := v.(int64)
		if !ok {
			cannot("%s[%d] is %s, Go wants an int", name, i, kind(v))
		}
		ints[i] = int(n)
	}
	return ints
}

// dtype is def for None.
func (a args) dtype(name string, def tensor.DType) tensor.DType {
	if a.none(name) {
		return def
	}
	n := as[dtypeName](a, name, "a dtype")
	dt, ok := dtypes[string(n)]
	if !ok {
		cannot("dtype %s", n)
	}
	return dt
}

// cast is a tensor in the dtype that the call asks for, if it does.
func (a args) cast(name string) *tensor.Tensor {
	x := a.tensor(name)
	return x.To(a.dtype("dtype", x.DType()))
}

// scaled is a tensor times a number.
func (a args) scaled(name, by string) *tensor.Tensor {
	x := a.tensor(name)
	if c := a.float(by); c != 1 {
		return x.MulScalar(c)
	}
	return x
}

// numbers is the dtype that Python's numbers make a tensor of.
func (a args) numbers(names ...string) tensor.DType {
	dt := tensor.Bool
	for _, name := range names {
		switch a.values[name].(type) {
		case float64:
			dt = tensor.PromoteTypes(dt, tensor.Float32)
		case int64:
			dt = tensor.PromoteTypes(dt, tensor.Int64)
		}
	}
	return dt
}
