package datapath

import (
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/nsqloop/nsqloop/server/journal"
)

// dir is a directory of a Roster. What it has belongs to the roster's mu.
type dir struct {
	r       *Roster
	name    string
	under   journal.FS // nil until it is needed
	files   []*small   // in the roster
	listed  bool       // the roster has a record of it
	made    uint64     // the number of the directory below, 0 when there is none
	changed uint64     // the number of its last record
}

// small is a file in the roster.
type small struct {
	name  string
	data  []byte
	moved journal.File // not nil once it has grown too large and stands below
}

// unfinished reports whether the file is one that a crash may take: it has not
// got its name yet, and no record tells of it.
func (s *small) unfinished() bool { return strings.HasSuffix(s.name, unfinishedSuffix) }

// entry is what the roster has of the directory.
func (d *dir) entry() *entry {
	e := &entry{kind: kindGone, name: d.name}
	if d.listed {
		e.kind, e.files = kindHas, d.files
	}
	return e
}

// stays reports whether there is the directory below, and a power cut leaves it.
func (d *dir) stays() bool { return d.made > 0 && d.made <= d.r.dirsDurable }

// find returns the place of a file among those in the roster, -1 when it is not
// there.
func (d *dir) find(name string) int {
	return slices.IndexFunc(d.files, func(s *small) bool { return s.name == name })
}

// below is the directory below.
func (d *dir) below() journal.FS {
	if d.under == nil {
		d.under = d.r.disk.Dir(d.name)
	}
	return d.under
}

// make makes the directory below, if it is not there.
func (d *dir) make() error {
	if d.made > 0 {
		return nil
	}
	if err := d.r.disk.Make(d.name); err != nil {
		return err
	}
	d.r.dirsMade++
	d.made = d.r.dirsMade
	return nil
}

func (d *dir) Open(name string, create bool) (journal.File, error) {
	f, below, err := d.open(name, create)
	if below == nil {
		return f, err
	}
	return below.Open(name, create)
}

// open opens a file in the roster, or returns the directory that has it below.
func (d *dir) open(name string, create bool) (f journal.File, below journal.FS, err error) {
	d.r.mu.Lock()
	defer d.r.mu.Unlock()
	if i := d.find(name); i >= 0 {
		return &smallFile{d: d, s: d.files[i]}, nil, nil
	}
	switch {
	case d.made > 0:
	case !create:
		return nil, nil, notExist("open", d.name+"/"+name)
	case journal.IsCursorFile(name):
		f, err := d.create(name)
		return f, nil, err
	default:
		if err := d.make(); err != nil {
			return nil, nil, err
		}
	}
	return nil, d.below(), nil
}

// create makes a file in the roster.
func (d *dir) create(name string) (journal.File, error) {
	s := &small{name: name}
	d.files = append(d.files, s)
	if !s.unfinished() {
		if err := d.put(); err != nil {
			d.files = d.files[:len(d.files)-1]
			return nil, err
		}
	}
	return &smallFile{d: d, s: s}, nil
}

// put writes what the roster has of the directory.
func (d *dir) put() error {
	had := d.listed
	d.listed = true
	err := d.r.put(d)
	d.listed = had || err == nil
	return err
}

func (d *dir) Rename(from, to string) error {
	d.r.mu.Lock()
	defer d.r.mu.Unlock()
	i, j := d.find(from), d.find(to)
	if i < 0 {
		if d.made == 0 {
			return notExist("rename", d.name+"/"+from)
		}
		if err := d.below().Rename(from, to); err != nil || j < 0 {
			return err
		}
		return d.remove(j)
	}
	had := slices.Clone(d.files)
	s := d.files[i]
	s.name = to
	if j >= 0 && j != i {
		d.files = slices.Delete(slices.Clone(d.files), j, j+1)
	}
	if err := d.put(); err != nil {
		s.name, d.files = from, had
		return err
	}
	return nil
}

func (d *dir) Remove(name string) error {
	d.r.mu.Lock()
	defer d.r.mu.Unlock()
	if i := d.find(name); i >= 0 {
		return d.remove(i)
	}
	if d.made == 0 {
		return notExist("remove", d.name+"/"+name)
	}
	return d.below().Remove(name)
}

// remove removes a file in the roster. After the last one the directory below
// says that there is such a directory, but for one that a power cut may take.
func (d *dir) remove(i int) error {
	had, listed := d.files, d.listed
	s := had[i]
	d.files = slices.Delete(slices.Clone(had), i, i+1)
	if s.unfinished() {
		return nil
	}
	d.listed = len(d.files) > 0 || !d.stays()
	if err := d.r.put(d); err != nil {
		d.files, d.listed = had, listed
		return err
	}
	return nil
}

func (d *dir) List() ([]string, error) {
	d.r.mu.Lock()
	made, some := d.made > 0, len(d.files) > 0
	var below journal.FS
	if made {
		below = d.below()
	}
	d.r.mu.Unlock()
	var names []string
	if made {
		var err error
		if names, err = below.List(); err != nil || !some {
			return names, err
		}
	}
	d.r.mu.Lock()
	defer d.r.mu.Unlock()
	// A file that a crash has left in both is the one below.
	d.files = slices.DeleteFunc(d.files, func(s *small) bool { return slices.Contains(names, s.name) })
	for _, s := range d.files {
		names = append(names, s.name)
	}
	slices.Sort(names)
	return names, nil
}

// SyncDir also makes sure that the directory itself stays, if it was made below.
func (d *dir) SyncDir() error {
	d.r.mu.Lock()
	changed, made := d.changed, d.made
	var below journal.FS
	if d.made > 0 {
		below = d.below()
	}
	d.r.mu.Unlock()
	if below != nil {
		if err := below.SyncDir(); err != nil {
			return err
		}
	}
	return d.r.syncTo(changed, made)
}

// RemoveAll removes what is below first: as long as that is there, so is what
// the roster knows of it.
func (d *dir) RemoveAll() error {
	changed, err := d.removeAll()
	if err != nil || d.r.o.NeverSync {
		return err
	}
	return d.r.syncTo(changed, 0)
}

func (d *dir) removeAll() (changed uint64, err error) {
	d.r.mu.Lock()
	defer d.r.mu.Unlock()
	if d.made > 0 {
		if err := d.below().RemoveAll(); err != nil {
			return 0, err
		}
		d.made = 0
	}
	if d.listed {
		files := d.files
		d.files, d.listed = nil, false
		if err := d.r.put(d); err != nil {
			d.files, d.listed = files, true
			return 0, err
		}
	}
	if d.r.dirs[d.name] == d {
		delete(d.r.dirs, d.name)
	}
	return d.changed, nil
}

// Enrolled reports whether a file stands in the roster.
func (d *dir) Enrolled(name string) bool {
	d.r.mu.Lock()
	defer d.r.mu.Unlock()
	return d.find(name) >= 0
}

// Placed reports whether an open file has a name, see [journal.OSDir].
func (d *dir) Placed(f journal.File, name string) bool {
	if s, ok := f.(*smallFile); ok {
		d.r.mu.Lock()
		f = s.s.moved
		d.r.mu.Unlock()
		if f == nil {
			return true
		}
	}
	p, ok := d.below().(placer)
	return !ok || p.Placed(f, name)
}

// smallFile is a file in the roster that is open. All its methods may be called
// from any goroutine.
type smallFile struct {
	d      *dir
	s      *small
	closed bool
}

// begin takes the lock and refuses what an operating system would. out is the
// file that this one has become, nil as long as it is in the roster.
func (f *smallFile) begin(op string, off int64) (out journal.File, err error) {
	f.d.r.mu.Lock()
	switch {
	case f.closed:
		err = &fs.PathError{Op: op, Path: f.d.name + "/" + f.s.name, Err: fs.ErrClosed}
	case off < 0:
		err = &fs.PathError{Op: op, Path: f.d.name + "/" + f.s.name, Err: fs.ErrInvalid}
	}
	return f.s.moved, err
}

func (f *smallFile) end() { f.d.r.mu.Unlock() }

func (f *smallFile) ReadAt(p []byte, off int64) (int, error) {
	out, err := f.begin("read", off)
	defer f.end()
	switch {
	case err != nil:
		return 0, err
	case out != nil:
		return out.ReadAt(p, off)
	}
	n := copy(p, f.s.data[min(off, int64(len(f.s.data))):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *smallFile) WriteAt(p []byte, off int64) (int, error) {
	out, err := f.begin("write", off)
	defer f.end()
	if err != nil || len(p) == 0 {
		return 0, err
	}
	end := off + int64(len(p))
	if out == nil && f.s.unfinished() && end > smallMost {
		if out, err = f.grow(); err != nil {
			return 0, err
		}
	}
	if out != nil {
		return out.WriteAt(p, off)
	}
	data := make([]byte, max(end, int64(len(f.s.data))))
	copy(data, f.s.data)
	copy(data[off:], p)
	if err := f.set(data); err != nil {
		return 0, err
	}
	return len(p), nil
}

// set gives the file another content.
func (f *smallFile) set(data []byte) error {
	had := f.s.data
	f.s.data = data
	if f.s.unfinished() || !slices.Contains(f.d.files, f.s) { // or it was removed while it was open
		return nil
	}
	if err := f.d.put(); err != nil {
		f.s.data = had
		return err
	}
	return nil
}

// grow moves an unfinished file below.
func (f *smallFile) grow() (out journal.File, err error) {
	if err := f.d.make(); err != nil {
		return nil, err
	}
	if out, err = f.d.below().Open(f.s.name, true); err != nil {
		return nil, err
	}
	if _, err = out.WriteAt(f.s.data, 0); err != nil {
		_ = out.Close()
		return nil, err
	}
	f.s.moved = out
	f.d.files = slices.DeleteFunc(f.d.files, func(s *small) bool { return s == f.s })
	return out, nil
}

func (f *smallFile) Size() (int64, error) {
	out, err := f.begin("size", 0)
	defer f.end()
	switch {
	case err != nil:
		return 0, err
	case out != nil:
		return out.Size()
	}
	return int64(len(f.s.data)), nil
}

func (f *smallFile) Truncate(size int64) error {
	out, err := f.begin("truncate", size)
	defer f.end()
	switch {
	case err != nil:
		return err
	case out != nil:
		return out.Truncate(size)
	}
	data := make([]byte, size)
	copy(data, f.s.data)
	return f.set(data)
}

func (f *smallFile) Sync() error {
	out, err := f.begin("sync", 0)
	changed := f.d.changed
	f.end()
	switch {
	case err != nil:
		return err
	case out != nil:
		return out.Sync()
	}
	return f.d.r.syncTo(changed, 0)
}

func (f *smallFile) Close() error {
	out, err := f.begin("close", 0)
	defer f.end()
	f.closed = true
	if err != nil || out == nil {
		return err
	}
	return out.Close()
}

func notExist(op, path string) error { return &fs.PathError{Op: op, Path: path, Err: fs.ErrNotExist} }
