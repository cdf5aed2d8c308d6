//go:build !race

package optest

const (
	probes = 40 // elements of an input that central differences are taken of
	poison = true
)
