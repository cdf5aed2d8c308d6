package cuda

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/cuda/nvrtc"
)

// compiler makes the images of specs for one architecture, and keeps them in a folder.
type compiler struct {
	nvrtc   *nvrtc.Compiler
	options []string
	dir     string // "" keeps nothing
}

func newCompiler(arch int, dir string) (*compiler, error) {
	nv, err := nvrtc.Open()
	if err != nil {
		return nil, err
	}
	target, err := architecture(nv, arch)
	if err != nil {
		return nil, err
	}
	c := &compiler{nvrtc: nv, options: []string{"--gpu-architecture=" + target, "--std=c++17", "-default-device"}}
	if os.Getenv("DESCENT_CUDA_CACHE") != "off" {
		if c.dir = dir; dir == "" {
			if user, err := os.UserCacheDir(); err == nil {
				c.dir = filepath.Join(user, "descent", "cubin")
			}
		}
	}
	return c, nil
}

// architecture is what NVRTC is asked for: the device's own machine code or, if it
// is too old for that, its newest portable form, which the driver translates.
func architecture(nv *nvrtc.Compiler, arch int) (string, error) {
	known, err := nv.Archs()
	if err != nil {
		return "", err
	}
	if slices.Contains(known, arch) {
		return fmt.Sprintf("sm_%d", arch), nil
	}
	older := slices.DeleteFunc(known, func(a int) bool { return a > arch })
	if len(older) == 0 {
		major, minor := nv.Version()
		return "", fmt.Errorf("NVRTC %d.%d at %s has no code for sm_%d", major, minor, nv.Path(), arch)
	}
	return fmt.Sprintf("compute_%d", slices.Max(older)), nil
}

// path is the file for what is made of a source and the files that it includes. Its
// name is the hash of all that decides the content.
func (c *compiler) path(source string, included map[string]string) string {
	h := sha256.New()
	major, minor := c.nvrtc.Version()
	fmt.Fprintf(h, "%d.%d %q %q", major, minor, c.options, source)
	for _, name := range slices.Sorted(maps.Keys(included)) {
		fmt.Fprintf(h, " %q %q", name, included[name])
	}
	return filepath.Join(c.dir, fmt.Sprintf("%x", h.Sum(nil)))
}

// image is the machine code of k, from the folder if it is there and lookup is set.
func (c *compiler) image(k spec, size uintptr, lookup bool) (image []byte, cached bool, err error) {
	source, included := k.source(size), sources(k.file)
	path := ""
	if c.dir != "" {
		path = c.path(source, included)
		if lookup {
			if image := readImage(path); image != nil {
				return image, true, nil
			}
		}
	}
	image, _, err = c.nvrtc.Compile(source, k.String(), included, c.options)
	if err != nil {
		return nil, false, err
	}
	if path != "" {
		writeImage(path, image)
	}
	return image, false, nil
}

// readImage returns what writeImage wrote, nil if it is not there or damaged.
func readImage(path string) []byte {
	file, err := os.ReadFile(path)
	if err != nil || len(file) < sha256.Size {
		return nil
	}
	sum, image := file[:sha256.Size], file[sha256.Size:]
	if want := sha256.Sum256(image); !bytes.Equal(sum, want[:]) {
		return nil
	}
	return image
}

// writeImage puts an image behind its hash. A folder that cannot be written costs
// time and nothing else. Readers check the hash, so no flush is needed.
func writeImage(path string, image []byte) {
	if os.MkdirAll(filepath.Dir(path), 0o700) != nil {
		return
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return
	}
	sum := sha256.Sum256(image)
	_, err = f.Write(append(sum[:], image...))
	if f.Close() != nil || err != nil || os.Rename(f.Name(), path) != nil {
		os.Remove(f.Name())
	}
}

// Warmup compiles every kernel that works on these dtypes and float32 alone, all
// kernels if none is given, for the folder that keeps them: on a machine like those
// that are to find them there, as their images depend on GPU and compiler.
func (d *Device) Warmup(dtypes ...backend.DType) error {
	c, err := d.openCompiler()
	if err != nil {
		return err
	}
	type item struct {
		spec
		size uintptr
	}
	var todo []item
	in := func(t backend.DType) bool { // what a kernel does not use is float32
		return len(dtypes) == 0 || t == backend.Float32 || slices.Contains(dtypes, t)
	}
	for _, family := range catalogue {
		for k, size := range family {
			if in(k.t) && in(k.u) && in(k.v) {
				todo = append(todo, item{k, size})
			}
		}
	}
	return each(todo, runtime.GOMAXPROCS(0), func(k item) error {
		if _, _, err := c.image(k.spec, k.size, true); err != nil {
			return fmt.Errorf("%s: kernel %v: %w", d.name, k.spec, err)
		}
		return nil
	})
}
