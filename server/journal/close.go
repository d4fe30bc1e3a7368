package journal

import (
	"errors"
	"io/fs"
)

// Idle closes the files and gives memory back; both return by themselves when
// they are needed. It is for journals that had nothing to do for a while.
func (j *Journal) Idle() {
	if j.closed || j.Dirty() {
		return
	}
	for _, b := range j.blocks {
		j.pool.give(b.buf)
	}
	j.blocks = nil
	j.scratch.drop()
	for _, c := range j.cursors {
		c.ahead.drop()
		if c.out.len() == 0 {
			c.out.reset()
			c.heap = dueHeap{}
			c.flights = nil
		}
	}
	if len(j.deferred) == 0 {
		j.deferred = nil
	}
	j.events.buf, j.events.block, j.events.dirty = nil, nil, nil // nothing waits: it is not dirty
	if !j.neverSync && (j.unflushed || j.syncing.Load() != 0) {
		return // the files are still wanted
	}
	for _, s := range j.segments {
		s.close()
	}
	j.reading = nil
	j.events.close()
}

// Close commits, writes what has happened to the messages and closes the files.
// A cursor file that has grown is written compactly, so that the next Open is
// quick; one that is short already costs nothing.
func (j *Journal) Close() error {
	if j.closed {
		return nil
	}
	j.clearing.finish()
	err := j.Commit()
	if !j.volatile {
		if e := j.closeEvents(); err == nil {
			err = e
		}
	}
	if !j.neverSync && (j.unflushed || j.unproven) {
		if e := j.Sync()(); err == nil {
			err = e
		}
	}
	j.release()
	return err
}

// closeAfter is how much a cursor file may have grown without being rewritten
// when the journal is closed.
const closeAfter = 16 << 10

// closeEvents writes the last events, and where the journal ends: what is cut
// off a file that nobody has open is missed then.
func (j *Journal) closeEvents() error {
	l := &j.events
	l.abandon(j)
	if l.size-l.snapshot > closeAfter {
		return l.rewrite(j)
	}
	l.due = l.due || l.blockEnd != j.end.pos
	return j.WriteEvents()
}

// Remove closes the journal and deletes its directory. The messages go first: when
// the process dies on the way, none is left without what is known of it.
// After an error it may be called again, and goes on. What the files occupied may
// be given back later.
func (j *Journal) Remove() error {
	switch {
	case !j.closed:
		j.release()
		j.removing = true
	case !j.removing:
		return nil
	}
	defer j.clearing.handOver()
	for _, s := range j.segments {
		err := j.clearing.unname(j.fs, s.name())
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			break // RemoveAll says what is wrong
		}
	}
	return j.fs.RemoveAll()
}

// release closes files and gives memory back, for good.
func (j *Journal) release() {
	j.closed = true
	j.closeUnsynced()
	for _, s := range j.segments {
		s.close()
	}
	j.events.close()
	for _, b := range j.blocks {
		j.pool.give(b.buf)
	}
	j.blocks = nil
}
