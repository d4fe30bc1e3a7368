package writer

import (
	"context"
	"fmt"

	"github.com/nsqloop/nsqloop/client"
)

// Shutdown ends the Writer in order:
//
//  1. nothing more is accepted: publishes end in ErrClosed
//  2. what is pending is sent and answered, until ctx ends
//  3. what is still pending then ends: in ErrClosed what was not sent, in
//     client.ErrUnknownOutcome what was
//  4. the connections are closed
//
// It waits for all of it and returns nil when step 3 had nothing to do, and a
// *ShutdownError, which wraps ctx.Err(), otherwise. Called on the loop it would
// wait for itself: it returns client.ErrWouldBlock and does nothing. On a loop
// that has not started it returns at once when nothing is pending; otherwise it
// waits for the loop until ctx ends, and what is pending ends when the loop
// starts after all.
//
// When the loop shuts down, it does the same for its Writers, unasked.
func (w *Writer) Shutdown(ctx context.Context) error {
	if w.loop.OnLoop() {
		return fmt.Errorf("shutdown: %w", client.ErrWouldBlock)
	}
	w.closeMailbox()
	if w.endUnstarted() {
		return nil
	}
	if err := w.loop.Post(func() { w.whenDrained(w.close) }); err != nil {
		return nil // the loop has stopped, and ended everything
	}
	select {
	case <-w.stopped:
		return nil
	case <-ctx.Done():
	}
	cut := make(chan *ShutdownError, 1)
	if err := w.loop.Post(func() { cut <- w.cutOff() }); err != nil {
		return nil
	}
	if w.life.Load() == lifeNew {
		n, _ := w.mail.pending()
		return &ShutdownError{NotSent: uint64(n), Err: ctx.Err()}
	}
	e := <-cut
	<-w.stopped
	if e == nil {
		return nil
	}
	e.Err = ctx.Err()
	return e
}

// endUnstarted ends a Writer whose loop has not come to start it, if nobody is to be
// told of an end, and reports whether it did. On a loop that runs, and was about to
// start it, that is all that would have followed.
func (w *Writer) endUnstarted() bool {
	if !w.mail.empty() || !w.life.CompareAndSwap(lifeNew, lifeEnded) {
		return false
	}
	w.stopOnce.Do(w.stop)
	return true
}

// cutOff closes, and says how what was pending when that began has ended. It is
// nil when nothing was pending any more.
func (w *Writer) cutOff() *ShutdownError {
	w.drain() // what was called before Shutdown
	if w.outstanding == 0 {
		w.close()
		return nil
	}
	before := w.counts.outcomes
	w.close()
	after := w.counts.outcomes
	return &ShutdownError{NotSent: after[NotSent] - before[NotSent], Unknown: after[Unknown] - before[Unknown]}
}

// Close ends the Writer at once: what is pending ends in ErrClosed when it was
// not sent, and in client.ErrUnknownOutcome when it was. It does not wait:
// the done functions are called on the loop, soon. It always returns nil.
func (w *Writer) Close() error {
	w.closeMailbox()
	// When the loop has stopped, it has ended everything.
	_ = w.loop.Post(w.close)
	return nil
}

func (w *Writer) closeMailbox() {
	if w.mail.close() {
		w.tell()
	}
}

// onLoopShutdown is what the loop calls when it shuts down. It does not wait
// for an nsqd that is away.
func (w *Writer) onLoopShutdown(done func()) {
	w.leaving = true
	w.closeMailbox()
	w.failPointless()
	for _, c := range w.conns {
		if c.client == nil {
			c.endUnsure(notSentAfter(client.ErrNotConnected, c.err))
		}
	}
	w.whenDrained(func() {
		w.close()
		done()
	})
}

// whenDrained calls f when nothing is pending any more.
func (w *Writer) whenDrained(f func()) {
	w.draining = append(w.draining, f)
	w.atTurnEnd()
}

// finishDraining calls those that wait for nothing to be pending.
func (w *Writer) finishDraining() {
	if len(w.draining) == 0 || !w.drained() {
		return
	}
	fs := w.draining
	w.draining = nil
	for _, f := range fs {
		f()
	}
}

// drained reports whether nothing is pending.
func (w *Writer) drained() bool {
	return w.outstanding == 0 && w.reported == len(w.outcomes) && w.mail.empty()
}

// close ends everything that is pending and closes the connections. The
// outcomes are reported at the end of the turn.
func (w *Writer) close() {
	if w.closed {
		return
	}
	w.closed = true
	w.discovery.Stop()
	w.failWaiting(errClosed)
	for _, c := range w.conns {
		c.lose(unknown(c.addr, ErrClosed))
		c.endUnsure(errClosed)
		c.stop()
	}
	for _, answer := range w.readies {
		answer <- ErrClosed
	}
	w.readies = nil
	for _, t := range []interface{ Stop() bool }{w.deadline, w.looker} {
		if t != nil {
			t.Stop()
		}
	}
	w.onConnClosed()
	w.atTurnEnd()
}

// onConnClosed notices when a closed writer has no connection left, and no outcome
// or event that it has not told.
func (w *Writer) onConnClosed() {
	if w.reported < len(w.outcomes) || len(w.events) > 0 {
		return // onTurnEnd asks again
	}
	for _, c := range w.conns {
		if c.client != nil {
			return
		}
	}
	w.stopOnce.Do(w.stop)
}

// stop is the last that happens. It runs once, on the loop or before that has started.
func (w *Writer) stop() {
	w.remove()
	close(w.stopped)
}

// onLoopStopped ends everything, because the loop makes no other turn. What is
// published from now on ends in refuseAll.
func (w *Writer) onLoopStopped() {
	w.loopStopped = true
	w.mail.close()
	w.close()
}
