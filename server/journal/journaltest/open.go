package journaltest

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"syscall"

	"github.com/nsqloop/nsqloop/server/journal"
)

// openDir is a directory as one process sees it.
type openDir struct {
	d    *Disk
	dir  *dir
	name string
	life int
}

func (o *openDir) Open(name string, create bool) (journal.File, error) {
	o.d.mu.Lock()
	defer o.d.mu.Unlock()
	f, op := o.dir.names[name], "open"
	if f == nil && create {
		op = "create"
	}
	if err := o.begin(op, name); err != nil {
		return nil, err
	}
	if f == nil {
		if !create {
			return nil, o.failed(op, name, fs.ErrNotExist)
		}
		f = new(file)
		o.dir.change(f, name, o.d.number())
	}
	return &openFile{o: o, f: f, name: name}, nil
}

func (o *openDir) Rename(from, to string) error {
	o.d.mu.Lock()
	defer o.d.mu.Unlock()
	if err := o.begin("rename", from); err != nil {
		return err
	}
	f := o.dir.names[from]
	if f == nil {
		return o.failed("rename", from, fs.ErrNotExist)
	}
	if from != to {
		o.dir.change(f, to, o.d.number())
	}
	return nil
}

func (o *openDir) Remove(name string) error {
	o.d.mu.Lock()
	defer o.d.mu.Unlock()
	if err := o.begin("remove", name); err != nil {
		return err
	}
	f := o.dir.names[name]
	if f == nil {
		return o.failed("remove", name, fs.ErrNotExist)
	}
	o.dir.change(f, "", o.d.number())
	return nil
}

func (o *openDir) List() ([]string, error) {
	o.d.mu.Lock()
	defer o.d.mu.Unlock()
	if err := o.begin("list", ""); err != nil {
		return nil, err
	}
	return sortedKeys(o.dir.names), nil
}

func (o *openDir) SyncDir() error {
	o.d.mu.Lock()
	defer o.d.mu.Unlock()
	if err := o.begin("syncdir", ""); err != nil {
		return err
	}
	o.dir.settle()
	return nil
}

// RemoveAll removes the files one by one: when it fails torn, some are gone.
func (o *openDir) RemoveAll() error {
	o.d.mu.Lock()
	defer o.d.mu.Unlock()
	err := o.begin("removeall", "")
	for _, name := range sortedKeys(o.dir.names) {
		if err == nil || isTorn(err) && o.d.rng.IntN(2) == 0 {
			o.dir.change(o.dir.names[name], "", o.d.number())
		}
	}
	if err == nil {
		o.dir.settle()
		o.dir.made, o.dir.lost = false, false
	}
	return err
}

// begin starts an operation and returns the error it is to fail with.
func (o *openDir) begin(op, name string) error {
	err := ErrCrashed
	if o.life == o.d.life {
		err = o.d.next(op, o.path(name))
	}
	if err != nil {
		return o.failed(op, name, err)
	}
	return nil
}

func (o *openDir) failed(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: o.path(name), Err: err}
}

// path returns the path of a file, or of the directory when name is empty.
func (o *openDir) path(name string) string {
	if name == "" {
		return o.name
	}
	return o.name + "/" + name
}

// openFile is an open file. It keeps the name it was opened with.
type openFile struct {
	o      *openDir
	f      *file
	name   string
	closed bool
}

func (f *openFile) ReadAt(p []byte, off int64) (int, error) {
	f.o.d.mu.Lock()
	defer f.o.d.mu.Unlock()
	if err := f.begin("read", off); err != nil {
		return 0, err
	}
	n := copy(p, f.f.data[min(off, int64(len(f.f.data))):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *openFile) WriteAt(p []byte, off int64) (int, error) {
	d := f.o.d
	d.mu.Lock()
	defer d.mu.Unlock()
	err := f.begin("write", off)
	n := len(p)
	switch {
	case err == nil:
		if missing := d.missing(f.f, off, n); missing > 0 {
			n = max(0, n-missing)
			err = f.o.failed("write", f.name, syscall.ENOSPC)
		}
	case isTorn(err) && n > 0:
		n = d.rng.IntN(n)
	default:
		return 0, err
	}
	if n > 0 {
		f.f.write(write{off, append([]byte(nil), p[:n]...), d.number()})
	}
	return n, err
}

func (f *openFile) Size() (int64, error) {
	f.o.d.mu.Lock()
	defer f.o.d.mu.Unlock()
	if err := f.begin("size", 0); err != nil {
		return 0, err
	}
	return int64(len(f.f.data)), nil
}

func (f *openFile) Truncate(size int64) error {
	f.o.d.mu.Lock()
	defer f.o.d.mu.Unlock()
	if err := f.begin("truncate", size); err != nil {
		return err
	}
	f.f.write(write{off: size, no: f.o.d.number()})
	return nil
}

// Sync that fails is the last that is heard of the changes it was to make
// durable: some may be, and no later Sync makes up for the others. That is
// what Linux does, which forgets that a page is dirty when writing it fails.
func (f *openFile) Sync() error {
	f.o.d.mu.Lock()
	defer f.o.d.mu.Unlock()
	err := f.begin("sync", 0)
	switch {
	case err == nil:
		f.f.settle()
	case !errors.Is(err, ErrCrashed) && !errors.Is(err, fs.ErrClosed):
		f.f.durable = f.f.afterPowerCut(f.o.d.rng)
		f.f.pending = nil
	}
	return err
}

func (f *openFile) Close() error {
	f.o.d.mu.Lock()
	defer f.o.d.mu.Unlock()
	err := f.begin("close", 0)
	if !errors.Is(err, fs.ErrClosed) {
		f.closed = true // also when closing fails, as everywhere
	}
	return err
}

// begin starts an operation and returns the error it is to fail with.
func (f *openFile) begin(op string, off int64) error {
	switch {
	case f.o.life != f.o.d.life:
		return f.o.failed(op, f.name, ErrCrashed)
	case f.closed:
		return f.o.failed(op, f.name, fs.ErrClosed)
	case off < 0 || off > math.MaxInt32:
		return f.o.failed(op, f.name, fs.ErrInvalid)
	}
	return f.o.begin(op, f.name)
}
