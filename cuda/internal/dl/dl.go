// Package dl finds NVIDIA's shared libraries where people have them, opens them without cgo, and calls their functions.
//
// A binding declares a [Spec] and a struct of function addresses, fills the struct by [Lib.Bind], and calls through it:
//
//	var api struct {
//		version dl.Func `sym:"nvrtcVersion"`
//		archs   dl.Func `sym:"nvrtcGetSupportedArchs,optional"`
//	}
//	lib, err := dl.Open(dl.NVRTC)
//	err = lib.Bind(&api)
//	var major, minor int32
//	status := int32(dl.Call(api.version.Addr, dl.Ptr(&major), dl.Ptr(&minor)))
//
// Libraries are never closed: NVIDIA's start threads and register handlers that outlive a dlclose.
package dl

import (
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
)

// Spec says what a library is called and what it needs.
type Spec struct {
	Name    string   // as people call it: "cuDNN"
	Sonames []string // wanted file names, newest first: "libnvrtc.so.13", "libnvrtc.so.12"

	// CUDAMajor says that the number that ends a soname is CUDA's major version, so that a library newer than the driver
	// is passed over ([LimitMajor]).
	CUDAMajor bool

	// Needs are opened first by a search of their own. It is no error if one is missing: the library may find it itself.
	Needs []Spec

	// Preload are patterns of files beside the library that are opened before it, in this order, by their full path. A
	// library that opens its own parts by plain name finds them then, although their folder is on no search path.
	Preload []string

	Dirs []string // more folders to search, after the usual ones
	How  string   // how to get the library, for the error
}

// Lib is an open library. It stays open until the process ends.
type Lib struct {
	Name string // Spec.Name
	Path string // the file that was opened, as the dynamic linker names it

	handle uintptr
	how    string
}

// Sym returns the address of a function, or 0 if the library has none of that name.
func (l *Lib) Sym(name string) uintptr { return symbol(l.handle, name) }

// Func is a C function with its name, for errors. Addr is 0 if the library does not have it.
type Func struct {
	Addr uintptr
	Name string
}

// Bind fills the fields of a struct, given by pointer, that have a sym tag: a [Func], or a uintptr that takes the address.
// A function that is missing stays 0 if its tag ends in ",optional"; otherwise Bind returns a [*SymbolError] that names
// every missing one.
func (l *Lib) Bind(table any) error {
	v := reflect.ValueOf(table)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("dl: Bind wants a pointer to a struct, not %T", table))
	}
	v = v.Elem()
	var missing []string
	for i := range v.NumField() {
		tag, ok := v.Type().Field(i).Tag.Lookup("sym")
		if !ok {
			continue
		}
		name, option, _ := strings.Cut(tag, ",")
		addr := l.Sym(name)
		if addr == 0 && option != "optional" {
			missing = append(missing, name)
		}
		// Fields are seldom exported: reflect may read such a one, but not set it.
		switch field := v.Field(i).Addr().UnsafePointer(); v.Field(i).Type() {
		case reflect.TypeFor[uintptr]():
			*(*uintptr)(field) = addr
		case reflect.TypeFor[Func]():
			*(*Func)(field) = Func{Addr: addr, Name: name}
		default:
			panic(fmt.Sprintf("dl: field %s of %T is neither a Func nor a uintptr", v.Type().Field(i).Name, table))
		}
	}
	if missing != nil {
		return &SymbolError{Name: l.Name, Path: l.Path, Symbols: missing, How: l.how}
	}
	return nil
}

// VersionError returns an error that says that this library is of the wrong version.
func (l *Lib) VersionError(have, need string) error {
	return fmt.Errorf("%s at %s is version %s; %s is needed%s", l.Name, l.Path, have, need, hint(l.how))
}

// A NotFoundError says that no usable file of a library was found, and what was searched.
type NotFoundError struct {
	Name     string   // "cuDNN"
	Sonames  []string // the file names that would have done
	Searched []string // the places, in order
	Other    []string // files of other versions that were seen, and why they will not do
	Failed   []string // files that would have done, with the reason why they could not be opened
	How      string   // how to get the library
}

// Error lists everything that a person needs to see why the search failed.
func (e *NotFoundError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s not found (%s)", e.Name, strings.Join(e.Sonames, " or "))
	for _, s := range e.Failed {
		fmt.Fprintf(&b, "; could not open %s", s)
	}
	for _, s := range e.Other {
		fmt.Fprintf(&b, "; passed over %s", s)
	}
	if len(e.Searched) > 0 {
		fmt.Fprintf(&b, "; searched: %s", strings.Join(e.Searched, ", "))
	}
	b.WriteString(hint(e.How))
	return b.String()
}

// A SymbolError says that a library lacks functions: it is older than what the binding was written for, or not what its
// name says.
type SymbolError struct {
	Name, Path string
	Symbols    []string
	How        string
}

func (e *SymbolError) Error() string {
	return fmt.Sprintf("%s at %s is too old: it lacks %s%s", e.Name, e.Path, strings.Join(e.Symbols, ", "), hint(e.How))
}

func hint(how string) string {
	if how == "" {
		return ""
	}
	return "; to get it: " + how
}

// preload opens the parts beside file, in the order of the patterns. One that cannot be opened is left to the library.
func preload(file string, patterns []string) {
	for _, pattern := range patterns {
		parts, _ := filepath.Glob(filepath.Join(filepath.Dir(file), pattern))
		for _, part := range parts {
			openPart(part)
		}
	}
}
