package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// OSDir returns the directory at path as an [FS]. The directory is made, with
// its parents, when the first file is, for the user of the process alone.
func OSDir(path string) FS { return &osDir{path: path} }

// osDir is an FS on a directory of the operating system.
type osDir struct {
	path string
}

func (d *osDir) Open(name string, create bool) (File, error) {
	flags := os.O_RDWR
	if create {
		flags |= os.O_CREATE
	}
	path := filepath.Join(d.path, name)
	f, err := openFile(path, flags, 0o600)
	if create && errors.Is(err, fs.ErrNotExist) {
		if err = d.make(); err == nil {
			f, err = openFile(path, flags, 0o600)
		}
	}
	if err != nil {
		return nil, err // not f: a nil *os.File in a File is not nil
	}
	return osFile{f}, nil
}

// make makes the directory and the parents it lacks. Their names become durable
// here, and not with SyncDir, because each stands in its parent.
func (d *osDir) make() error {
	var parents []string
	for path := filepath.Clean(d.path); ; {
		parent := filepath.Dir(path)
		if _, err := os.Stat(path); err == nil || parent == path {
			break
		}
		parents = append(parents, parent)
		path = parent
	}
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return err
	}
	for _, parent := range parents {
		if err := syncDir(parent); err != nil {
			return err
		}
	}
	return nil
}

func (d *osDir) Rename(from, to string) error {
	return os.Rename(filepath.Join(d.path, from), filepath.Join(d.path, to))
}

func (d *osDir) Remove(name string) error {
	return os.Remove(filepath.Join(d.path, name))
}

func (d *osDir) List() ([]string, error) {
	all, err := os.ReadDir(d.path) // sorted by name
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, f := range all {
		if !f.IsDir() {
			names = append(names, f.Name())
		}
	}
	return names, nil
}

func (d *osDir) SyncDir() error { return syncDir(d.path) }

func (d *osDir) RemoveAll() error {
	if err := os.RemoveAll(d.path); err != nil {
		return err
	}
	err := syncDir(filepath.Dir(d.path))
	if errors.Is(err, fs.ErrNotExist) { // the parent never was: nothing was removed
		return nil
	}
	return err
}

// syncDir makes the names in the directory at path durable. Windows has no
// such operation: it keeps names in a journal of its own.
func syncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}

// osFile is a file of the operating system.
type osFile struct {
	*os.File
}

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
