package writer

import (
	"errors"
	"fmt"

	"github.com/nsqloop/nsqloop/client"
)

// once is what a conn needs for RetryOnce: publishes with numbers, which an
// nsqd-lite that remembers them knows again.
//
// The numbers rise over all connections to the nsqd. What is unsure when one
// breaks keeps its numbers and is sent on the next one before anything else, in
// the same order. So whatever a topic there has is below the highest number that
// it has, and what is not is above it, or has ended here.
type once struct {
	id     string    // whom nsqd is to remember; "" for nobody
	token  string    // what nsqd has said to that; "" when publishes have no numbers
	last   uint64    // the highest number given
	unsure []publish // was sent on a connection that broke; rising
}

// newOnce is the beginning, for an nsqd that is new. Each address is a publisher
// of its own: two of them may lead to one nsqd.
func (w *Writer) newOnce() (o once) {
	if w.o.Retry == RetryOnce {
		o.id = fmt.Sprintf("%016x", w.loop.Rand().Uint64())
	}
	return o
}

// number is the first of n new numbers; 0 when publishes have none.
func (o *once) number(n int) uint64 {
	if o.token == "" {
		return 0
	}
	o.last += uint64(n)
	return o.last - uint64(n) + 1
}

// holds keeps p, which was tried here and has come to err, for the next
// connection, if that can tell what has become of it and may be waited for.
func (c *conn) holds(p *publish, err error) bool {
	w := c.w
	switch {
	case p.number == 0 || w.closed || w.stopping || w.leaving || !c.wanted():
		return false
	case errors.Is(err, client.ErrUnknownOutcome):
		if !p.maybe {
			p.err, p.maybe = err, true
		}
	case !p.maybe || OutcomeOf(err) != NotSent || p.avoid == c:
		// A store that has failed says nothing of an earlier try: nsqd may
		// not have come as far as to look for that.
		return false
	}
	p.together = 0
	c.once.unsure = append(c.once.unsure, *p)
	return true
}

// ask sends what is unsure again, before anything else, on a connection that has
// just become ready; or ends it, when nsqd has forgotten.
func (c *conn) ask() {
	o := &c.once
	before := o.token
	o.token = c.client.Info().Publisher
	if o.token == "" || o.token != before {
		c.endUnsure(errForgotten)
		return
	}
	for i := range o.unsure {
		p := &o.unsure[i]
		if p.wait != nil && !p.wait.begin() {
			c.w.end(p, errClosed) // nobody waits for it any more
			continue
		}
		c.sendAs(p, p.number)
	}
	o.unsure = nil
}

// endUnsure ends what is unsure, because of err.
func (c *conn) endUnsure(err error) {
	for i := range c.once.unsure {
		c.w.end(&c.once.unsure[i], err)
	}
	c.once.unsure = nil
}

// expireUnsure is expire for what is unsure.
func (c *conn) expireUnsure(startedBefore int64) (next int64) {
	o := &c.once
	o.unsure, next = expireSome(o.unsure, startedBefore, func(p *publish) {
		c.w.end(p, notSentAfter(client.ErrTimeout, c.err))
	})
	return next
}

// onDoubtful ends the oldest publish that is pending: nsqd remembers the Writer,
// and cannot tell what became of this one. The connection goes on.
func (c *conn) onDoubtful(e *client.Error) {
	err := fmt.Errorf("publish to %s: %w: %w", c.addr, client.ErrUnknownOutcome, e)
	for range max(1, c.pending.at(0).together) {
		if p := c.take(); !p.expired {
			c.w.end(&p, err)
		}
	}
	c.leaveWhenDone()
	c.w.atTurnEnd()
}

// errForgotten is why something stays unknown.
var errForgotten = notSent(errors.New("this nsqd does not remember what it was sent before"))
