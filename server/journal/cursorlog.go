package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"slices"
)

// The cursor file says what has happened to the messages: what was read, what
// is finished, what waits for its time. It is a header as a segment has, then
// blocks, little-endian:
//
//	 0        4        8
//	+--------+--------+------------------------------------------------+
//	| crc32c | length | end (sequence, position) | event | event | ... |
//	+--------+--------+------------------------------------------------+
//
// The checksum covers length and payload. end is the journal's committed end
// when the block was written: what stands behind the last block's end is found
// by reading the journal itself. The first block of a file is a snapshot of
// everything, with events in it if it was taken in slices: generation.go has the
// reasons. All numbers in a block are uvarints.
const (
	blockHeader = 8

	// rewriteAt is the size at which a cursor file is first rewritten, if a
	// segment is larger; after that it may grow to twice its snapshot.
	rewriteAt = 1 << 20

	// eventsKept bounds the events that wait while the file can't be
	// written. Beyond it they are dropped, and a snapshot takes their place.
	eventsKept = 1 << 20

	// bufferKept bounds the memory that is kept for the next block.
	bufferKept = 64 << 10
)

// Events. "front" stands for the frontier's sequence and position.
const (
	evCreate   = iota + 1 // cursor, name, read (sequence, position), deferredAhead, paused
	evDelete              // cursor, front
	evPause               // cursor, 0 or 1
	evHold                // 1 when held, plus 2 when detained; front
	evFront               // front
	evRead                // cursor, sequence, position, deferred records passed
	evFinish              // cursor, first sequence, how many
	evRequeue             // cursor, sequence, attempts, due
	evAgain               // cursor, sequence, attempts: delivered once more
	evDeferred            // sequence, position, due: published with a delay
	evEmpty               // cursor, front
	evMessage             // cursor, sequence, position, attempts, due or 0: outstanding, in a snapshot, whatever was known of it
	evGap                 // cursor, first sequence, end (sequence, position), deferred: in a snapshot
	evMoved               // cursor, sequence, position: its record was copied there
	evRewind              // cursor, read (sequence, position), again, deferredAhead: set back
	evUnsure              // cursor: what was counted in deferredAhead may be gone
)

// eventLog is the cursor file and what is to be written to it.
type eventLog struct {
	file       File
	generation uint64
	size       int64 // of the file
	found      int64 // what is at its beginning since before Open, and has not been synced since
	foundSum   uint32
	snapshot   int64 // size of the snapshot it began with
	buf        []byte
	dirty      []*Cursor  // cursors with something to stage
	stale      bool       // buf was dropped, or the file is not to be trusted: write a snapshot
	unkept     bool       // a cursor is in no file: see vouch
	failed     error      // what the last write came to
	outdated   []string   // files that may go after the next Sync
	frontDirty bool       // the frontier moved, and no durable cursor's events tell
	due        bool       // a block is wanted even without an event: it says where the journal ends
	blockEnd   int64      // the journal's end in the last block
	block      []byte     // what write makes its blocks in
	next       *successor // the next generation, while it is being written
	notBefore  int64      // the size before which no other one is begun, after one that failed
	rewriteAt  int64      // the constants, unless a test says otherwise
	kept       int64
	slice      int
}

// newEventLog makes one for a journal of such segments. Where they are small, so
// are the cursor file and the slices in which it is written: whoever wants files
// of a kilobyte wants all of them, and simulated systems, which have little to
// say, come through all that happens to large ones.
func newEventLog(segBytes int64) eventLog {
	return eventLog{
		rewriteAt: min(rewriteAt, segBytes),
		kept:      eventsKept,
		slice:     int(min(sliceBytes, max(segBytes/16, 64))),
	}
}

func (j *Journal) durableCursors() bool {
	return slices.ContainsFunc(j.cursors, func(c *Cursor) bool { return !c.options.Ephemeral })
}

// waiting reports whether there is something to write.
func (l *eventLog) waiting(j *Journal) bool {
	return len(l.buf) > 0 || len(l.dirty) > 0 || l.frontDirty || l.due || l.stale || l.next != nil
}

// isWritten reports whether every event that was added is in the file.
func (l *eventLog) isWritten() bool { return len(l.buf) == 0 && !l.stale }

// add appends an event of numbers.
func (l *eventLog) add(kind byte, numbers ...uint64) {
	l.buf = appendEvent(l.buf, kind, numbers...)
}

func appendEvent(b []byte, kind byte, numbers ...uint64) []byte {
	b = append(b, kind)
	for _, n := range numbers {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func appendCreate(b []byte, c *Cursor) []byte {
	b = append(b, evCreate)
	b = binary.AppendUvarint(b, uint64(c.id))
	b = binary.AppendUvarint(b, uint64(len(c.name)))
	b = append(b, c.name...)
	paused := uint64(0)
	if c.paused {
		paused = 1
	}
	for _, n := range [...]uint64{c.read.seq, uint64(c.read.pos), uint64(c.deferredAhead), paused} {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

// stage puts what the cursor has gathered into the log: first how far it has
// read, then what was finished, so that the log never finishes a message that
// it has not seen.
func (c *Cursor) stage() {
	l := &c.j.events
	if c.read != c.logged {
		l.add(evRead, uint64(c.id), c.read.seq, uint64(c.read.pos), uint64(c.passed))
		c.logged, c.passed = c.read, 0
	}
	if c.runLength > 0 {
		l.add(evFinish, uint64(c.id), c.runStart, c.runLength)
		c.runLength = 0
	}
}

// stageAll stages every cursor, so that the next event stands in the order in
// which things happened.
func (l *eventLog) stageAll() {
	for i, c := range l.dirty {
		c.stage()
		c.dirty = false
		l.dirty[i] = nil
	}
	l.dirty = l.dirty[:0]
}

// stageFront puts the frontier into the log if it is not there.
func (l *eventLog) stageFront(j *Journal) {
	if l.frontDirty {
		l.frontDirty = false
		l.add(evFront, j.front.seq, uint64(j.front.pos))
	}
}

// finished notes that a message is forgotten. Messages finished in order make
// one run.
func (c *Cursor) finished(seq uint64) {
	if c.silent {
		return
	}
	if !c.dirty {
		c.dirty = true
		c.j.events.dirty = append(c.j.events.dirty, c)
	}
	if c.runLength > 0 && seq == c.runStart+c.runLength {
		c.runLength++
		return
	}
	if c.runLength > 0 {
		c.stage()
	}
	c.runStart, c.runLength = seq, 1
}

// redelivered notes another delivery of a message.
func (c *Cursor) redelivered(e *entry) {
	if c.silent {
		return
	}
	c.stage()
	c.j.events.add(evAgain, uint64(c.id), e.seq, uint64(e.attempts))
}

func (l *eventLog) requeued(c *Cursor, e *entry) {
	l.add(evRequeue, uint64(c.id), e.seq, uint64(e.attempts), uint64(e.at))
}

func (l *eventLog) created(c *Cursor) {
	l.stageAll()
	l.stageFront(c.j) // what lies before it was given to others
	c.logged = c.read
	l.buf = appendCreate(l.buf, c)
	l.unkept = true
}

// vouch is called before messages are committed: what is acknowledged must reach
// every cursor that is there, also when the process dies, and so a cursor of which
// no file tells is written first. Once that has failed nothing is committed until
// WriteEvents has succeeded. It is not tried again with each Commit, because a
// snapshot may be long.
func (l *eventLog) vouch(j *Journal) error {
	if !l.unkept {
		return nil
	}
	err := l.failed
	if err == nil {
		err = l.flush(j)
	}
	if err != nil {
		return fmt.Errorf("a cursor is in no file yet: %w", err)
	}
	return nil
}

func (l *eventLog) deleted(c *Cursor) {
	l.stageAll()
	l.add(evDelete, uint64(c.id), c.j.front.seq, uint64(c.j.front.pos))
}

func (l *eventLog) emptied(c *Cursor) {
	l.stageAll()
	l.add(evEmpty, uint64(c.id), c.j.front.seq, uint64(c.j.front.pos))
}

func (l *eventLog) pause(c *Cursor) {
	on := uint64(0)
	if c.paused {
		on = 1
	}
	l.add(evPause, uint64(c.id), on)
}

func (l *eventLog) hold(j *Journal) {
	if j.volatile {
		return
	}
	l.stageAll()
	l.stageFront(j)
	l.add(evHold, j.holds(), j.front.seq, uint64(j.front.pos))
}

// holds is what stops the frontier, as evHold has it.
func (j *Journal) holds() (bits uint64) {
	if j.held {
		bits |= 1
	}
	if j.detained {
		bits |= 2
	}
	return bits
}

func (l *eventLog) setFront(j *Journal) {
	if j.volatile {
		return
	}
	l.stageAll()
	l.add(evFront, j.front.seq, uint64(j.front.pos))
}

// frontMoved notes that the frontier followed the end. With a durable cursor
// the log says so by itself; with ephemeral ones only, the messages they were
// given must not come back after a restart.
func (l *eventLog) frontMoved(j *Journal) {
	if !j.volatile && !j.durableCursors() {
		l.frontDirty = true
	}
}

// deferrals notes the deferred records committed from a place on.
func (l *eventLog) deferrals(j *Journal, from place) {
	if j.volatile {
		return
	}
	first := len(j.deferred)
	for first > 0 && j.deferred[first-1].seq >= from.seq {
		first--
	}
	for _, d := range j.deferred[first:] {
		l.add(evDeferred, d.seq, uint64(d.pos), uint64(d.due))
	}
}

// WriteEvents writes what has happened to the messages since the last call,
// with one write. After an error nothing is lost: it is written with the next
// call. Until then the death of the process makes messages come back that were
// answered meanwhile.
func (j *Journal) WriteEvents() error {
	if j.closed {
		return ErrClosed
	}
	err := j.events.flush(j)
	if e := j.cut(); err == nil {
		err = e
	}
	if j.reclaimable || j.settled() {
		// Also after an error: when the disk is full, this makes room.
		j.reclaim()
	}
	j.clearing.handOver()
	return err
}

// flush writes what waits, as a block or as a new file, and goes on with a new
// file that is written in slices.
func (l *eventLog) flush(j *Journal) error {
	l.failed = l.tryFlush(j)
	return l.failed
}

func (l *eventLog) tryFlush(j *Journal) error {
	l.stageAll()
	l.stageFront(j)
	if len(l.buf) == 0 && !l.stale && !l.due && l.next == nil {
		return nil
	}
	grown := l.next == nil && l.size+int64(len(l.buf)) > max(l.most(j), 2*l.snapshot)
	if l.stale || l.generation == 0 || grown && j.snapshotSize() <= l.slice {
		return l.rewrite(j)
	}
	events, generation := l.buf, l.generation
	if len(events) > 0 || l.due {
		if err := l.write(j); err != nil {
			if int64(len(l.buf)) > l.kept {
				l.buf, l.stale = nil, true
			}
			return err
		}
	}
	switch {
	case l.generation != generation: // the file was gone, and is written anew
	case l.next != nil:
		l.follow(j, events)
	case grown && l.size >= l.notBefore:
		l.begin(j)
	}
	return nil
}

// write appends the waiting events as one block.
func (l *eventLog) write(j *Journal) error {
	if l.file == nil {
		f, err := j.fs.Open(cursorName(l.generation), false)
		if errors.Is(err, fs.ErrNotExist) {
			l.taken(j)
			return l.rewrite(j)
		}
		if err != nil {
			l.stale = true
			return fmt.Errorf("open cursor file: %w", err)
		}
		l.file = f
	}
	b := append(beginBlock(l.block[:0], j.end), l.buf...)
	sealBlock(b)
	l.block = b[:0]
	if cap(b) > bufferKept {
		l.block = nil
	}
	if _, err := l.file.WriteAt(b, l.size); err != nil {
		return fmt.Errorf("write cursor file: %w", err)
	}
	j.unflushed = true
	l.size += int64(len(b))
	l.written(j)
	if !j.placed(l.file, "") {
		l.taken(j)
		return l.rewrite(j)
	}
	return nil
}

// written notes that all events are in the file.
func (l *eventLog) written(j *Journal) {
	l.due, l.unkept, l.blockEnd = false, false, j.end.pos
	l.buf = l.buf[:0]
	if cap(l.buf) > bufferKept {
		l.buf = nil
	}
}

// beginBlock appends the beginning of a block; its events follow.
func beginBlock(dst []byte, end place) []byte {
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0) // blockHeader
	dst = binary.AppendUvarint(dst, end.seq)
	return binary.AppendUvarint(dst, uint64(end.pos))
}

// sealBlock writes the header of block, which ends with its last event.
func sealBlock(block []byte) {
	binary.LittleEndian.PutUint32(block[4:], uint32(len(block)-blockHeader))
	binary.LittleEndian.PutUint32(block, crc32.Checksum(block[4:], castagnoli))
}

// rewrite begins a new generation of the file with a snapshot, in one piece: when
// it is small, when the old file is not to be trusted, and at the end.
func (l *eventLog) rewrite(j *Journal) error {
	l.abandon(j)
	l.stageAll()
	l.frontDirty = false // the snapshot says it
	temp, name := l.nextTemp(), cursorName(l.generation+1)
	b := appendHeader(make([]byte, 0, j.snapshotSize()), cursorMagic, 0, j.firstSeq)
	b = j.appendSnapshot(beginBlock(b, j.end))
	sealBlock(b[fileHeader:])
	f, err := j.fs.Open(temp, true)
	if err == nil {
		if _, err = f.WriteAt(b, 0); err == nil {
			err = j.fs.Rename(temp, name)
		}
		if err != nil {
			_ = f.Close()
			_ = j.fs.Remove(temp) // if this fails too, Open removes it
		}
	}
	if err != nil {
		l.stale = true // the frontier may be in no event
		if int64(len(l.buf)) > l.kept {
			l.buf = nil
		}
		return fmt.Errorf("rewrite cursor file: %w", err)
	}
	l.succeed(j, f, int64(len(b)))
	return nil
}

// succeed has a new generation, which holds a snapshot of a size, take the place of
// the old one. That goes once the new one is sure to survive the loss of power.
func (l *eventLog) succeed(j *Journal, f File, size int64) {
	if l.file != nil {
		// A Sync may be at it; the next one closes it.
		j.unsynced = append(j.unsynced, l.file)
		l.file = nil
	}
	if l.generation != 0 {
		l.outdated = append(l.outdated, cursorName(l.generation))
	}
	l.file, l.stale, l.notBefore, l.found = f, false, 0, 0
	l.generation++
	l.size, l.snapshot = size, size
	l.written(j)
	j.newNames, j.unflushed = true, true
	if j.neverSync {
		j.closeUnsynced()
		for _, old := range l.outdated {
			if err := j.clearing.unname(j.fs, old); err != nil {
				j.report(slog.LevelWarn, "remove an old cursor file", "file", old, "err", err)
			}
		}
		l.outdated = nil
	}
}

// close closes the file; it opens again by itself. A new generation that is not
// whole is dropped by the next Open.
func (l *eventLog) close() {
	if l.next != nil {
		_ = l.next.file.Close()
		l.next = nil
	}
	if l.file != nil {
		_ = l.file.Close()
		l.file = nil
	}
}
