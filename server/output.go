package server

import (
	"time"

	"github.com/nsqloop/nsqloop/loop"
)

// outputMost is how many bytes may wait for a client before it is given no
// more messages. It is well below the limit at which the loop gives the client
// up.
const outputMost = 1 << 20

// heldCheck is how often clients with too much output are looked at. Most of
// them are heard of before, through OnDrain; but how much must wait for that
// is the loop's to know.
const heldCheck = 5 * time.Millisecond

// output holds messages back from subscribers that have enough to read.
type output struct {
	s      *Server
	held   []*conn
	timer  loop.Timer
	posted bool
}

// hold gives c no more messages until what waits for it is less.
func (o *output) hold(c *conn) {
	if c.full {
		return
	}
	c.full = true
	o.held = append(o.held, c)
	if !o.posted {
		// The next turn: most clients will have taken everything by then.
		o.posted = o.s.l.Post(o.check) == nil
	}
}

// check lets go of those that have read.
func (o *output) check() {
	o.posted = false
	if o.s.closed {
		return
	}
	kept := o.held[:0]
	for _, c := range o.held {
		if c.full && !c.closing && o.mayGoOn(c) {
			c.drained()
		}
		if c.full && !c.closing {
			kept = append(kept, c)
		}
	}
	clear(o.held[len(kept):])
	o.held = kept
	switch {
	case len(o.held) == 0:
	case o.timer == nil:
		o.timer = o.s.l.After(heldCheck, o.check)
	default:
		o.timer.Reset(heldCheck)
	}
}

// mayGoOn says whether c may be given messages again. When memory is short that
// is when it has read everything.
func (o *output) mayGoOn(c *conn) bool {
	n := c.c.Buffered()
	return n == 0 || n < outputMost/2 && !o.s.relief.short()
}

// stopTimer ends the looking.
func (o *output) stopTimer() {
	if o.timer != nil {
		o.timer.Stop()
	}
}

// OnDrain is loop.Drainer's: the client reads again.
func (c *conn) OnDrain() {
	if c.full && !c.closing && c.s.output.mayGoOn(c) {
		c.drained()
	}
}

// drained makes c one to be given messages again.
func (c *conn) drained() {
	c.full = false
	c.updateReady()
}

// canTake says whether the subscriber may be given a message.
func (c *conn) canTake() bool { return c.inFlight < c.rdy && !c.full && !c.closing }

// updateReady enters the subscriber among those that can take a message, or
// takes it out.
func (c *conn) updateReady() {
	switch can := c.canTake(); {
	case can == c.ready:
	case can:
		c.ch.ready.push(c)
		c.ch.wake()
	default:
		c.ch.ready.remove(c)
	}
}
