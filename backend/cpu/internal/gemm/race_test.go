//go:build race

package gemm

const raceEnabled = true // sync.Pool drops items at random then
