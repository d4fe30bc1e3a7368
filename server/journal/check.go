package journal

import "fmt"

// Check reports the first invariant of the journal that does not hold. It
// looks at every outstanding message, so it is for tests and for repair.
func (j *Journal) Check() error {
	if j.front.seq > j.end.seq || j.end.seq > j.tail.seq || j.end.pos > j.tail.pos {
		return fmt.Errorf("frontier %v, end %v and tail %v are out of order", j.front, j.end, j.tail)
	}
	if j.follows() && j.front != j.end {
		return fmt.Errorf("the frontier %v does not follow the end %v", j.front, j.end)
	}
	refs := make(map[*segment]int)
	behind := 0
	for _, c := range j.cursors {
		if err := c.check(refs); err != nil {
			return fmt.Errorf("cursor %s: %w", c.name, err)
		}
		if c.read.seq != j.front.seq {
			behind++
		}
	}
	if behind != j.behind {
		return fmt.Errorf("%d cursors are behind, counted %d", behind, j.behind)
	}
	for i, s := range j.segments {
		if s.refs != refs[s] {
			return fmt.Errorf("segment %s: %d outstanding messages, counted %d", s.name(), refs[s], s.refs)
		}
		if i > 0 && s.base < j.segments[i-1].end {
			return fmt.Errorf("segment %s begins before the one before it ends", s.name())
		}
	}
	for i := range j.deferred {
		if d := j.deferred[i]; d.seq < j.front.seq || i > 0 && d.seq <= j.deferred[i-1].seq {
			return fmt.Errorf("deferred record %d is out of place", d.seq)
		}
	}
	return nil
}

// check reports the first invariant of the cursor that does not hold, and
// counts its outstanding messages by segment.
func (c *Cursor) check(refs map[*segment]int) error {
	if c.read.seq > c.j.front.seq {
		return fmt.Errorf("read position %v is beyond the frontier %v", c.read, c.j.front)
	}
	if c.deferredAhead < 0 || c.gapAhead < 0 {
		return fmt.Errorf("%d deferred and %d dropped messages ahead", c.deferredAhead, c.gapAhead)
	}
	flying := 0
	for i := range c.flights {
		l := &c.flights[i].list
		n, last := 0, int64(0)
		for slot := l.head; slot != 0; slot = c.out.get(slot).next {
			e := c.out.get(slot)
			if e.state != stateInFlight || int(e.queue) != i || e.at < last {
				return fmt.Errorf("message %d is wrong in list %d", e.seq, i)
			}
			last = e.at
			n++
		}
		if n != l.n {
			return fmt.Errorf("list %d has %d messages, counted %d", i, n, l.n)
		}
		flying += n
	}
	var states [256]int
	c.out.each(func(slot uint32) {
		e := c.out.get(slot)
		states[e.state]++
		if s := c.j.segmentAt(e.pos); s != nil {
			refs[s]++
		}
	})
	if n := states[stateInFlight]; n != c.inFlight || n+states[stateDeferred] != flying+c.heap.len() {
		return fmt.Errorf("%d messages in flight, counted %d; %d in lists, %d in the heap", n, c.inFlight, flying, c.heap.len())
	}
	if n := states[stateDeferred]; n != c.deferred {
		return fmt.Errorf("%d messages deferred, counted %d", n, c.deferred)
	}
	if n := states[stateWaiting]; n != c.waiting.n {
		return fmt.Errorf("%d messages wait again, counted %d", n, c.waiting.n)
	}
	if c.inFlight+c.deferred+c.waiting.n != c.out.len() {
		return fmt.Errorf("%d messages outstanding, %d accounted for", c.out.len(), c.inFlight+c.deferred+c.waiting.n)
	}
	return nil
}
