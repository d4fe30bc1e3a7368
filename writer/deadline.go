package writer

import (
	"slices"
	"time"

	"github.com/nsqloop/nsqloop/client"
)

// armDeadline has the deadlines watched of publishes that were taken up at
// start: those that wait have MaxWait, and all have Timeout.
func (w *Writer) armDeadline(start int64) {
	if w.waiting.len() > 0 {
		if limit := w.waitLimit(); limit >= 0 {
			w.armDeadlineAt(start + limit)
		}
	}
	if w.o.Timeout >= 0 {
		w.armDeadlineAt(start + int64(w.o.Timeout))
	}
}

// armDeadlineAt has onDeadline run at the given moment, or before.
func (w *Writer) armDeadlineAt(at int64) {
	if w.deadlineAt != 0 && w.deadlineAt <= at {
		return
	}
	w.deadlineAt = at
	d := time.Duration(at - w.now())
	if w.deadline == nil {
		w.deadline = w.loop.After(d, w.onDeadline)
		return
	}
	w.deadline.Reset(d)
}

// waitLimit is how long a publish may wait to be sent the first time, in
// nanoseconds; negative when there is no limit.
func (w *Writer) waitLimit() int64 {
	switch {
	case w.o.MaxWait == 0:
		return int64(w.o.Timeout)
	case w.o.Timeout < 0:
		return int64(w.o.MaxWait)
	}
	return int64(min(w.o.MaxWait, w.o.Timeout))
}

// onDeadline ends what has run out of time, and comes back for the oldest of
// the rest.
func (w *Writer) onDeadline() {
	w.deadlineAt = 0
	now := w.now()
	if w.o.Timeout >= 0 {
		limit := int64(w.o.Timeout)
		next := w.expireChoosy(now - limit)
		for _, c := range slices.Clone(w.conns) { // one that is not wanted any more may leave
			if start := c.expire(now - limit); start != 0 && (next == 0 || start < next) {
				next = start
			}
		}
		if next != 0 {
			w.armDeadlineAt(next + limit)
		}
	}
	if limit := w.waitLimit(); limit >= 0 {
		if next := w.expireWaiting(now - limit); next != 0 {
			w.armDeadlineAt(next + limit)
		}
	}
}

// expireWaiting ends what waits since the given moment or longer, and returns
// the start of the oldest of the rest; 0 when there is none.
func (w *Writer) expireWaiting(startedBefore int64) (next int64) {
	if w.waiting.len() == 0 {
		return 0
	}
	err := notSentAfter(client.ErrTimeout, w.lastErr())
	for w.waiting.len() > 0 {
		p := w.waiting.at(0)
		if p.start > startedBefore {
			return p.start
		}
		w.end(p, err)
		w.waiting.pop()
	}
	return 0
}

// expireChoosy is expireWaiting for the choosy, which are in no order.
func (w *Writer) expireChoosy(startedBefore int64) (next int64) {
	w.choosy, next = expireSome(w.choosy, startedBefore, func(p *publish) {
		cause := p.err
		if cause == nil || p.maybe { // which the end names anyway
			cause = w.lastErr()
		}
		w.end(p, notSentAfter(client.ErrTimeout, cause))
	})
	return next
}

// expireSome ends those publishes of all that are too old, and returns the others,
// and when the oldest of them started, 0 for none.
func expireSome(all []publish, startedBefore int64, end func(*publish)) (left []publish, next int64) {
	left = all[:0]
	for i := range all {
		p := all[i]
		if p.start <= startedBefore {
			end(&p)
			continue
		}
		if next == 0 || p.start < next {
			next = p.start
		}
		left = append(left, p)
	}
	clear(all[len(left):])
	return left, next
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
