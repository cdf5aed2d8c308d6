// Package doctor tells what a program of this module finds on a machine, and tests
// its devices.
package doctor

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/cpu"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/cuda"
	"github.com/descent-ml/descent/cuda/cublaslt"
	"github.com/descent-ml/descent/cuda/cudnn"
	"github.com/descent-ml/descent/cuda/nccl"
	"github.com/descent-ml/descent/cuda/nvrtc"
)

// Options are the options of Report.
type Options struct {
	Budget time.Duration // for the self-test of each device
	Device string        // the one to test, "" for all
}

// Report writes the page and reports whether every device that is there passed. A
// machine without a GPU is well.
func Report(ctx context.Context, w io.Writer, o Options) bool {
	p := &page{w: w}
	p.section("program")
	p.line("descent", "%s", version())
	p.line("built with", "%s for %s/%s", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	p.line("processor", "%d threads%s", runtime.GOMAXPROCS(0), vectors())

	p.section("NVIDIA")
	gpus := p.nvidia()

	names := []string{"cpu"}
	for i := range gpus {
		names = append(names, fmt.Sprintf("cuda:%d", i))
	}
	if o.Device != "" {
		names = []string{o.Device}
	}
	well := true
	for _, name := range names {
		p.section("self-test of " + name)
		dev, err := backend.Open(name)
		if err != nil {
			p.mark(false, "open", "%v", err)
			well = false
			continue
		}
		well = selfTest(ctx, p, dev, o.Budget) && well
	}
	fmt.Fprintln(w)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(w, "Interrupted.")
		return false
	case !well:
		fmt.Fprintln(w, "A device does not compute what it should: do not train on it.")
	case len(gpus) == 0:
		fmt.Fprintln(w, "All is well on the CPU. No GPU can be used; what is missing stands above.")
	case p.missing > 0:
		fmt.Fprintln(w, "The devices are well; what a library that is missing serves is slower or not there.")
	default:
		fmt.Fprintln(w, "All is well.")
	}
	return well
}

// nvidia lists the driver, the GPUs and the libraries.
func (p *page) nvidia() []*cuda.Device {
	var gpus []*cuda.Device
	driver, err := cuda.Open()
	if err == nil {
		p.mark(true, "driver", "CUDA %s, %s", cuda.FormatVersion(driver.Version()), driver.Path())
		gpus, err = driver.Devices()
	}
	if err != nil {
		p.mark(false, "driver", "%v", err)
	}
	for i, g := range gpus {
		major, minor := g.Capability()
		p.mark(true, fmt.Sprintf("cuda:%d", i), "%s, compute capability %d.%d, %.1f GiB", g.Name(), major, minor, float64(g.TotalMemory())/(1<<30))
	}
	p.library("NVRTC", func() (string, string, error) {
		l, err := nvrtc.Open()
		if err != nil {
			return "", "", err
		}
		major, minor := l.Version()
		return fmt.Sprintf("%d.%d", major, minor), l.Path(), nil
	})
	p.library("cuBLASLt", func() (string, string, error) {
		l, err := cublaslt.Open()
		if err != nil {
			return "", "", err
		}
		return decimal(l.Version()), l.Path(), nil
	})
	p.library("cuDNN", func() (string, string, error) {
		l, err := cudnn.Open()
		if err != nil {
			return "", "", err
		}
		return decimal(l.Version()), l.Path(), nil
	})
	p.library("NCCL", func() (string, string, error) {
		l, err := nccl.Open()
		if err != nil {
			return "", "", err
		}
		v, err := l.Version()
		return nccl.FormatVersion(v), l.Path(), err
	})
	if dir, err := os.UserCacheDir(); err == nil {
		p.line("kernels", "compiled ones are kept in %s", filepath.Join(dir, "descent", "cubin"))
	}
	return gpus
}

// decimal writes a version that NVIDIA's libraries count as 92600 or 130401.
func decimal(v int) string { return fmt.Sprintf("%d.%d.%d", v/10000, v/100%100, v%100) }

func (p *page) library(name string, open func() (version, path string, err error)) {
	version, path, err := open()
	if err != nil {
		p.missing++
		p.mark(false, name, "%v", err)
		return
	}
	p.mark(true, name, "%s, %s", version, path)
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		text := info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				text += " " + s.Value
			}
		}
		return text
	}
	return "of unknown version"
}

func vectors() string {
	var have []string
	for name, is := range map[string]bool{"AVX2": cpu.X86.HasAVX2, "FMA": cpu.X86.HasFMA, "AVX-512": cpu.X86.HasAVX512F} {
		if is {
			have = append(have, name)
		}
	}
	if len(have) == 0 {
		return ", no vector instructions that the kernels use"
	}
	return " with " + strings.Join(sorted(have), ", ")
}
