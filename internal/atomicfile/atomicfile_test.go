package atomicfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func put(content string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, content)
		return err
	}
}

// wantOnly checks that dir holds the named files with these contents and nothing else: no temporary file is left.
func wantOnly(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		content, wanted := want[e.Name()]
		if !wanted {
			t.Errorf("%s is left behind", e.Name())
			continue
		}
		if got, err := os.ReadFile(filepath.Join(dir, e.Name())); err != nil || string(got) != content {
			t.Errorf("%s holds %.40q (%v), want %.40q", e.Name(), got, err, content)
		}
	}
	if len(entries) < len(want) {
		t.Errorf("%d files, want %d", len(entries), len(want))
	}
}

func TestWriteCreatesAndReplaces(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model")
	long := strings.Repeat("longer than the buffer ", 10_000)
	for _, content := range []string{"first", long, "", "third"} {
		if err := Write(path, put(content)); err != nil {
			t.Fatal(err)
		}
		wantOnly(t, dir, map[string]string{"model": content})
	}
}

func TestWriteWorksWithARelativeName(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := Write("model", put("content")); err != nil {
		t.Fatal(err)
	}
	wantOnly(t, ".", map[string]string{"model": "content"})
}

func TestWriteTakesTheLongestNameThatTheFileSystemTakes(t *testing.T) {
	dir := t.TempDir()
	name := strings.Repeat("n", 255)
	if err := os.WriteFile(filepath.Join(dir, name), nil, 0o666); err != nil {
		t.Skipf("no file name of 255 bytes on this file system: %v", err)
	}
	if err := Write(filepath.Join(dir, name), put("content")); err != nil {
		t.Fatal(err)
	}
	wantOnly(t, dir, map[string]string{name: "content"})
}

// A failure anywhere leaves the old file, or none, and no temporary one. big overflows the writer's buffer, so that the
// fault comes when a part is on the disk.
func TestFailureLeavesThePreviousFile(t *testing.T) {
	fault := errors.New("injected")
	big := strings.Repeat("x", 1<<20)
	for name, write := range map[string]func(io.Writer) error{
		"at once": func(io.Writer) error { return fault },
		"midway":  func(w io.Writer) error { return errors.Join(put(big)(w), fault) },
		"source": func(w io.Writer) error {
			_, err := io.Copy(w, io.MultiReader(strings.NewReader(big), faulty{fault}))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, previous := range []map[string]string{{}, {"model": "previous"}} {
				for name, content := range previous {
					if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o666); err != nil {
						t.Fatal(err)
					}
				}
				if err := Write(filepath.Join(dir, "model"), write); !errors.Is(err, fault) {
					t.Errorf("error %v, want the callback's", err)
				}
				wantOnly(t, dir, previous)
			}
		})
	}
}

type faulty struct{ err error }

func (f faulty) Read([]byte) (int, error) { return 0, f.err }

func TestPanicLeavesThePreviousFileAndTravelsOn(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model")
	if err := Write(path, put("previous")); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if r := recover(); r != "injected" {
			t.Errorf("recovered %v, want the callback's panic", r)
		}
		wantOnly(t, dir, map[string]string{"model": "previous"})
	}()
	Write(path, func(w io.Writer) error {
		put(strings.Repeat("x", 1<<20))(w)
		panic("injected")
	})
	t.Error("Write returned")
}

func TestExitedGoroutineLeavesThePreviousFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model")
	if err := Write(path, put("previous")); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		Write(path, func(w io.Writer) error { runtime.Goexit(); return nil })
	})
	wg.Wait()
	wantOnly(t, dir, map[string]string{"model": "previous"})
}

// The target turns into something that no file can replace while the callback runs: the last step, the rename, fails.
func TestFailedRenameLeavesNoTemporaryFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model")
	err := Write(path, func(w io.Writer) error {
		return errors.Join(put("content")(w), os.MkdirAll(filepath.Join(path, "sub"), 0o777))
	})
	if err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, want one that names %s", err, path)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || !entries[0].IsDir() {
		t.Errorf("directory holds %v (%v), want the folder model only", entries, err)
	}
}

func TestTargetsThatCannotBe(t *testing.T) {
	dir := t.TempDir()
	never := func(io.Writer) error { t.Error("the callback ran"); return nil }
	missing := filepath.Join(dir, "missing", "model")
	if err := Write(missing, never); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), missing) {
		t.Errorf("in a folder that does not exist: %v", err)
	}
	if err := Write(dir, never); err == nil || !strings.Contains(err.Error(), dir+": not a regular file") {
		t.Errorf("onto a folder: %v", err)
	}
	wantOnly(t, dir, nil)
}

func TestModeIsKeptOrTheDefault(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no permission bits")
	}
	dir := t.TempDir()
	plain, model := filepath.Join(dir, "plain"), filepath.Join(dir, "model")
	if err := errors.Join(os.WriteFile(plain, nil, 0o666), Write(model, put("a"))); err != nil {
		t.Fatal(err)
	}
	mode := func(path string) fs.FileMode {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode()
	}
	if mode(model) != mode(plain) {
		t.Errorf("new file has mode %v, os.WriteFile's has %v", mode(model), mode(plain))
	}
	for _, want := range []fs.FileMode{0o600, 0o640, 0o666} {
		if err := errors.Join(os.Chmod(model, want), Write(model, put("b"))); err != nil {
			t.Fatal(err)
		}
		if mode(model) != want {
			t.Errorf("replaced file has mode %v, want %v", mode(model), want)
		}
	}
}

func TestSymbolicLinkStays(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := os.WriteFile(real, []byte("old"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", link); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
	if err := Write(link, put("new")); err != nil {
		t.Fatal(err)
	}
	if target, err := os.Readlink(link); err != nil || target != "real" {
		t.Errorf("link points to %q (%v), want real", target, err)
	}
	wantOnly(t, dir, map[string]string{"real": "new", "link": "new"})
}

// Whoever reads while several write finds one writer's whole content.
func TestReadersSeeWholeFiles(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows replaces no file that somebody reads")
	}
	path := filepath.Join(t.TempDir(), "model")
	content := func(i int) []byte { return bytes.Repeat([]byte{byte('a' + i)}, 200_000) }
	if err := Write(path, put(string(content(0)))); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			for range 5 {
				if err := Write(path, put(string(content(i)))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 50 {
		got, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		} else if len(got) == 0 || !bytes.Equal(got, content(int(got[0]-'a'))) {
			t.Errorf("read a mixture or a part: %d bytes", len(got))
		}
	}
	wg.Wait()
}

// The test runs itself as a child process that is killed while it writes.
func TestKilledProcessLeavesThePreviousFile(t *testing.T) {
	const env = "ATOMICFILE_TEST_VICTIM"
	if path := os.Getenv(env); path != "" {
		Write(path, func(w io.Writer) error {
			put(strings.Repeat("x", 1<<20))(w)
			fmt.Println("writing")
			time.Sleep(time.Minute)
			return errors.New("nobody killed this process")
		})
	}
	path := filepath.Join(t.TempDir(), "model")
	if err := Write(path, put("previous")); err != nil {
		t.Fatal(err)
	}
	victim := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	victim.Env = append(os.Environ(), env+"="+path)
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("writing"))); err != nil {
		t.Error(err)
	}
	victim.Process.Kill()
	victim.Wait()
	if got, err := os.ReadFile(path); err != nil || string(got) != "previous" {
		t.Errorf("file holds %.40q (%v), want the previous content", got, err)
	}
}
