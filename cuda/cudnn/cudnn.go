// Package cudnn binds cuDNN 9 without cgo: its graph API through the backend descriptors, a small builder of graphs and
// plans on top of them, and the calls for recurrent layers and CTC, which the graph API does not have.
//
// A convolution, from its description to its result on the device:
//
//	lib, err := cudnn.Open()
//	handle, err := lib.NewHandle() // the thread's current CUDA context
//	g := lib.NewGraph(handle)
//	defer g.Destroy()
//	x := g.Tensor(cudnn.Tensor{UID: 1, Type: cudnn.BFloat16, Dims: []int64{256, 64, 56, 56}, Strides: cudnn.ChannelsLast(256, 64, 56, 56)})
//	w := g.Tensor(cudnn.Tensor{UID: 2, Type: cudnn.BFloat16, Dims: []int64{64, 64, 3, 3}, Strides: cudnn.ChannelsLast(64, 64, 3, 3)})
//	y := g.Tensor(cudnn.Tensor{UID: 3, Type: cudnn.BFloat16, Dims: []int64{256, 64, 56, 56}, Strides: cudnn.ChannelsLast(256, 64, 56, 56)})
//	g.ConvForward(cudnn.Conv{Compute: cudnn.Float32, Pad: []int64{1, 1}}, x, w, y)
//	plan, err := g.Plan(cudnn.Search{})
//	err = plan.Execute(handle, []int64{1, 2, 3}, []uint64{xp, wp, yp}, workspace) // of plan.Workspace bytes
//
// Errors are of type [*Error] and carry cuDNN's own reason.
//
// A [Library] may be used by several goroutines at once. A [Handle], a [Graph] or a [Descriptor] may not; a finalised
// [Plan] may, if each uses a handle of its own.
package cudnn

import (
	"fmt"

	"github.com/descent-ml/descent/cuda/internal/dl"
)

// Library is cuDNN, open.
type Library struct {
	lib *dl.Lib
	api functions
	rnn rnnFunctions
	ctc ctcFunctions
}

// functions is the table of cuDNN's functions.
type functions struct {
	getVersion         dl.Func `sym:"cudnnGetVersion"`
	getCudartVersion   dl.Func `sym:"cudnnGetCudartVersion"`
	getErrorString     dl.Func `sym:"cudnnGetErrorString"`
	getLastErrorString dl.Func `sym:"cudnnGetLastErrorString"`

	create    dl.Func `sym:"cudnnCreate"`
	destroy   dl.Func `sym:"cudnnDestroy"`
	setStream dl.Func `sym:"cudnnSetStream"`

	createDescriptor  dl.Func `sym:"cudnnBackendCreateDescriptor"`
	destroyDescriptor dl.Func `sym:"cudnnBackendDestroyDescriptor"`
	finalize          dl.Func `sym:"cudnnBackendFinalize"`
	setAttribute      dl.Func `sym:"cudnnBackendSetAttribute"`
	getAttribute      dl.Func `sym:"cudnnBackendGetAttribute"`
	execute           dl.Func `sym:"cudnnBackendExecute"`
}

var process dl.Once[Library]

// Open finds cuDNN 9 and opens it. Every call returns the same library; a failure is not remembered. The error says what
// was searched.
func Open() (*Library, error) { return process.Get(open) }

func open() (*Library, error) {
	lib, err := dl.Open(dl.CuDNN)
	if err != nil {
		return nil, err
	}
	l := &Library{lib: lib}
	if err := lib.Bind(&l.api); err != nil {
		return nil, err
	}
	// Graphs run without these; do says which function is missing where one is called.
	_ = lib.Bind(&l.rnn)
	_ = lib.Bind(&l.ctc)
	if v := l.Version(); v < 90000 || v >= 100000 {
		return nil, lib.VersionError(versionString(v), "9")
	}
	return l, nil
}

// Path returns the file that was opened.
func (l *Library) Path() string { return l.lib.Path }

// Version returns cuDNN's version as 10000·major + 100·minor + patch.
func (l *Library) Version() int { return int(dl.Call(l.api.getVersion.Addr)) }

// CUDAVersion returns the version of CUDA that cuDNN was built with, as 1000·major + 10·minor.
func (l *Library) CUDAVersion() int { return int(dl.Call(l.api.getCudartVersion.Addr)) }

func versionString(v int) string {
	return fmt.Sprintf("%d.%d.%d", v/10000, v/100%100, v%100)
}

// Handle is cuDNN's state for one device. It works on one stream at a time and for one goroutine at a time.
type Handle struct {
	lib *Library
	p   uintptr
}

// NewHandle makes a handle for the device of the calling thread's current CUDA context. The caller destroys it.
func (l *Library) NewHandle() (Handle, error) {
	h := Handle{lib: l}
	err := l.do(&l.api.create, dl.Ptr(&h.p))
	return h, err
}

// arg is what C gets. cuDNN would crash without a handle, so that is a panic.
func (h Handle) arg() dl.Arg {
	if h.p == 0 {
		panic("cudnn: a call with the zero Handle")
	}
	return dl.Int(h.p)
}

// SetStream makes later executions with this handle run on a stream (a CUstream).
func (h Handle) SetStream(stream uintptr) error {
	return h.lib.do(&h.lib.api.setStream, h.arg(), dl.Int(stream))
}

// Destroy waits for the device and frees the handle.
func (h Handle) Destroy() error {
	return h.lib.do(&h.lib.api.destroy, h.arg())
}
