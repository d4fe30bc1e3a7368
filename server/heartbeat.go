package server

import (
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
)

const (
	// defaultHeartbeat is the interval until a client asks for another one.
	// It is nsqd's.
	defaultHeartbeat = 30 * time.Second

	// magicTimeout is how long a connection may take to say what it speaks.
	// nsqd waits for ever.
	magicTimeout = 10 * time.Second
)

// heartbeat is when a client hears from us, and by when we must have heard from
// it. One timer serves both; a command costs it nothing but the note of its
// time.
type heartbeat struct {
	interval int64 // nanoseconds; 0: no heartbeats and no deadline
	next     int64 // when the next one is sent
	last     int64 // when the last whole command came
	timer    loop.Timer
}

// startHeartbeat begins with the deadline for the magic.
func (c *conn) startHeartbeat() {
	c.heartbeat.interval = int64(defaultHeartbeat)
	c.heartbeat.timer = c.s.l.After(magicTimeout, c.onTimer)
}

// greeted begins the heartbeats.
func (h *heartbeat) greeted(now int64) {
	h.last, h.next = now, now+h.interval
}

// stop ends them.
func (h *heartbeat) stop() {
	if h.timer != nil {
		h.timer.Stop()
	}
}

// deadline is when the client is given up: a command has to come whole within
// two intervals of the one before it.
func (h *heartbeat) deadline() int64 { return h.last + 2*h.interval }

// setHeartbeat changes the interval; 0 ends heartbeats and deadlines.
func (c *conn) setHeartbeat(interval time.Duration) {
	h := &c.heartbeat
	h.interval = int64(interval)
	h.next = c.s.now() + h.interval
	c.setTimer()
}

// setTimer lets the timer run at the next heartbeat or the deadline.
func (c *conn) setTimer() {
	h := &c.heartbeat
	if h.interval == 0 {
		h.timer.Stop()
		return
	}
	h.timer.Reset(time.Duration(min(h.next, h.deadline()) - c.s.now()))
}

// onTimer runs when a heartbeat may be due or a deadline past.
func (c *conn) onTimer() {
	if c.closing {
		return
	}
	if !c.greeted {
		c.s.log.Info("client did not say its protocol", "client", c.remote())
		c.close()
		return
	}
	h, now := &c.heartbeat, c.s.now()
	if now >= h.deadline() {
		if !c.stalled { // then the delay is ours
			c.expire()
			return
		}
		h.last = now
	}
	if now >= h.next {
		c.c.SetOutput(append(c.c.Output(), wire.HeartbeatFrame...))
		h.next = now + h.interval
	}
	c.setTimer()
}

// expire gives up a client from which nothing whole has come for too long. nsqd
// says what was missing of a command of which a part is there.
func (c *conn) expire() {
	c.s.log.Info("client is silent", "client", c.remote())
	if c.partial == 0 {
		c.close()
		return
	}
	c.expired = true
	c.c.Offer()
}

// giveUp closes, after saying what the unfinished command p lacks.
func (c *conn) giveUp(p []byte) {
	if err := wire.Truncated(p, &c.rules); err != nil {
		c.refuse(err)
		return
	}
	c.close()
}
