package tofile

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// output is the files of one topic, of which one at most is open. It belongs to
// the one job that runs.
type output struct {
	o      *Options
	naming naming

	f        *os.File
	buf      *bufio.Writer // to f; empty between jobs
	zip      *gzip.Writer  // to buf; nil without gzip
	zipping  bool          // a member has begun
	empty    bool          // nothing is in the file yet
	dirty    bool          // something was written after the last sync
	name     string        // of the file that was opened last, <REV> left in
	revision int
	opened   time.Time
	size     int64 // bytes before compression, and what an appended file had
}

// due says whether what comes next goes to another file. Without a file it
// does.
func (out *output) due(now time.Time) bool {
	switch {
	case out.f == nil:
		return true
	case out.naming.at(now) != out.name:
		return true
	case out.o.RotateInterval > 0 && now.Sub(out.opened) >= out.o.RotateInterval:
		return true
	}
	return out.o.RotateSize > 0 && out.size > out.o.RotateSize
}

// write appends a message and a line feed.
func (out *output) write(body []byte) error {
	to := io.Writer(out.buf)
	if out.zip != nil {
		to, out.zipping = out.zip, true
	}
	out.size += int64(len(body)) + 1
	out.dirty = true
	if _, err := to.Write(body); err != nil {
		return err
	}
	_, err := to.Write(lineFeed)
	return err
}

var lineFeed = []byte{'\n'}

// flush gives the file what was written; with gzip, what the compressor gives
// away before the member ends.
func (out *output) flush() error {
	if out.buf == nil {
		return nil
	}
	return out.buf.Flush()
}

// sync has the disk keep what was written. It ends the gzip member, so that
// what is kept can be read whatever follows.
func (out *output) sync() error {
	if out.f == nil || !out.dirty {
		return nil
	}
	if out.zipping {
		if err := out.zip.Close(); err != nil {
			return err
		}
		out.zip.Reset(out.buf)
		out.zipping, out.empty = false, false
	}
	if err := out.flush(); err != nil {
		return err
	}
	if err := out.o.syncFile(out.f); err != nil {
		return err
	}
	out.dirty = false
	return nil
}

// close syncs and closes the file, and moves it out of the work directory. One
// without messages gets a gzip member nevertheless: no reader takes nothing for that.
func (out *output) close() error {
	if out.f == nil {
		return nil
	}
	if out.zip != nil && out.empty {
		out.zipping, out.dirty = true, true
	}
	if err := out.sync(); err != nil {
		return err
	}
	from := out.f.Name()
	err := out.f.Close()
	out.f, out.buf, out.zip = nil, nil, nil
	if err != nil {
		return err
	}
	if out.o.WorkDir == out.o.Dir {
		return nil
	}
	return out.move(from)
}

// move gives a closed file of the work directory its place in the output
// directory, where it overwrites nothing.
func (out *output) move(from string) error {
	for revision := out.revision; ; revision++ {
		to := filepath.Join(out.o.Dir, revised(out.name, revision))
		if err := makeDir(to); err != nil {
			return err
		}
		err := os.Link(from, to)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%w; the work directory and the output directory have to be on one file system", err)
		}
		if err := syncDir(to); err != nil {
			return err
		}
		return os.Remove(from)
	}
}

// rotate closes the file, if there is one, and opens the next.
func (out *output) rotate(now time.Time) error {
	if err := out.close(); err != nil {
		return err
	}
	name := out.naming.at(now)
	if name == out.name {
		out.revision++
	} else {
		out.revision = 0
	}
	out.name, out.opened = name, now
	for ; ; out.revision++ {
		done, err := out.open(filepath.Join(out.o.WorkDir, revised(name, out.revision)))
		if done || err != nil {
			return err
		}
	}
}

// open opens the file of one path, unless it has to be another one.
func (out *output) open(path string) (done bool, err error) {
	if err := makeDir(path); err != nil {
		return false, err
	}
	mode := os.O_WRONLY | os.O_CREATE
	if out.o.exclusive() {
		mode |= os.O_EXCL
	} else {
		mode |= os.O_APPEND
	}
	f, err := os.OpenFile(path, mode, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	info, err := f.Stat()
	if err != nil {
		return false, errors.Join(err, f.Close())
	}
	out.size = info.Size()
	if out.o.RotateSize > 0 && out.size > out.o.RotateSize {
		return false, f.Close()
	}
	if err := syncDir(path); err != nil {
		return false, errors.Join(err, f.Close())
	}
	out.f, out.buf, out.empty = f, bufio.NewWriterSize(f, 64<<10), info.Size() == 0
	if out.o.Gzip {
		out.zip, err = gzip.NewWriterLevel(out.buf, out.o.GzipLevel)
	}
	return true, err
}

// makeDir makes the directory of path, if need be.
func makeDir(path string) error { return os.MkdirAll(filepath.Dir(path), 0o770) }
