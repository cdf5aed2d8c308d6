package cudnn

import (
	"fmt"
	"unsafe"

	"github.com/descent-ml/descent/cuda/internal/dl"
)

// Descriptor is a backend descriptor: a tensor, an operation, a graph, a plan. It is used in three steps: Create, Set,
// Finalize. The zero Descriptor stands for none.
type Descriptor struct {
	lib *Library
	p   uintptr
}

// Create makes an empty descriptor. The caller destroys it.
func (l *Library) Create(t DescriptorType) (Descriptor, error) {
	d := Descriptor{lib: l}
	err := l.do(&l.api.createDescriptor, dl.Int(t), dl.Ptr(&d.p))
	return d, err
}

// Make creates a descriptor, sets its attributes and finalises it. The caller destroys it.
func (l *Library) Make(t DescriptorType, settings ...Setting) (Descriptor, error) {
	d, err := l.Create(t)
	if err != nil {
		return d, err
	}
	for _, set := range settings {
		if err = set(d); err != nil {
			break
		}
	}
	if err == nil {
		err = d.Finalize()
	}
	if err != nil {
		d.Destroy()
		return Descriptor{}, err
	}
	return d, nil
}

// Finalize makes a descriptor usable in others. cuDNN checks it here.
func (d Descriptor) Finalize() error {
	return d.lib.do(&d.lib.api.finalize, dl.Int(d.p))
}

// Destroy frees a descriptor. What was made from it stays valid.
func (d Descriptor) Destroy() {
	if d.p != 0 {
		dl.Call(d.lib.api.destroyDescriptor.Addr, dl.Int(d.p))
	}
}

// Value is what an attribute can be. Floating point attributes of cuDNN take either width; a uint64 is an address on the
// device.
type Value interface {
	Scalar | Descriptor | Handle
}

// Scalar is what an attribute can be besides a descriptor or a handle.
type Scalar interface {
	bool | int32 | int64 | float32 | float64 | uint64 | byte |
		DataType | ConvolutionMode | HeurMode | KnobType | NumericalNote | BehaviorNote | PointwiseMode | ReduceOp |
		NormMode | NormPhase | ResampleMode | PaddingMode | RNGDistribution | ReshapeMode | TensorReordering
}

// attributeType says how the value of an attribute is laid out.
type attributeType int32

const (
	typeHandle           attributeType = 0  // CUDNN_TYPE_HANDLE
	typeDataType         attributeType = 1  // CUDNN_TYPE_DATA_TYPE
	typeBoolean          attributeType = 2  // CUDNN_TYPE_BOOLEAN
	typeInt64            attributeType = 3  // CUDNN_TYPE_INT64
	typeFloat32          attributeType = 4  // CUDNN_TYPE_FLOAT
	typeFloat64          attributeType = 5  // CUDNN_TYPE_DOUBLE
	typeVoidPtr          attributeType = 6  // CUDNN_TYPE_VOID_PTR
	typeConvolutionMode  attributeType = 7  // CUDNN_TYPE_CONVOLUTION_MODE
	typeHeurMode         attributeType = 8  // CUDNN_TYPE_HEUR_MODE
	typeKnobType         attributeType = 9  // CUDNN_TYPE_KNOB_TYPE
	typeNumericalNote    attributeType = 11 // CUDNN_TYPE_NUMERICAL_NOTE
	typePointwiseMode    attributeType = 14 // CUDNN_TYPE_POINTWISE_MODE
	typeDescriptor       attributeType = 15 // CUDNN_TYPE_BACKEND_DESCRIPTOR
	typeReduceOp         attributeType = 18 // CUDNN_TYPE_REDUCTION_OPERATOR_TYPE
	typeBehaviorNote     attributeType = 19 // CUDNN_TYPE_BEHAVIOR_NOTE
	typeTensorReordering attributeType = 20 // CUDNN_TYPE_TENSOR_REORDERING_MODE
	typeResampleMode     attributeType = 21 // CUDNN_TYPE_RESAMPLE_MODE
	typePaddingMode      attributeType = 22 // CUDNN_TYPE_PADDING_MODE
	typeInt32            attributeType = 23 // CUDNN_TYPE_INT32
	typeChar             attributeType = 24 // CUDNN_TYPE_CHAR
	typeNormMode         attributeType = 27 // CUDNN_TYPE_NORM_MODE
	typeNormPhase        attributeType = 28 // CUDNN_TYPE_NORM_FWD_PHASE
	typeRNGDistribution  attributeType = 29 // CUDNN_TYPE_RNG_DISTRIBUTION
	typeReshapeMode      attributeType = 31 // CUDNN_TYPE_RESHAPE_MODE
)

// typeOf says which of cuDNN's types T is.
func typeOf[T Value]() attributeType {
	switch any(*new(T)).(type) {
	case bool:
		return typeBoolean
	case int32:
		return typeInt32
	case int64:
		return typeInt64
	case float32:
		return typeFloat32
	case float64:
		return typeFloat64
	case uint64:
		return typeVoidPtr
	case byte:
		return typeChar
	case Descriptor:
		return typeDescriptor
	case Handle:
		return typeHandle
	case DataType:
		return typeDataType
	case ConvolutionMode:
		return typeConvolutionMode
	case HeurMode:
		return typeHeurMode
	case KnobType:
		return typeKnobType
	case NumericalNote:
		return typeNumericalNote
	case BehaviorNote:
		return typeBehaviorNote
	case PointwiseMode:
		return typePointwiseMode
	case ReduceOp:
		return typeReduceOp
	case NormMode:
		return typeNormMode
	case NormPhase:
		return typeNormPhase
	case ResampleMode:
		return typeResampleMode
	case PaddingMode:
		return typePaddingMode
	case RNGDistribution:
		return typeRNGDistribution
	case ReshapeMode:
		return typeReshapeMode
	case TensorReordering:
		return typeTensorReordering
	}
	panic("cudnn: a Value without a type")
}

// Setting gives an attribute of a descriptor a value.
type Setting func(Descriptor) error

// Set is the setting of an attribute to one or several values. cuDNN copies them.
func Set[T Value](name Attribute, values ...T) Setting {
	return func(d Descriptor) error {
		p := unsafe.Pointer(unsafe.SliceData(values))
		switch v := any(values).(type) {
		case []Descriptor:
			p = pointers(len(v), func(i int) uintptr { return v[i].p })
		case []Handle:
			p = pointers(len(v), func(i int) uintptr { return v[i].p })
		}
		return d.set(name, typeOf[T](), len(values), p)
	}
}

// SetString is the setting of an attribute of characters.
func SetString(name Attribute, s string) Setting { return Set(name, append([]byte(s), 0)...) }

// pointers lists what C knows descriptors and handles by.
func pointers(n int, at func(int) uintptr) unsafe.Pointer {
	list := make([]uintptr, n)
	for i := range list {
		list[i] = at(i)
	}
	return unsafe.Pointer(unsafe.SliceData(list))
}

func (d Descriptor) set(name Attribute, t attributeType, n int, values unsafe.Pointer) error {
	err := d.lib.do(&d.lib.api.setAttribute,
		dl.Int(d.p), dl.Int(name), dl.Int(t), dl.Int(n), dl.Addr(values))
	if err != nil {
		return fmt.Errorf("attribute %d: %w", name, err)
	}
	return nil
}

func (d Descriptor) get(name Attribute, t attributeType, n int, values unsafe.Pointer) (int, error) {
	var got int64
	err := d.lib.do(&d.lib.api.getAttribute,
		dl.Int(d.p), dl.Int(name), dl.Int(t), dl.Int(n), dl.Ptr(&got), dl.Addr(values))
	if err != nil {
		return 0, fmt.Errorf("attribute %d: %w", name, err)
	}
	return int(got), nil
}

// Get returns the values of an attribute. For descriptors use [GetDescriptors].
func Get[T Scalar](d Descriptor, name Attribute) ([]T, error) {
	n, err := d.get(name, typeOf[T](), 0, nil)
	if err != nil || n == 0 {
		return nil, err
	}
	values := make([]T, n)
	n, err = d.get(name, typeOf[T](), n, unsafe.Pointer(unsafe.SliceData(values)))
	return values[:min(n, len(values))], err
}

// GetString returns an attribute of characters.
func GetString(d Descriptor, name Attribute) (string, error) {
	b, err := Get[byte](d, name)
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return string(b), err
}

// GetDescriptors returns the descriptors, of type t, that an attribute holds. The caller destroys them.
func GetDescriptors(d Descriptor, name Attribute, t DescriptorType) ([]Descriptor, error) {
	n, err := d.get(name, typeDescriptor, 0, nil)
	if err != nil || n == 0 {
		return nil, err
	}
	list := make([]Descriptor, 0, n)
	for range n {
		e, err := d.lib.Create(t) // cuDNN fills descriptors that the caller has made
		if err != nil {
			destroy(list)
			return nil, err
		}
		list = append(list, e)
	}
	got, err := d.get(name, typeDescriptor, n, pointers(n, func(i int) uintptr { return list[i].p }))
	got = min(got, n)
	destroy(list[got:])
	return list[:got], err
}

func destroy(list []Descriptor) {
	for _, d := range list {
		d.Destroy()
	}
}
