package journal

// A snapshot is the events that make the present state: what a cursor file begins
// with. It is made in one piece here, and in slices in generation.go.

// snapshotSize is how long a cursor file with a snapshot will be, about. It
// may have many megabytes, which are not to be copied as they grow.
func (j *Journal) snapshotSize() int {
	const cursorSize, messageSize = 128, 24 // with positions of terabytes
	n := fileHeader + cursorSize + messageSize*j.committedDeferrals()
	for _, c := range j.cursors {
		n += cursorSize + messageSize*c.out.len()
	}
	return n
}

// appendSnapshot appends the events that make the present state.
func (j *Journal) appendSnapshot(b []byte) []byte {
	// The frontier comes first: cursors are created at it and then put where
	// they stand. Deferred records beyond it come last, when there are
	// cursors to be given them if it moves.
	b = j.appendFrontier(b)
	for _, c := range j.cursors {
		if c.options.Ephemeral {
			continue
		}
		b = appendCursor(b, c)
		// Those that wait keep their order; the others have their times.
		for slot := c.waiting.head; slot != 0; slot = c.out.get(slot).next {
			b = appendMessage(b, c, c.out.get(slot))
		}
		c.out.each(func(slot uint32) {
			if e := c.out.get(slot); e.state != stateWaiting {
				b = appendMessage(b, c, e)
			}
		})
	}
	for _, d := range j.deferred[:j.committedDeferrals()] {
		b = appendDeferral(b, d)
	}
	return b
}

// appendFrontier appends what a snapshot says of the journal itself.
func (j *Journal) appendFrontier(b []byte) []byte {
	b = appendEvent(b, evHold, j.holds(), j.front.seq, uint64(j.front.pos))
	return appendEvent(b, evFront, j.front.seq, uint64(j.front.pos))
}

// appendCursor appends a cursor without its messages.
func appendCursor(b []byte, c *Cursor) []byte {
	b = appendCreate(b, c)
	if c.again > c.read.seq {
		b = appendRewind(b, c)
	}
	if c.unsure {
		b = appendEvent(b, evUnsure, uint64(c.id))
	}
	for _, g := range c.gaps {
		b = appendEvent(b, evGap, uint64(c.id), g.from, g.to.seq, uint64(g.to.pos), uint64(g.deferred))
	}
	return b
}

func appendDeferral(b []byte, d deferral) []byte {
	return appendEvent(b, evDeferred, d.seq, uint64(d.pos), uint64(d.due))
}

func appendMessage(b []byte, c *Cursor, e *entry) []byte {
	due := uint64(0)
	if e.state == stateDeferred {
		due = uint64(e.at)
	}
	return appendEvent(b, evMessage, uint64(c.id), e.seq, uint64(e.pos), uint64(e.attempts), due)
}
