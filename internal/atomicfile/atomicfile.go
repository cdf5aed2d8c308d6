// Package atomicfile replaces files whole: a reader finds the old content or the new, never a part of either.
package atomicfile

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// Write makes what write puts out the content of the file at path. The bytes go to a temporary file in the same
// directory, reach the disk, and only then take the name. If anything fails, and also if write panics, the temporary
// file is removed and a file that was there stays as it was. The one exception is an error from flushing the
// directory, whose text says that the new file is in place but may not survive a loss of power.
//
// A new file has mode 0666 less the umask; a replaced one keeps its permission bits. A symbolic link is followed, so the
// link stays. The writer given to write is buffered and must not be used once write returns. write's own error is
// returned as it is. A process killed in the middle leaves a file ".descent-*.tmp" behind. Several goroutines or processes
// may write one path at once: the last one's content stays. Windows refuses to replace a file that somebody has open.
func Write(path string, write func(io.Writer) error) (err error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	old, err := os.Stat(path)
	switch {
	case err == nil && !old.Mode().IsRegular():
		return fmt.Errorf("write %s: not a regular file (%s)", path, old.Mode())
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("write %s: %w", path, err)
	}

	dir := filepath.Dir(path)
	f, err := os.OpenFile(filepath.Join(dir, ".descent-"+rand.Text()+".tmp"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	renamed := false
	defer func() { // also on a panic in write
		if !renamed {
			f.Close() // Windows removes no open file
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()

	w := bufio.NewWriterSize(f, 1<<16)
	if err := write(w); err != nil {
		return err
	}
	if err := finish(f, w, old, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	renamed = true
	if err := syncDir(dir); err != nil {
		return fmt.Errorf("write %s: in place, but its directory is not on the disk yet: %w", path, err)
	}
	return nil
}

// finish brings f to the disk and gives it the name path, with the permissions of old unless old is nil.
func finish(f *os.File, w *bufio.Writer, old os.FileInfo, path string) error {
	if err := w.Flush(); err != nil {
		return err
	}
	if old != nil {
		if err := f.Chmod(old.Mode().Perm()); err != nil {
			return err
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// syncDir makes a rename in dir durable where the system has such a call: Windows and some network file systems do not.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, syscall.EINVAL) {
		return err
	}
	return nil
}
