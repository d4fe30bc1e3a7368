package journal

import (
	"fmt"
	"slices"
)

// Mend makes peace with what a Survey has found missing: damaged pieces are
// kept aside in files of their own, whose names it returns, and passed over from
// now on, and no cursor waits any longer for messages in them. A Survey after it
// finds nothing that somebody waits for. What it does is durable after Close.
//
// The journal must not have been used since it was opened.
func (j *Journal) Mend(found *Survey) (aside []string, err error) {
	var rec Recovery
	for _, m := range found.Missing {
		if m.segment == nil || m.Bytes == 0 {
			continue
		}
		j.keepDamage(m.segment, m.from.pos, m.from.pos+m.Bytes, &rec)
		if err := j.fill(m.segment, m.from.pos, m.from.pos+m.Bytes); err != nil {
			return rec.SetAside, err
		}
	}
	for _, c := range j.cursors {
		for _, slot := range c.unreadable(found.Missing) {
			c.lift(slot)
			c.out.remove(slot)
		}
		c.passOver(found.Missing)
		if err := c.recount(); err != nil {
			return rec.SetAside, err
		}
	}
	j.deferred = slices.DeleteFunc(j.deferred, func(d deferral) bool {
		return slices.ContainsFunc(found.Missing, func(m Missing) bool { return m.from.pos <= d.pos && d.pos < m.to.pos })
	})
	j.events.stale = true // the snapshot says it
	j.countBehind()
	j.unflushed = true
	return rec.SetAside, nil
}

// fill writes records that everybody passes over into a damaged piece: copies
// of a message that never was. A piece holds whole records, so that there is
// room for one; what is too short is cut, if nothing follows it.
func (j *Journal) fill(s *segment, from, to int64) error {
	f, err := j.open(s)
	if err != nil {
		return err
	}
	for from < to {
		n := min(to-from, int64(recordHeader+j.maxBody))
		if left := to - from - n; left > 0 && left < recordHeader {
			n -= recordHeader
		}
		if n < recordHeader {
			if to != s.end {
				return fmt.Errorf("mend segment %s: %d damaged bytes at %d are no record", s.name(), n, s.offset(from))
			}
			s.end = from
			if err := f.Truncate(s.offset(from)); err != nil {
				return fmt.Errorf("mend segment %s: %w", s.name(), err)
			}
			break
		}
		b := make([]byte, n)
		putRecord(b, 0, 0, 0, flagMoved, b[recordHeader:])
		if _, err := f.WriteAt(b, s.offset(from)); err != nil {
			return fmt.Errorf("mend segment %s: %w", s.name(), err)
		}
		from += n
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("mend segment %s: %w", s.name(), err)
	}
	return nil
}

// passOver makes gaps of missing pieces that the cursor would be given.
func (c *Cursor) passOver(missing []Missing) {
	for _, m := range missing {
		from, to := m.from.seq, m.to
		if from < c.read.seq {
			from = c.read.seq
		}
		if to.seq > c.j.front.seq {
			to = c.j.front
		}
		if from < to.seq {
			c.addGap(gap{from: from, to: to})
		}
	}
}

// addGap adds a gap, but for what is in one already.
func (c *Cursor) addGap(g gap) {
	var merged []gap
	for _, have := range c.gaps {
		switch {
		case have.to.seq <= g.from:
			merged = append(merged, have)
		case have.from >= g.to.seq:
			if g.from < g.to.seq {
				merged = append(merged, g)
				g.from = g.to.seq
			}
			merged = append(merged, have)
		default:
			if g.from < have.from {
				merged = append(merged, gap{from: g.from, to: place{have.from, have.to.pos}})
			}
			merged = append(merged, have)
			g.from = have.to.seq
		}
	}
	if g.from < g.to.seq {
		merged = append(merged, g)
	}
	c.gaps = merged
}

// recount counts what is in front of the cursor, by reading it.
func (c *Cursor) recount() error {
	c.gapAhead, c.deferredAhead = 0, 0
	for i := range c.gaps {
		c.gapAhead += int64(c.gaps[i].to.seq - c.gaps[i].from)
		c.gaps[i].deferred = 0
	}
	w := walker{j: c.j, at: c.read}
	gaps := c.gaps
	var r record
	for w.at.seq < c.j.front.seq {
		at, ok, err := w.next(&r)
		if err != nil {
			return err
		}
		if !ok || at.seq >= c.j.front.seq {
			return nil
		}
		for len(gaps) > 0 && gaps[0].to.seq <= at.seq {
			gaps = gaps[1:]
		}
		if !c.wasHanded(&r) {
			continue
		}
		c.deferredAhead++
		if len(gaps) > 0 && at.seq >= gaps[0].from {
			gaps[0].deferred++
			c.gapAhead--
		}
	}
	return nil
}
