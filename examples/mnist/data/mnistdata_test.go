package mnistdata_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"strings"
	"testing"

	mnistdata "github.com/descent-ml/descent/examples/mnist/data"
)

func TestEmbeddedFilesAreTheOriginals(t *testing.T) {
	sums, err := os.Open("SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	defer sums.Close()

	listed := map[string]bool{}
	for lines := bufio.NewScanner(sums); lines.Scan(); {
		want, name, ok := strings.Cut(lines.Text(), "  ")
		if !ok {
			t.Fatalf("SHA256SUMS: malformed line %q", lines.Text())
		}
		listed[name] = true
		data, err := mnistdata.Files.ReadFile(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != want {
			t.Errorf("%s: SHA-256 is %x, want %s", name, sum, want)
		}
	}

	files, err := fs.Glob(mnistdata.Files, "*")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 4 {
		t.Errorf("embedded files %v, want the four of MNIST", files)
	}
	for _, name := range files {
		if !listed[name] {
			t.Errorf("%s is embedded but not in SHA256SUMS", name)
		}
	}
}
