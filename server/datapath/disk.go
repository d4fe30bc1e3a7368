package datapath

import (
	"os"
	"path/filepath"

	"github.com/nsqloop/nsqloop/server/journal"
)

// OSDisk returns a directory of the operating system, which must exist, as a
// [journal.Disk]. open makes the file system of one in it: [journal.OSDir],
// unless a test has another.
func OSDisk(dir string, open func(dir string) journal.FS) journal.Disk { return osDisk{dir, open} }

type osDisk struct {
	dir  string
	open func(dir string) journal.FS
}

func (d osDisk) List() ([]string, error) {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, e.Name())
		}
	}
	return dirs, nil
}

func (d osDisk) Make(name string) error {
	if err := os.Mkdir(filepath.Join(d.dir, name), 0o700); err != nil && !os.IsExist(err) {
		return err
	}
	return nil
}

func (d osDisk) Dir(name string) journal.FS { return d.open(filepath.Join(d.dir, name)) }

func (d osDisk) Sync() error {
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
