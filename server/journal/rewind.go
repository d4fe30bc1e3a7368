package journal

import "sort"

// Search looks for the first message that was published at a time or later. It
// works in steps, so that nobody has to wait while a long segment is read;
// between them the journal may go on.
type Search struct {
	w     walker
	to    int64
	begun bool
}

// Search begins a search for a time, in unix nanoseconds.
func (j *Journal) Search(to int64) *Search {
	return &Search{w: walker{j: j}, to: to}
}

// Step reads about most bytes more. When done is true it has found spot, which
// is the end if no message is late enough. Messages on disk are looked at
// whether they were finished or not.
func (s *Search) Step(most int64) (spot Spot, done bool, err error) {
	if !s.begun {
		if err := s.begin(); err != nil {
			return Spot{}, false, err
		}
	}
	var r record
	for until := s.w.read + most; s.w.read < until; {
		before := s.w.at
		at, ok, err := s.w.next(&r)
		if err != nil {
			s.w.at = before
			return Spot{}, false, err
		}
		if !ok {
			return s.w.j.End(), true, nil
		}
		if r.timestamp >= s.to {
			return Spot{at}, true, nil
		}
	}
	return Spot{}, false, nil
}

// begin finds the segment: the last that begins before the time.
func (s *Search) begin() error {
	j := s.w.j
	s.w.at = j.start()
	var late error
	first := sort.Search(len(j.segments), func(i int) bool { return j.segments[i].base >= s.w.at.pos })
	rest := j.segments[first:]
	n := sort.Search(len(rest), func(i int) bool {
		at, err := j.firstTime(rest[i])
		if err != nil {
			late = err
		}
		return at >= s.to
	})
	if late != nil {
		return late
	}
	if n > 0 {
		s.w.at = place{rest[n-1].first, rest[n-1].base}
	}
	s.begun = true
	return nil
}

// firstTime is when the first message of a segment was published, or a later
// one if it has none.
func (j *Journal) firstTime(s *segment) (int64, error) {
	w := walker{j: j, at: place{s.first, s.base}}
	var r record
	_, ok, err := w.next(&r)
	if err != nil || !ok {
		return 1<<63 - 1, err
	}
	return r.timestamp, nil
}

// Rewind moves the cursor back to a spot, so that it is given everything behind
// it once more, what was finished, emptied or discarded included, as if never
// delivered. What is outstanding from there on is forgotten first; dropped is
// called for each message that was in flight and must not call the journal.
// Older outstanding messages stay as they are, and a spot that is not behind
// what was read changes nothing. A message that was published with a delay
// which is not over is deferred again. Rewind returns how many messages are
// given again.
func (c *Cursor) Rewind(to Spot, dropped func(seq uint64, owner uint32)) int64 {
	j, at := c.j, to.at
	if start := j.start(); at.pos < start.pos {
		at = start // what was there is gone, or not all of it is there
	}
	if at.seq >= c.read.seq || at.pos >= c.read.pos {
		return 0
	}
	if !c.silent {
		c.stage()
	}
	c.forgetFrom(at.seq, dropped)
	c.setBack(at, j.front.seq, 0)
	n := int64(j.front.seq - at.seq)
	c.messages += uint64(n)
	c.passed, c.logged = 0, c.read
	c.ahead.drop()
	j.countBehind()
	if !c.silent {
		j.events.rewound(c)
	}
	return n
}

// setBack puts the read position back. Deferred records before again were
// handed over once and are read like others this time.
func (c *Cursor) setBack(read place, again uint64, deferredAhead int64) {
	c.read, c.again, c.deferredAhead = read, again, deferredAhead
	c.gaps, c.gapAhead = nil, 0
}

// forgetFrom drops what is outstanding from a sequence on.
func (c *Cursor) forgetFrom(first uint64, dropped func(seq uint64, owner uint32)) {
	var slots []uint32
	c.out.each(func(slot uint32) {
		if c.out.get(slot).seq >= first {
			slots = append(slots, slot)
		}
	})
	for _, slot := range slots {
		e := *c.out.get(slot)
		switch e.state {
		case stateInFlight:
			c.land(slot)
		case stateDeferred:
			c.heap.remove(&c.out, slot)
			c.deferred--
		case stateWaiting:
			c.out.unlink(&c.waiting, slot)
		}
		c.out.remove(slot)
		c.j.refer(e.pos, -1)
		if e.state == stateInFlight {
			dropped(e.seq, e.owner)
		}
	}
}

// postpone defers a message that a cursor which was set back has met before
// its time.
func (c *Cursor) postpone(at place, due int64) {
	if c.out.find(at.seq) != 0 {
		return
	}
	c.putDeferred(at, 0, due)
	if !c.silent {
		c.stage()
		c.j.events.requeued(c, c.out.get(c.out.find(at.seq)))
	}
}

// rewound writes that a cursor was set back.
func (l *eventLog) rewound(c *Cursor) { l.buf = appendRewind(l.buf, c) }

func appendRewind(b []byte, c *Cursor) []byte {
	return appendEvent(b, evRewind, uint64(c.id), c.read.seq, uint64(c.read.pos), c.again, uint64(c.deferredAhead))
}

// rewind applies evRewind.
func (p *replay) rewind() {
	c, read := p.cursor(), p.place()
	again, deferredAhead := p.number(), int64(p.number())
	if p.bad || again < read.seq {
		p.bad = true
		return
	}
	c.finish(read.seq, again-read.seq)
	c.setBack(read, again, deferredAhead)
}
