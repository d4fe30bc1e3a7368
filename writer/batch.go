package writer

import (
	"errors"

	"github.com/nsqloop/nsqloop/client"
)

// openBatches is how many topics a connection gathers batches for at a time.
// With one more, the oldest batch is sent.
const openBatches = 8

// batch is what has gathered in this turn to be sent as one command.
type batch struct {
	topic string
	size  int // of the command's body: 4 bytes, and 4 more for each of the bodies
	all   []publish
}

// gather lets p, a single message, leave with others of this turn.
func (c *conn) gather(p *publish) {
	i := 0
	for i < len(c.batches) && c.batches[i].topic != p.topic {
		i++
	}
	if i == openBatches {
		c.sendBatch(0)
		i--
	}
	if i < len(c.batches) && c.batches[i].size+4+p.size > c.w.o.MaxBodySize {
		c.sendBatch(i)
		i = len(c.batches)
	}
	if i == len(c.batches) {
		c.batches = append(c.batches, batch{topic: p.topic, size: 4, all: c.w.spareBatch()})
	}
	b := &c.batches[i]
	b.all = append(b.all, *p)
	b.size += 4 + p.size
	c.gathered++
	c.gatheredBytes += p.size
	if len(b.all) == c.w.o.Batch {
		c.sendBatch(i)
	}
}

// sendBatch sends a batch, the i-th.
func (c *conn) sendBatch(i int) {
	b := c.batches[i]
	copy(c.batches[i:], c.batches[i+1:])
	c.batches[len(c.batches)-1] = batch{}
	c.batches = c.batches[:len(c.batches)-1]
	for i := range b.all {
		c.gatheredBytes -= b.all[i].size
	}
	c.gathered -= len(b.all)
	if len(b.all) == 1 {
		c.send(&b.all[0])
	} else {
		w := c.w
		for i := range b.all {
			w.bodies = append(w.bodies, b.all[i].body)
		}
		number := c.once.number(len(b.all))
		c.client.Number(number)
		c.client.MultiPublish(b.topic, w.bodies)
		clear(w.bodies)
		w.bodies = w.bodies[:0]
		b.all[0].together = int32(len(b.all))
		for i := range b.all {
			if b.all[i].number = number; number != 0 {
				number++
			}
			c.enter(&b.all[i])
		}
	}
	clear(b.all)
	if cap(b.all) <= mailboxKeep {
		c.w.spareBatches = append(c.w.spareBatches, b.all[:0])
	}
}

// sendBatches sends what a connection has gathered.
func (c *conn) sendBatches() {
	for len(c.batches) > 0 {
		c.sendBatch(0)
	}
}

// sendGathered sends what all connections have gathered. Every function that
// sends calls it before it returns.
func (w *Writer) sendGathered() {
	if w.o.Batch <= 1 {
		return
	}
	for _, c := range w.ready {
		c.sendBatches()
	}
}

// spareBatch is a buffer for a batch.
func (w *Writer) spareBatch() (b []publish) {
	if n := len(w.spareBatches); n > 0 {
		b = w.spareBatches[n-1]
		w.spareBatches = w.spareBatches[:n-1]
	}
	return b
}

// aboutContent says whether an error about a multi-publish is about the bodies:
// nsqd reads them all before it takes one.
func aboutContent(e *client.Error) bool {
	return errors.Is(e, client.ErrBadMessage) || errors.Is(e, client.ErrBadBody)
}
