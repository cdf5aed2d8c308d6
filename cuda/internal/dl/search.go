package dl

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// PathVariable names the environment variable with folders that are searched first, separated as in PATH.
const PathVariable = "DESCENT_CUDA_PATH"

var maxMajor atomic.Int32

// LimitMajor says which CUDA major version the driver supports. From then on Open passes over the libraries of later
// ones, which would load and then fail.
func LimitMajor(major int) { maxMajor.Store(int32(major)) }

// Open searches for a library and opens it. The order: the folders in DESCENT_CUDA_PATH; what the dynamic linker finds by
// itself (LD_LIBRARY_PATH, ldconfig); CUDA_HOME, CUDA_PATH and the usual places of the toolkit; active Python and conda
// environments; environments at well-known places and the python3 on PATH. The first place that has any of the wanted
// versions wins; in one place the newest does.
//
// The error is a [*NotFoundError].
func Open(spec Spec) (*Lib, error) {
	missing := &NotFoundError{Name: spec.Name, Sonames: spec.Sonames, How: spec.How}
	if err := supported(); err != nil {
		missing.Failed = []string{fmt.Sprintf("any library: %v", err)}
		return nil, missing
	}
	for _, need := range spec.Needs {
		Open(need)
	}

	wanted := slices.Clone(spec.Sonames)
	if limit := int(maxMajor.Load()); limit > 0 && spec.CUDAMajor {
		wanted = slices.DeleteFunc(wanted, func(soname string) bool { return major(soname) > limit })
	}
	if env := os.Getenv(PathVariable); env != "" {
		if lib := openIn(explicitFolders(env), spec, wanted, missing); lib != nil {
			return lib, nil
		}
	}
	if lib := openPlain(spec, wanted, missing); lib != nil {
		return lib, nil
	}
	if lib := openIn(append(usualFolders(), spec.Dirs...), spec, wanted, missing); lib != nil {
		return lib, nil
	}
	return nil, missing
}

// openPlain lets the dynamic linker search.
func openPlain(spec Spec, wanted []string, missing *NotFoundError) *Lib {
	missing.Searched = append(missing.Searched, "the dynamic linker's paths")
	for _, soname := range wanted {
		handle, err := open(soname)
		if err == nil {
			return &Lib{Name: spec.Name, Path: filename(handle, soname), handle: handle, how: spec.How}
		}
		// The linker names the file it could not find; any other complaint is about a file that is there.
		if !strings.Contains(err.Error(), soname+": cannot open shared object file: No such file") {
			missing.Failed = append(missing.Failed, err.Error())
		}
	}
	return nil
}

// openIn opens the library in the first folder that has it.
func openIn(folders []string, spec Spec, wanted []string, missing *NotFoundError) *Lib {
	for _, folder := range folders {
		if slices.Contains(missing.Searched, folder) {
			continue
		}
		missing.Searched = append(missing.Searched, folder)
		for _, soname := range wanted {
			file := filepath.Join(folder, soname)
			if info, err := os.Stat(file); err != nil || info.IsDir() {
				continue
			}
			preload(file, spec.Preload)
			handle, err := open(file)
			if err != nil {
				missing.Failed = append(missing.Failed, err.Error())
				continue
			}
			return &Lib{Name: spec.Name, Path: filename(handle, file), handle: handle, how: spec.How}
		}
		missing.Other = append(missing.Other, otherVersions(folder, spec)...)
	}
	return nil
}

// otherVersions lists the versions of a library in a folder that will not do.
func otherVersions(folder string, spec Spec) []string {
	seen := map[string]bool{}
	for _, soname := range spec.Sonames {
		base, _, _ := strings.Cut(soname, ".so")
		files, _ := filepath.Glob(filepath.Join(folder, base+".so.*"))
		for _, file := range files {
			number := major(filepath.Base(file))
			name := filepath.Join(folder, fmt.Sprintf("%s.so.%d", base, number))
			if number < 0 || seen[name] || missingFile(name) {
				continue
			}
			seen[name] = true
		}
	}
	var list []string
	for name := range seen {
		reason := "another major version"
		if slices.Contains(spec.Sonames, filepath.Base(name)) {
			if limit := int(maxMajor.Load()); !spec.CUDAMajor || limit == 0 || major(filepath.Base(name)) <= limit {
				continue // it is among Failed
			}
			reason = fmt.Sprintf("newer than the driver, which supports CUDA %d", maxMajor.Load())
		}
		list = append(list, fmt.Sprintf("%s (%s)", name, reason))
	}
	slices.Sort(list)
	return list
}

func missingFile(name string) bool {
	_, err := os.Stat(name)
	return err != nil
}

// major returns the number after ".so.", or -1.
func major(soname string) int {
	_, version, _ := strings.Cut(soname, ".so.")
	version, _, _ = strings.Cut(version, ".")
	n, err := strconv.Atoi(version)
	if err != nil {
		return -1
	}
	return n
}

// explicitFolders lists DESCENT_CUDA_PATH: the folders themselves, and the places of libraries below the root of a
// toolkit or of site-packages.
func explicitFolders(env string) []string {
	var list []string
	for _, root := range filepath.SplitList(env) {
		if root == "" {
			continue
		}
		list = append(list, root)
		list = append(list, existing(toolkit(root)...)...)
		list = append(list, wheels(root)...)
	}
	return list
}

// usualFolders lists the folders that exist of those where CUDA is found on people's machines.
func usualFolders() []string {
	var list []string
	toolkits := []string{os.Getenv("CUDA_HOME"), os.Getenv("CUDA_PATH"), "/usr/local/cuda"}
	versions, _ := filepath.Glob("/usr/local/cuda-*")
	slices.SortFunc(versions, newestFirst)
	for _, root := range append(append(toolkits, versions...), "/opt/cuda") {
		if root != "" {
			list = append(list, existing(toolkit(root)...)...)
		}
	}

	for _, name := range []string{"VIRTUAL_ENV", "CONDA_PREFIX"} {
		if prefix := os.Getenv(name); prefix != "" {
			list = append(list, environment(prefix)...)
		}
	}
	for _, python := range []string{os.Getenv("DESCENT_PYTHON"), "python3"} {
		list = append(list, pythonFolders(python)...)
	}
	for _, pattern := range wellKnown() {
		prefixes, _ := filepath.Glob(pattern)
		for _, prefix := range prefixes {
			list = append(list, environment(prefix)...)
		}
	}
	return list
}

// wellKnown lists patterns of Python environments.
func wellKnown() []string {
	list := []string{".venv", "/opt/*/.venv", "/opt/*venv*", "/opt/*conda*", "/opt/*conda*/envs/*", "/usr/local", "/usr"}
	if home, err := os.UserHomeDir(); err == nil {
		for _, name := range []string{".venv", "venv", "*conda*", "*conda*/envs/*", ".local"} {
			list = append(list, filepath.Join(home, name))
		}
	}
	return list
}

// pythonFolders returns the folders of the environment of a python, without starting it: an interpreter lies in
// PREFIX/bin. One in a virtual environment is a link to the one it was made from, which is looked at after it.
func pythonFolders(python string) []string {
	if python == "" {
		return nil
	}
	path, err := exec.LookPath(python)
	if err != nil {
		return nil
	}
	list := environment(filepath.Dir(filepath.Dir(path)))
	if real, err := filepath.EvalSymlinks(path); err == nil && real != path {
		list = append(list, environment(filepath.Dir(filepath.Dir(real)))...)
	}
	return list
}

// environment lists the folders with CUDA libraries of a Python or conda environment.
func environment(prefix string) []string {
	var list []string
	if !missingFile(filepath.Join(prefix, "conda-meta")) {
		list = existing(toolkit(prefix)...)
	}
	for _, pattern := range []string{"lib/python3*/site-packages", "lib64/python3*/site-packages", "lib/python3*/dist-packages"} {
		sites, _ := filepath.Glob(filepath.Join(prefix, pattern))
		slices.SortFunc(sites, newestFirst)
		for _, site := range sites {
			list = append(list, wheels(site)...)
		}
	}
	return list
}

// wheels lists the library folders of NVIDIA's wheels in site-packages. CUDA 13's share one folder (cu13); CUDA 12's have
// one each.
func wheels(site string) []string {
	var list []string
	for _, name := range []string{"cu13", "cuda_nvrtc", "cublas", "cuda_runtime", "nvjitlink", "cudnn", "nccl"} {
		list = append(list, filepath.Join(site, "nvidia", name, "lib"))
	}
	return existing(list...)
}

// toolkit lists the library folders below the root of a toolkit.
func toolkit(root string) []string {
	list := []string{filepath.Join(root, "lib64"), filepath.Join(root, "lib")}
	targets := map[string][]string{"amd64": {"x86_64-linux"}, "arm64": {"sbsa-linux", "aarch64-linux"}}
	for _, target := range targets[runtime.GOARCH] {
		list = append(list, filepath.Join(root, "targets", target, "lib"))
	}
	return list
}

func existing(folders ...string) []string {
	return slices.DeleteFunc(folders, func(folder string) bool {
		info, err := os.Stat(folder)
		return err != nil || !info.IsDir()
	})
}

// newestFirst orders paths that differ in version numbers: cuda-13.2 before cuda-12.9, python3.12 before python3.9.
func newestFirst(a, b string) int {
	x, y := numbers(a), numbers(b)
	if c := slices.Compare(y, x); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}

func numbers(s string) []int {
	var list []int
	for _, field := range strings.FieldsFunc(s, func(r rune) bool { return r < '0' || r > '9' }) {
		n, _ := strconv.Atoi(field)
		list = append(list, n)
	}
	return list
}
