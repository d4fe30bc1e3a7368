package journal

// ageRead is how many bytes Oldest reads at most of what came back.
const ageRead = 1 << 20

// OldestKnown says whether Oldest can answer without reading a file.
func (c *Cursor) OldestKnown() bool {
	return c.Depth() == 0 || c.waiting.n == 0 && (c.fresh() == 0 || c.oldest.seq == c.read.seq && c.oldest.published != 0)
}

// Oldest is when the oldest message that waits at the cursor was published, as
// nearly as that can be told from its two queues' heads: the next one that is
// fresh, and the one that came back first. ok is false when none waits. It may
// read the file, once for each message at the head; it moves nothing.
func (c *Cursor) Oldest() (published int64, ok bool, err error) {
	if c.Depth() == 0 {
		return 0, false, nil
	}
	older := func(p *Pending) {
		if !ok || p.Timestamp < published {
			published, ok = p.Timestamp, true
		}
	}
	if c.waiting.n > 0 {
		if _, err := c.Peek(Requeued, 1, ageRead, older); err != nil {
			return 0, false, err
		}
	}
	if c.fresh() == 0 {
		return published, ok, nil
	}
	if c.oldest.seq != c.read.seq || c.oldest.published == 0 {
		c.oldest.seq, c.oldest.published = c.read.seq, 0
		if _, err := c.Peek(Fresh, 1, ageRead, func(p *Pending) { c.oldest.published = p.Timestamp }); err != nil {
			return 0, false, err
		}
	}
	if at := c.oldest.published; at != 0 {
		older(&Pending{Peeked: Peeked{Timestamp: at}})
	}
	return published, ok, nil
}
