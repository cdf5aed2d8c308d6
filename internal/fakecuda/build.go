//go:build linux && amd64

package fakecuda

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

//go:embed *.h src
var sources embed.FS

// library is a fake library: its soname and its sources, patterns in src.
type library struct {
	soname  string
	sources []string
	flags   []string
}

// The driver comes first: the others are linked against it.
var libraries = []library{
	{soname: "libcuda.so.1", sources: []string{"driver.cpp", "state.cpp", "memory.cpp", "stream.cpp", "graph.cpp", "module.cpp", "shim.cpp"}},
	{soname: "libnvrtc.so.13", sources: []string{"nvrtc.cpp", "compile.cpp"}},
	{soname: "libnccl.so.2", sources: []string{"nccl.cpp"}},
	{soname: "libcublasLt.so.13", sources: []string{"blas*.cpp"}},
	{soname: "libcudnn.so.9", sources: []string{"dnn*.cpp"}},
}

var compileFlags = []string{"-std=c++17", "-O2", "-Wall", "-Wextra", "-Wno-unused-parameter", "-fPIC", "-fvisibility=hidden"}

// cacheFolder is where built libraries and kernels lie, in the user's cache folder.
func cacheFolder() (string, error) {
	cache, err := os.UserCacheDir()
	return filepath.Join(cache, "descent", "fakecuda"), err
}

func compiler() string {
	if c := os.Getenv("FAKECUDA_CXX"); c != "" {
		return c
	}
	return "g++"
}

// build returns the folder of the libraries, made from the embedded sources if it is not there yet.
func build() (string, error) {
	version, err := exec.Command(compiler(), "-dumpfullversion").Output()
	if err != nil {
		return "", fmt.Errorf("fakecuda: %s: %w", compiler(), err)
	}
	cache, err := cacheFolder()
	if err != nil {
		return "", err
	}
	key := hashOf(compiler(), string(version), strings.Join(compileFlags, " "), fmt.Sprint(libraries))
	err = fs.WalkDir(sources, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			key = hashOf(key, name, string(read(name)))
		}
		return err
	})
	if err != nil {
		return "", err
	}
	folder := filepath.Join(cache, key[:16])
	complete := filepath.Join(folder, "complete")
	if _, err := os.Stat(complete); err == nil {
		return folder, nil
	}

	// One process builds, others wait for it. The lock goes with the file.
	if err := os.MkdirAll(cache, 0o777); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(cache, "lock"), os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	if _, err := os.Stat(complete); err == nil {
		return folder, nil
	}
	prune(cache, key[:16])
	if err := os.RemoveAll(folder); err != nil { // what a run left that was cut short
		return "", err
	}
	if err := os.CopyFS(filepath.Join(folder, "source"), sources); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(folder, "shim.h"), read("shim.h"), 0o666); err != nil {
		return "", err
	}
	if err := compileAll(folder, string(version)); err != nil {
		return "", err
	}
	return folder, os.WriteFile(complete, nil, 0o666)
}

// abi is what a compiled kernel depends on.
func abi() string {
	return hashOf(string(read("shim.h")), string(read("src/image.h")), string(read("src/compile.cpp")))[:16]
}

func compileAll(folder, version string) error {
	source := filepath.Join(folder, "source")
	objects := make([][]string, len(libraries))
	var commands [][]string
	var renames []string
	for i, l := range libraries {
		for _, pattern := range l.sources {
			files, err := fs.Glob(sources, path.Join("src", pattern))
			if err != nil {
				return err
			}
			for _, f := range files {
				command := append([]string{compiler(), "-c", fmt.Sprintf("-DFAKECUDA_ABI=%q", abi())}, compileFlags...)
				command = append(command, l.flags...)
				// Objects outlive the folder: a change to one library leaves the others'.
				object := filepath.Join(filepath.Dir(folder), hashOf(version, withIncludes(f, map[string]bool{}), strings.Join(command, " "))[:16]+".o")
				objects[i] = append(objects[i], object)
				if _, err := os.Stat(object); err != nil {
					commands = append(commands, append(command, "-I", source, "-o", object+".new", filepath.Join(source, f)))
					renames = append(renames, object)
				}
			}
		}
	}
	if err := runAll(commands); err != nil {
		return err
	}
	for _, object := range renames {
		if err := os.Rename(object+".new", object); err != nil {
			return err
		}
	}
	for i, l := range libraries {
		if len(objects[i]) == 0 {
			continue
		}
		command := []string{compiler(), "-shared", "-Wl,-soname," + l.soname, "-Wl,-rpath,$ORIGIN", "-Wl,-z,defs", "-o", filepath.Join(folder, l.soname)}
		command = append(command, objects[i]...)
		if i > 0 {
			command = append(command, filepath.Join(folder, libraries[0].soname))
		}
		if err := runAll([][]string{append(command, "-lm", "-ldl", "-lpthread")}); err != nil {
			return err
		}
	}
	return nil
}

var include = regexp.MustCompile(`(?m)^#include "(.*)"`)

// withIncludes is the text of a source and of all headers that it includes.
func withIncludes(file string, seen map[string]bool) string {
	text := string(read(file))
	for _, m := range include.FindAllStringSubmatch(text, -1) {
		for _, name := range []string{path.Join(path.Dir(file), m[1]), m[1]} { // beside it, or by -I
			if _, err := fs.Stat(sources, name); err == nil && !seen[name] {
				seen[name] = true
				text += withIncludes(name, seen)
			}
		}
	}
	return text
}

// runAll runs commands, two at a time, and returns what the failed ones wrote.
func runAll(commands [][]string) error {
	errs := make([]error, len(commands))
	slots := make(chan struct{}, 2)
	var wait sync.WaitGroup
	for i, c := range commands {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
				errs[i] = fmt.Errorf("fakecuda: %s: %w\n%s", strings.Join(c, " "), err, out)
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

// prune removes libraries and kernels that were made more than two weeks ago by other sources.
func prune(cache, keep string) {
	old := time.Now().Add(-14 * 24 * time.Hour)
	for _, pattern := range []string{"*", "kernels/*"} {
		names, _ := filepath.Glob(filepath.Join(cache, pattern))
		for _, name := range names {
			info, err := os.Stat(name)
			if base := filepath.Base(name); err == nil && base != "kernels" && base != "lock" && !strings.HasPrefix(base, keep) && info.ModTime().Before(old) {
				os.RemoveAll(name)
			}
		}
	}
}

func read(name string) []byte {
	b, err := sources.ReadFile(name)
	if err != nil {
		panic(err) // the file is embedded
	}
	return b
}

func hashOf(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d %s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))
}
