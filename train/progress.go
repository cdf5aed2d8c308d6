package train

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows how far an epoch is.
type progress interface {
	begin(title string, done, batches int)
	step()
	note(text string) // the latest numbers
	end(text string)  // those of the epoch
	close()           // in the middle of an epoch, too
}

func newProgress(w io.Writer) progress {
	if w == nil {
		return silent{}
	}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return &bar{w: w}
	}
	return &lines{w: w, every: 10 * time.Second}
}

type silent struct{}

func (silent) begin(string, int, int) {}
func (silent) step()                  {}
func (silent) note(string)            {}
func (silent) end(string)             {}
func (silent) close()                 {}

// bar is for terminals.
type bar struct {
	w     io.Writer
	title string
	bar   *progressbar.ProgressBar
}

func (b *bar) begin(title string, done, batches int) {
	b.title = title
	b.bar = progressbar.NewOptions(batches,
		progressbar.OptionSetWriter(b.w),
		progressbar.OptionSetDescription(title),
		progressbar.OptionSetWidth(20),
		progressbar.OptionShowCount(),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionShowDescriptionAtLineEnd(),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionClearOnFinish(),
	)
	if done > 0 {
		_ = b.bar.Set(done)
	}
}

// A terminal that cannot be written to is no reason to stop training.

func (b *bar) step()            { _ = b.bar.Add(1) }
func (b *bar) note(text string) { b.bar.Describe(b.title + "  " + text) }

func (b *bar) end(text string) {
	_ = b.bar.Clear()
	b.bar = nil
	fmt.Fprintf(b.w, "%s  %s\n", b.title, text)
}

func (b *bar) close() {
	if b.bar != nil { // leave it as it is, and go on below
		_ = b.bar.Exit()
		fmt.Fprintln(b.w)
	}
}

// lines is for files and pipes.
type lines struct {
	w     io.Writer
	every time.Duration

	title         string
	first         int
	done, batches int
	start, last   time.Time
}

func (l *lines) begin(title string, done, batches int) {
	l.title, l.first, l.done, l.batches = title, done, done, batches
	l.start = time.Now()
	l.last = l.start
}

func (l *lines) step() { l.done++ }

func (l *lines) note(text string) {
	now := time.Now()
	if now.Sub(l.last) < l.every || l.done == l.first || l.done == l.batches {
		return
	}
	l.last = now
	left := now.Sub(l.start) / time.Duration(l.done-l.first) * time.Duration(l.batches-l.done)
	fmt.Fprintf(l.w, "%s  %d/%d  %s  %v left\n", l.title, l.done, l.batches, text, left.Round(time.Second))
}

func (l *lines) end(text string) { fmt.Fprintf(l.w, "%s  %s\n", l.title, text) }
func (l *lines) close()          {}

func (p Point) line(unit string) string {
	return fmt.Sprintf("%s  %.0f %s/s", p.Values, p.Rate, unit)
}

func (e Epoch) line(unit string) string {
	s := e.Train.String()
	if e.Validation != nil {
		s += "  validation " + e.Validation.String()
	}
	return fmt.Sprintf("%s  %.0f %s/s  %v", s, float64(e.Samples)/e.Time.Seconds(), unit, e.Time.Round(10*time.Millisecond))
}

// String is "loss 0.1234 accuracy 0.9650".
func (v Values) String() string {
	var s strings.Builder
	for i, name := range v.names() {
		if i > 0 {
			s.WriteByte(' ')
		}
		fmt.Fprintf(&s, "%s %.4f", name, v[name])
	}
	return s.String()
}
