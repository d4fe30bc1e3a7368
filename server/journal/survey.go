package journal

import (
	"errors"
	"slices"
	"sort"
)

// Missing is a piece of a journal that cannot be read: a damaged piece of a
// segment, or what should stand between two of them.
type Missing struct {
	Segment  string // the file
	Offset   int64  // in it
	Bytes    int64  // 0 when the file ends, or begins, with it
	Messages int64  // as far as their sequences tell
	Needed   bool   // somebody waits for one of them

	from, to place
	segment  *segment // nil when the piece stands in none
}

// Survey is what a journal's files hold, as they are.
type Survey struct {
	Messages int64 // that are whole
	Missing  []Missing
}

// Survey reads everything once and changes nothing. read, if not nil, is told
// now and then how many bytes it has gone over since, and ends it with an error.
// A journal that has lived on can miss pieces that nobody needs.
func (j *Journal) Survey(read func(bytes int64) error) (Survey, error) {
	var found Survey
	err := j.scan(j.oldestNeeded(), read, func(at place, r *record) error {
		if r.flags&flagMoved == 0 {
			found.Messages++
		}
		return nil
	}, func(m Missing) {
		m.Needed = j.needs(m)
		found.Missing = append(found.Missing, m)
	})
	return found, err
}

// scan reads all records of the segments from a place on, which is where one
// begins or between two, in the order of their positions, the copies of older
// messages included. missing is given what cannot be read, in its place.
func (j *Journal) scan(at place, read func(bytes int64) error, f func(at place, r *record) error, missing func(Missing)) error {
	var ahead readAhead
	var r record
	for _, s := range j.segments {
		if s.end <= at.pos {
			continue
		}
		if at.seq < s.first {
			m := Missing{Segment: s.name(), Messages: int64(s.first - at.seq), from: at, to: place{s.first, s.base}}
			missing(m)
		}
		at = place{max(at.seq, s.first), max(at.pos, s.base)}
		for at.pos < s.end {
			err := j.readStored(at.pos, &ahead, &r)
			if err == nil && r.flags&flagMoved == 0 && r.seq < at.seq {
				err = errCorrupt
			}
			var bytes int64
			switch {
			case err == nil:
				if err := f(at, &r); err != nil {
					return err
				}
				bytes = int64(r.size)
				at.pos += bytes
				if r.flags&flagMoved == 0 {
					at.seq = r.seq + 1
				}
			case !errors.Is(err, errCorrupt):
				return err
			default:
				m, err := j.missing(s, at)
				if err != nil {
					return err
				}
				missing(m)
				at, bytes = m.to, m.Bytes
			}
			if read == nil {
				continue
			}
			if err := read(bytes); err != nil {
				return err
			}
		}
	}
	if at.seq < j.end.seq {
		s := j.tailSegment()
		m := Missing{Messages: int64(j.end.seq - at.seq), from: at, to: j.end}
		if s != nil {
			m.Segment, m.Offset = s.name(), s.offset(s.end)
		}
		missing(m)
	}
	return nil
}

// oldestNeeded is where the first segment begins, or what somebody waits for
// before it.
func (j *Journal) oldestNeeded() place {
	at := j.front
	if len(j.segments) > 0 {
		at = place{j.segments[0].first, j.segments[0].base}
	}
	earlier := func(p place) {
		if p.pos < at.pos {
			at = place{min(p.seq, at.seq), p.pos}
		}
	}
	earlier(j.front)
	for _, c := range j.cursors {
		earlier(c.read)
		c.out.each(func(slot uint32) {
			e := c.out.get(slot)
			earlier(place{e.seq, e.pos})
		})
	}
	return at
}

// missing is the piece of a segment, from a place on, in which no record can
// be found.
func (j *Journal) missing(s *segment, at place) (Missing, error) {
	next, found, err := j.findRecord(s, place{at.seq, at.pos + 1})
	if err != nil {
		return Missing{}, err
	}
	bytes := min(next.pos, s.end) - at.pos
	if !found {
		// The file may be shorter than it was.
		bytes = s.end - at.pos
		next = place{j.end.seq, max(j.end.pos, s.end)}
		if i := slices.Index(j.segments, s) + 1; i < len(j.segments) {
			next = place{j.segments[i].first, j.segments[i].base}
		}
		next.seq = max(next.seq, at.seq)
	}
	return Missing{
		Segment: s.name(), Offset: s.offset(at.pos), Bytes: bytes,
		Messages: int64(next.seq - at.seq), from: at, to: next, segment: s,
	}, nil
}

// Lost is how many messages that somebody still waits for are in missing
// pieces, or were when the journal was opened.
type Lost struct {
	Cursor   *Cursor // nil: those that no cursor was given yet
	Messages int64
}

// Lost tells what the missing pieces of a Survey cost: of each cursor, and of
// what no cursor was given yet, in the order of Cursors.
func (j *Journal) Lost(found *Survey) []Lost {
	var all []Lost
	for _, c := range j.cursors {
		if n := c.lost(found.Missing); n > 0 {
			all = append(all, Lost{c, n})
		}
	}
	n := int64(0)
	for _, m := range found.Missing {
		n += overlap(m.from.seq, m.to.seq, j.front.seq, j.end.seq)
	}
	if n > 0 {
		all = append(all, Lost{nil, n})
	}
	return all
}

// needs reports whether somebody waits for a message in a missing piece.
func (j *Journal) needs(m Missing) bool {
	one := []Missing{m}
	return overlap(m.from.seq, m.to.seq, j.front.seq, j.end.seq) > 0 ||
		slices.ContainsFunc(j.cursors, func(c *Cursor) bool { return c.lost(one) > c.gone })
}

// lost counts the messages in missing pieces that the cursor has not finished.
func (c *Cursor) lost(missing []Missing) int64 {
	n := c.gone + int64(len(c.unreadable(missing)))
	for _, m := range missing {
		from, to := max(m.from.seq, c.read.seq), min(m.to.seq, c.j.front.seq)
		n += c.unaccounted(from, to)
		for _, g := range c.gaps {
			n -= overlap(g.from, g.to.seq, from, to)
		}
	}
	return n
}

// unaccounted is how many messages of a range are not outstanding by
// themselves, which says where their records are.
func (c *Cursor) unaccounted(from, to uint64) int64 {
	if from >= to {
		return 0
	}
	n := int64(to - from)
	c.out.each(func(slot uint32) {
		if seq := c.out.get(slot).seq; seq >= from && seq < to {
			n--
		}
	})
	return n
}

// unreadable lists the outstanding messages whose records are in missing
// pieces.
func (c *Cursor) unreadable(missing []Missing) (slots []uint32) {
	c.out.each(func(slot uint32) {
		pos := c.out.get(slot).pos
		i := sort.Search(len(missing), func(i int) bool { return missing[i].to.pos > pos })
		if i < len(missing) && missing[i].from.pos <= pos {
			slots = append(slots, slot)
		}
	})
	return slots
}

// overlap is how many numbers two ranges share.
func overlap(from, to, first, end uint64) int64 {
	from, to = max(from, first), min(to, end)
	if from >= to {
		return 0
	}
	return int64(to - from)
}
