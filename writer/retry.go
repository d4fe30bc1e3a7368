package writer

import (
	"errors"
	"fmt"
	"slices"

	"github.com/nsqloop/nsqloop/client"
)

// Retry is which publishes are tried again, within their Timeout, when a try
// has failed.
type Retry string

// The choices.
const (
	// RetryUnsent tries those again that provably no nsqd has: on any nsqd
	// what was sent behind a publish that nsqd rejected, and on another one,
	// once on each that is connected, what an nsqd could not store
	// (client.ErrPubFailed, client.ErrDPubFailed).
	RetryUnsent Retry = "unsent"

	// RetryOnce tries those as well whose outcome is unknown because the
	// connection broke, on the same nsqd, if that is an nsqd-lite that
	// remembers this Writer: it stores what it has not, and confirms what it
	// has. So each message is stored once, and its outcome is known. While
	// that nsqd is away they wait, also with FailFast. They stay Unknown when
	// their Timeout ends before that, when nsqd has forgotten (it was
	// killed, a fsync of it has failed, or it has seen nothing of the Writer
	// for ten minutes), and on the original nsqd.
	RetryOnce Retry = "once"

	// RetryUnknown tries those as well whose outcome is unknown because the
	// connection broke. Such messages may be stored more than once. The
	// publish is Confirmed when its last try is, and Unknown otherwise.
	RetryUnknown Retry = "unknown"

	// RetryNone leaves it to the caller.
	RetryNone Retry = "none"
)

// onFatal decides about what was sent on a connection that nsqd ends with e. It
// is about the oldest command, and nsqd executes nothing of what was sent
// behind that; but a server whose disk has failed may have stored some of it
// before it noticed.
func (c *conn) onFatal(e *client.Error) {
	err := fmt.Errorf("publish to %s: %w", c.addr, e)
	behind := fmt.Errorf("publish to %s: %w: %w", c.addr, ErrNotExecuted, e)
	storeFailed := notStored(e)
	if storeFailed {
		c.distrust()
	}
	n := max(1, c.pending.at(0).together)
	for range n {
		p := c.take()
		switch {
		case p.expired:
			continue
		case n > 1 && aboutContent(e): // one of them is bad, and none was stored
			p.alone = true
			c.w.again(&p, behind)
			continue
		case storeFailed:
			p.avoid = c
		}
		c.w.tryAgain(&p, err)
	}
	if storeFailed {
		behind = unknown(c.addr, e)
	}
	c.lose(behind)
}

// lose decides about all that is pending on a connection, which err says about.
func (c *conn) lose(err error) {
	for c.pending.len() > 0 {
		if p := c.take(); !p.expired {
			c.w.tryAgain(&p, err)
		}
	}
}

// tryAgain is what follows a try of p that has come to err: another one, or the
// end.
func (w *Writer) tryAgain(p *publish, err error) {
	if p.at.holds(p, err) {
		return
	}
	again := false
	switch OutcomeOf(err) {
	case NotSent:
		again = w.o.Retry != RetryNone && !(p.maybe && w.o.Retry == RetryOnce) // which may not move
	case Unknown:
		again = w.o.Retry == RetryUnknown
	}
	if again && (p.avoid != p.at || w.storesElsewhere(p)) {
		w.again(p, err)
		return
	}
	w.end(p, err)
}

// storesElsewhere reports whether another nsqd is connected that p may try.
func (w *Writer) storesElsewhere(p *publish) bool {
	if int(p.tries) >= len(w.conns) {
		return false // it has been everywhere
	}
	return slices.ContainsFunc(w.ready, func(c *conn) bool { return c != p.avoid && c.usable() })
}

// again lets p wait for another try, if there is any point. err is what the
// last one has come to.
func (w *Writer) again(p *publish, err error) {
	maybe := p.maybe || OutcomeOf(err) == Unknown
	switch {
	case w.closed || w.stopping || w.pointless() != nil:
		w.end(p, err)
		return
	case p.wait != nil && !maybe && !p.wait.unsend():
		w.end(p, err) // nobody waits for it any more
		return
	}
	if !p.maybe {
		p.err, p.maybe = err, maybe
		if maybe && !errors.Is(err, client.ErrUnknownOutcome) { // whatever comes, it stays so
			p.err = fmt.Errorf("%w: %w", client.ErrUnknownOutcome, err)
		}
	}
	if p.copies != nil {
		p.copies.at[p.copy] = ""
	}
	p.together = 0
	w.choosy = append(w.choosy, *p)
	w.atTurnEnd()
}

// sendChoosy sends those of the choosy for which there is a connection.
func (w *Writer) sendChoosy() {
	rest := w.choosy[:0]
	for i := range w.choosy {
		p := &w.choosy[i]
		c := w.chooseFor(p)
		if c == nil && p.avoid == nil && p.copies == nil {
			rest = append(rest, w.choosy[i:]...) // there is no room at all
			break
		}
		if !w.sendTo(c, p) {
			rest = append(rest, *p)
		}
	}
	clear(w.choosy[len(rest):])
	w.choosy = rest
}

// finalErr is what a publish ends in that was tried before, in place of err. Of the
// publish as a whole it is not true any more that it was not sent.
func (p *publish) finalErr(err error) error {
	if !p.maybe || err == nil {
		return err
	}
	if e, ok := err.(*unsent); ok {
		err = e.why
	}
	return fmt.Errorf("%w (tried again: %w)", p.err, err)
}
