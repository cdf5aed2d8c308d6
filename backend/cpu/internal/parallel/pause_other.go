//go:build !(amd64 || arm64) || noasm

package parallel

import "runtime"

// pause has no instruction to stand on here, so it lets another goroutine run.
func pause() { runtime.Gosched() }
