package cuda

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	cu "github.com/descent-ml/descent/cuda"
)

// kernel is a compiled spec.
type kernel struct {
	fn     cu.Function
	size   uintptr       // of the arguments
	shared atomic.Uint32 // dynamic shared memory that was asked for
}

// freeShared is the dynamic shared memory that a block has without asking.
const freeShared = 48 << 10

// kernels are those of a device. They are looked up without a lock.
type kernels struct {
	table atomic.Pointer[map[spec]*kernel]

	mu       sync.Mutex
	building map[spec]*build
	modules  []cu.Module
	compiler *compiler
}

// build is a kernel in the making, for which others wait.
type build struct {
	done chan struct{}
	k    *kernel
	err  error
}

// kernel returns the function of k, ready for blocks with so much shared memory.
func (d *Device) kernel(k spec, size uintptr, shared uint32) (cu.Function, error) {
	if err := d.alive(); err != nil {
		return cu.Function{}, err
	}
	var known *kernel
	if table := d.kernels.table.Load(); table != nil {
		known = (*table)[k]
	}
	if known == nil {
		var err error
		if known, err = d.build(k, size); err != nil {
			return cu.Function{}, fmt.Errorf("%s: %s: kernel %v: %w", d.name, k.op, k, err)
		}
	}
	if known.size != size || size > maxArgs {
		return cu.Function{}, fmt.Errorf("%s: kernel %v was made for %d bytes of arguments and gets %d", d.name, k, known.size, size)
	}
	if shared > max(freeShared, known.shared.Load()) {
		if err := d.bound(func() error { return known.fn.MaxShared(int(shared)) }); err != nil {
			return cu.Function{}, d.failed(k.op, err)
		}
		known.shared.Store(shared)
	}
	return known.fn, nil
}

// build makes a kernel, once for all who ask at the same time.
func (d *Device) build(k spec, size uintptr) (*kernel, error) {
	ks := &d.kernels
	ks.mu.Lock()
	if table := ks.table.Load(); table != nil && (*table)[k] != nil {
		ks.mu.Unlock()
		return (*table)[k], nil
	}
	if b := ks.building[k]; b != nil {
		ks.mu.Unlock()
		<-b.done
		return b.k, b.err
	}
	b := &build{done: make(chan struct{}), err: errors.New("its compilation panicked")}
	if ks.building == nil {
		ks.building = map[spec]*build{}
	}
	ks.building[k] = b
	ks.mu.Unlock()
	defer func() {
		ks.mu.Lock()
		delete(ks.building, k)
		if b.err == nil {
			table := map[spec]*kernel{}
			if old := ks.table.Load(); old != nil {
				table = maps.Clone(*old)
			}
			table[k] = b.k
			ks.table.Store(&table)
		}
		ks.mu.Unlock()
		close(b.done)
	}()
	b.k, b.err = d.compile(k, size)
	return b.k, b.err
}

func (d *Device) compile(k spec, size uintptr) (*kernel, error) {
	c, err := d.openCompiler()
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	image, cached, err := c.image(k, size, true)
	if err != nil {
		return nil, err
	}
	kn, err := d.load(image, size)
	if err != nil && cached && d.alive() == nil {
		if image, _, err = c.image(k, size, false); err != nil {
			return nil, err
		}
		kn, err = d.load(image, size)
	}
	if err != nil {
		return nil, err
	}
	if log := d.options.Logger; log != nil {
		log.Debug("kernel", slog.String("device", d.name), slog.String("spec", k.String()), slog.Bool("cached", cached),
			slog.Int("bytes", len(image)), slog.Duration("took", time.Since(begin)))
	}
	return kn, nil
}

func (d *Device) load(image []byte, size uintptr) (*kernel, error) {
	kn := &kernel{size: size}
	err := d.bound(func() error {
		module, err := d.ctx.LoadModule(image)
		if err != nil {
			return err
		}
		d.kernels.mu.Lock()
		d.kernels.modules = append(d.kernels.modules, module)
		d.kernels.mu.Unlock()
		kn.fn, err = module.Function("run")
		return err
	})
	return kn, err
}

func (d *Device) openCompiler() (*compiler, error) {
	ks := &d.kernels
	ks.mu.Lock()
	defer ks.mu.Unlock()
	if ks.compiler == nil {
		c, err := newCompiler(d.arch, d.options.CacheDir)
		if err != nil {
			return nil, err
		}
		ks.compiler = c
	}
	return ks.compiler, nil
}

func (ks *kernels) close() error {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	var errs []error
	for _, m := range ks.modules {
		errs = append(errs, m.Unload())
	}
	ks.modules = nil
	ks.table.Store(nil)
	return errors.Join(errs...)
}

// each runs f for all items, on several goroutines, and joins the errors.
func each[T any](items []T, goroutines int, f func(T) error) error {
	var next atomic.Int64
	errs := make([]error, len(items))
	var wg sync.WaitGroup
	for range min(goroutines, len(items)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(items)); i = next.Add(1) - 1 {
				errs[i] = f(items[i])
			}
		})
	}
	wg.Wait()
	return errors.Join(slices.DeleteFunc(errs, func(err error) bool { return err == nil })...)
}
