//go:build linux && amd64

package fakecuda_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestWithoutACompilerTestsSkipAndSayWhatToInstall(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(program, "-test.run=^TestFreshMemoryIsNotZero$", "-test.v")
	c.Env = append(os.Environ(), "FAKECUDA_CXX=no-such-compiler")
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- SKIP") || !strings.Contains(string(out), "apt-get install g++") {
		t.Errorf("error %v, output:\n%s", err, out)
	}
}
