package journal

import (
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
)

// Options are what a journal needs. FS is required.
type Options struct {
	// FS is the journal's own directory: OSDir or Memory.
	FS FS

	// FirstSeq is the sequence of the first message of a new journal.
	FirstSeq uint64

	// SegmentBytes is the size at which a new segment begins. 0 means
	// 100 MiB, which is nsqd's --max-bytes-per-file, or 1 MiB in a volatile
	// journal.
	SegmentBytes int64

	// MaxBody is the longest body: what is longer in a file is damage.
	// 0 means 256 MiB, the most that a record can hold.
	MaxBody int

	// RetainAge, in nanoseconds, and RetainBytes keep segments that nobody
	// needs any more, for looking at them and for Rewind: until the last
	// message in one is that old, or until all segments together are that
	// large. With both, the first to come true decides. 0 and 0: segments go
	// when they are finished.
	RetainAge   int64
	RetainBytes int64

	// Volatile journals write no cursor file: nothing has to survive.
	Volatile bool

	// NeverSync says that Sync will not be called, so that nothing has to be
	// kept for it.
	NeverSync bool

	// Later is given work that waits for the disk, to be done on another
	// goroutine, or not at all if the process ends before that: what large
	// files occupied is given back. When it is done, Dirty may have become
	// true. Close does what has not begun, and waits for what has. nil means
	// that all is done at once.
	Later func(work func())

	// Blocks is the free list of tail blocks; nil means one of its own.
	Blocks *Blocks

	// Log receives what an operator has to know, damage above all; nil is
	// silence.
	Log func(level slog.Level, msg string, args ...any)
}

// place is a message's sequence with the position of its record.
type place struct {
	seq uint64
	pos int64
}

// deferral is a record that was published with a delay.
type deferral struct {
	place
	due int64
}

// Journal is one topic's record of messages. It is not safe for concurrent
// use.
type Journal struct {
	fs        FS
	pool      *Blocks
	log       func(level slog.Level, msg string, args ...any)
	segBytes  int64
	maxBody   int
	firstSeq  uint64
	neverSync bool
	volatile  bool
	closed    bool
	removing  bool // Remove has begun

	end   place // behind the last committed record
	tail  place // behind the last record
	front place // the frontier: what is before it was given to the cursors
	held  bool
	// detained is held for a moment: a journal that is opened is not.
	detained bool

	blocks   []block // the last records, oldest first
	busy     bool    // the last Commit had more than a small block, so the next begins with a large one: one write instead of two
	segments []*segment
	reading  []*segment // the sealed segments that are open, the one opened last at the end
	unsynced []File     // files that were sealed since the last Sync
	newNames bool       // files were created or removed since the last Sync
	uncut    bool       // the tail segment holds refused bytes behind its end
	spill    spill
	unproven bool // an earlier process may have left what is not synced

	syncFailed atomic.Bool // the last Sync did, so the next begins from scratch

	unflushed bool          // something was written since the last Sync
	doubt     error         // a fsync failed that was not a Sync's: the next Sync says so
	syncing   atomic.Int32  // functions returned by Sync that have not finished; they run on other goroutines
	syncs     uint64        // how often Sync was called, which is the number of the last one
	synced    atomic.Uint64 // the number of the last one that succeeded
	awaited   uint64        // the last one that segments wait for; 0: none do
	scratch   readAhead

	deferred []deferral // beyond the frontier, the uncommitted ones last
	shared   []shared   // appended for some cursors alone, not committed

	cursors     []*Cursor
	nextCursor  uint32
	behind      int  // cursors that have not read up to the frontier
	reclaimable bool // a segment may have become free
	clearing    clearing

	retain retention
	newest int64 // timestamp of the last message appended
	looked int64 // the one when files were looked for by name

	events  eventLog
	corrupt int64 // damaged records met so far
	damage  runs  // which messages they held, so that each is counted once
}

// Append adds a message at the end and returns its sequence. timestamp is when
// it was published and due, when not 0, the time before which it must not be
// delivered, both in unix nanoseconds. body is copied. Nobody sees the message
// before Commit.
func (j *Journal) Append(timestamp, due int64, body []byte) (seq uint64) {
	seq = j.tail.seq
	n := recordSize(len(body), due)
	putRecord(j.reserve(n), seq, timestamp, due, 0, body)
	if due != 0 {
		j.deferred = append(j.deferred, deferral{j.tail, due})
	}
	j.tail.seq++
	j.tail.pos += int64(n)
	j.newest = timestamp
	return seq
}

// Uncommitted is the number of messages appended since the last Commit.
func (j *Journal) Uncommitted() int { return int(j.tail.seq - j.end.seq) }

// Dirty reports whether Commit or WriteEvents has something to write.
func (j *Journal) Dirty() bool {
	return j.tail != j.end || j.events.waiting(j) || j.uncut ||
		(j.reclaimable || j.settled()) && len(j.segments) > 1 && !j.clearing.full()
}

// Commit writes what was appended with one write, after which it survives the
// death of the process, and gives it to the cursors. On an error, a full disk
// for example, nothing of it was kept: the messages are gone and their
// sequences are used again. What was committed before is not touched. A cursor
// that could not be written yet is such an error: after the death of the process
// nobody would know that it was to be given the messages. An error that wraps
// [ErrNotTakenBack] is less definite.
func (j *Journal) Commit() error {
	if j.closed {
		return ErrClosed
	}
	if j.tail == j.end {
		return nil
	}
	if err := j.events.vouch(j); err != nil {
		return j.Refuse(err)
	}
	if err := j.writeTail(); err != nil {
		j.takeBack()
		return err
	}
	j.spill = spill{}
	from := j.end
	j.busy = j.tail.pos-from.pos > smallBlock
	j.end = j.tail
	j.tailSegment().end = j.end.pos
	j.unflushed = true
	// What is cut off a file behind the end that the log knows looks as if it had
	// never been there.
	j.events.due = !j.volatile
	j.events.deferrals(j, from)
	if len(j.shared) > 0 {
		j.advanceShared()
	} else {
		j.advance()
	}
	j.trim()
	return nil
}

// writeTail writes the uncommitted records to the tail segment. When it fails the
// file has none of them, unless the error says so.
func (j *Journal) writeTail() error {
	// A tail segment that ends elsewhere is one that lost records.
	if s := j.tailSegment(); s == nil || s.end != j.end.pos || s.end-s.base >= j.segBytes {
		if err := j.roll(); err != nil {
			return err
		}
	}
	s, f, err := j.reopen()
	if err != nil {
		return err
	}
	if err := j.cut(); err != nil {
		return err
	}
	written, err := j.spilled(s)
	if err != nil {
		return err
	}
	name := j.look(s, f)
	for i := range j.blocks {
		b := &j.blocks[i]
		from := max(b.start, written)
		if from >= b.end() {
			continue
		}
		if _, err := f.WriteAt(b.buf[from-b.start:], s.offset(from)); err != nil {
			return j.cutBack(fmt.Errorf("write segment %s: %w", s.name(), err))
		}
	}
	if !j.placed(f, name) {
		if err := j.putBack(s, j.tail.pos); err != nil {
			return j.cutBack(fmt.Errorf("write segment %s again: %w", s.name(), err))
		}
	}
	return nil
}

// cut cuts off what an earlier cut has left behind the tail segment's end.
func (j *Journal) cut() error {
	if !j.uncut {
		return nil
	}
	s := j.tailSegment()
	f, err := j.open(s)
	if err != nil {
		return err
	}
	if err := f.Truncate(s.offset(s.end)); err != nil {
		return fmt.Errorf("cut segment %s: %w", s.name(), err)
	}
	j.uncut, j.unflushed = false, true
	return nil
}

// cutBack cuts off what the file has of the uncommitted records, because of err, and
// returns err, or one that says that they are still there.
func (j *Journal) cutBack(err error) error {
	s := j.tailSegment()
	if cause := s.file.Truncate(s.offset(j.end.pos)); cause != nil {
		// It is tried again before the next write. If the process dies
		// before that, messages that were refused may come back.
		j.uncut = true
		j.report(slog.LevelWarn, "truncate segment after a failed write", "segment", s.name(), "err", cause)
		return fmt.Errorf("%w: %w", ErrNotTakenBack, err)
	}
	return err
}

// takeBack forgets the uncommitted records.
func (j *Journal) takeBack() {
	j.cutTail()
	j.tail, j.spill = j.end, spill{}
	j.shared = j.shared[:0]
	n := len(j.deferred)
	for n > 0 && j.deferred[n-1].seq >= j.end.seq {
		n--
	}
	j.deferred = j.deferred[:n]
}

// follows reports whether the frontier follows the end: there is a cursor to
// give messages to, and the journal is neither held nor detained.
func (j *Journal) follows() bool { return !j.held && !j.detained && len(j.cursors) > 0 }

// advance moves the frontier to the committed end, which gives what lies
// between to every cursor.
func (j *Journal) advance() {
	if !j.follows() || j.front.seq == j.end.seq && j.front.pos == j.end.pos {
		return
	}
	n, from := j.committedDeferrals(), j.front
	j.events.handedOver(j, j.deferred[:n])
	j.front = j.end
	for _, c := range j.cursors {
		c.take(from, j.front, j.deferred[:n])
	}
	j.deferred = slices.Delete(j.deferred, 0, n)
	j.countBehind()
	j.events.frontMoved(j)
}

// countBehind counts the cursors that have not read up to the frontier.
func (j *Journal) countBehind() {
	j.behind = 0
	for _, c := range j.cursors {
		if c.read.seq != j.front.seq {
			j.behind++
		}
	}
}

// committedDeferrals is the number of deferred records between the frontier
// and the committed end.
func (j *Journal) committedDeferrals() int {
	n := len(j.deferred)
	for n > 0 && j.deferred[n-1].seq >= j.end.seq {
		n--
	}
	return n
}

// Hold stops the frontier, or lets it go again: while held, messages are kept
// and no cursor is given any. It is what pausing a topic means, and survives a
// restart.
func (j *Journal) Hold(on bool) {
	if j.held == on {
		return
	}
	j.held = on
	j.events.hold(j)
	j.advance()
}

// Held reports whether the frontier is held.
func (j *Journal) Held() bool { return j.held }

// Detain stops the frontier as Hold does, or lets it go again, for as long as
// the process lives: a journal that is opened is not detained. Whether it is
// held is another question, and either is enough to stop the frontier.
func (j *Journal) Detain(on bool) {
	if j.detained == on {
		return
	}
	j.detained = on
	j.events.hold(j)
	j.advance()
}

// Depth is the number of messages beyond the frontier, without the deferred
// ones.
func (j *Journal) Depth() int64 {
	return int64(j.end.seq-j.front.seq) - int64(j.committedDeferrals())
}

// Deferred is the number of deferred messages beyond the frontier.
func (j *Journal) Deferred() int64 { return int64(j.committedDeferrals()) }

// Discard drops the messages beyond the frontier that stand before a spot: all of
// them before End. Cursors keep theirs.
func (j *Journal) Discard(before Spot) {
	to := before.at
	if to.pos > j.end.pos {
		to = j.end
	}
	if to.pos <= j.front.pos {
		return
	}
	n := 0
	for n < len(j.deferred) && j.deferred[n].seq < to.seq {
		n++
	}
	j.deferred = slices.Delete(j.deferred, 0, n)
	// A cursor that has read everything stands at the frontier and moves
	// with it; one that has not meets the hole when it gets there.
	for _, c := range j.cursors {
		c.pass(j.front, to, 0)
	}
	j.front = to
	j.countBehind()
	j.events.setFront(j)
	j.reclaimable = true
}

// Cursors are the journal's cursors, the recovered ones included, in the order
// of their creation. The slice belongs to the journal.
func (j *Journal) Cursors() []*Cursor { return j.cursors }

// LastCursor is the number of the cursor that was created last, as far as the
// journal knows.
func (j *Journal) LastCursor() uint32 { return j.nextCursor }

// CreateCursor adds a cursor at the frontier. The first one is given all that
// has waited there, later ones only what comes after them.
func (j *Journal) CreateCursor(name string, o CursorOptions) *Cursor {
	j.nextCursor++
	c := &Cursor{j: j, id: j.nextCursor, name: name, options: o, read: j.front}
	c.silent = o.Ephemeral || j.volatile
	j.cursors = append(j.cursors, c)
	if !c.silent {
		j.events.created(c)
	}
	j.advance()
	return c
}

// DeleteCursor removes a cursor and all it holds. After the last one the
// frontier stands still and messages wait for the next first cursor.
func (j *Journal) DeleteCursor(c *Cursor) {
	i := slices.Index(j.cursors, c)
	if i < 0 {
		return
	}
	c.drop()
	j.cursors = slices.Delete(j.cursors, i, i+1)
	j.countBehind()
	if !c.silent {
		j.events.deleted(c)
		c.silent = true
	}
	j.reclaimable = true
}

// FirstSeq is the sequence that the journal began with.
func (j *Journal) FirstSeq() uint64 { return j.firstSeq }

// NextSeq is the sequence of the next message.
func (j *Journal) NextSeq() uint64 { return j.tail.seq }

// Corrupt is the number of damaged records met since the journal was opened.
func (j *Journal) Corrupt() int64 { return j.corrupt }

// Segments is the number of segment files.
func (j *Journal) Segments() int { return len(j.segments) }

// Bytes is the size of the segment files.
func (j *Journal) Bytes() int64 {
	var n int64
	for _, s := range j.segments {
		n += s.end - s.base + fileHeader
	}
	if j.spill.s != nil {
		n += j.spill.pos - j.end.pos
	}
	return n
}

// reclaim deletes the sealed segments that nobody needs: every cursor has read
// past them, and no outstanding message points into them. What it cannot do now is
// done when those that it deleted before are cleared.
func (j *Journal) reclaim() {
	j.reclaimable = false
	if len(j.segments) < 2 || j.retain.holds(j.segments[0]) {
		return
	}
	if j.clearing.full() {
		j.reclaimable = true
		return
	}
	low := j.front.pos
	for _, c := range j.cursors {
		low = min(low, c.read.pos)
	}
	tail := j.tailSegment()
	j.settle()
	free := func(s *segment) bool {
		return s.end <= low && s.refs == 0 && !s.moved && !s.found && !j.retain.holds(s)
	}
	var gone []*segment
	for _, s := range j.segments {
		if s != tail && free(s) {
			gone = append(gone, s)
		}
	}
	if n := j.removeSegments(gone); n < len(gone) {
		gone, j.reclaimable = gone[:n], true
	}
	if len(gone) > 0 {
		j.newNames = true
		left := func(s *segment) bool { return slices.Contains(gone, s) }
		j.segments = slices.DeleteFunc(j.segments, left)
		j.reading = slices.DeleteFunc(j.reading, left)
	}
	j.moveStragglers(low)
}

// report tells the operator.
func (j *Journal) report(level slog.Level, msg string, args ...any) {
	if j.log != nil {
		j.log(level, msg, args...)
	}
}
