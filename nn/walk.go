package nn

import (
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/descent-ml/descent/tensor"
)

// Params yields the trainable parameters of m, each once, depth first in the
// order of fields, under PyTorch's names: "layer1.0.conv1.weight".
//
// It walks the exported fields of structs, the elements of slices, arrays and
// maps, and what pointers and interfaces hold. A field's name is its Go name in
// snake case (FC1 is "fc1", InProjWeight "in_proj_weight"), or that of its tag
// `nn:"name"`; `nn:"-"` leaves a field out. An embedded struct adds no name. A
// type with a method Parts names its parts itself. An unexported field that
// holds tensors and lacks that tag panics, so that no layer stays untrained by
// mistake.
func Params(m any) iter.Seq2[string, *tensor.Tensor] {
	return func(yield func(string, *tensor.Tensor) bool) {
		seen := map[*tensor.Tensor]bool{}
		walk(m, func(name string, t *tensor.Tensor) bool {
			if !t.IsParameter() || seen[t] {
				return true
			}
			seen[t] = true
			return yield(name, t)
		})
	}
}

// State yields all that is saved of m, parameters and buffers, as PyTorch's
// state_dict does: a tensor that is shared stands under every name.
func State(m any) iter.Seq2[string, *tensor.Tensor] {
	return func(yield func(string, *tensor.Tensor) bool) {
		walk(m, func(name string, t *tensor.Tensor) bool {
			return !t.IsParameter() && !t.IsBuffer() || yield(name, t)
		})
	}
}

// Parter is a module whose parts have other names than its fields: tensors,
// modules, or anything else that Params walks. An empty name adds none.
type Parter interface {
	Parts() iter.Seq2[string, any]
}

// Count is the number of trainable numbers in m.
func Count(m any) int {
	n := 0
	for _, p := range Params(m) {
		n += p.NumEl()
	}
	return n
}

// each calls fn for every parameter and buffer of m once.
func each(m any, fn func(t *tensor.Tensor)) {
	seen := map[*tensor.Tensor]bool{}
	for _, t := range State(m) {
		if !seen[t] {
			seen[t] = true
			fn(t)
		}
	}
}

// walk visits the tensors of m.
func walk(m any, visit func(string, *tensor.Tensor) bool) {
	w := walker{visit: visit}
	w.value(reflect.ValueOf(m), "")
}

type walker struct {
	visit func(string, *tensor.Tensor) bool
	enter func(layer reflect.Value, mode int) // for each struct with a field of type Mode
	path  []visited                           // the pointers on the way, against cycles
}

type visited struct {
	p uintptr
	t reflect.Type
}

var (
	tensorType = reflect.TypeFor[*tensor.Tensor]()
	modeType   = reflect.TypeFor[Mode]()
	parterType = reflect.TypeFor[Parter]()
)

// value walks v, which stands under name; it is false once visit wants no more.
func (w *walker) value(v reflect.Value, name string) bool {
	switch {
	case !v.IsValid():
		return true
	case v.Type() == tensorType:
		return v.IsNil() || w.visit(name, v.Interface().(*tensor.Tensor))
	case !canHoldTensor(v.Type()):
		return true
	}
	switch v.Kind() {
	case reflect.Interface:
		return w.value(v.Elem(), name)
	case reflect.Pointer:
		at := visited{v.Pointer(), v.Type()}
		if v.IsNil() || slices.Contains(w.path, at) {
			return true
		}
		w.path = append(w.path, at)
		defer func() { w.path = w.path[:len(w.path)-1] }()
		return w.value(v.Elem(), name)
	case reflect.Struct:
		return w.fields(v, name)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if !w.value(v.Index(i), join(name, strconv.Itoa(i))) {
				return false
			}
		}
	case reflect.Map:
		byName := map[string]reflect.Value{}
		for it := v.MapRange(); it.Next(); {
			byName[fmt.Sprint(it.Key())] = it.Value()
		}
		for _, key := range slices.Sorted(maps.Keys(byName)) {
			if !w.value(byName[key], join(name, key)) {
				return false
			}
		}
	}
	return true
}

func (w *walker) fields(v reflect.Value, name string) bool {
	t := v.Type()
	if w.enter != nil {
		for i := range t.NumField() {
			if t.Field(i).Type == modeType {
				w.enter(v, i)
			}
		}
	}
	if parts := partsOf(v); parts != nil {
		for part, value := range parts {
			if !w.value(reflect.ValueOf(value), join(name, part)) {
				return false
			}
		}
		return true
	}
	for i := range t.NumField() {
		f := t.Field(i)
		tag, tagged := f.Tag.Lookup("nn")
		switch {
		case tag == "-" || f.Type == modeType:
			continue
		case !f.IsExported() && !f.Anonymous:
			if isHidden(v.Field(i)) {
				panic(fmt.Sprintf("nn: field %s of %v holds tensors or layers but is not exported, so they would not be trained; export it, or tag it `nn:\"-\"`", f.Name, t))
			}
			continue
		case tagged:
			tag = join(name, tag)
		case f.Anonymous:
			tag = name
		default:
			tag = join(name, snakeCase(f.Name))
		}
		if !w.value(v.Field(i), tag) {
			return false
		}
	}
	return true
}

// partsOf is what a struct names itself, nil if it does not.
func partsOf(v reflect.Value) iter.Seq2[string, any] {
	switch {
	case !v.CanInterface():
	case v.Type().Implements(parterType):
		return v.Interface().(Parter).Parts()
	case v.CanAddr() && reflect.PointerTo(v.Type()).Implements(parterType):
		return v.Addr().Interface().(Parter).Parts()
	}
	return nil
}

// isHidden reports whether a field that the walk cannot enter has tensors or a
// Mode, as far as types tell.
func isHidden(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Interface:
		return !v.IsNil() && isHidden(v.Elem())
	case reflect.Pointer, reflect.Slice, reflect.Map:
		if v.IsNil() {
			return false
		}
	}
	return canHold(v.Type(), false)
}

// canHoldTensor reports whether the walk may meet a tensor or a Mode in a value
// of type t.
func canHoldTensor(t reflect.Type) bool { return canHold(t, true) }

// holders remembers answers of canHold.
var holders sync.Map // holder to bool

type holder struct {
	t       reflect.Type
	perhaps bool
}

// canHold searches t for tensors and Modes. What an interface holds is not known
// from its type: one with a method Forward counts, an empty one does perhaps.
func canHold(t reflect.Type, perhaps bool) bool {
	if b, ok := holders.Load(holder{t, perhaps}); ok {
		return b.(bool)
	}
	b := searchType(t, perhaps, map[reflect.Type]bool{})
	holders.Store(holder{t, perhaps}, b)
	return b
}

func searchType(t reflect.Type, perhaps bool, seen map[reflect.Type]bool) bool {
	if t == tensorType || t == modeType {
		return true
	}
	if seen[t] {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return searchType(t.Elem(), perhaps, seen)
	case reflect.Interface:
		_, forward := t.MethodByName("Forward")
		return forward || perhaps && t.NumMethod() == 0
	case reflect.Struct:
		if t.Implements(parterType) || reflect.PointerTo(t).Implements(parterType) {
			return true
		}
		for i := range t.NumField() {
			if t.Field(i).Tag.Get("nn") != "-" && searchType(t.Field(i).Type, perhaps, seen) {
				return true
			}
		}
	}
	return false
}

func join(path, name string) string {
	if path == "" || name == "" {
		return path + name
	}
	return path + "." + name
}

// snakeCase turns InProjWeight into in_proj_weight and FC1 into fc1.
func snakeCase(name string) string {
	var b strings.Builder
	r := []rune(name)
	for i, c := range r {
		if unicode.IsUpper(c) && i > 0 {
			afterLower := !unicode.IsUpper(r[i-1])
			beforeLower := i+1 < len(r) && unicode.IsLower(r[i+1])
			if afterLower || beforeLower {
				b.WriteByte('_')
			}
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}
