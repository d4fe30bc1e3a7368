package server

// distance is how far a subscriber is from the server.
type distance uint8

const (
	inZone distance = iota
	inRegion
	anywhere
	distances
)

// distance of a client. Without the experiment everybody is anywhere.
func (s *Server) distance(id *identity) distance {
	o := &s.o
	switch {
	case id == nil || !o.TopologyAwareConsumption:
		return anywhere
	case o.TopologyZone != "" && id.zone == o.TopologyZone:
		return inZone
	case o.TopologyRegion != "" && id.region == o.TopologyRegion:
		return inRegion
	}
	return anywhere
}

// readySet is the subscribers of one channel that can take a message: the
// nearest first, and those of one distance in the order in which they are
// served.
type readySet struct {
	lists [distances]readyList
	n     int
}

// first is the subscriber to be served next; nil when there is none.
func (r *readySet) first() *conn {
	for i := range r.lists {
		if c := r.lists[i].first; c != nil {
			return c
		}
	}
	return nil
}

// push puts c at the end of those as far as it.
func (r *readySet) push(c *conn) {
	r.lists[c.distance].push(c)
	r.n++
}

// remove takes c out.
func (r *readySet) remove(c *conn) {
	r.lists[c.distance].remove(c)
	r.n--
}

// readyList is subscribers in the order in which they are served. It is
// intrusive: a subscriber comes and goes with every message when its ready
// count is 1, and must not cost an allocation, nor a search.
type readyList struct {
	first, last *conn
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
}
