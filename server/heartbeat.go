package server

import (
	"log/slog"
	"math"
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

	// firstTimeout is how long it may then take for its first whole command.
	firstTimeout = 10 * time.Second

	// wholeTimeout is how long a command may be on its way, from its first
	// byte to its last. To nsqd that is two heartbeat intervals, or for ever
	// when there are no heartbeats.
	wholeTimeout = 30 * time.Second
)

// heartbeat is when a client hears from us, and by when we must have heard from
// it. One timer serves both; a command costs it nothing but the note of its
// time.
type heartbeat struct {
	interval int64 // nanoseconds; 0: no heartbeats, and silence is no reason to close
	next     int64 // when the next one is sent
	last     int64 // when the last whole command came
	began    int64 // when the unfinished command began; 0: there is none
	spoken   bool  // there was a whole command
	alarm    int64 // when timer runs; 0: it does not
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

// deadline is when the client is given up, 0 for never: the first command has
// to be there soon, each command whole soon after its first byte, and with
// heartbeats within two intervals of the one before it.
func (h *heartbeat) deadline() int64 {
	at := int64(math.MaxInt64)
	switch {
	case h.began != 0:
		at = h.began + int64(wholeTimeout)
	case !h.spoken:
		at = h.last + int64(firstTimeout)
	}
	if h.interval != 0 {
		at = min(at, h.last+2*h.interval)
	}
	return at
}

// heard notes that whole commands have come, whether a part of another one
// follows them, and has the timer run when that is due.
func (c *conn) heard(whole, part bool) {
	h := &c.heartbeat
	if whole {
		h.last, h.spoken = c.s.now(), true
	}
	switch {
	case !part:
		h.began = 0
	case whole || h.began == 0:
		h.began = c.s.now()
		if due := h.deadline(); h.alarm == 0 || due < h.alarm {
			c.setTimer()
		}
	}
}

// setHeartbeat changes the interval; 0 ends heartbeats, and that silence is a
// reason to close.
func (c *conn) setHeartbeat(interval time.Duration) {
	h := &c.heartbeat
	h.interval, h.spoken = int64(interval), true
	h.next = c.s.now() + h.interval
	c.setTimer()
}

// setTimer lets the timer run at the next heartbeat or the deadline. It is not
// put off by what is heard: when it runs too early it is set again.
func (c *conn) setTimer() {
	h := &c.heartbeat
	at := h.deadline()
	if h.interval != 0 {
		at = min(at, h.next)
	}
	if at == math.MaxInt64 {
		h.alarm = 0
		h.timer.Stop()
		return
	}
	h.alarm = at
	h.timer.Reset(time.Duration(at - c.s.now()))
}

// onTimer runs when a heartbeat may be due or a deadline past.
func (c *conn) onTimer() {
	if c.closing {
		return
	}
	if !c.greeted {
		c.tell(slog.LevelInfo, "client did not say its protocol")
		c.close()
		return
	}
	h, now := &c.heartbeat, c.s.now()
	h.alarm = 0
	if now >= h.deadline() {
		if !c.stalled && !c.aside { // then the delay is ours
			c.expire()
			return
		}
		h.last = now
		if h.began != 0 {
			h.began = now
		}
	}
	if h.interval != 0 && now >= h.next {
		c.c.SetOutput(append(c.c.Output(), wire.HeartbeatFrame...))
		h.next = now + h.interval
	}
	c.setTimer()
}

// expire gives up a client from which nothing whole has come for too long. nsqd
// says what was missing of a command of which a part is there.
func (c *conn) expire() {
	c.tell(slog.LevelInfo, "client is silent")
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
