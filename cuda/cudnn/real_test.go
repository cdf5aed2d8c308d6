package cudnn

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/descent-ml/descent/cuda/internal/headers"
)

// The tests in this file drive the real cuDNN, without a GPU. What each of them proves:
//
//   - That a graph finalises, with a nil target, up to its heuristics shows that names, types and sizes of attributes are
//     right and that cuDNN found no contradiction in the shapes. It is weak evidence that the graph can run: without a device
//     even a convolution of int64 passes.
//   - That it has an execution plan for a device in testdata shows that this version of cuDNN has a kernel for it on that
//     device. It says nothing of speed or numbers.
//
// testdata/device-h200.json was not recorded on an H200. Its fields are those that cuDNN's reader asks for, its values
// those of NVIDIA's public data for the H200 SXM; clocks, memory size and PCI id may differ from a real card's.

func realLibrary(t testing.TB) *Library {
	t.Helper()
	headers.Libraries(t)
	l, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// devices lists the devices in testdata.
func devices(t *testing.T, l *Library) map[string]DeviceProperties {
	t.Helper()
	files, _ := filepath.Glob("testdata/device-*.json")
	if len(files) == 0 {
		t.Fatal("testdata has no devices")
	}
	list := map[string]DeviceProperties{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d, err := l.LoadDeviceProperties(string(text))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		t.Cleanup(d.Destroy)
		list[strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "device-"), ".json")] = d
	}
	return list
}

func TestVersionOfTheRealLibrary(t *testing.T) {
	l := realLibrary(t)
	if v := l.Version(); v < 90000 || v >= 100000 || l.CUDAVersion() < 12000 {
		t.Errorf("version %d for CUDA %d", v, l.CUDAVersion())
	}
	t.Logf("cuDNN %d for CUDA %d at %s", l.Version(), l.CUDAVersion(), l.Path())
}

func TestHandleWithoutGPUIsAClearError(t *testing.T) {
	l := realLibrary(t)
	h, err := l.NewHandle()
	if err == nil {
		h.Destroy()
		t.Skip("a GPU is here")
	}
	var e *Error
	if !errors.Is(err, StatusNotInitialized) || !errors.As(err, &e) || e.Call != "cudnnCreate" || e.Name != "CUDNN_STATUS_NOT_INITIALIZED" {
		t.Errorf("NewHandle without a GPU: %v", err)
	}
	t.Log(err)
}

// shape is a convolution of square images.
type shape struct{ in, out, kernel, stride, size int64 }

func (s shape) pad() int64     { return s.kernel / 2 }
func (s shape) outSize() int64 { return (s.size+2*s.pad()-s.kernel)/s.stride + 1 }

// resNet50 lists the different convolutions of ResNet-50 (v1.5: the 3x3 ones have the strides) on images of 224x224.
func resNet50() []shape {
	list := []shape{{3, 64, 7, 2, 224}}
	seen := map[shape]bool{}
	add := func(s shape) {
		if !seen[s] {
			seen[s] = true
			list = append(list, s)
		}
	}
	in, size := int64(64), int64(56)
	for stage, blocks := range []int{3, 4, 6, 3} {
		width := int64(64) << stage
		for block := range blocks {
			stride := int64(1)
			if stage > 0 && block == 0 {
				stride = 2
			}
			add(shape{in, width, 1, 1, size})
			add(shape{width, width, 3, stride, size})
			if block == 0 {
				add(shape{in, 4 * width, 1, stride, size})
			}
			size /= stride
			add(shape{width, 4 * width, 1, 1, size})
			in = 4 * width
		}
	}
	return list
}

// build adds one of the three operations of a convolution to a graph.
func (s shape) build(g *Graph, pass string, t DataType, batch int64) {
	tensor := func(uid int64, dims ...int64) Descriptor {
		return g.Tensor(Tensor{UID: uid, Type: t, Dims: dims, Strides: ChannelsLast(dims...)})
	}
	x := tensor(1, batch, s.in, s.size, s.size)
	w := tensor(2, s.out, s.in, s.kernel, s.kernel)
	y := tensor(3, batch, s.out, s.outSize(), s.outSize())
	c := Conv{Compute: Float32, Pad: []int64{s.pad(), s.pad()}, Stride: []int64{s.stride, s.stride}}
	switch pass {
	case "forward":
		g.ConvForward(c, x, w, y)
	case "data":
		g.ConvBackwardData(c, y, w, x)
	case "filter":
		g.ConvBackwardFilter(c, x, y, w)
	}
}

func TestResNet50sConvolutions(t *testing.T) {
	l := realLibrary(t)
	shapes := resNet50()
	if len(shapes) != 23 {
		t.Fatalf("ResNet-50 has %d different convolutions", len(shapes))
	}
	targets := devices(t, l)
	for _, dtype := range []DataType{BFloat16, Float32} {
		for _, s := range shapes {
			for _, pass := range []string{"forward", "data", "filter"} {
				name := fmt.Sprintf("%s of %+v, type %d", pass, s, dtype)
				g := l.NewGraph(nil)
				s.build(g, pass, dtype, 256)
				if err := g.Finalize(); err != nil {
					t.Errorf("%s: %v", name, err)
				} else if _, err := g.configs(HeurA); err != nil {
					t.Errorf("%s: heuristics: %v", name, err)
				}
				g.Destroy()

				for device, target := range targets {
					g := l.NewGraph(target)
					s.build(g, pass, dtype, 256)
					plan, err := g.Plan(Search{})
					if err != nil {
						t.Errorf("%s on %s: %v", name, device, err)
					} else {
						plan.Destroy()
					}
					g.Destroy()
				}
			}
		}
	}
}

// Without a device cuDNN accepts an int64 convolution; with one it has no engine for it: only then a plan means something.
func TestAPlanIsEvidenceAndAFinalisedGraphIsNot(t *testing.T) {
	l := realLibrary(t)
	nonsense := shape{64, 64, 3, 1, 56}
	g := l.NewGraph(nil)
	defer g.Destroy()
	nonsense.build(g, "forward", Int64, 256)
	if err := g.Finalize(); err != nil {
		t.Skipf("this cuDNN refuses it without a device too: %v", err)
	}
	for name, d := range devices(t, l) {
		g := l.NewGraph(d)
		defer g.Destroy()
		nonsense.build(g, "forward", Int64, 256)
		if plan, err := g.Plan(Search{}); !errors.Is(err, StatusNotSupported) {
			t.Errorf("%s: a plan for a convolution of int64: %v, %v", name, plan, err)
		}
	}
}

func TestSearchExcludesEnginesByTheirNotes(t *testing.T) {
	l := realLibrary(t)
	for name, d := range devices(t, l) {
		for _, search := range []Search{
			{Exclude: []NumericalNote{NoteDownConvertInputs, NoteTensorCore, NoteWinograd, NoteFFT}}, // float32 as it is
			{Exclude: []NumericalNote{NoteNondeterministic}},
			{ExcludeBehavior: []BehaviorNote{NoteRuntimeCompilation}},
			{MaxWorkspace: 1 << 20},
		} {
			for _, pass := range []string{"forward", "data", "filter"} {
				g := l.NewGraph(d)
				shape{64, 64, 3, 1, 56}.build(g, pass, Float32, 32)
				good, bad := 0, 0
				for plan, err := range g.Plans(search) {
					if err != nil {
						bad++
						continue
					}
					good++
					for _, note := range plan.Notes {
						for _, excluded := range search.Exclude {
							if note == excluded {
								t.Errorf("%s: %v has note %d", name, plan, note)
							}
						}
					}
					if search.MaxWorkspace > 0 && plan.Workspace > search.MaxWorkspace {
						t.Errorf("%s: %v", name, plan)
					}
					plan.Destroy()
				}
				if good == 0 {
					t.Errorf("%s, %s: %+v leaves no plan of %d", name, pass, search, bad)
				}
				g.Destroy()
			}
		}
	}
}

func TestASearchWithoutResultSaysWhy(t *testing.T) {
	l := realLibrary(t)
	for name, d := range devices(t, l) {
		g := l.NewGraph(d)
		defer g.Destroy()
		shape{64, 64, 3, 1, 56}.build(g, "forward", BFloat16, 32)
		var every []NumericalNote
		for n := NoteTensorCore; n <= NoteStrictNaNProp; n++ {
			every = append(every, n)
		}
		_, err := g.Plan(Search{Modes: []HeurMode{HeurInstant}, Exclude: every, MaxWorkspace: 1})
		if err == nil || !strings.Contains(err.Error(), "is excluded by its numerical note 0") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPlansSurviveTheirGraphAndJSON(t *testing.T) {
	l := realLibrary(t)
	for name, d := range devices(t, l) {
		g := l.NewGraph(d)
		shape{64, 64, 3, 1, 56}.build(g, "forward", BFloat16, 32)
		plan, err := g.Plan(Search{})
		if err != nil {
			t.Fatal(err)
		}
		g.Destroy()
		text, err := plan.JSON()
		if err != nil {
			t.Fatal(err)
		}
		again, err := l.LoadPlan(d, text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if again.Workspace != plan.Workspace {
			t.Errorf("%s: %v became %v", name, plan, again)
		}
		if second, err := again.JSON(); err != nil || second != text {
			t.Errorf("%s: the plan's text changed: %v", name, err)
		}
		if _, err := l.LoadPlan(d, text[:len(text)/2]); err == nil {
			t.Errorf("%s: half a plan was loaded", name)
		}
		plan.Destroy()
		again.Destroy()
	}
}

func TestDevicePropertiesSurviveJSON(t *testing.T) {
	l := realLibrary(t)
	for name, d := range devices(t, l) {
		text, err := d.JSON()
		if err != nil {
			t.Fatal(err)
		}
		again, err := l.LoadDeviceProperties(text)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Destroy()
		if second, err := again.JSON(); err != nil || second != text {
			t.Errorf("%s: %s became %s, %v", name, text, second, err)
		}
	}
	if _, err := l.LoadDeviceProperties(`{"deviceName":"none"}`); !errors.Is(err, StatusBadParam) {
		t.Errorf("properties without values: %v", err)
	}
}

// batchNorm adds a batch norm in training, or its gradient.
func batchNorm(g *Graph, backward bool, t DataType) {
	dims, stat := []int64{256, 64, 56, 56}, []int64{1, 64, 1, 1}
	data := func(uid int64) Descriptor {
		return g.Tensor(Tensor{UID: uid, Type: t, Dims: dims, Strides: ChannelsLast(dims...)})
	}
	channel := func(uid int64) Descriptor {
		return g.Tensor(Tensor{UID: uid, Type: Float32, Dims: stat, Strides: ChannelsLast(stat...)})
	}
	scalar := func(uid int64) Descriptor {
		return g.Tensor(Tensor{UID: uid, Type: Float32, Dims: []int64{1, 1, 1, 1}, ByValue: true})
	}
	if backward {
		g.NormBackward(NormBackward{Mode: BatchNorm, X: data(1), DY: data(2), DX: data(3), Scale: channel(4), Mean: channel(5),
			InvVariance: channel(6), DScale: channel(7), DBias: channel(8)})
		return
	}
	g.NormForward(NormForward{Mode: BatchNorm, Phase: NormTraining, X: data(1), Y: data(2), Scale: channel(3), Bias: channel(4),
		Mean: channel(5), InvVariance: channel(6), Epsilon: scalar(7), Momentum: scalar(8),
		RunningMean: channel(9), RunningVariance: channel(10), NextRunningMean: channel(11), NextRunningVar: channel(12)})
}

// cuDNN's engines for norms, reductions and matrix products ask the driver before they plan, so that without a driver
// there are none even for a device that is described: these graphs are followed to their heuristics only.
func TestOtherGraphsFinaliseUpToTheirHeuristics(t *testing.T) {
	l := realLibrary(t)
	graphs := map[string]func(*Graph){
		"batch norm, bfloat16":             func(g *Graph) { batchNorm(g, false, BFloat16) },
		"batch norm, float32":              func(g *Graph) { batchNorm(g, false, Float32) },
		"gradient of batch norm, bfloat16": func(g *Graph) { batchNorm(g, true, BFloat16) },
		"gradient of batch norm, float32":  func(g *Graph) { batchNorm(g, true, Float32) },
		"matrix product and GELU": func(g *Graph) {
			a := g.Tensor(Tensor{UID: 1, Type: BFloat16, Dims: []int64{1, 512, 768}})
			b := g.Tensor(Tensor{UID: 2, Type: BFloat16, Dims: []int64{1, 768, 3072}})
			sum := g.Tensor(Tensor{UID: 3, Type: Float32, Dims: []int64{1, 512, 3072}, Virtual: true})
			c := g.Tensor(Tensor{UID: 4, Type: BFloat16, Dims: []int64{1, 512, 3072}})
			g.Matmul(Float32, a, b, sum)
			g.Pointwise(Pointwise{Mode: GELUFwd, Compute: Float32, X: sum, Y: c})
		},
		"reduction of reshaped rows": func(g *Graph) {
			x := g.Tensor(Tensor{UID: 1, Type: Float32, Dims: []int64{512, 768}})
			view := g.Tensor(Tensor{UID: 2, Type: Float32, Dims: []int64{8, 64, 768}, Virtual: true})
			y := g.Tensor(Tensor{UID: 3, Type: Float32, Dims: []int64{8, 1, 768}})
			g.Reshape(x, view)
			g.Reduction(Reduction{Op: ReduceAdd, Compute: Float32, X: view, Y: y})
		},
		"index, comparison and choice": func(g *Graph) {
			dims := []int64{2, 4, 32, 32}
			tensor := func(uid int64, t DataType, virtual bool) Descriptor {
				return g.Tensor(Tensor{UID: uid, Type: t, Dims: dims, Virtual: virtual})
			}
			x, row, column, lower := tensor(1, Float32, false), tensor(2, Int32, true), tensor(3, Int32, true), tensor(4, Boolean, true)
			g.Pointwise(Pointwise{Mode: GenIndex, Compute: Float32, X: x, Y: row, Axis: 2})
			g.Pointwise(Pointwise{Mode: GenIndex, Compute: Float32, X: x, Y: column, Axis: 3})
			g.Pointwise(Pointwise{Mode: CmpGe, Compute: Boolean, X: row, B: column, Y: lower})
			fill := g.Tensor(Tensor{UID: 5, Type: Float32, Dims: []int64{1, 1, 1, 1}, ByValue: true})
			g.Pointwise(Pointwise{Mode: BinarySelect, Compute: Float32, X: x, B: fill, Condition: lower, Y: tensor(6, Float32, false)})
		},
	}
	for name, build := range graphs {
		for device, d := range devices(t, l) {
			g := l.NewGraph(d)
			build(g)
			if err := g.Finalize(); err != nil {
				t.Errorf("%s: %v", name, err)
			} else if _, err := g.configs(HeurA); err != nil {
				t.Errorf("%s: heuristics for %s: %v", name, device, err)
			}
			g.Destroy()
		}
	}
}

func TestConvolutionWithBiasAndReLUHasAPlan(t *testing.T) {
	l := realLibrary(t)
	for name, d := range devices(t, l) {
		for _, dtype := range []DataType{BFloat16, Float16, Float32} {
			g := l.NewGraph(d)
			dims := []int64{32, 64, 56, 56}
			tensor := func(uid int64, t DataType, virtual bool, dims ...int64) Descriptor {
				return g.Tensor(Tensor{UID: uid, Type: t, Dims: dims, Strides: ChannelsLast(dims...), Virtual: virtual})
			}
			x, w, bias := tensor(1, dtype, false, dims...), tensor(2, dtype, false, 64, 64, 3, 3), tensor(3, dtype, false, 1, 64, 1, 1)
			sum, biased, y := tensor(4, Float32, true, dims...), tensor(5, Float32, true, dims...), tensor(6, dtype, false, dims...)
			g.ConvForward(Conv{Compute: Float32, Pad: []int64{1, 1}}, x, w, sum)
			g.Pointwise(Pointwise{Mode: Add, Compute: Float32, X: sum, B: bias, Y: biased})
			g.Pointwise(Pointwise{Mode: ReLUFwd, Compute: Float32, X: biased, Y: y})
			plan, err := g.Plan(Search{})
			if err != nil {
				t.Errorf("%s, type %d: %v", name, dtype, err)
				continue
			}
			t.Logf("%s, type %d: %v", name, dtype, plan)
			plan.Destroy()
			g.Destroy()
		}
	}
}

func TestWrongGraphsFailWithTheReason(t *testing.T) {
	l := realLibrary(t)
	conv := func(x, w, y []int64, c Conv) func(*Graph) {
		return func(g *Graph) {
			c.Compute = Float32
			g.ConvForward(c, g.Tensor(Tensor{UID: 1, Type: BFloat16, Dims: x}), g.Tensor(Tensor{UID: 2, Type: BFloat16, Dims: w}),
				g.Tensor(Tensor{UID: 3, Type: BFloat16, Dims: y}))
		}
	}
	x, w := []int64{256, 64, 56, 56}, []int64{64, 64, 3, 3}
	pad := Conv{Pad: []int64{1, 1}}
	for _, c := range []struct {
		name  string
		build func(*Graph)
		want  string // in the error: ours, or cuDNN's words
	}{
		{"output of the wrong size", conv(x, w, []int64{256, 64, 55, 56}, pad), "ConvForward: cudnnBackendFinalize: CUDNN_STATUS_BAD_PARAM: is_valid_spatial_dim"},
		{"channels that do not divide", conv([]int64{256, 65, 56, 56}, w, x, pad), "xDimA[1] % wDimA[1]"},
		{"strides for one of two dimensions", conv(x, w, x, Conv{Pad: []int64{1, 1}, Stride: []int64{1}}), "ConvForward: cudnnBackendFinalize: CUDNN_STATUS_BAD_PARAM"},
		{"a negative dimension", conv([]int64{256, -64, 56, 56}, w, x, pad), "tensor 1: cudnnBackendFinalize: CUDNN_STATUS_BAD_PARAM"},
		{"nine dimensions", func(g *Graph) { g.Tensor(Tensor{Type: Float32, Dims: make([]int64, 9)}) }, "tensor 0: dimensions"},
		{"an unknown type", func(g *Graph) { g.Tensor(Tensor{Type: 77, Dims: x}) }, "data type 77"},
		{"one UID for two tensors", func(g *Graph) {
			g.Tensor(Tensor{UID: 5, Type: Float32, Dims: x})
			g.Tensor(Tensor{UID: 5, Type: Float32, Dims: w})
		}, "tensor 5: the graph has another tensor of this UID"},
		{"nothing", func(*Graph) {}, "without operations"},
		{"an operation without its output", func(g *Graph) {
			g.Pointwise(Pointwise{Mode: ReLUFwd, Compute: Float32, X: g.Tensor(Tensor{UID: 1, Type: Float32, Dims: x})})
		}, "Pointwise: "},
		{"a matrix product that does not fit", func(g *Graph) {
			a, b := g.Tensor(Tensor{UID: 1, Type: Float32, Dims: []int64{1, 3, 4}}), g.Tensor(Tensor{UID: 2, Type: Float32, Dims: []int64{1, 5, 6}})
			g.Matmul(Float32, a, b, g.Tensor(Tensor{UID: 3, Type: Float32, Dims: []int64{1, 3, 6}}))
		}, "Matmul: "},
	} {
		g := l.NewGraph(nil)
		c.build(g)
		err := g.Finalize()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", c.name, err, c.want)
		}
		g.Destroy()
		if err := g.Finalize(); err == nil {
			t.Errorf("%s: a destroyed graph finalises", c.name)
		}
	}

	// cuDNN finds no fault with a mix of types until it looks for an engine.
	for name, d := range devices(t, l) {
		g := l.NewGraph(d)
		y := g.Tensor(Tensor{UID: 3, Type: BFloat16, Dims: x})
		g.ConvForward(Conv{Compute: Float32, Pad: []int64{1, 1}}, g.Tensor(Tensor{UID: 1, Type: BFloat16, Dims: x}), g.Tensor(Tensor{UID: 2, Type: Float32, Dims: w}), y)
		if _, err := g.Plan(Search{}); !errors.Is(err, StatusNotSupported) {
			t.Errorf("%s: bfloat16 images with a float32 filter: %v", name, err)
		}
		g.Destroy()
	}
}

// What an execution costs on the host beside cuDNN's own work.
func BenchmarkPackOfTheRealLibrary(b *testing.B) {
	l := realLibrary(b)
	uids, addresses := []int64{1, 2, 3}, []uint64{256, 512, 1024}
	b.ReportAllocs()
	for b.Loop() {
		pack, err := l.NewPack(uids, addresses, 4096)
		if err != nil {
			b.Fatal(err)
		}
		pack.Destroy()
	}
}
