package reader

import (
	"context"
	"fmt"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/loop"
)

// extra is what a message carries when its handler asks for more than an
// answer: a context, a limit of its own, or to be kept alive. Most messages
// have none, and cost nothing for it.
type extra struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	record func(Trial) // of NewTrial

	// Of the loop.
	timer loop.Timer // of RequeueIn; nil when there is none
	keep  int64      // until when KeepAlive touches; 0 when it does not
	onEnd []func(End)
}

// messageContext is a context whose end may be the message's deadline.
type messageContext struct {
	context.Context
	limit time.Time
}

// Deadline is the message's HardDeadline: touching moves the other one, and a
// context's must stand still.
func (c *messageContext) Deadline() (time.Time, bool) { return c.limit, !c.limit.IsZero() }

// Err is context.DeadlineExceeded when the message's time was over, as for any
// context with a deadline.
func (c *messageContext) Err() error {
	err := c.Context.Err()
	if err != nil && context.Cause(c.Context) == context.DeadlineExceeded {
		return context.DeadlineExceeded
	}
	return err
}

// Context ends when working on the message has no use any more: when its
// Deadline passes (touching moves that), when it is answered, when its
// connection is lost, and at a shutdown, Options.DrainGrace after it began.
// context.Cause tells these apart: context.DeadlineExceeded, ErrAnswered,
// ErrLost and ErrDraining. It comes from the loop, so a moment later than the
// event, and only to those who listen: nothing interrupts a handler.
//
// A handler's error that wraps context.Canceled, after the end with
// ErrDraining, gives the message back without delay and without backoff.
//
// It may be called from any goroutine, and returns the same context each time.
// A message whose Context is never called has none.
func (m *Message) Context() context.Context { return m.more().ctx }

// more returns the message's extra, and makes it the first time.
func (m *Message) more() *extra {
	if e := m.extra.Load(); e != nil {
		return e
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	own := &messageContext{Context: ctx}
	if m.limit != 0 {
		own.limit = time.Unix(0, m.limit)
	}
	e := &extra{ctx: own, cancel: cancel}
	if !m.extra.CompareAndSwap(nil, e) {
		return m.extra.Load()
	}
	// Whoever ends the message changes its state before looking for an extra.
	if cause := m.endCause(); cause != nil {
		cancel(cause)
	} else if m.reader != nil && m.reader.graceOver.Load() {
		cancel(ErrDraining)
	}
	return e
}

// endCause says why the message can no longer be answered; nil when it can.
func (m *Message) endCause() error {
	switch m.state.Load() {
	case stateAnswered:
		return ErrAnswered
	case stateLost:
		return ErrLost
	case stateExpired:
		return context.DeadlineExceeded
	}
	return nil
}

// KeepAlive touches the message now and each third of the message timeout,
// until it is answered, but no longer than limit from now (0 means as long as
// nsqd allows) and never past HardDeadline: nsqd's --max-msg-timeout, 15
// minutes by default, is the cap. Then the message's time is over as usual.
// Another call replaces the limit. It reports false, and does nothing, when
// the message can no longer be answered. It may be called from any goroutine.
//
// It is for handlers whose work takes long now and then. A process that hangs
// keeps its messages for as long as it asked for.
func (m *Message) KeepAlive(limit time.Duration) bool {
	if m.state.Load() != stateOpen {
		return false
	}
	if m.reader == nil {
		return true
	}
	e := m.more()
	return m.reader.do(func() {
		if m.conn == nil || m.Responded() {
			return
		}
		e.keep = m.limit
		if limit > 0 {
			e.keep = min(m.limit, m.reader.now()+int64(limit))
		}
		m.conn.keepAlive(m)
	}) == nil
}

// RequeueIn requeues the message as a failure, with the automatic delay, unless
// it is answered within d: a time limit for handlers that run beside the loop
// or return Pending. The handler is not interrupted, but its Context ends, and
// its answer has no effect any more. Another call replaces d. It reports as
// KeepAlive does, and may be called from any goroutine.
func (m *Message) RequeueIn(d time.Duration) bool {
	if m.state.Load() != stateOpen {
		return false
	}
	if m.reader == nil {
		return true
	}
	e := m.more()
	return m.reader.do(func() {
		if m.conn == nil || m.Responded() {
			return
		}
		if e.timer != nil {
			e.timer.Stop()
		}
		e.timer = m.reader.loop.After(d, func() { m.reader.onLimit(m, e, d) })
	}) == nil
}

// onLimit requeues a message that was not answered in the time that its
// handler had set.
func (r *Reader) onLimit(m *Message, e *extra, d time.Duration) {
	e.timer = nil
	if !m.state.CompareAndSwap(stateOpen, stateAnswered) {
		return
	}
	err := fmt.Errorf("%w: message %v was not answered within %v", client.ErrTimeout, m.ID, d)
	e.cancel(err)
	r.settle(answer{m: m, kind: requeue, delay: AutoDelay, err: err})
}

// keepAlive touches m now, and all messages that ask for it from time to time.
func (c *conn) keepAlive(m *Message) {
	c.reader.touch(m)
	if c.keeper == nil {
		c.keeper = c.reader.loop.Every(time.Duration(max(c.msgTimeout/3, int64(time.Millisecond))), c.onKeep)
	}
}

// onKeep touches the messages that are to be kept alive, and ends the timer
// with the last of them.
func (c *conn) onKeep() {
	now, kept := c.reader.now(), false
	for m := c.head; m != nil; {
		next := m.next
		if e := m.extra.Load(); e != nil && e.keep > now && !m.Responded() {
			kept = true
			// One that was touched in this turn stands further down again.
			if at := m.deadline.Load(); at < m.limit && at < now+c.msgTimeout {
				c.reader.touch(m)
			}
		}
		m = next
	}
	if !kept {
		c.keeper.Stop()
		c.keeper = nil
	}
}

// endGrace ends the contexts of all messages in flight: the shutdown has
// waited for Options.DrainGrace.
func (r *Reader) endGrace() {
	r.graceTimer = nil
	r.graceOver.Store(true)
	for _, n := range r.nodes {
		if n.conn == nil {
			continue
		}
		for m := n.conn.head; m != nil; m = m.next {
			if e := m.extra.Load(); e != nil {
				e.cancel(ErrDraining)
			}
		}
	}
}
