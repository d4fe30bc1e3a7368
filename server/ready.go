package server

// readyList is the subscribers of one channel that can take a message, in the
// order in which they are served. It is intrusive: a subscriber comes and goes
// with every message when its ready count is 1, and must not cost an
// allocation, nor a search.
type readyList struct {
	first, last *conn
	n           int
}

// push puts c at the end.
func (r *readyList) push(c *conn) {
	c.ready = true
	c.prev, c.next = r.last, nil
	if r.last != nil {
		r.last.next = c
	} else {
		r.first = c
	}
	r.last = c
	r.n++
}

// remove takes c out.
func (r *readyList) remove(c *conn) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		r.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		r.last = c.prev
	}
	c.ready, c.prev, c.next = false, nil, nil
	r.n--
}
