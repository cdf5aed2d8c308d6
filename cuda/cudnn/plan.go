package cudnn

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"unsafe"

	"github.com/descent-ml/descent/cuda/internal/dl"
)

// Search says which plans of a graph will do. The zero Search takes all: with float32 tensors that means engines that round
// their inputs to TF32, whose only note on recent GPUs is NoteTensorCore. To have float32 as it is, exclude that,
// NoteDownConvertInputs, NoteReducedPrecisionReduction, NoteWinograd and its tiles, and NoteFFT; for the same result in every
// run, NoteNondeterministic.
type Search struct {
	Modes           []HeurMode      // ways to rank engines, in order; nil: HeurA, then HeurFallback
	Exclude         []NumericalNote // engines with one of these are passed over: NoteNondeterministic, NoteDownConvertInputs
	ExcludeBehavior []BehaviorNote  // likewise: NoteRuntimeCompilation
	MaxWorkspace    int64           // plans that need more bytes are passed over; 0: no limit
}

// Plan is a finalised execution plan.
type Plan struct {
	Workspace int64           // bytes of device memory that Execute needs
	Engine    int64           // the engine's number; -1 in a plan that was loaded
	Notes     []NumericalNote // what the engine does to the numbers; nil in a plan that was loaded

	lib    *Library
	plan   Descriptor
	config Descriptor
}

// Plan returns the plan that cuDNN expects to be the fastest. The caller destroys it. The error tells why each engine will
// not do.
func (g *Graph) Plan(s Search) (*Plan, error) {
	var failed []error
	for plan, err := range g.Plans(s) {
		if err == nil {
			return plan, nil
		}
		failed = append(failed, err)
	}
	switch len(failed) {
	case 0:
		return nil, fmt.Errorf("cudnn: cuDNN %s has no engine for this graph on this device (%w)", versionString(g.lib.Version()), StatusNotSupported)
	case 1:
		return nil, failed[0]
	}
	return nil, fmt.Errorf("cudnn: no engine will do: %w", errors.Join(failed...))
}

// Plans returns the plans that will do, the best first, made one by one: making one may compile kernels. The consumer
// destroys them. An engine that cannot run the graph, or that the search excludes, is yielded as an error.
func (g *Graph) Plans(s Search) iter.Seq2[*Plan, error] {
	if s.Modes == nil {
		s.Modes = []HeurMode{HeurA, HeurFallback}
	}
	return func(yield func(*Plan, error) bool) {
		if err := g.Finalize(); err != nil {
			yield(nil, err)
			return
		}
		for _, mode := range s.Modes {
			configs, err := g.configs(mode)
			if err != nil && !yield(nil, fmt.Errorf("cudnn: heuristic mode %d: %w", mode, err)) {
				return
			}
			for i, config := range configs {
				plan, err := g.plan(config, s)
				if err != nil {
					config.Destroy()
				}
				if !yield(plan, err) {
					destroy(configs[i+1:])
					return
				}
			}
		}
	}
}

// configs asks cuDNN for engines with settings, ranked.
func (g *Graph) configs(mode HeurMode) ([]Descriptor, error) {
	heur, err := g.lib.Make(EngineHeurDescriptor,
		Set(AttrEngineHeurOperationGraph, g.finalized),
		Set(AttrEngineHeurMode, mode),
		given(AttrEngineHeurDeviceProp, g.device))
	if err != nil {
		return nil, err
	}
	defer heur.Destroy()
	return GetDescriptors(heur, AttrEngineHeurResults, EngineConfigDescriptor)
}

// plan makes the plan of a config, which it then owns.
func (g *Graph) plan(config Descriptor, s Search) (*Plan, error) {
	p := &Plan{lib: g.lib, config: config}
	behavior, err := p.describe()
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(p.Notes, func(n NumericalNote) bool { return slices.Contains(s.Exclude, n) }); i >= 0 {
		return nil, fmt.Errorf("cudnn: engine %d is excluded by its numerical note %d", p.Engine, p.Notes[i])
	}
	if i := slices.IndexFunc(behavior, func(n BehaviorNote) bool { return slices.Contains(s.ExcludeBehavior, n) }); i >= 0 {
		return nil, fmt.Errorf("cudnn: engine %d is excluded by its behavior note %d", p.Engine, behavior[i])
	}
	p.plan, err = g.lib.Make(ExecutionPlanDescriptor, Set(AttrExecutionPlanEngineConfig, config),
		onTarget(g.handle, g.device, AttrExecutionPlanHandle, AttrExecutionPlanDeviceProp))
	if err != nil {
		return nil, fmt.Errorf("cudnn: plan of engine %d: %w", p.Engine, err)
	}
	if p.Workspace, err = one[int64](p.plan, AttrExecutionPlanWorkspaceSize); err == nil && s.MaxWorkspace > 0 && p.Workspace > s.MaxWorkspace {
		err = fmt.Errorf("cudnn: engine %d wants %d bytes of workspace", p.Engine, p.Workspace)
	}
	if err != nil {
		p.plan.Destroy()
		return nil, err
	}
	return p, nil
}

// describe reads what the config's engine says of itself.
func (p *Plan) describe() ([]BehaviorNote, error) {
	engines, err := GetDescriptors(p.config, AttrEngineConfigEngine, EngineDescriptor)
	if err != nil {
		return nil, err
	}
	defer destroy(engines)
	if len(engines) != 1 {
		return nil, fmt.Errorf("cudnn: an engine configuration has %d engines", len(engines))
	}
	if p.Engine, err = one[int64](engines[0], AttrEngineGlobalIndex); err != nil {
		return nil, err
	}
	if p.Notes, err = Get[NumericalNote](engines[0], AttrEngineNumericalNote); err != nil {
		return nil, err
	}
	return Get[BehaviorNote](engines[0], AttrEngineBehaviorNote)
}

func one[T Scalar](d Descriptor, name Attribute) (T, error) {
	v, err := Get[T](d, name)
	if err == nil && len(v) != 1 {
		err = fmt.Errorf("cudnn: attribute %d has %d values", name, len(v))
	}
	if err != nil {
		return *new(T), err
	}
	return v[0], nil
}

// Destroy frees the plan, which must not be executing on the host. Work that it has put on a stream goes on.
func (p *Plan) Destroy() {
	p.plan.Destroy()
	p.config.Destroy()
	p.plan, p.config = Descriptor{}, Descriptor{}
}

// JSON returns the plan as text for [Library.LoadPlan], on the same kind of device with the same version of cuDNN.
func (p *Plan) JSON() (string, error) {
	return GetString(p.plan, AttrExecutionPlanJSONRepresentation)
}

// LoadPlan makes a plan for a target from what Plan.JSON returned. The caller destroys it.
func (l *Library) LoadPlan(t Target, json string) (*Plan, error) {
	h, device := t.target()
	plan, err := l.Make(ExecutionPlanDescriptor, onTarget(h, device, AttrExecutionPlanHandle, AttrExecutionPlanDeviceProp),
		SetString(AttrExecutionPlanJSONRepresentation, json))
	if err != nil {
		return nil, fmt.Errorf("cudnn: load plan: %w", err)
	}
	workspace, err := one[int64](plan, AttrExecutionPlanWorkspaceSize)
	if err != nil {
		plan.Destroy()
		return nil, fmt.Errorf("cudnn: load plan: %w", err)
	}
	return &Plan{lib: l, plan: plan, Workspace: workspace, Engine: -1}, nil
}

// onTarget sets the attribute for the handle or that for the device, whichever there is.
func onTarget(h Handle, device Descriptor, handleName, deviceName Attribute) Setting {
	if h.p != 0 {
		return Set(handleName, h)
	}
	return given(deviceName, device)
}

// Execute puts the plan's work on the handle's stream. uids and addresses pair the graph's tensors, except virtual ones,
// with device memory, or with host memory for those by value, which must not move: C's, or pinned Go memory.
// workspace is the address of Workspace bytes on the device, or 0 if it needs none. It allocates nothing in Go.
//
// Of the host's time, a few microseconds go into the variant pack, which cuDNN wants anew for other addresses. Where
// they repeat, keep a [Pack].
func (p *Plan) Execute(h Handle, uids []int64, addresses []uint64, workspace uint64) error {
	pack, err := p.lib.NewPack(uids, addresses, workspace)
	if err != nil {
		return err
	}
	err = p.ExecutePack(h, pack)
	pack.Destroy()
	return err
}

// ExecutePack is Execute with a pack that was made before. Several goroutines may use one.
func (p *Plan) ExecutePack(h Handle, pack Pack) error {
	return p.lib.do(&p.lib.api.execute, h.arg(), dl.Int(p.plan.p), dl.Int(pack.pack.p))
}

// Pack holds the addresses of an execution.
type Pack struct {
	pack Descriptor
}

// NewPack makes a pack of what Execute takes. The caller destroys it.
func (l *Library) NewPack(uids []int64, addresses []uint64, workspace uint64) (Pack, error) {
	if len(uids) != len(addresses) {
		panic(fmt.Sprintf("cudnn: %d tensors and %d addresses", len(uids), len(addresses)))
	}
	pack, err := l.Create(VariantPackDescriptor)
	if err != nil {
		return Pack{}, err
	}
	err = pack.set(AttrVariantPackUniqueIDs, typeInt64, len(uids), unsafe.Pointer(unsafe.SliceData(uids)))
	if err == nil {
		err = pack.set(AttrVariantPackDataPointers, typeVoidPtr, len(addresses), unsafe.Pointer(unsafe.SliceData(addresses)))
	}
	if err == nil {
		err = pack.set(AttrVariantPackWorkspace, typeVoidPtr, 1, unsafe.Pointer(&workspace))
	}
	if err == nil {
		err = pack.Finalize()
	}
	if err != nil {
		pack.Destroy()
		return Pack{}, err
	}
	return Pack{pack}, nil
}

// Destroy frees the pack. Work that was put on a stream with it goes on.
func (p Pack) Destroy() { p.pack.Destroy() }

// String names the engine and its notes.
func (p *Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "engine %d, workspace %d", p.Engine, p.Workspace)
	for _, n := range p.Notes {
		fmt.Fprintf(&b, ", note %d", n)
	}
	return b.String()
}

// DeviceProperties describes a device, so that graphs can be planned for it where it is not. cuDNN 9.8 and later.
type DeviceProperties struct {
	prop Descriptor
}

func (d DeviceProperties) target() (Handle, Descriptor) { return Handle{}, d.prop }

// DeviceProperties describes a handle's device. The caller destroys it.
func (h Handle) DeviceProperties() (DeviceProperties, error) {
	d, err := h.lib.Make(DevicePropDescriptor, Set(AttrDevicePropHandle, h))
	return DeviceProperties{d}, err
}

// LoadDeviceProperties makes a description from what JSON returned, on any machine. The caller destroys it.
func (l *Library) LoadDeviceProperties(json string) (DeviceProperties, error) {
	d, err := l.Make(DevicePropDescriptor, SetString(AttrDevicePropJSONRepresentation, json))
	return DeviceProperties{d}, err
}

// JSON returns the description as text.
func (d DeviceProperties) JSON() (string, error) {
	return GetString(d.prop, AttrDevicePropJSONRepresentation)
}

// Destroy frees the description.
func (d DeviceProperties) Destroy() { d.prop.Destroy() }
