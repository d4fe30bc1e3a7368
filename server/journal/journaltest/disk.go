package journaltest

import (
	"cmp"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/nsqloop/nsqloop/server/journal"
)

// Disk is a disk of directories of files. It knows what is durable, and every
// change since in its order. Its methods, and those of its directories and
// files, may be called from any goroutine.
type Disk struct {
	mu   sync.Mutex
	rng  *rand.Rand
	dirs map[string]*dir
	life int // processes that have died; what they had open is dead
	last int // number of the last change
	faults
}

// dir is a directory: its names as the process sees them, as a power cut would
// leave them at least, and the changes between the two.
type dir struct {
	names   map[string]*file
	durable map[string]*file
	pending []change

	made bool // by Make, and not removed since: it is there, files or not
	lost bool // made and not synced since: a power cut may take it, and all in it
}

// change is a change of names: file gets the name to, or loses the one it has.
type change struct {
	file *file
	to   string // "" when the file was removed
	no   int    // all changes of the disk are numbered
}

// file is the content of a file, in the same three parts.
type file struct {
	data    []byte
	durable []byte
	pending []write
}

// write is a write or, when it has no bytes, a truncation to off.
type write struct {
	off int64
	p   []byte
	no  int // as that of a change of names
}

// New returns an empty disk. It takes from rng how much of a torn write is
// stored, and asks it for nothing while no operation fails.
func New(rng *rand.Rand) *Disk {
	return &Disk{rng: rng, dirs: make(map[string]*dir)}
}

// Dir returns the directory of that name, which is made when its first file
// is. A file has at most 2 GiB. After a crash what it returned before is dead, and fails with
// [ErrCrashed]: ask again, as the next process does.
func (d *Disk) Dir(name string) journal.FS {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &openDir{d: d, dir: d.dir(name), name: name, life: d.life}
}

// List returns the names of the directories that were made, or have files in
// them, in increasing order. With Make, Dir and Sync it makes a Disk a
// [journal.Disk].
func (d *Disk) List() ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.next("list", ""); err != nil {
		return nil, &fs.PathError{Op: "list", Path: "/", Err: err}
	}
	var names []string
	for _, name := range sortedKeys(d.dirs) {
		if dir := d.dirs[name]; dir.made || len(dir.names) > 0 {
			names = append(names, name)
		}
	}
	return names, nil
}

// Make makes a directory. Until Sync, a power cut may take it.
func (d *Disk) Make(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.next("mkdir", name); err != nil {
		return &fs.PathError{Op: "mkdir", Path: name, Err: err}
	}
	if dir := d.dir(name); !dir.made {
		dir.made, dir.lost = true, len(dir.names) == 0
	}
	return nil
}

// Sync makes durable which directories there are.
func (d *Disk) Sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.next("syncdir", ""); err != nil {
		return &fs.PathError{Op: "syncdir", Path: "/", Err: err}
	}
	for _, dir := range d.dirs {
		dir.lost = false
	}
	return nil
}

// Dirs returns the names of the directories with files in them, in increasing
// order.
func (d *Disk) Dirs() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var names []string
	for _, name := range sortedKeys(d.dirs) {
		if len(d.dirs[name].names) > 0 {
			names = append(names, name)
		}
	}
	return names
}

// Files returns the paths of all files, directory/name, in increasing order.
// The functions that corrupt a file take such a path.
func (d *Disk) Files() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var paths []string
	for _, name := range sortedKeys(d.dirs) {
		for _, file := range sortedKeys(d.dirs[name].names) {
			paths = append(paths, name+"/"+file)
		}
	}
	return paths
}

// Bytes returns the length of all files together.
func (d *Disk) Bytes() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used()
}

// Clone returns a disk in the same state, without faults and with nothing
// open, so that several outcomes of one crash can be tried.
func (d *Disk) Clone(rng *rand.Rand) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	copies := make(map[*file]*file)
	copyOf := func(f *file) *file {
		c := copies[f]
		if c == nil {
			c = &file{slices.Clone(f.data), slices.Clone(f.durable), slices.Clone(f.pending)}
			copies[f] = c
		}
		return c
	}
	clone := New(rng)
	clone.capacity, clone.last = d.capacity, d.last
	for name, from := range d.dirs {
		to := clone.dir(name)
		to.made, to.lost = from.made, from.lost
		for name, f := range from.names {
			to.names[name] = copyOf(f)
		}
		for name, f := range from.durable {
			to.durable[name] = copyOf(f)
		}
		for _, c := range from.pending {
			to.pending = append(to.pending, change{copyOf(c.file), c.to, c.no})
		}
	}
	return clone
}

// number returns the number of the next change.
func (d *Disk) number() int {
	d.last++
	return d.last
}

// dir returns the directory of that name.
func (d *Disk) dir(name string) *dir {
	if d.dirs[name] == nil {
		d.dirs[name] = &dir{names: make(map[string]*file), durable: make(map[string]*file)}
	}
	return d.dirs[name]
}

func (d *Disk) used() int64 {
	var n int64
	for _, dir := range d.dirs {
		for _, f := range dir.names {
			n += int64(len(f.data))
		}
	}
	return n
}

// lookup returns the file at path. It panics when there is none: the test is
// wrong about its disk.
func (d *Disk) lookup(path string) (*dir, *file) {
	i := strings.LastIndexByte(path, '/')
	if i >= 0 {
		if dir := d.dirs[path[:i]]; dir != nil && dir.names[path[i+1:]] != nil {
			return dir, dir.names[path[i+1:]]
		}
	}
	panic("journaltest: " + path + ": " + fs.ErrNotExist.Error())
}

// apply makes the change to names, whatever has happened to other changes. A
// file has one name.
func (c change) apply(names map[string]*file) {
	maps.DeleteFunc(names, func(_ string, f *file) bool { return f == c.file })
	if c.to != "" {
		names[c.to] = c.file
	}
}

// change makes a change that is not durable yet.
func (d *dir) change(f *file, to string, no int) {
	c := change{f, to, no}
	c.apply(d.names)
	d.pending = append(d.pending, c)
}

// settle makes the names durable as they are.
func (d *dir) settle() {
	d.durable = maps.Clone(d.names)
	d.pending = nil
}

// apply returns data after the write.
func (w write) apply(data []byte) []byte {
	if w.p == nil {
		return resize(data, w.off)
	}
	if end := w.off + int64(len(w.p)); end > int64(len(data)) {
		data = resize(data, end)
	}
	copy(data[w.off:], w.p)
	return data
}

// write makes a write that is not durable yet.
func (f *file) write(w write) {
	f.data = w.apply(f.data)
	f.pending = append(f.pending, w)
}

// settle makes the content durable as it is.
func (f *file) settle() {
	for _, w := range f.pending {
		f.durable = w.apply(f.durable)
	}
	f.pending = nil
}

// resize cuts data or appends zeroes.
func resize(data []byte, size int64) []byte {
	if n := size - int64(len(data)); n > 0 {
		return append(data, make([]byte, n)...)
	}
	return data[:size]
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	return slices.Sorted(maps.Keys(m))
}
