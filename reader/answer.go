package reader

import (
	"context"
	"errors"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
)

// kind is what is to be done with a message.
type kind uint8

const (
	finish        kind = iota // FIN, a success
	finishCalmly              // FIN, neutral: discarded or given up
	requeue                   // REQ, a failure
	requeueCalmly             // REQ, neutral
	giveBack                  // REQ 0, no outcome: nobody has finished with it
	touch                     // TOUCH
	handled                   // no answer: a worker's handler has returned
)

// answer is a message and what is to be done with it.
type answer struct {
	m     *Message
	kind  kind
	delay time.Duration // of a requeue; negative: automatic
	err   error         // why, for OnBackoff
}

// conclusion turns a handler's result into an answer. ok is false when the
// handler will answer later.
func conclusion(m *Message, err error) (a answer, ok bool) {
	if err == nil {
		return answer{m: m, kind: finish}, true
	}
	if errors.Is(err, Pending) {
		return answer{}, false
	}
	if e := m.extra.Load(); e != nil && errors.Is(err, context.Canceled) && context.Cause(e.ctx) == ErrDraining {
		return answer{m: m, kind: giveBack}, true
	}
	a = answer{m: m, kind: requeue, delay: AutoDelay, err: err}
	var r *result
	if errors.As(err, &r) {
		a.delay = r.delay
		switch {
		case r.discard:
			a.kind = finishCalmly
		case r.calm:
			a.kind = requeueCalmly
		}
	}
	return a, true
}

// mail brings an answer to the loop, from whatever goroutine. Answers are
// gathered by value under a lock: a posted closure for each would cost an
// allocation, and asking first whether the caller is on the loop already would
// cost far more than the lock. The first answer posts, unless the mail will be
// opened anyway because handlers run on the loop in this turn. At most one
// answer, one touch and, with Options.SerialBy, one return per message are on
// their way.
func (r *Reader) mail(a answer) bool {
	r.mailbox.Lock()
	r.answers = append(r.answers, a)
	post := len(r.answers) == 1 && !r.expected
	r.mailbox.Unlock()
	if !post || r.loop.Post(r.openMail) == nil {
		return true
	}
	r.mailbox.Lock()
	r.answers = nil
	r.mailbox.Unlock()
	return false
}

// expectMail lets the mail be opened at the end of this turn, before output is
// sent.
func (r *Reader) expectMail() {
	r.expecting = true
	r.mailbox.Lock()
	r.expected = true
	r.mailbox.Unlock()
	r.loop.AtTurnEnd(r.openMail)
}

// openMail executes the answers that were given since it ran last.
func (r *Reader) openMail() {
	r.expecting = false
	r.mailbox.Lock()
	mail := r.answers
	r.answers, r.expected = r.opened[:0], false
	r.mailbox.Unlock()
	for _, a := range mail {
		switch a.kind {
		case touch:
			a.m.touching.Store(false)
			r.touch(a.m)
		case handled:
			r.lines.returned(a.m)
		default:
			r.settle(a)
		}
	}
	clear(mail) // the messages are their holders' now
	r.opened = mail
}

// settle executes the answer to a message that was claimed for it. The order
// is what keeps the promise of max in flight: backoff and the ready counts
// hear of it first, so that a lowered RDY reaches nsqd before the FIN or REQ
// that frees a place.
func (r *Reader) settle(a answer) {
	m, c := a.m, a.m.conn
	if c == nil {
		r.stats.Lost++
		return
	}
	switch a.kind {
	case finish:
		r.outcome(success, nil)
	case requeue:
		r.outcome(failure, a.err)
	case finishCalmly, requeueCalmly:
		r.outcome(neutral, a.err)
	}
	c.drop(m, a.kind.end())
	r.sendReady()
	r.showStarved()
	switch a.kind {
	case finish, finishCalmly:
		if errors.Unwrap(a.err) != nil {
			r.log.Warn("message discarded", "nsqd", m.NSQD, "id", m.ID, "attempts", m.Attempts, "err", a.err)
		}
		r.stats.Finished++
		if a.kind == finishCalmly {
			r.stats.Discarded++
		}
		c.client.Finish(wire.ID(m.ID))
	case giveBack:
		r.stats.Returned++
		c.client.Requeue(wire.ID(m.ID), 0)
	default:
		r.stats.Requeued++
		c.client.Requeue(wire.ID(m.ID), r.requeueDelay(m, a.delay))
	}
	c.closeWhenDone()
}

// touch asks for more time for a message that is in flight.
func (r *Reader) touch(m *Message) {
	if m.conn == nil {
		return
	}
	r.stats.Touched++
	m.conn.touch(m, r.now())
	m.conn.client.Touch(wire.ID(m.ID))
}

// requeueDelay is the delay of a requeue.
func (r *Reader) requeueDelay(m *Message, delay time.Duration) time.Duration {
	if delay >= 0 {
		return delay
	}
	base, most := r.o.RequeueDelay, r.o.MaxRequeueDelay
	if n := time.Duration(m.Attempts); n > 0 && base > most/n {
		return most
	}
	return base * time.Duration(m.Attempts)
}

// outcome tells backoff how a message went, and does what follows from it.
func (r *Reader) outcome(o outcome, err error) {
	switch r.throttle.result(o) {
	case halt:
		p := Pause{Level: r.throttle.level(), Duration: r.throttle.pause(), Err: err}
		r.stats.Pauses++
		r.ready.halt(r.now())
		r.pauseTimer, r.pauseEnds = r.loop.After(p.Duration, r.onPauseOver), r.loop.Now().Add(p.Duration)
		r.log.Info("backoff", "level", p.Level, "pause", p.Duration, "err", err)
		if r.o.OnBackoff != nil {
			r.emit(func() { r.o.OnBackoff(p) })
		}
	case resume:
		r.ready.leave(r.now())
		r.log.Info("backoff is over")
		if r.o.OnResume != nil {
			r.emit(r.o.OnResume)
		}
	}
}

// onPauseOver ends a pause: one message will show whether things work again.
func (r *Reader) onPauseOver() {
	r.pauseTimer, r.pauseEnds = nil, time.Time{}
	r.throttle.over()
	r.ready.probe(r.now())
	r.sendReady()
}

// sendReady writes the ready counts that have changed.
func (r *Reader) sendReady() {
	if len(r.ready.changed) == 0 {
		return
	}
	for _, s := range r.ready.changed {
		s.changed = false
		if s.count != s.sent {
			s.sent = s.count
			s.conn.client.Ready(s.count)
		}
	}
	clear(r.ready.changed)
	r.ready.changed = r.ready.changed[:0]
}

// showStarved lets Starved know, on any goroutine.
func (r *Reader) showStarved() {
	if starving := r.ready.starving > 0; starving != r.starving {
		r.starving = starving
		r.starved.Store(starving)
	}
}
