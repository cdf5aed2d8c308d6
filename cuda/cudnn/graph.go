package cudnn

import (
	"errors"
	"fmt"
)

// Target is what a graph is planned for: a [Handle], for its device, or [DeviceProperties], for a device that need not be
// there.
type Target interface {
	target() (Handle, Descriptor)
}

func (h Handle) target() (Handle, Descriptor) { return h, Descriptor{} }

// Graph collects operations that cuDNN is to run as one. Its methods do not return errors: the first one is kept, makes the
// rest do nothing, and is returned by Finalize, Plan and Plans.
//
// Operations are connected by tensors. Those that only connect are Virtual and need no memory. Which patterns cuDNN can
// run is told in its developer guide; roughly, elementwise operations before and after one convolution, matrix product,
// reduction or norm.
type Graph struct {
	lib       *Library
	handle    Handle
	device    Descriptor
	owned     []Descriptor
	ops       []Descriptor
	uids      map[int64]bool
	finalized Descriptor // the operation graph, once it is
	err       error
}

// NewGraph starts a graph for a target. Without a target (nil) the graph can be finalised, but has no plans.
func (l *Library) NewGraph(t Target) *Graph {
	g := &Graph{lib: l, uids: map[int64]bool{}}
	if t != nil {
		g.handle, g.device = t.target()
	}
	return g
}

// Tensor describes a tensor of a graph.
type Tensor struct {
	UID       int64 // what Execute knows it by: unique in the graph; virtual tensors need one too
	Type      DataType
	Dims      []int64 // images: N, C, H, W, whatever the order in memory
	Strides   []int64 // in elements, one a dimension; nil: row-major
	Alignment int64   // of its address in bytes; 0: 16
	Virtual   bool    // an intermediate result without memory
	ByValue   bool    // one element, given to Execute by its address on the host
}

// Tensor adds a tensor. It belongs to the graph.
func (g *Graph) Tensor(t Tensor) Descriptor {
	if t.Strides == nil {
		t.Strides = RowMajor(t.Dims...)
	}
	if t.Alignment == 0 {
		t.Alignment = 16
	}
	if err := g.check(t); err != nil && g.err == nil {
		g.err = fmt.Errorf("cudnn: tensor %d: %w", t.UID, err)
	}
	return g.make(fmt.Sprintf("tensor %d", t.UID), TensorDescriptor,
		Set(AttrTensorUniqueID, t.UID),
		Set(AttrTensorDataType, t.Type),
		Set(AttrTensorByteAlignment, t.Alignment),
		Set(AttrTensorDimensions, t.Dims...),
		Set(AttrTensorStrides, t.Strides...),
		Set(AttrTensorIsVirtual, t.Virtual),
		Set(AttrTensorIsByValue, t.ByValue))
}

// check finds what cuDNN does not: two tensors of one name pass, and an unknown type ends the process.
func (g *Graph) check(t Tensor) error {
	if g.uids[t.UID] {
		return errors.New("the graph has another tensor of this UID")
	}
	g.uids[t.UID] = true
	if t.Type < Float32 || t.Type > FP8E5M3 {
		return fmt.Errorf("data type %d", t.Type)
	}
	if len(t.Dims) == 0 || len(t.Dims) > maxDims || len(t.Strides) != len(t.Dims) {
		return fmt.Errorf("dimensions %v with strides %v", t.Dims, t.Strides)
	}
	return nil
}

// maxDims is the largest rank of a tensor.
const maxDims = 8 // CUDNN_DIM_MAX

// RowMajor returns the strides of a dense tensor whose last dimension is contiguous.
func RowMajor(dims ...int64) []int64 {
	strides := make([]int64, len(dims))
	n := int64(1)
	for i := len(dims) - 1; i >= 0; i-- {
		strides[i] = n
		n *= dims[i]
	}
	return strides
}

// ChannelsLast returns the strides of dense images N, C, H, W (or N, C, D, H, W, or a filter K, C, R, S) whose channels
// are contiguous. It panics with fewer than two dimensions.
func ChannelsLast(dims ...int64) []int64 {
	strides := make([]int64, len(dims))
	strides[1] = 1
	n := dims[1]
	for i := len(dims) - 1; i > 1; i-- {
		strides[i] = n
		n *= dims[i]
	}
	strides[0] = n
	return strides
}

// Op adds an operation that has no method of its own. name is for errors.
func (g *Graph) Op(name string, t DescriptorType, settings ...Setting) {
	if op := g.make(name, t, settings...); g.err == nil {
		g.ops = append(g.ops, op)
	}
}

// Make adds a finalised descriptor that operations refer to. name is for errors. It belongs to the graph.
func (g *Graph) Make(name string, t DescriptorType, settings ...Setting) Descriptor {
	return g.make(name, t, settings...)
}

func (g *Graph) make(name string, t DescriptorType, settings ...Setting) Descriptor {
	if g.err != nil {
		return Descriptor{}
	}
	d, err := g.lib.Make(t, settings...)
	if err != nil {
		g.err = fmt.Errorf("cudnn: %s: %w", name, err)
		return d
	}
	g.owned = append(g.owned, d)
	return d
}

// Finalize has cuDNN check the graph. Plan and Plans do it by themselves.
func (g *Graph) Finalize() error {
	if g.err != nil || g.finalized.p != 0 {
		return g.err
	}
	if len(g.ops) == 0 {
		g.err = errors.New("cudnn: a graph without operations")
		return g.err
	}
	settings := []Setting{Set(AttrOperationGraphOps, g.ops...)}
	if g.handle.p != 0 {
		settings = append(settings, Set(AttrOperationGraphHandle, g.handle)) // cuDNN before 9.8 wants it
	}
	g.finalized = g.make("operation graph", OperationGraphDescriptor, settings...)
	return g.err
}

// Destroy frees the graph's descriptors. Its plans stay valid.
func (g *Graph) Destroy() {
	destroy(g.owned)
	*g = Graph{lib: g.lib, uids: map[int64]bool{}, err: errors.New("cudnn: a graph used after Destroy")}
}
