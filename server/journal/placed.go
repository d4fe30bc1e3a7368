package journal

import (
	"errors"
	"io/fs"
	"log/slog"
	"slices"
)

// Files can be taken away while they are open: removed by an operator who needs
// room, moved by a script. What is written to them then is gone with the
// process. After each write the journal looks whether the file still has a name,
// and each lookEvery of publishing whether that name leads to it and whether it
// is as long as it was. The file that is being written is written again under
// its name, from what is open, so that nothing of it is lost.

// placer is a directory that can tell where its files are.
type placer interface {
	// Placed reports whether an open file has a name at all, or the one that
	// is given if it is not "".
	Placed(f File, name string) bool
}

// lookEvery is how often names and lengths are looked at, by the timestamps of
// messages, in nanoseconds.
const lookEvery = 1e9

// placed is what the directory says, true where it cannot tell.
func (j *Journal) placed(f File, name string) bool {
	p, ok := j.fs.(placer)
	return !ok || p.Placed(f, name)
}

// look is to be called before the tail is written. It returns the
// name to look for afterwards, "" when it is not the time, and tells the operator
// of a tail that was cut: what is written now stands behind the hole, and is
// found by the next start.
func (j *Journal) look(s *segment, f File) (name string) {
	if j.newest-j.looked < lookEvery {
		return ""
	}
	j.looked = j.newest
	if size, err := f.Size(); err == nil && size < s.offset(s.end) {
		j.report(slog.LevelError, "a segment was cut by somebody else while it was in use: what stood there is lost unless it was delivered",
			"segment", s.name(), "bytes", s.offset(s.end)-size)
	}
	if l := &j.events; l.file != nil && !j.placed(l.file, cursorName(l.generation)) {
		l.taken(j)
	}
	return s.name()
}

func (j *Journal) taken(name string) {
	j.report(slog.LevelError, "a file was taken away by somebody else while it was in use: it is written again", "file", name)
}

// taken is told that the cursor file was: until a snapshot has been written no file
// tells of any cursor.
func (l *eventLog) taken(j *Journal) {
	j.taken(cursorName(l.generation))
	l.stale, l.unkept = true, true
}

// putBack writes the tail segment again, from the file that is open and has lost
// its name, up to a position.
func (j *Journal) putBack(s *segment, end int64) error {
	j.taken(s.name())
	f, err := j.fs.Open(s.name(), true)
	if err != nil {
		return err
	}
	if err := copyFile(f, s.file, s.offset(end)); err != nil {
		_ = f.Close()
		return err
	}
	// A Sync may be at the old one; the next one closes it.
	j.unsynced = append(j.unsynced, s.file)
	if j.neverSync {
		j.closeUnsynced()
	}
	s.file, j.newNames, j.unflushed = f, true, true
	return nil
}

// copyFile makes to what from is, up to a length.
func copyFile(to, from File, size int64) error {
	if err := to.Truncate(0); err != nil {
		return err
	}
	b := make([]byte, min(size, 1<<20))
	for at := int64(0); at < size; at += int64(len(b)) {
		b = b[:min(int64(len(b)), size-at)]
		if _, err := from.ReadAt(b, at); err != nil {
			return err
		}
		if _, err := to.WriteAt(b, at); err != nil {
			return err
		}
	}
	return nil
}

// reopen opens the tail segment; when its file was taken away while it was
// closed, another segment begins.
func (j *Journal) reopen() (*segment, File, error) {
	s := j.tailSegment()
	f, err := j.open(s)
	if !errors.Is(err, fs.ErrNotExist) {
		return s, f, err
	}
	j.taken(s.name())
	j.uncut = false
	if s.base == j.end.pos { // the next one has its name
		j.segments = slices.DeleteFunc(j.segments, func(x *segment) bool { return x == s })
	}
	if err := j.roll(); err != nil {
		return nil, nil, err
	}
	s = j.tailSegment()
	return s, s.file, nil
}

// isGone reports whether a segment cannot be read because somebody has taken
// its file away, and the directory is there.
func (j *Journal) isGone(err error) bool {
	if !errors.Is(err, fs.ErrNotExist) || len(j.segments) == 0 {
		return false
	}
	f, err := j.fs.Open(j.tailSegment().name(), false)
	if err != nil {
		return false
	}
	_ = f.Close()
	return true
}
