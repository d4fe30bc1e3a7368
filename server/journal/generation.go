package journal

import (
	"encoding/binary"
	"hash/crc32"
	"log/slog"
	"slices"
	"sort"
)

// A new generation of the cursor file holds all that is outstanding, which may
// be a million messages: too much for one turn of whoever calls. It is written
// in slices, one with each block of events, under a name that the next Open
// removes. Until it is whole nothing depends on it: events go into the old file
// as ever, and what stops the new one, a full disk or the death of the process,
// costs its work alone.
//
// The new file begins with the same single block that a snapshot in one piece
// makes, whose checksum nobody can have before the last slice. In it stand
//
//	frontier and cursors | messages | events | messages | events | ...
//
// where events are those that went into the old file since the slice before. So
// the block makes the state at its end, though no two slices are of one moment:
//
//   - What is forgotten before its turn is not copied, and its events find
//     nothing.
//   - What is copied changes with the events behind it.
//   - What becomes outstanding meanwhile does so by events. If it is copied too,
//     the copy, which is newer than all events before it, takes their place.
//
// A slice is taken when every event is written, so that none is behind it that it
// knows already.
type successor struct {
	file File
	size int64  // written so far
	sum  uint32 // checksum of what follows the end in the block
	buf  []byte // what its pieces are made in

	cursors []*Cursor // those whose messages are still to be copied, the first in part
	waiting bool      // the first one's queue of those that came back is being copied
	slot    uint32    // the next in that queue, or in the slab
	seq     uint64    // the message that was there
	slots   uint32    // how far the slab went at the beginning
	copied  []uint64  // bits by slot: copied with the queue

	deferred   uint64 // the next of the journal's deferred records to be copied
	deferredTo uint64 // the first that has an event
}

const (
	// sliceBytes is how much of a new generation is written in one step.
	sliceBytes = 64 << 10

	// lookedAt is what a message that is looked at counts for in a slice, in
	// bytes, if it is not copied.
	lookedAt = 8

	// paddedEnd is the length of a block's end written so that it can be
	// filled in later, whatever it is: two uvarints of the greatest length.
	paddedEnd = 2 * binary.MaxVarintLen64

	successorHead = fileHeader + blockHeader + paddedEnd
)

// begin begins a new generation. Everything that has happened is written.
func (l *eventLog) begin(j *Journal) {
	n := &successor{size: successorHead, waiting: true, deferredTo: j.end.seq}
	f, err := j.fs.Open(l.nextTemp(), true)
	if err != nil {
		l.putOff(j, err)
		return
	}
	n.file, l.next = f, n
	if err := f.Truncate(0); err != nil { // one that could not be removed
		l.giveUp(j, err)
		return
	}
	b := j.appendFrontier(nil)
	for _, c := range j.cursors {
		if !c.options.Ephemeral {
			b = appendCursor(b, c)
			n.cursors = append(n.cursors, c)
		}
	}
	n.enter()
	l.extend(j, b)
}

// extend appends to the new generation, and then a slice. After the last one the
// new generation takes the place of the old one.
func (l *eventLog) extend(j *Journal, b []byte) {
	n := l.next
	b, whole := n.appendSlice(b, j, len(b)+l.slice)
	n.sum = crc32.Update(n.sum, castagnoli, b)
	_, err := n.file.WriteAt(b, n.size)
	n.size += int64(len(b))
	if n.buf = b[:0]; cap(b) > 4*sliceBytes {
		n.buf = nil
	}
	if err == nil && whole {
		err = n.complete(j)
		if err == nil {
			err = j.fs.Rename(l.nextTemp(), cursorName(l.generation+1))
		}
		if err == nil {
			l.next = nil
			l.succeed(j, n.file, n.size)
			return
		}
	}
	if err != nil {
		l.giveUp(j, err)
	}
}

// follow appends the events of a block that the old file has just been given.
func (l *eventLog) follow(j *Journal, events []byte) {
	b := append(l.next.buf[:0], events...)
	// A block of its own would tell where the frontier is.
	b = appendEvent(b, evHold, j.holds(), j.front.seq, uint64(j.front.pos))
	l.extend(j, b)
}

// complete writes what stands before the first slice.
func (n *successor) complete(j *Journal) error {
	b := appendHeader(make([]byte, 0, successorHead), cursorMagic, 0, j.firstSeq)
	block := append(b, make([]byte, blockHeader+paddedEnd)...)[fileHeader:]
	putPadded(block[blockHeader:], j.end.seq)
	putPadded(block[blockHeader+binary.MaxVarintLen64:], uint64(j.end.pos))
	binary.LittleEndian.PutUint32(block[4:], uint32(n.size-fileHeader-blockHeader))
	head := crc32.Checksum(block[4:], castagnoli)
	binary.LittleEndian.PutUint32(block, joinChecksums(head, n.sum, n.size-successorHead))
	_, err := n.file.WriteAt(b[:successorHead], 0)
	return err
}

// appendSlice appends messages up to about a length of b. whole is true when none
// is left.
func (n *successor) appendSlice(b []byte, j *Journal, most int) (_ []byte, whole bool) {
	for len(n.cursors) > 0 {
		c := n.cursors[0]
		done := !slices.Contains(j.cursors, c) // it was deleted
		if !done {
			b, done = n.appendMessages(b, c, most)
		}
		if !done {
			return b, false
		}
		n.cursors = n.cursors[1:]
		n.enter()
	}
	// Those beyond the frontier come last, as in a snapshot.
	i := sort.Search(len(j.deferred), func(i int) bool { return j.deferred[i].seq >= n.deferred })
	for ; i < len(j.deferred) && j.deferred[i].seq < n.deferredTo; i++ {
		if len(b) >= most {
			return b, false
		}
		b = appendDeferral(b, j.deferred[i])
		n.deferred = j.deferred[i].seq + 1
	}
	n.deferred = n.deferredTo
	return b, true
}

// enter goes to the cursor that is first now.
func (n *successor) enter() {
	n.waiting, n.slot, n.copied = true, 0, nil
	if len(n.cursors) == 0 {
		return
	}
	c := n.cursors[0]
	n.slots = uint32(len(c.out.chunks)) << chunkBits
	if n.slot = c.waiting.head; n.slot != 0 {
		n.seq = c.out.get(n.slot).seq
		n.copied = make([]uint64, n.slots/64)
	}
}

// appendMessages appends outstanding messages of a cursor: first those that came
// back, in their order, then the others, which have their times. done is true
// when none is left. Each that is looked at counts, also if it is not copied.
func (n *successor) appendMessages(b []byte, c *Cursor, most int) (_ []byte, done bool) {
	looked := len(b) // bytes, as if each were written shortly
	if n.waiting {
		if n.slot != 0 && !n.still(c) {
			n.slot = c.waiting.head // it was delivered, and so was all before it
		}
		for n.slot != 0 {
			if max(len(b), looked) >= most {
				n.seq = c.out.get(n.slot).seq
				return b, false
			}
			looked += lookedAt
			e := c.out.get(n.slot)
			if !n.has(n.slot) {
				b = appendMessage(b, c, e)
				n.mark(n.slot)
			}
			n.slot = e.next
		}
		n.waiting = false
	}
	for ; n.slot < n.slots; n.slot++ {
		if max(len(b), looked) >= most {
			return b, false
		}
		looked += lookedAt
		if e := c.out.at(n.slot); e != nil && !n.has(n.slot) {
			b = appendMessage(b, c, e)
		}
	}
	return b, true
}

// still reports whether the message that is next in the queue is still in it.
func (n *successor) still(c *Cursor) bool {
	e := c.out.at(n.slot)
	return e != nil && e.state == stateWaiting && e.seq == n.seq
}

func (n *successor) has(slot uint32) bool {
	return slot/64 < uint32(len(n.copied)) && n.copied[slot/64]&(1<<(slot%64)) != 0
}

func (n *successor) mark(slot uint32) {
	if slot/64 < uint32(len(n.copied)) {
		n.copied[slot/64] |= 1 << (slot % 64)
	}
}

// handedOver is told that deferred records beyond the frontier were given to the
// cursors. Those that were not copied yet are then in no event: it begins again.
func (l *eventLog) handedOver(j *Journal, deferred []deferral) {
	if n := l.next; n != nil && len(deferred) > 0 && deferred[0].seq < n.deferredTo && n.deferred < n.deferredTo {
		l.abandon(j)
	}
}

// abandon drops the new generation.
func (l *eventLog) abandon(j *Journal) {
	n := l.next
	if n == nil {
		return
	}
	l.next = nil
	// No Sync knows of it.
	_ = n.file.Close()
	_ = j.fs.Remove(l.nextTemp()) // if this fails too, Open removes it
}

// giveUp drops the new generation after an error. The old one is as good as ever,
// so that nobody needs to know but the operator.
func (l *eventLog) giveUp(j *Journal, err error) {
	l.abandon(j)
	l.putOff(j, err)
}

// putOff has a new generation begun when the old file has grown some more.
func (l *eventLog) putOff(j *Journal, err error) {
	l.notBefore = l.size + l.rewriteAt
	j.report(slog.LevelWarn, "a new cursor file cannot be written now; the old one goes on", "file", cursorName(l.generation+1), "err", err)
}

// nextTemp is the name of the next generation until it is whole.
func (l *eventLog) nextTemp() string { return cursorName(l.generation+1) + tempSuffix }

// Rewriting reports whether a new cursor file is being written: each WriteEvents
// writes a piece of it, whether there are events or not.
func (j *Journal) Rewriting() bool { return j.events.next != nil }
