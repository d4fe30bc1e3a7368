package journal

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
)

// segment is one file of records.
type segment struct {
	base  int64  // position of its first record
	first uint64 // sequence of its first record
	end   int64  // position behind its last record
	refs  int    // outstanding messages, of all cursors, whose record is here
	moved bool   // some of its records were copied to the tail: see stragglers.go
	found bool   // by Open, and not settled since
	sure  uint64 // the number of the Sync after which it may go, if moved or found: see settle
	dense int    // refs with which it was found to be full of what is outstanding, 0 when it was not
	file  File   // nil when closed

	newest int64 // when sealed: about when its last message was published, 0 if not known
}

func (s *segment) name() string { return segmentName(s.base, s.first) }

// offset is where the record at pos stands in the file.
func (s *segment) offset(pos int64) int64 { return pos - s.base + fileHeader }

// tailSegment is the segment that is being written, nil when there is none.
func (j *Journal) tailSegment() *segment {
	if len(j.segments) == 0 {
		return nil
	}
	return j.segments[len(j.segments)-1]
}

// segmentAt is the segment of the record at pos, nil when there is none. A
// position beyond the segment's end, in a piece that was lost, belongs to the
// segment before it.
func (j *Journal) segmentAt(pos int64) *segment {
	if s := j.tailSegment(); s != nil && pos >= s.base {
		return s // nearly always
	}
	i := sort.Search(len(j.segments), func(i int) bool { return j.segments[i].base > pos })
	if i == 0 {
		return nil
	}
	return j.segments[i-1]
}

// refer counts an outstanding message at pos into its segment, with n -1 out.
func (j *Journal) refer(pos int64, n int) {
	s := j.segmentAt(pos)
	if s == nil {
		return
	}
	s.refs += n
	if s.refs == 0 {
		j.reclaimable = true
	}
}

// readingMost is how many sealed segments are open at a time: messages whose
// times have come stand here and there.
const readingMost = 8

// open returns the segment's file, opening it if need be. Of the sealed
// segments only a few are open at a time.
func (j *Journal) open(s *segment) (File, error) {
	if s.file != nil {
		return s.file, nil
	}
	f, err := j.fs.Open(s.name(), false)
	if err != nil {
		return nil, fmt.Errorf("open segment %s: %w", s.name(), err)
	}
	s.file = f
	if s != j.tailSegment() {
		if len(j.reading) >= readingMost {
			j.reading[0].close()
			j.reading = slices.Delete(j.reading, 0, 1)
		}
		j.reading = append(j.reading, s)
	}
	return f, nil
}

// close closes the segment's file; it opens again by itself.
func (s *segment) close() {
	if s.file != nil {
		_ = s.file.Close() // everything was written by positioned writes; there is nothing to lose here
		s.file = nil
	}
}

// roll begins a new segment at the committed end.
func (j *Journal) roll() error {
	if err := j.cut(); err != nil {
		return err
	}
	s := &segment{base: j.end.pos, first: j.end.seq, end: j.end.pos}
	f, err := j.fs.Open(s.name(), true)
	if err == nil {
		if _, err = f.WriteAt(appendHeader(nil, segmentMagic, s.base, s.first), 0); err != nil {
			_ = f.Close()
			_ = j.fs.Remove(s.name()) // if this fails too, the next roll writes the same name again
		}
	}
	if err != nil {
		return fmt.Errorf("begin segment %s: %w", s.name(), err)
	}
	s.file = f
	if old := j.tailSegment(); old != nil {
		j.sealed(old)
		if old.file != nil {
			j.unsynced = append(j.unsynced, old.file)
			old.file = nil // closed by Sync, or at once when nobody syncs
		}
		if j.neverSync {
			j.closeUnsynced()
		}
	}
	if len(j.segments) == 0 {
		j.events.leave(j)
	}
	j.newNames = true
	j.segments = append(j.segments, s)
	j.reclaimable = true
	j.events.due = !j.volatile
	j.review()
	return nil
}

// closeUnsynced closes the files of sealed segments that wait for a sync.
func (j *Journal) closeUnsynced() {
	for _, f := range j.unsynced {
		_ = f.Close()
	}
	j.unsynced = nil
}

// readAhead is a piece of a segment in memory, for a cursor that is behind.
type readAhead struct {
	buf   []byte
	start int64
	step  int // how much was read at once
}

// How much is read at a time by a cursor that is behind: little where it jumps,
// as it does between messages whose times have come, and more and more while it
// goes on.
const (
	readAheadFirst = 4 << 10
	readAheadSize  = 64 << 10
)

// next is how much to read from pos on.
func (r *readAhead) next(pos int64) int {
	if gap := pos - r.start - int64(len(r.buf)); gap < -int64(len(r.buf)) || gap > int64(r.step) {
		r.step = readAheadFirst
	} else {
		r.step = min(max(4*r.step, readAheadFirst), readAheadSize)
	}
	return r.step
}

// holds returns the n bytes at pos, nil when they are not all there.
func (r *readAhead) holds(pos int64, n int) []byte {
	at := pos - r.start
	if at < 0 || at+int64(n) > int64(len(r.buf)) {
		return nil
	}
	return r.buf[at : at+int64(n)]
}

// drop gives the memory back.
func (r *readAhead) drop() { *r = readAhead{} }

// fill reads at least n bytes from pos on, at most to the segment's end.
func (r *readAhead) fill(j *Journal, s *segment, pos int64, n int) error {
	size := min(max(n, r.next(pos)), int(s.end-pos))
	if size < n {
		return errCorrupt // it would reach beyond the segment
	}
	f, err := j.open(s)
	if j.isGone(err) {
		return errCorrupt
	}
	if err != nil {
		return err
	}
	if cap(r.buf) < size || cap(r.buf) > 2*readAheadSize && size <= readAheadSize {
		r.buf = make([]byte, size, max(size, r.step))
	}
	r.buf, r.start = r.buf[:size], pos
	got, err := f.ReadAt(r.buf, s.offset(pos))
	if got < n {
		r.buf = r.buf[:0]
		if err == nil || errors.Is(err, io.EOF) {
			return errCorrupt // the file is shorter than it was
		}
		return fmt.Errorf("read segment %s: %w", s.name(), err)
	}
	r.buf = r.buf[:got]
	return nil
}

// readRecord reads the record at pos, where one begins, into rec: from memory
// when it is there, else as readStored does.
func (j *Journal) readRecord(pos int64, ra *readAhead, rec *record) error {
	if b := j.inMemory(pos); b != nil {
		getRecord(b[:peekSize(b)], rec)
		return nil
	}
	return j.readStored(pos, ra, rec)
}

// readStored reads the record at pos into rec through ra. It returns errCorrupt
// when there is no intact record at pos, which may be any position, and another
// error when the file could not be read.
func (j *Journal) readStored(pos int64, ra *readAhead, rec *record) error {
	s := j.segmentAt(pos)
	if s == nil || pos >= s.end {
		return errCorrupt
	}
	b := ra.holds(pos, recordHeader)
	if b == nil {
		if err := ra.fill(j, s, pos, recordHeader); err != nil {
			return err
		}
		b = ra.holds(pos, recordHeader)
	}
	size := peekSize(b)
	if size > recordSize(j.maxBody, 1) || pos+int64(size) > s.end {
		return errCorrupt
	}
	if b = ra.holds(pos, size); b == nil {
		if err := ra.fill(j, s, pos, size); err != nil {
			return err
		}
		b = ra.holds(pos, size)
	}
	if !intact(b) {
		return errCorrupt
	}
	getRecord(b, rec)
	return nil
}
