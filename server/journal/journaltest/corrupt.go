package journaltest

import (
	"fmt"
	"slices"
)

// pageSize is what ZeroPage takes away, in bytes.
const pageSize = 4096

// FlipBit flips the lowest bit of the byte at off in the file at path, as a
// failing disk does. As with all corruption, what was not durable in the file
// is so afterwards, no operation is counted, and it panics when the file or
// the place is not there.
func (d *Disk) FlipBit(path string, off int64) {
	d.corrupt(path, off, func(data []byte) []byte {
		data[off] ^= 1
		return data
	})
}

// ZeroPage fills the page of 4096 bytes around off with zeroes, as a block
// does that was allocated and never written.
func (d *Disk) ZeroPage(path string, off int64) {
	d.corrupt(path, off, func(data []byte) []byte {
		page := off / pageSize * pageSize
		clear(data[page:min(page+pageSize, int64(len(data)))])
		return data
	})
}

// Cut makes the file at path size bytes long, which must not be more than it
// has.
func (d *Disk) Cut(path string, size int64) {
	d.corrupt(path, size-1, func(data []byte) []byte { return data[:size] })
}

// Remove removes the file at path, durably.
func (d *Disk) Remove(path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, f := d.lookup(path)
	dir.pending = slices.DeleteFunc(dir.pending, func(c change) bool { return c.file == f })
	change{file: f}.apply(dir.names)
	change{file: f}.apply(dir.durable)
}

// Content returns a copy of the file at path.
func (d *Disk) Content(path string) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, f := d.lookup(path)
	return slices.Clone(f.data)
}

// corrupt changes the content of the file at path, which must have a byte at
// off, or may be empty when off is -1.
func (d *Disk) corrupt(path string, off int64, change func(data []byte) []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, f := d.lookup(path)
	if off < -1 || off >= int64(len(f.data)) {
		panic(fmt.Sprintf("journaltest: %s has %d bytes, none at %d", path, len(f.data), off))
	}
	f.data = change(f.data)
	f.durable = slices.Clone(f.data)
	f.pending = nil
}
