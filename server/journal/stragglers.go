package journal

import (
	"fmt"
	"log/slog"
	"slices"
)

// A sealed segment stays as long as one message in it is outstanding. A few
// stragglers, deferred for a day or never finished, could so keep a whole
// journal on disk. When several segments are kept by few messages each, those
// messages are copied to the tail, and the segments go. A segment that is full
// of what is outstanding stays: copying it gains nothing, and costs its size.
const (
	stragglerSegments = 4    // so many pinned segments are left in peace
	stragglersMax     = 4096 // a segment with more outstanding messages is not one of stragglers
	stragglersShare   = 4    // nor is one of whose bytes more than this part is outstanding: a fourth
)

// moveStragglers copies the outstanding messages out of segments that nothing
// else keeps. low is the position below which everything was read.
func (j *Journal) moveStragglers(low int64) {
	var pinned []*segment
	for _, s := range j.segments[:len(j.segments)-1] {
		few := s.refs > 0 && s.refs <= stragglersMax && (s.dense == 0 || s.refs <= s.dense/2)
		if few && s.end <= low && !s.moved && !j.retain.holds(s) {
			pinned = append(pinned, s)
		}
	}
	if len(pinned) <= stragglerSegments || j.tail != j.end || j.syncing.Load() != 0 {
		return
	}
	if pinned = j.sparse(pinned); len(pinned) <= stragglerSegments {
		return
	}
	copies := make(map[int64]place) // old position to what was copied where
	for _, c := range j.cursors {
		c.out.each(func(slot uint32) {
			e := c.out.get(slot)
			s := j.segmentAt(e.pos)
			if _, done := copies[e.pos]; done || !slices.Contains(pinned, s) {
				return // above all not from the tail segment, whose copies nobody would settle
			}
			var r record
			if j.readRecord(e.pos, &j.scratch, &r) != nil {
				return // damage or a failing disk is met when the message is delivered
			}
			n := recordSize(len(r.body), r.due)
			putRecord(j.reserve(n), r.seq, r.timestamp, r.due, flagMoved, r.body)
			copies[e.pos] = j.tail
			j.tail.pos += int64(n)
		})
	}
	err := j.writeTail()
	if err == nil {
		// The log must not outlive the copies that it speaks of.
		if err = j.syncCopies(); err != nil {
			j.doubt = err // the disk may have dropped more than them
			err = j.cutBack(err)
		}
	}
	if err != nil {
		j.takeBack()
		j.report(slog.LevelWarn, "copy stragglers to the tail", "err", err)
		return
	}
	j.end = j.tail
	j.tailSegment().end = j.end.pos
	j.unflushed = true
	j.repoint(copies)
	for _, s := range pinned {
		s.moved = true
	}
	j.advance()
	j.trim()
	j.reclaimable = true
}

// sparse returns those of some segments of whose bytes few are outstanding. The
// others are looked at again when half of their messages are finished.
func (j *Journal) sparse(segments []*segment) []*segment {
	live := make(map[*segment]int64)
	seen := make(map[int64]bool) // by position: cursors share records
	for _, c := range j.cursors {
		c.out.each(func(slot uint32) {
			pos := c.out.get(slot).pos
			s := j.segmentAt(pos)
			if seen[pos] || !slices.Contains(segments, s) {
				return
			}
			seen[pos] = true
			var r record
			if j.readRecord(pos, &j.scratch, &r) == nil {
				live[s] += int64(r.size)
			}
		})
	}
	return slices.DeleteFunc(segments, func(s *segment) bool {
		s.dense = 0
		if stragglersShare*live[s] > s.end-s.base {
			s.dense = s.refs
		}
		return s.dense > 0
	})
}

// syncCopies makes what was just written to the tail segment durable.
func (j *Journal) syncCopies() error {
	if j.neverSync {
		return nil
	}
	if err := j.tailSegment().file.Sync(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return j.fs.SyncDir()
}

// repoint lets outstanding messages know where their records are now.
func (j *Journal) repoint(copies map[int64]place) {
	for _, c := range j.cursors {
		c.out.each(func(slot uint32) {
			e := c.out.get(slot)
			to, ok := copies[e.pos]
			if !ok {
				return
			}
			j.refer(e.pos, -1)
			e.pos = to.pos
			j.refer(e.pos, 1)
			if !c.silent {
				c.stage()
				j.events.add(evMoved, uint64(c.id), e.seq, uint64(e.pos))
			}
		})
	}
}
