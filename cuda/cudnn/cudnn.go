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
	"sync"

	"github.com/descent-ml/descent/cuda/internal/dl"
)

// Library is cuDNN, open.
type Library struct {
	lib *dl.Lib
	api functions
}

// functions holds the addresses of cuDNN's functions.
type functions struct {
	GetVersion         uintptr `sym:"cudnnGetVersion"`
	GetCudartVersion   uintptr `sym:"cudnnGetCudartVersion"`
	GetErrorString     uintptr `sym:"cudnnGetErrorString"`
	GetLastErrorString uintptr `sym:"cudnnGetLastErrorString"`

	Create    uintptr `sym:"cudnnCreate"`
	Destroy   uintptr `sym:"cudnnDestroy"`
	SetStream uintptr `sym:"cudnnSetStream"`

	BackendCreateDescriptor  uintptr `sym:"cudnnBackendCreateDescriptor"`
	BackendDestroyDescriptor uintptr `sym:"cudnnBackendDestroyDescriptor"`
	BackendFinalize          uintptr `sym:"cudnnBackendFinalize"`
	BackendSetAttribute      uintptr `sym:"cudnnBackendSetAttribute"`
	BackendGetAttribute      uintptr `sym:"cudnnBackendGetAttribute"`
	BackendExecute           uintptr `sym:"cudnnBackendExecute"`

	legacy
}

var opened struct {
	sync.Mutex
	lib *Library
}

// Open finds cuDNN 9 and opens it; later calls return the same library. The error says what was searched.
func Open() (*Library, error) {
	opened.Lock()
	defer opened.Unlock()
	if opened.lib != nil {
		return opened.lib, nil
	}
	lib, err := dl.Open(dl.CuDNN)
	if err != nil {
		return nil, err
	}
	l := &Library{lib: lib}
	if err := lib.Bind(&l.api); err != nil {
		return nil, err
	}
	if err := lib.Bind(&l.api.legacy); err != nil {
		return nil, err
	}
	if v := l.Version(); v < 90000 || v >= 100000 {
		return nil, lib.VersionError(versionString(v), "9")
	}
	opened.lib = l
	return l, nil
}

// Path returns the file that was opened.
func (l *Library) Path() string { return l.lib.Path }

// Version returns cuDNN's version as 10000·major + 100·minor + patch.
func (l *Library) Version() int { return int(dl.Call(l.api.GetVersion)) }

// CUDAVersion returns the version of CUDA that cuDNN was built with, as 1000·major + 10·minor.
func (l *Library) CUDAVersion() int { return int(dl.Call(l.api.GetCudartVersion)) }

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
	err := l.call("cudnnCreate", l.api.Create, dl.Ptr(&h.p))
	return h, err
}

// SetStream makes later executions with this handle run on a stream (a CUstream).
func (h Handle) SetStream(stream uintptr) error {
	return h.lib.call("cudnnSetStream", h.lib.api.SetStream, dl.Int(h.p), dl.Int(stream))
}

// Destroy waits for the device and frees the handle.
func (h Handle) Destroy() error {
	return h.lib.call("cudnnDestroy", h.lib.api.Destroy, dl.Int(h.p))
}
