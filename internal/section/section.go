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

// Duration writes seconds with three digits, as a table has them.
func Duration(s float64) string {
	switch {
	case s < 1e-3:
		return fmt.Sprintf("%.3g µs", s*1e6)
	case s < 1:
		return fmt.Sprintf("%.3g ms", s*1e3)
	}
	return fmt.Sprintf("%.3g s", s)
}
