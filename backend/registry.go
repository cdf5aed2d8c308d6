package backend

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
)

func (e *IndexError) Error() string {
	return fmt.Sprintf("index %d is out of range for an axis of size %d", e.Index, e.Size)
}

var registry struct {
	sync.Mutex
	open map[string]func(index int) (Device, error)
	devs map[string]Device
}

// Register makes devices called "name" and "name:index" available to Open. A
// backend calls it from init; a name that is taken panics.
func Register(name string, open func(index int) (Device, error)) {
	registry.Lock()
	defer registry.Unlock()
	if registry.open == nil {
		registry.open, registry.devs = map[string]func(int) (Device, error){}, map[string]Device{}
	}
	if _, taken := registry.open[name]; taken {
		panic("backend: " + name + " is registered twice")
	}
	registry.open[name] = open
}

// Open returns the device of that name, the same one each time: "cpu", "cuda"
// (which is "cuda:0"), "cuda:1". It is safe for concurrent use.
func Open(name string) (Device, error) {
	kind, number, numbered := strings.Cut(name, ":")
	index := 0
	if numbered {
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("backend: device %q: %q is no device number", name, number)
		}
		index = n
	}
	registry.Lock()
	defer registry.Unlock()
	key := kind + ":" + strconv.Itoa(index)
	if d := registry.devs[key]; d != nil {
		return d, nil
	}
	open := registry.open[kind]
	if open == nil {
		return nil, fmt.Errorf("backend: unknown device %q; this program has %s (a backend is added by importing its package)",
			name, strings.Join(slices.Sorted(maps.Keys(registry.open)), ", "))
	}
	d, err := open(index)
	if err != nil {
		return nil, fmt.Errorf("backend: device %q: %w", name, err)
	}
	registry.devs[key] = d
	return d, nil
}
