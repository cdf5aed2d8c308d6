// Package section keeps measured tables in documents.
package section

import (
	"fmt"
	"os"
	"strings"
)

// Replace puts text between the marks of a section of a file, <!-- name --> and
// <!-- end of name -->.
func Replace(path, name, text string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	start, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->"
	before, rest, ok := strings.Cut(string(raw), start)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no section %s", path, name)
	}
	return os.WriteFile(path, []byte(before+start+text+end+after), 0o644)
}
