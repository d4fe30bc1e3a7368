package client

import (
	"fmt"
	"time"

	"github.com/nsqloop/nsqloop/loop"
)

// freshDial is how long a dial may be without an answer before another one is
// made beside it. The system repeats an unanswered dial after 1, 3 and 7 s, so
// one that was made while a network was away goes on waiting when the network
// is back; a fresh one is answered at once.
const freshDial = 400 * time.Millisecond

// race makes the socket of one Conn: the first dial to be answered is the
// connection's, and the others are given up. The first that is made goes on for
// the whole DialTimeout, for a peer that is slow; beside it there is at most
// one more, in whose place another one comes each freshDial. So a peer has two
// to answer at a time, however long it takes, and the outcome, if none is
// answered, is that of the first.
type race struct {
	first, fresh *entrant
	won          *entrant // nil until one is answered
	timer        loop.Timer
}

// entrant is one dial of a race.
type entrant struct {
	c      *Conn
	cancel func()
}

// race starts the dial.
func (c *Conn) race() {
	r := &c.dials
	r.first = c.enter()
	if c.o.DialTimeout > freshDial {
		r.timer = c.loop.Every(freshDial, c.refresh)
	}
}

// enter makes one more dial.
func (c *Conn) enter() *entrant {
	e := &entrant{c: c}
	e.cancel = c.loop.Dial(c.dialed, loop.DialOptions{
		Timeout:     c.o.DialTimeout,
		LocalAddr:   c.o.LocalAddr,
		PeerTimeout: c.o.PeerTimeout,
		DialContext: c.o.DialContext,
	}, e)
	return e
}

// refresh makes a fresh dial in the place of the one before.
func (c *Conn) refresh() {
	r := &c.dials
	if r.fresh != nil {
		r.fresh.cancel()
	}
	r.fresh = c.enter()
}

// stop gives up all dials but one that was answered.
func (r *race) stop() {
	if r.timer != nil {
		r.timer.Stop()
	}
	for _, e := range []*entrant{r.first, r.fresh} {
		if e != nil && e != r.won {
			e.cancel()
		}
	}
}

// String names the connection in the loop's reports.
func (e *entrant) String() string {
	if s, ok := e.c.h.(fmt.Stringer); ok {
		return s.String()
	}
	return "nsqd connection " + e.c.addr
}

// OnOpen decides the race.
func (e *entrant) OnOpen(lc loop.Conn) {
	r := &e.c.dials
	if r.won != nil { // cancelling comes too late for a dial that is answered in the same turn
		lc.Abort(nil)
		return
	}
	r.won = e
	r.stop()
	(*events)(e.c).OnOpen(lc)
}

// OnData is for the connection, as there is one.
func (e *entrant) OnData(p []byte) int {
	if e.c.dials.won != e {
		return len(p)
	}
	return (*events)(e.c).OnData(p)
}

// OnClose is the connection's end, or that of the whole race. Why a fresh dial
// has failed does not count: there will be another one.
func (e *entrant) OnClose(err error) {
	switch r := &e.c.dials; {
	case r.won == nil && e == r.first:
		r.stop()
	case r.won != e:
		return
	}
	(*events)(e.c).OnClose(err)
}
