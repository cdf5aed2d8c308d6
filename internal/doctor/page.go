package doctor

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// page writes lines of a mark, a name and what is to be said.
type page struct {
	w       io.Writer
	missing int
}

const (
	nameWidth = 12
	textWidth = 100
)

func (p *page) section(name string) { fmt.Fprintf(p.w, "\n%s\n", name) }

func (p *page) line(name, format string, args ...any) { p.write(" ", name, format, args...) }

// mark is a line about something that is well or is not.
func (p *page) mark(well bool, name, format string, args ...any) {
	sign := "✓"
	if !well {
		sign = "✗"
	}
	p.write(sign, name, format, args...)
}

func (p *page) write(sign, name, format string, args ...any) {
	for i, line := range wrap(fmt.Sprintf(format, args...)) {
		if i > 0 {
			sign, name = " ", ""
		}
		fmt.Fprintf(p.w, "  %s %-*s %s\n", sign, nameWidth, name, line)
	}
}

// wrap breaks text into lines at spaces. A word that is too long stays whole: a path can be copied.
func wrap(text string) []string {
	var lines []string
	for _, paragraph := range strings.Split(strings.TrimSpace(text), "\n") {
		indent := paragraph[:len(paragraph)-len(strings.TrimLeft(paragraph, " \t"))]
		line := indent
		for _, word := range strings.Fields(paragraph) {
			if line != indent && len(line)+1+len(word) > textWidth {
				lines = append(lines, line)
				line = indent
			}
			if line != indent {
				line += " "
			}
			line += word
		}
		lines = append(lines, line)
	}
	return lines
}

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}
