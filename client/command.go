package client

import (
	"strconv"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
)

// The commands, one line each: the bytes go straight into the connection's
// output. None of them checks what it is given; Check... functions do.

// Number gives the next publish a number, from 1 to 2^62-1; a multi-publish
// gives its messages that and the numbers behind it. When Info.Publisher is not
// empty, every publish must have one. Nsqd-lite stores nothing whose number is
// not above that of all that the topic has of the same Options.Publisher, and
// confirms it as it would the first time. So numbers have to rise, over all
// connections to one nsqd, and what was not answered when a connection broke is
// to be sent again, with the numbers it had, before anything new.
func (c *Conn) Number(n uint64) { c.number = n }

// takeNumber is the number of the publish that is being sent.
func (c *Conn) takeNumber() (n uint64) {
	n, c.number = c.number, 0
	return n
}

// Publish sends PUB. The answer is OnResponse("OK") or OnError.
func (c *Conn) Publish(topic string, body []byte) {
	if c.open {
		c.conn.SetOutput(wire.AppendNumberedPub(c.conn.Output(), topic, c.takeNumber(), body))
	}
}

// MultiPublish sends MPUB: all of bodies or none. The answer is as Publish's.
func (c *Conn) MultiPublish(topic string, bodies [][]byte) {
	if c.open {
		c.conn.SetOutput(wire.AppendNumberedMPub(c.conn.Output(), topic, c.takeNumber(), bodies))
	}
}

// DeferredPublish sends DPUB. The answer is as Publish's.
func (c *Conn) DeferredPublish(topic string, delay time.Duration, body []byte) {
	if c.open {
		c.conn.SetOutput(wire.AppendNumberedDPub(c.conn.Output(), topic, delay, c.takeNumber(), body))
	}
}

// Subscribe sends SUB, once per connection. The answer is as Publish's.
func (c *Conn) Subscribe(topic, channel string) {
	if c.open {
		c.conn.SetOutput(wire.AppendSub(c.conn.Output(), topic, channel))
	}
}

// Ready sends RDY: at most n messages in flight at once. There is no answer.
// It panics when n is negative, for which nsqd would close the connection.
func (c *Conn) Ready(n int) {
	if n < 0 {
		panic("client: ready count " + strconv.Itoa(n) + " is negative")
	}
	if c.open {
		c.conn.SetOutput(wire.AppendRdy(c.conn.Output(), n))
	}
}

// Finish sends FIN. There is no answer but ErrFinFailed.
func (c *Conn) Finish(id wire.ID) {
	if c.open {
		c.conn.SetOutput(wire.AppendFin(c.conn.Output(), id))
	}
}

// Requeue sends REQ. There is no answer but ErrReqFailed.
func (c *Conn) Requeue(id wire.ID, delay time.Duration) {
	if c.open {
		c.conn.SetOutput(wire.AppendReq(c.conn.Output(), id, delay))
	}
}

// Touch sends TOUCH. There is no answer but ErrTouchFailed.
func (c *Conn) Touch(id wire.ID) {
	if c.open {
		c.conn.SetOutput(wire.AppendTouch(c.conn.Output(), id))
	}
}

// StartClose sends CLS: nsqd sends no more messages and answers
// OnResponse("CLOSE_WAIT"). Messages in flight may still be answered.
func (c *Conn) StartClose() {
	if c.state == StateReady {
		c.state = StateClosing
		c.conn.SetOutput(wire.AppendCls(c.conn.Output()))
	}
}

// Nop sends NOP, which says nothing but that this side lives.
func (c *Conn) Nop() {
	if c.open {
		c.writeNop()
	}
}

// writeNop is Nop before the connection is ready.
func (c *Conn) writeNop() {
	c.conn.SetOutput(wire.AppendNop(c.conn.Output()))
}
