package journal

// noList is entry.queue of a message in flight that is in the heap.
const noList = 255

// fly puts an outstanding message in flight.
func (c *Cursor) fly(slot uint32, now, deadline int64, owner uint32) {
	e := c.out.get(slot)
	e.state = stateInFlight
	e.owner = owner
	e.since = now
	e.at = deadline
	c.inFlight++
	c.enqueue(slot, deadline-now)
}

// enqueue puts a message in flight into the list of its timeout. Deadlines in
// a list never decrease, so that the first is the next; a message that would
// break this, and timeouts beyond the lists, go into the heap.
func (c *Cursor) enqueue(slot uint32, timeout int64) {
	e := c.out.get(slot)
	e.queue = noList
	for i := 0; i < timeouts; i++ {
		if i == len(c.flights) { // a channel that rests has none
			c.flights = append(c.flights, flights{})
		}
		f := &c.flights[i]
		if f.list.n == 0 {
			f.timeout = timeout // free; that another list has the same timeout does no harm
		}
		if f.timeout == timeout {
			if f.list.n == 0 || c.out.get(f.list.tail).at <= e.at {
				e.queue = uint8(i)
			}
			break
		}
	}
	if e.queue == noList {
		c.heap.push(&c.out, slot)
		return
	}
	c.out.pushBack(&c.flights[e.queue].list, slot)
}

// land takes a message out of flight.
func (c *Cursor) land(slot uint32) {
	e := c.out.get(slot)
	if e.queue == noList {
		c.heap.remove(&c.out, slot)
	} else {
		c.out.unlink(&c.flights[e.queue].list, slot)
	}
	c.inFlight--
	e.state = stateNone
}

// owned returns the slot of a message in flight with owner.
func (c *Cursor) owned(seq uint64, owner uint32) (slot uint32, err error) {
	slot = c.out.find(seq)
	if slot == 0 {
		return 0, ErrNotInFlight
	}
	switch e := c.out.get(slot); {
	case e.state != stateInFlight:
		return 0, ErrNotInFlight
	case e.owner != owner:
		return 0, ErrNotOwner
	}
	return slot, nil
}

// forget drops a message that is in no list and no heap.
func (c *Cursor) forget(slot uint32) {
	e := c.out.get(slot)
	seq, pos := e.seq, e.pos
	c.out.remove(slot)
	c.j.refer(pos, -1)
	c.finished(seq)
}

// Finish forgets a message that is in flight with owner.
func (c *Cursor) Finish(seq uint64, owner uint32) error {
	slot, err := c.owned(seq, owner)
	if err != nil {
		return err
	}
	c.land(slot)
	c.forget(slot)
	return nil
}

// Requeue gives back a message that is in flight with owner. It waits again at
// once when due is 0, else it is deferred until then.
func (c *Cursor) Requeue(seq uint64, owner uint32, due int64) error {
	slot, err := c.owned(seq, owner)
	if err != nil {
		return err
	}
	c.land(slot)
	if due == 0 {
		c.wait(slot)
		return nil
	}
	c.deferUntil(slot, due)
	if !c.silent {
		c.stage()
		c.j.events.requeued(c, c.out.get(slot))
	}
	return nil
}

// wait lets a message wait for its next delivery.
func (c *Cursor) wait(slot uint32) {
	c.out.get(slot).state = stateWaiting
	c.out.pushBack(&c.waiting, slot)
}

// deferUntil lets a message wait for its time.
func (c *Cursor) deferUntil(slot uint32, due int64) {
	e := c.out.get(slot)
	e.state = stateDeferred
	e.at = due
	c.deferred++
	c.heap.push(&c.out, slot)
}

// putDeferred adds an outstanding message that is deferred.
func (c *Cursor) putDeferred(p place, attempts uint16, due int64) {
	slot := c.out.add(p.seq)
	e := c.out.get(slot)
	e.pos = p.pos
	e.attempts = attempts
	c.j.refer(p.pos, 1)
	c.deferUntil(slot, due)
}

// putWaiting adds an outstanding message that waits.
func (c *Cursor) putWaiting(p place, attempts uint16) {
	slot := c.out.add(p.seq)
	e := c.out.get(slot)
	e.pos = p.pos
	e.attempts = attempts
	c.j.refer(p.pos, 1)
	c.wait(slot)
}

// Touch sets the deadline of a message that is in flight with owner, at most
// limit after its delivery.
func (c *Cursor) Touch(seq uint64, owner uint32, deadline, limit int64) error {
	slot, err := c.owned(seq, owner)
	if err != nil {
		return err
	}
	e := c.out.get(slot)
	c.land(slot)
	e.state = stateInFlight
	e.at = min(deadline, e.since+limit)
	// Not into a list: touches are rare, and their deadlines in no order.
	e.queue = noList
	c.heap.push(&c.out, slot)
	c.inFlight++
	return nil
}

// Due is the earliest time at which Expire has something to do; ok is false
// when there is none.
func (c *Cursor) Due() (at int64, ok bool) {
	if slot := c.heap.min(); slot != 0 {
		at, ok = c.out.get(slot).at, true
	}
	for i := range c.flights {
		if l := &c.flights[i].list; l.n > 0 {
			if first := c.out.get(l.head).at; !ok || first < at {
				at, ok = first, true
			}
		}
	}
	return at, ok
}

// Expire lets wait again what has been in flight beyond its deadline, and what
// was deferred and is due. timedOut is called for each of the former; it must
// not call the cursor.
func (c *Cursor) Expire(now int64, timedOut func(seq uint64, owner uint32)) (expired, released int) {
	late := func(slot uint32) {
		e := c.out.get(slot)
		c.land(slot)
		c.wait(slot)
		expired++
		timedOut(e.seq, e.owner)
	}
	for i := range c.flights {
		l := &c.flights[i].list
		for l.n > 0 && c.out.get(l.head).at <= now {
			late(l.head)
		}
	}
	for slot := c.heap.min(); slot != 0 && c.out.get(slot).at <= now; slot = c.heap.min() {
		if c.out.get(slot).state == stateInFlight {
			late(slot)
			continue
		}
		c.heap.pop(&c.out)
		c.deferred--
		c.wait(slot)
		released++
	}
	return expired, released
}

// Release lets wait again everything that is in flight with owner, and calls
// gone for each.
func (c *Cursor) Release(owner uint32, gone func(seq uint64)) int {
	var slots []uint32
	c.out.each(func(slot uint32) {
		if e := c.out.get(slot); e.state == stateInFlight && e.owner == owner {
			slots = append(slots, slot)
		}
	})
	for _, slot := range slots {
		c.land(slot)
		c.wait(slot)
		gone(c.out.get(slot).seq)
	}
	return len(slots)
}
