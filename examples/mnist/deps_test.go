package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestOnlyTheExampleLinksTheImages: a program that imports Descent's packages does
// not carry 11 MB of digits.
func TestOnlyTheExampleLinksTheImages(t *testing.T) {
	const module, images = "github.com/descent-ml/descent", "github.com/descent-ml/descent/examples/mnist/data"
	c := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Deps " "}}`, module+"/...")
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		names := strings.Fields(line)
		pkg := names[0]
		links := slices.Contains(names[1:], images)
		seen[pkg] = links
		if links && !strings.HasPrefix(pkg, module+"/examples/") && !strings.HasPrefix(pkg, module+"/internal/") {
			t.Errorf("%s links the images", pkg)
		}
	}
	for _, pkg := range []string{"train", "models", "data/datasets", "serialize"} {
		if _, ok := seen[module+"/"+pkg]; !ok {
			t.Errorf("package %s is not there", pkg)
		}
	}
	if !seen[module+"/examples/mnist"] {
		t.Error("the example does not link the images either: this test looks for another name")
	}
}
