package journal

import (
	"encoding/binary"
	"errors"
)

// Spot is a place between two messages of a journal. It stays good while the
// journal goes on; when what is behind it has been deleted, it stands for the
// oldest message that is left.
type Spot struct{ at place }

// Seq is the sequence of the message behind the spot, or a lower one.
func (s Spot) Seq() uint64 { return s.at.seq }

// Start is before the oldest message on disk behind which none is missing.
func (j *Journal) Start() Spot { return Spot{j.start()} }

// Frontier is before the first message that no cursor was given.
func (j *Journal) Frontier() Spot { return Spot{j.front} }

// End is behind the last committed message.
func (j *Journal) End() Spot { return Spot{j.end} }

// start is Start's place. Segments before a hole, where a finished segment was
// deleted and an older one is still needed, do not count.
func (j *Journal) start() place {
	i := len(j.segments) - 1
	if i < 0 {
		return j.end
	}
	for i > 0 && j.segments[i-1].end == j.segments[i].base {
		i--
	}
	return place{j.segments[i].first, j.segments[i].base}
}

// walker reads committed messages in order and moves nothing. It may stand
// still while the journal goes on.
type walker struct {
	j     *Journal
	at    place
	ahead readAhead
	read  int64 // bytes of the records it has gone over
}

// next reads the next message into r and returns its place. Damage, and copies
// of older messages, are passed over. ok is false at the end.
func (w *walker) next(r *record) (at place, ok bool, err error) {
	for w.at.pos < w.j.end.pos {
		s := w.j.segmentAt(w.at.pos)
		if s == nil || w.at.pos >= s.end {
			if !w.hop() {
				break
			}
			continue
		}
		pos := w.at.pos
		err := w.j.readRecord(pos, &w.ahead, r)
		switch {
		case errors.Is(err, errCorrupt) || err == nil && r.flags&flagMoved == 0 && r.seq < w.at.seq:
			if to, ok := w.j.boundary(s, pos+1, s.end); ok {
				w.at = place{max(to.seq, w.at.seq), to.pos}
			} else {
				w.at.pos = s.end
			}
			w.read += w.at.pos - pos
		case err != nil:
			return place{}, false, err
		default:
			w.at.pos += int64(r.size)
			w.read += int64(r.size)
			if r.flags&flagMoved == 0 {
				w.at.seq = r.seq + 1
				return place{r.seq, pos}, true, nil
			}
		}
	}
	w.at.pos = max(w.at.pos, w.j.end.pos)
	return place{}, false, nil
}

// hop moves to the next segment; it is false when there is none.
func (w *walker) hop() bool {
	for _, s := range w.j.segments {
		if s.base > w.at.pos || s.base == w.at.pos && s.end > s.base {
			w.at = place{max(s.first, w.at.seq), s.base}
			return true
		}
	}
	return false
}

// boundary looks in the file of s for the first place in [pos, to) where an
// intact record begins that is no copy of an older one.
func (j *Journal) boundary(s *segment, pos, to int64) (place, bool) {
	const window = 256 << 10
	var ahead, one readAhead
	to = min(to, s.end-recordHeader+1)
	for pos < to {
		n := int(min(window, s.end-pos))
		if ahead.fill(j, s, pos, n) != nil {
			return place{}, false
		}
		b := ahead.holds(pos, n)
		for i := 0; i+recordHeader <= len(b) && pos+int64(i) < to; i++ {
			seq := binary.LittleEndian.Uint64(b[i+8:])
			if seq < s.first || seq >= j.end.seq {
				continue
			}
			at, size := pos+int64(i), peekSize(b[i:])
			if size > recordSize(j.maxBody, 1) || at+int64(size) > s.end {
				continue
			}
			whole := b[i:min(i+size, len(b))]
			if len(whole) < size {
				if one.fill(j, s, at, size) != nil {
					return place{}, false
				}
				whole = one.holds(at, size)
			}
			if intact(whole) {
				return place{seq, at}, true
			}
		}
		pos += int64(n - recordHeader + 1)
	}
	return place{}, false
}

// near is a place where a record begins, at pos or not far from it. Its
// sequence is a lower bound.
func (j *Journal) near(pos int64) place {
	start := j.start()
	if pos <= start.pos {
		return start
	}
	for i := len(j.blocks) - 1; i >= 0; i-- {
		if b := &j.blocks[i]; b.start <= pos {
			return place{start.seq, b.start}
		}
	}
	for _, s := range j.segments {
		switch {
		case s.end <= pos:
		case s.base >= pos:
			return place{start.seq, s.base}
		default:
			if at, ok := j.boundary(s, pos, s.end); ok {
				return place{start.seq, at.pos}
			}
			pos = s.end
		}
	}
	return j.end
}
