package journal

import "sort"

// Share is what a message is to a cursor that has not finished it.
type Share struct {
	Cursor   *Cursor
	Attempts uint16
	Due      int64 // unix nanoseconds; 0: it waits
}

// Held is a message that somebody waits for.
type Held struct {
	Peeked
	Shares []Share // of the cursors that were given it; none when no cursor was
}

// Each calls f with every message that somebody waits for, each once: first
// what cursors were given, in the order of the records, which is that of
// publishing but for the oldest; then what none was given. It changes nothing,
// and ends with f's error. What f is given is borrowed until it returns. Missing
// pieces are passed over, Survey tells of them; read is as for Survey.
func (j *Journal) Each(read func(bytes int64) error, f func(*Held) error) error {
	pass := func(Missing) {}
	given := newSharing(j)
	if err := j.scan(j.oldestNeeded(), read, func(at place, r *record) error {
		shares := given.of(at, r)
		if len(shares) == 0 {
			return nil
		}
		return f(&Held{Peeked{r.seq, r.timestamp, r.due, r.body}, shares})
	}, pass); err != nil {
		return err
	}
	if j.front.seq == j.end.seq {
		return nil
	}
	return j.scan(j.front, nil, func(at place, r *record) error {
		if r.flags&flagMoved != 0 || r.seq < j.front.seq {
			return nil
		}
		return f(&Held{Peeked: Peeked{r.seq, r.timestamp, r.due, r.body}})
	}, pass)
}

// sharing finds out who waits for a record, while the records are read in their
// order.
type sharing struct {
	j      *Journal
	out    [][]outstanding // of each cursor, what is still to be met
	gaps   [][]gap
	shares []Share
}

func newSharing(j *Journal) *sharing {
	s := &sharing{j: j}
	for _, c := range j.cursors {
		s.out = append(s.out, c.byPosition())
		s.gaps = append(s.gaps, c.gaps)
	}
	return s
}

// of is the cursors that wait for the record at a place.
func (s *sharing) of(at place, r *record) []Share {
	s.shares = s.shares[:0]
	for i, c := range s.j.cursors {
		for len(s.out[i]) > 0 && s.out[i][0].pos < at.pos {
			s.out[i] = s.out[i][1:]
		}
		if len(s.out[i]) > 0 && s.out[i][0].pos == at.pos {
			if e := c.out.get(s.out[i][0].slot); e.seq == r.seq {
				share := Share{Cursor: c, Attempts: e.attempts}
				if e.state == stateDeferred {
					share.Due = e.at
				}
				s.shares = append(s.shares, share)
			}
			continue
		}
		for len(s.gaps[i]) > 0 && s.gaps[i][0].to.seq <= r.seq {
			s.gaps[i] = s.gaps[i][1:]
		}
		inGap := len(s.gaps[i]) > 0 && r.seq >= s.gaps[i][0].from
		if c.isFresh(r) && !inGap {
			// One with a delay: the cursor was set back over it.
			s.shares = append(s.shares, Share{Cursor: c, Due: r.due})
		}
	}
	return s.shares
}

// isFresh reports whether the cursor is to be given a record when it reads on,
// its gaps not looked at.
func (c *Cursor) isFresh(r *record) bool {
	return r.flags&flagMoved == 0 && r.seq >= c.read.seq && r.seq < c.j.front.seq && !c.wasHanded(r)
}

// wasHanded reports whether a record was given to the cursor when the frontier
// passed it.
func (c *Cursor) wasHanded(r *record) bool { return r.flags&flagDeferred != 0 && r.seq >= c.again }

// outstanding is an outstanding message by the position of its record.
type outstanding struct {
	pos  int64
	slot uint32
}

// byPosition lists the outstanding messages in the order of their records.
func (c *Cursor) byPosition() []outstanding {
	all := make([]outstanding, 0, c.out.len())
	c.out.each(func(slot uint32) { all = append(all, outstanding{c.out.get(slot).pos, slot}) })
	sort.Slice(all, func(a, b int) bool { return all[a].pos < all[b].pos })
	return all
}
