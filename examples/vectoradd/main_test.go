package main

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/descent-ml/descent/internal/fakecuda"
)

// The whole program, on the fake GPU.
func TestAddsVectors(t *testing.T) {
	fakecuda.Libraries(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout = w
	main()
	os.Stdout = stdout
	w.Close()
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), "999 + 1998 = 2997") {
		t.Errorf("it printed %q", out)
	}
}
