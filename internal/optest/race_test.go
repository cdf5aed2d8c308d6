//go:build race

package optest

// The race detector makes every element dear and looks at something else than
// numbers: fewer central differences, and memory is not filled with NaN.
const (
	probes = 4 // elements of an input that central differences are taken of
	poison = false
)
