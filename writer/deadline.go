package writer

import (
	"time"

	"github.com/nsqloop/nsqloop/client"
)

// armDeadline has the deadline watched of publishes that were taken up at
// start. All have the same time to live, so only the oldest matters, and a
// timer that runs is always for an older one.
func (w *Writer) armDeadline(start int64) {
	if w.o.Timeout < 0 || w.deadlineArmed {
		return
	}
	w.deadlineArmed = true
	d := time.Duration(start + int64(w.o.Timeout) - w.now())
	if w.deadline == nil {
		w.deadline = w.loop.After(d, w.onDeadline)
		return
	}
	w.deadline.Reset(d)
}

// onDeadline ends what has run out of time.
func (w *Writer) onDeadline() {
	w.deadlineArmed = false
	before := w.now() - int64(w.o.Timeout)
	var next int64
	for _, c := range w.conns {
		if start := c.expire(before); start != 0 && (next == 0 || start < next) {
			next = start
		}
	}
	var err error
	for w.waiting.len() > 0 {
		p := w.waiting.at(0)
		if p.start > before {
			if next == 0 || p.start < next {
				next = p.start
			}
			break
		}
		if err == nil {
			err = notSentAfter(client.ErrTimeout, w.lastErr())
		}
		w.end(p, err)
		w.waiting.pop()
	}
	if next != 0 {
		w.armDeadline(next)
	}
}

// lastErr is why a connection is missing; nil when none is.
func (w *Writer) lastErr() error {
	for _, c := range w.conns {
		if c.err != nil {
			return c.err
		}
	}
	return nil
}

// watchReplies has the connections looked at while answers are owed.
func (w *Writer) watchReplies() {
	if w.looking || w.o.ReplyTimeout < 0 {
		return
	}
	w.looking = true
	if w.looker == nil {
		w.looker = w.loop.Every(w.o.ReplyTimeout/quietLooks, w.onLook)
		return
	}
	w.looker.Reset(w.o.ReplyTimeout / quietLooks)
}

func (w *Writer) onLook() {
	owed := 0
	for _, c := range w.conns {
		c.look()
		owed += c.pending.len()
	}
	if owed == 0 {
		w.looking = false
		w.looker.Stop()
	}
}
