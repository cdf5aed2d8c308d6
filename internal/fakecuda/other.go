//go:build !(linux && amd64)

package fakecuda

import (
	"errors"
	"testing"
)

// Libraries skips the test: the fake is written for linux/amd64.
func Libraries(t testing.TB) string {
	t.Helper()
	t.Skip("the fake CUDA libraries are for linux/amd64")
	return ""
}

type Program struct{ Name, Source string }

func Precompile(t testing.TB, _ []Program, _ map[string]string, _ []string) { Libraries(t) }

func Mode(Execution)              {}
func Memory(int64)                {}
func Devices(n, major, minor int) {}
func Seed(int64)                  {}
func Fail(string, int, int)       {}
func Reset()                      {}
func Stats() Counts               { return Counts{} }

func build() (string, error) { return "", errors.New("the fake CUDA libraries are for linux/amd64") }

func load() error { _, err := build(); return err }
