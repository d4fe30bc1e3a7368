package offline

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/nsqloop/nsqloop/server/datapath"
	"github.com/nsqloop/nsqloop/server/journal"
)

// overlay is a directory that is read and not changed: what a journal writes
// stays in memory. It does for as much as opening a journal needs.
type overlay struct {
	dir   string
	mem   journal.FS
	names map[string]string // what is in dir: the name it has now, and there
	open  []*os.File
}

// newOverlay lists the directory, and adds what the roster has of it.
func newOverlay(dir string, small []datapath.Small) (*overlay, error) {
	o := &overlay{dir: dir, mem: journal.Memory(), names: map[string]string{}}
	names, err := journal.OSDir(dir).List()
	for _, name := range names {
		o.names[name] = name
	}
	for _, s := range small {
		f, e := o.mem.Open(s.Name, true)
		if e == nil {
			_, e = f.WriteAt(s.Data, 0)
		}
		err = errors.Join(err, e)
	}
	return o, err
}

// close closes the files.
func (o *overlay) close() {
	for _, f := range o.open {
		f.Close()
	}
	o.open = nil
}

func (o *overlay) Open(name string, create bool) (journal.File, error) {
	below, ok := o.names[name]
	if !ok {
		return o.mem.Open(name, create)
	}
	f, err := os.Open(filepath.Join(o.dir, below))
	if err != nil {
		return nil, err
	}
	o.open = append(o.open, f)
	return &readOnly{f: f, size: -1}, nil
}

func (o *overlay) Rename(from, to string) error {
	below, ok := o.names[from]
	if !ok {
		delete(o.names, to)
		return o.mem.Rename(from, to)
	}
	delete(o.names, from)
	o.names[to] = below
	return nil
}

func (o *overlay) Remove(name string) error {
	if _, ok := o.names[name]; ok {
		delete(o.names, name)
		return nil
	}
	return o.mem.Remove(name)
}

func (o *overlay) List() ([]string, error) {
	names, err := o.mem.List()
	for name := range o.names {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, err
}

func (o *overlay) SyncDir() error { return nil }

func (o *overlay) RemoveAll() error { return errors.ErrUnsupported }

// readOnly is a file below an overlay. It can be cut, for whoever has it open.
type readOnly struct {
	f    *os.File
	size int64 // -1: as it is
}

func (f *readOnly) ReadAt(p []byte, off int64) (int, error) {
	if f.size >= 0 {
		left := max(f.size-off, 0)
		if int64(len(p)) > left {
			n, err := f.f.ReadAt(p[:left], off)
			if err == nil {
				err = io.EOF
			}
			return n, err
		}
	}
	return f.f.ReadAt(p, off)
}

func (f *readOnly) WriteAt([]byte, int64) (int, error) { return 0, fs.ErrPermission }

func (f *readOnly) Size() (int64, error) {
	if f.size >= 0 {
		return f.size, nil
	}
	info, err := f.f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f *readOnly) Truncate(size int64) error { f.size = size; return nil }
func (f *readOnly) Sync() error               { return nil }

// Close leaves it to the overlay, which knows when the journal is done.
func (f *readOnly) Close() error { return nil }
