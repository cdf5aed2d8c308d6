package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestCtrlCSavesACheckpointAndTellsHowToGoOn(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Go cannot send Ctrl-C to another process on Windows")
	}
	o := small("mlp", digits(t, 300, 40))
	o.Epochs = 40
	want := checkpointOf(t, o)
	o.save = filepath.Join(t.TempDir(), "checkpoint")

	program := func(flags []string) *exec.Cmd {
		c := exec.CommandContext(t.Context(), os.Args[0], flags...)
		c.Env = append(os.Environ(), asMain+"=1")
		c.Stderr = os.Stderr
		return c
	}
	c := program(append(strings.Fields(o.settings.String()), "-data", o.data, "-save", o.save))
	pipe, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var output strings.Builder
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		output.WriteString(lines.Text() + "\n")
		if strings.HasPrefix(lines.Text(), "epoch 1/") {
			if err := c.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.Wait(); err != nil {
		t.Fatalf("%v after\n%s", err, &output)
	}
	again := resumeFlags(t, output.String())
	if at := position(t, o.save); at.Epoch < 1 || at.Epoch >= o.Epochs {
		t.Fatalf("it stopped in epoch %d of %d", at.Epoch, o.Epochs)
	}

	rest, err := program(again).Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(rest), "\ntest accuracy ") || !strings.Contains(string(rest), "epoch 40/40") {
		t.Errorf("the second half printed\n%s", rest)
	}
	if !bytes.Equal(read(t, o.save), want) {
		t.Error("the training that Ctrl-C stopped ended with another checkpoint")
	}
}
