// Package peer runs PyTorch beside a Go program that is measured against it.
package peer

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
)

//go:embed models.py
var models string

// Command is a script after models.py; its messages go to standard error.
func Command(python, script string, args ...string) *exec.Cmd {
	cmd := exec.Command(python, append([]string{"-c", models + "\n\n" + script}, args...)...)
	cmd.Stderr = os.Stderr
	return cmd
}

// Process is a script that answers lines with lines.
type Process struct {
	in  io.WriteCloser
	out *bufio.Reader
	cmd *exec.Cmd
}

// Start starts a script, whose first line describes PyTorch as JSON for about.
func Start(python, script string, about any, args ...string) (*Process, error) {
	cmd := Command(python, script, args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Process{in, bufio.NewReaderSize(out, 1<<16), cmd}
	if err := p.read(about); err != nil {
		p.Close()
		return nil, fmt.Errorf("%s did not start: is PyTorch installed in it? %w", python, err)
	}
	return p, nil
}

// Ask writes a line and reads the answer, JSON, into answer.
func (p *Process) Ask(question string, answer any) error {
	if _, err := fmt.Fprintln(p.in, question); err != nil {
		return fmt.Errorf("PyTorch ended before %s: %w", question, err)
	}
	if err := p.read(answer); err != nil {
		return fmt.Errorf("%s: %w", question, err)
	}
	return nil
}

func (p *Process) read(answer any) error {
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("PyTorch ended: %w", err)
	}
	return json.Unmarshal(line, answer)
}

// Close lets the script end and waits for it.
func (p *Process) Close() error {
	p.in.Close()
	return p.cmd.Wait()
}
