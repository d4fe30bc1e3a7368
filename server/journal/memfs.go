package journal

import (
	"io"
	"io/fs"
	"slices"
	"sync"
)

// memChunk is the unit in which a file in memory grows, in bytes. A file
// shorter than one starts with memChunkMin and doubles, so that a thousand
// small journals do not cost a chunk each. So does the chunk in which something
// ends that is longer than one: a file may hold a large message and no more.
const (
	memChunk    = 64 << 10
	memChunkMin = 4 << 10
)

// Memory returns an empty directory in memory as an [FS]. It lasts as long as
// somebody has it or one of its files, and takes what its files take: the
// memory of a file is free as soon as it is removed and closed.
func Memory() FS { return &memDir{files: make(map[string]*memContent)} }

// memDir is an FS in memory. It needs no lock: what may be called on another
// goroutine touches only a file, which has one.
type memDir struct {
	files map[string]*memContent
}

func (d *memDir) Open(name string, create bool) (File, error) {
	c := d.files[name]
	if c == nil {
		if !create {
			return nil, notExist("open", name)
		}
		c = new(memContent)
		d.files[name] = c
	}
	return &memFile{name: name, c: c}, nil
}

func (d *memDir) Rename(from, to string) error {
	c := d.files[from]
	if c == nil {
		return notExist("rename", from)
	}
	delete(d.files, from)
	d.files[to] = c
	return nil
}

func (d *memDir) Remove(name string) error {
	if d.files[name] == nil {
		return notExist("remove", name)
	}
	delete(d.files, name)
	return nil
}

func (d *memDir) List() ([]string, error) {
	var names []string
	for name := range d.files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

func (d *memDir) SyncDir() error { return nil }

func (d *memDir) RemoveAll() error {
	clear(d.files)
	return nil
}

func notExist(op, name string) error {
	return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

// memContent is what a file contains, in chunks, so that growing copies next to
// nothing. What is in no chunk, or behind the end of a short one, is a hole and
// reads as zeroes; what a chunk holds beyond size is zero.
type memContent struct {
	mu     sync.Mutex // a journal's Sync reads and writes its cursor file elsewhere
	chunks [][]byte
	size   int64
}

// memFile is an open memContent.
type memFile struct {
	name   string
	c      *memContent
	closed bool
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.check("read", off); err != nil {
		return 0, err
	}
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if off >= f.c.size {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), f.c.size-off))
	for done := 0; done < n; {
		i, at := chunkAt(off + int64(done))
		piece := p[done:min(n, done+memChunk-at)]
		var chunk []byte
		if i < len(f.c.chunks) {
			chunk = f.c.chunks[i]
		}
		got := 0
		if at < len(chunk) {
			got = copy(piece, chunk[at:])
		}
		clear(piece[got:])
		done += len(piece)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.check("write", off); err != nil {
		return 0, err
	}
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	for done := 0; done < len(p); {
		i, at := chunkAt(off + int64(done))
		end := min(memChunk, at+len(p)-done)
		done += copy(f.c.chunk(i, end, len(p) >= memChunk)[at:end], p[done:])
	}
	if len(p) > 0 {
		f.c.size = max(f.c.size, off+int64(len(p)))
	}
	return len(p), nil
}

func (f *memFile) Size() (int64, error) {
	if err := f.check("size", 0); err != nil {
		return 0, err
	}
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	return f.c.size, nil
}

func (f *memFile) Truncate(size int64) error {
	if err := f.check("truncate", size); err != nil {
		return err
	}
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	i, at := chunkAt(size)
	if at > 0 && i < len(f.c.chunks) {
		if chunk := f.c.chunks[i]; at < len(chunk) {
			clear(chunk[at:])
		}
		i++
	}
	if i < len(f.c.chunks) {
		clear(f.c.chunks[i:]) // lets go of them
		f.c.chunks = f.c.chunks[:i]
	}
	f.c.size = size
	return nil
}

// Sync does nothing: memory is as durable as it gets.
func (f *memFile) Sync() error { return nil }

func (f *memFile) Close() error {
	if err := f.check("close", 0); err != nil {
		return err
	}
	f.closed = true
	f.c = nil
	return nil
}

// check refuses what an operating system would.
func (f *memFile) check(op string, off int64) error {
	switch {
	case f.closed:
		return &fs.PathError{Op: op, Path: f.name, Err: fs.ErrClosed}
	case off < 0:
		return &fs.PathError{Op: op, Path: f.name, Err: fs.ErrInvalid}
	}
	return nil
}

// chunk returns chunk i with room for at least end bytes, and not much more if it is
// tight.
func (c *memContent) chunk(i, end int, tight bool) []byte {
	for len(c.chunks) <= i {
		c.chunks = append(c.chunks, nil)
	}
	chunk := c.chunks[i]
	if len(chunk) >= end {
		return chunk
	}
	size := memChunk
	if tight || i == 0 && len(c.chunks) == 1 {
		for size = memChunkMin; size < end; {
			size *= 2
		}
	}
	grown := make([]byte, size)
	copy(grown, chunk)
	c.chunks[i] = grown
	return grown
}

// chunkAt returns the chunk that offset off is in, and where.
func chunkAt(off int64) (chunk, at int) {
	return int(off / memChunk), int(off % memChunk)
}
