package journal

import (
	"encoding/binary"
	"errors"
	"slices"
	"sort"
)

// interval is a run of messages that were read and not finished, known by the
// read position alone. pos is a place at or before the first one's record.
type interval struct {
	from, to uint64
	pos      int64
	again    uint64 // the cursor's when it read them
}

// fate is what the log says of a message in an interval.
type fate struct {
	attempts uint16
	due      int64
}

// replayed is a cursor while its log is read.
type replayed struct {
	*Cursor
	open  []interval // in order
	fates map[uint64]fate
}

// replay makes the state that a cursor file describes.
type replay struct {
	j       *Journal
	cursors []*replayed
	b       []byte
	bad     bool
}

var errBadEvent = errors.New("cursor event makes no sense")

func (p *replay) number() uint64 {
	v, n := binary.Uvarint(p.b)
	if n <= 0 {
		p.bad = true
		return 0
	}
	p.b = p.b[n:]
	return v
}

func (p *replay) place() place { return place{p.number(), int64(p.number())} }

// cursor reads a cursor's id and finds it. An unknown one makes the event bad.
func (p *replay) cursor() *replayed {
	id := uint32(p.number())
	for _, c := range p.cursors {
		if c.id == id {
			return c
		}
	}
	p.bad = true
	return &replayed{Cursor: &Cursor{j: p.j, silent: true}}
}

// block applies the events of one block. The journal's end moves to where it
// was when the block was written.
func (p *replay) block(payload []byte) error {
	p.b, p.bad = payload, false
	end := p.place()
	if p.bad {
		return errBadEvent
	}
	for len(p.b) > 0 {
		kind := p.b[0]
		p.b = p.b[1:]
		p.event(kind)
		if p.bad {
			return errBadEvent
		}
	}
	p.j.end, p.j.events.blockEnd = end, end.pos
	if p.j.follows() {
		p.j.front = end
	}
	return nil
}

// event applies one event: an honest list.
func (p *replay) event(kind byte) {
	j := p.j
	switch kind {
	case evCreate:
		p.create()
	case evDelete:
		c, front := p.cursor(), p.place()
		c.drop()
		p.cursors = slices.DeleteFunc(p.cursors, func(r *replayed) bool { return r == c })
		if i := slices.Index(j.cursors, c.Cursor); i >= 0 {
			j.cursors = slices.Delete(j.cursors, i, i+1)
		}
		j.front = front
	case evPause:
		c := p.cursor()
		c.paused = p.number() != 0
	case evHold:
		bits := p.number()
		j.held, j.detained = bits&1 != 0, bits&2 != 0
		j.front = p.place()
		p.handOver()
	case evFront:
		p.front(p.place())
	case evRead:
		c := p.cursor()
		c.readUpTo(p.place(), int64(p.number()))
	case evFinish:
		c := p.cursor()
		c.finish(p.number(), p.number())
	case evRequeue:
		c, seq := p.cursor(), p.number()
		c.decide(seq, fate{uint16(p.number()), int64(p.number())})
	case evAgain:
		c, seq := p.cursor(), p.number()
		c.decide(seq, fate{attempts: uint16(p.number())})
	case evDeferred:
		d := deferral{p.place(), int64(p.number())}
		if !p.bad {
			j.deferred = append(j.deferred, d)
			p.handOver()
		}
	case evEmpty:
		c, front := p.cursor(), p.place()
		c.drop()
		c.open, c.fates, c.gaps = nil, nil, nil
		c.read, c.deferredAhead, c.gapAhead, c.unsure = front, 0, 0, false
	case evMessage:
		c, at := p.cursor(), p.place()
		attempts, due := uint16(p.number()), int64(p.number())
		if !p.bad {
			c.replace(at, fate{attempts, due})
		}
	case evGap:
		c := p.cursor()
		g := gap{from: p.number(), to: p.place(), deferred: int64(p.number())}
		c.gaps = append(c.gaps, g)
		c.gapAhead += int64(g.to.seq-g.from) - g.deferred
	case evMoved:
		c, to := p.cursor(), p.place()
		c.moveTo(to)
	case evRewind:
		p.rewind()
	case evUnsure:
		p.cursor().unsure = true
	default:
		p.bad = true
	}
}

// create applies evCreate.
func (p *replay) create() {
	id := uint32(p.number())
	n := p.number()
	if n > uint64(len(p.b)) {
		p.bad = true
		return
	}
	name := string(p.b[:n])
	p.b = p.b[n:]
	c := &Cursor{j: p.j, id: id, name: name, silent: true, read: p.place()}
	c.deferredAhead = int64(p.number())
	c.paused = p.number() != 0
	if p.bad {
		return
	}
	p.j.nextCursor = max(p.j.nextCursor, id)
	p.j.cursors = append(p.j.cursors, c)
	p.cursors = append(p.cursors, &replayed{Cursor: c})
	p.handOver()
}

// handOver gives the deferred records beyond the frontier to the cursors, if
// the frontier follows the end.
func (p *replay) handOver() {
	if !p.j.follows() {
		return
	}
	for _, d := range p.j.deferred {
		for _, c := range p.cursors {
			c.deferredAhead++
			if c.out.find(d.seq) == 0 {
				c.putDeferred(d.place, 0, d.due)
			}
		}
	}
	p.j.deferred = p.j.deferred[:0]
}

// front applies evFront: what lies between the old frontier and the new one
// was given to nobody who is still there.
func (p *replay) front(to place) {
	j := p.j
	for _, c := range p.cursors {
		if c.read.seq < to.seq && j.front.seq < to.seq {
			c.pass(j.front, to, 0)
		}
	}
	j.front = to
	j.deferred = slices.DeleteFunc(j.deferred, func(d deferral) bool { return d.seq < to.seq })
}

// readUpTo applies evRead: what was read became outstanding.
func (c *replayed) readUpTo(to place, passed int64) {
	from := c.read
	for len(c.gaps) > 0 && c.gaps[0].from < to.seq {
		g := c.gaps[0]
		c.gaps = c.gaps[1:]
		c.gapAhead -= int64(g.to.seq-g.from) - g.deferred
		c.addOpen(from, g.from)
		from = g.to
		if g.to.seq > to.seq {
			to = g.to // a file of an earlier version may say that damage ended in a gap
		}
	}
	c.addOpen(from, to.seq)
	c.read = to
	if c.deferredAhead -= passed; c.deferredAhead <= 0 {
		c.unsure = false
	}
}

func (c *replayed) addOpen(from place, to uint64) {
	if from.seq < to {
		c.open = append(c.open, interval{from.seq, to, from.pos, c.again})
	}
}

// finish applies evFinish.
func (c *replayed) finish(first, n uint64) {
	end := first + n
	c.close(first, end)
	if n > uint64(c.out.len()) {
		var slots []uint32
		c.out.each(func(slot uint32) {
			if seq := c.out.get(slot).seq; seq >= first && seq < end {
				slots = append(slots, slot)
			}
		})
		for _, slot := range slots {
			c.lift(slot)
			c.out.remove(slot)
		}
	} else {
		for seq := first; seq < end; seq++ {
			if slot := c.out.find(seq); slot != 0 {
				c.lift(slot)
				c.out.remove(slot)
			}
		}
	}
	if n > uint64(len(c.fates)) {
		for seq := range c.fates {
			if seq >= first && seq < end {
				delete(c.fates, seq) // order does not matter: each is looked at by itself
			}
		}
		return
	}
	for seq := first; seq < end; seq++ {
		delete(c.fates, seq)
	}
}

// close takes [first, end) out of the open intervals.
func (c *replayed) close(first, end uint64) {
	i := sort.Search(len(c.open), func(i int) bool { return c.open[i].to > first })
	for i < len(c.open) && c.open[i].from < end {
		v := c.open[i]
		switch {
		case v.from >= first && v.to <= end:
			c.open = slices.Delete(c.open, i, i+1)
			continue
		case v.from < first && v.to > end:
			c.open[i].to = first
			c.open = append(c.open, interval{})
			copy(c.open[i+2:], c.open[i+1:])
			c.open[i+1] = interval{end, v.to, v.pos, v.again}
		case v.from < first:
			c.open[i].to = first
		default:
			c.open[i].from = end
		}
		i++
	}
}

// lift takes a message out of the list or heap it is in, and its segment's
// count.
func (c *Cursor) lift(slot uint32) {
	e := c.out.get(slot)
	if e.state == stateDeferred {
		c.heap.remove(&c.out, slot)
		c.deferred--
	} else {
		c.out.unlink(&c.waiting, slot)
	}
	e.state = stateNone
	c.j.refer(e.pos, -1)
}

// decide applies evRequeue and evAgain.
func (c *replayed) decide(seq uint64, f fate) {
	if slot := c.out.find(seq); slot != 0 {
		pos := c.out.get(slot).pos
		c.lift(slot)
		c.out.remove(slot)
		c.put(place{seq, pos}, f)
		return
	}
	if c.fates == nil {
		c.fates = make(map[uint64]fate)
	}
	c.fates[seq] = f
}

// replace applies evMessage: nothing that was said before counts.
func (c *replayed) replace(at place, f fate) {
	if slot := c.out.find(at.seq); slot != 0 {
		c.lift(slot)
		c.out.remove(slot)
	}
	delete(c.fates, at.seq)
	c.put(at, f)
}

// put makes a message outstanding.
func (c *replayed) put(at place, f fate) {
	if f.due != 0 {
		c.putDeferred(at, f.attempts, f.due)
	} else {
		c.putWaiting(at, f.attempts)
	}
}

// moveTo applies evMoved.
func (c *replayed) moveTo(to place) {
	f := fate{attempts: 1}
	if slot := c.out.find(to.seq); slot != 0 {
		e := c.out.get(slot)
		f.attempts = e.attempts
		if e.state == stateDeferred {
			f.due = e.at
		}
		c.lift(slot)
		c.out.remove(slot)
	} else {
		if known, ok := c.fates[to.seq]; ok {
			f = known
			delete(c.fates, to.seq)
		}
		c.close(to.seq, to.seq+1)
	}
	c.put(to, f)
}

// resolve finds the records of the messages in the open intervals, by walking
// the journal from the place where each interval began.
func (c *replayed) resolve() error {
	var at place
	for _, v := range c.open {
		if at.pos < v.pos || at.seq > v.from {
			at = place{v.from, v.pos}
		}
		for at.seq < v.to && at.pos < c.j.end.pos {
			var r record
			pos := at.pos
			err := c.j.readRecord(pos, &c.j.scratch, &r)
			switch {
			case errors.Is(err, errCorrupt):
				next, err := c.j.resync(at)
				if err != nil {
					return err
				}
				from, to := max(at.seq, v.from), min(next.seq, v.to)
				c.gone += c.unaccounted(from, to)
				c.j.lost(from, to, "outstanding messages are damaged", "cursor", c.name, "sequence", at.seq)
				at = next
				continue
			case err != nil:
				return err // to go on would be to forget them
			}
			at.pos += int64(r.size)
			if r.flags&flagMoved != 0 {
				continue
			}
			at.seq = r.seq + 1
			if r.flags&flagDeferred != 0 && r.seq >= v.again || r.seq < v.from || r.seq >= v.to || c.out.find(r.seq) != 0 {
				continue
			}
			f, ok := c.fates[r.seq]
			if !ok {
				f.attempts = 1
			}
			c.put(place{r.seq, pos}, f)
		}
	}
	c.open, c.fates = nil, nil
	c.logged = c.read
	return nil
}
