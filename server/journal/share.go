package journal

// shared is a message that was appended for some cursors alone.
type shared struct {
	place
	shares []Share
}

// AppendShared adds a message for some cursors alone, with what it is to each:
// for moving messages from elsewhere, not for publishing. shares is copied. The
// other cursors pass it over; one with attempts or a due time waits among what
// came back. timestamp and body are as for Append. The cursors have the message
// with Commit, and it survives the death of the process with the next
// WriteEvents.
//
// The journal must be neither held nor detained, and until Commit Append must
// not be called.
func (j *Journal) AppendShared(timestamp int64, body []byte, shares ...Share) (seq uint64) {
	j.shared = append(j.shared, shared{j.tail, append([]Share(nil), shares...)})
	return j.Append(timestamp, 0, body)
}

// advanceShared moves the frontier to the committed end over shared messages.
func (j *Journal) advanceShared() {
	for i, m := range j.shared {
		to := j.end
		if i+1 < len(j.shared) {
			to = j.shared[i+1].place
		}
		for _, c := range j.cursors {
			c.takeShared(m, to)
		}
	}
	j.shared = j.shared[:0]
	j.front = j.end
	j.countBehind()
	j.events.stale = true // the next block is a snapshot, which says all this
}

// takeShared is given a shared message, or passes it over.
func (c *Cursor) takeShared(m shared, next place) {
	for _, s := range m.shares {
		if s.Cursor != c {
			continue
		}
		c.messages++
		switch {
		case s.Due != 0:
			c.pass(m.place, next, 0)
			c.putDeferred(m.place, s.Attempts, s.Due)
		case s.Attempts > 0:
			c.pass(m.place, next, 0)
			c.putWaiting(m.place, s.Attempts)
		}
		return
	}
	c.pass(m.place, next, 0)
}
