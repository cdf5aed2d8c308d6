package cuda

import (
	"fmt"

	"github.com/descent-ml/descent/cuda/internal/dl"
)

// Graph is captured work (CUgraph), from [Stream.EndCapture].
type Graph struct {
	driver *Driver
	handle uintptr
}

// Handle is the CUgraph.
func (g Graph) Handle() uintptr { return g.handle }

// Nodes returns the number of kernels, copies and so on in the graph.
func (g Graph) Nodes() (int, error) {
	var n uintptr
	err := g.driver.do(&g.driver.api.graphGetNodes, dl.Int(g.handle), dl.Arg{}, dl.Ptr(&n))
	return int(n), err
}

// Instantiate makes the graph ready to run. It is slow. The graph may be destroyed afterwards.
func (g Graph) Instantiate() (GraphExec, error) {
	x := GraphExec{driver: g.driver}
	err := g.driver.do(&g.driver.api.graphInstantiate, dl.Ptr(&x.handle), dl.Int(g.handle), dl.Int(0))
	return x, err
}

const dotVerbose = 1 // CU_GRAPH_DEBUG_DOT_FLAGS_VERBOSE

// Dot writes the graph in the language of Graphviz to a file.
func (g Graph) Dot(path string) error {
	return g.driver.do(&g.driver.api.graphDebugDotPrint, dl.Int(g.handle), dl.Ptr(dl.CString(path)), dl.Int(dotVerbose))
}

// Destroy frees the graph.
func (g Graph) Destroy() error { return g.driver.do(&g.driver.api.graphDestroy, dl.Int(g.handle)) }

// GraphExec is a graph that can run (CUgraphExec).
type GraphExec struct {
	driver *Driver
	handle uintptr
}

// Handle is the CUgraphExec.
func (x GraphExec) Handle() uintptr { return x.handle }

// Upload moves the graph to the device, so that the first [GraphExec.Launch] is as quick as the others.
func (x GraphExec) Upload(s Stream) error {
	return x.driver.do(&x.driver.api.graphUpload, dl.Int(x.handle), dl.Int(s.handle))
}

// Launch runs the whole graph as one piece of work in a stream. It does not run beside itself.
func (x GraphExec) Launch(s Stream) error {
	return x.driver.do(&x.driver.api.graphLaunch, dl.Int(x.handle), dl.Int(s.handle))
}

// updateResult is CUgraphExecUpdateResultInfo.
type updateResult struct {
	result int32   // an index into updateReasons
	_, _   uintptr // the nodes that differ
}

// updateReasons are CUgraphExecUpdateResult in words; the first two are success and an error without a reason.
var updateReasons = [...]string{"", "", "another number of nodes or other edges", "a node of another type",
	"a node of another function", "parameters that cannot be changed", "something that cannot be changed",
	"a function that cannot be changed", "attributes that cannot be changed"}

// Update replaces the parameters of the nodes by those of a graph of the same shape, which is much quicker than
// instantiating it. If it differs too much the error is ErrGraphExecUpdate and nothing has changed.
func (x GraphExec) Update(g Graph) error {
	var info updateResult
	err := x.driver.do(&x.driver.api.graphExecUpdate, dl.Int(x.handle), dl.Int(g.handle), dl.Ptr(&info))
	if e, ok := err.(*Error); ok && e.Code == ErrGraphExecUpdate {
		if info.result > 1 && int(info.result) < len(updateReasons) {
			e.Detail += fmt.Sprintf(": the graph has %s", updateReasons[info.result])
		}
	}
	return err
}

// Destroy frees the graph; it may still be running.
func (x GraphExec) Destroy() error {
	return x.driver.do(&x.driver.api.graphExecDestroy, dl.Int(x.handle))
}
