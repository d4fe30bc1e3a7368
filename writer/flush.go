package writer

import (
	"context"
	"fmt"
	"slices"

	"github.com/nsqloop/nsqloop/client"
)

// flush is a call of Flush.
type flush struct {
	upTo uint64        // the last publish that it waits for: publish.seq
	left int           // those up to it that have not ended
	over chan struct{} // closed when there are none
}

// ended hears of a publish that has ended.
func (f *flush) ended(seq uint64) {
	if seq <= f.upTo {
		f.left--
	}
}

// Flush waits until every publish that was called before it has ended, in
// whatever outcome, and its done has returned. Later publishes do not prolong
// it. The error wraps ctx.Err() when ctx ends first, and ErrClosed when the
// loop has stopped. The loop must run. It must not be called on the loop, where it returns
// client.ErrWouldBlock.
func (w *Writer) Flush(ctx context.Context) error {
	if w.loop.OnLoop() {
		return fmt.Errorf("flush: %w", client.ErrWouldBlock)
	}
	f := &flush{over: make(chan struct{})}
	if err := w.loop.Post(func() { w.enterFlush(f) }); err != nil {
		return fmt.Errorf("flush: %w", ErrClosed)
	}
	select {
	case <-f.over:
		return nil
	case <-ctx.Done():
	}
	_ = w.loop.Post(func() { w.forgetFlush(f) }) // a loop that has stopped needs no tidying
	return fmt.Errorf("flush: %w", ctx.Err())
}

func (w *Writer) enterFlush(f *flush) {
	w.drain()
	f.upTo, f.left = w.seq, w.outstanding
	w.flushes = append(w.flushes, f)
	w.atTurnEnd()
}

// finishFlushes ends those that wait for nothing any more. It runs when all
// that has ended was reported.
func (w *Writer) finishFlushes() {
	if len(w.flushes) == 0 || w.reported < len(w.outcomes) {
		return
	}
	left := w.flushes[:0]
	for _, f := range w.flushes {
		if f.left > 0 {
			left = append(left, f)
		} else {
			close(f.over)
		}
	}
	clear(w.flushes[len(left):])
	w.flushes = left
}

func (w *Writer) forgetFlush(f *flush) {
	w.flushes = without(w.flushes, f)
}

// WaitReady waits until a connection is ready. When ctx ends first, the error
// wraps ctx.Err() and why the last attempt to connect failed; when no attempt
// has any prospect, as when the address is that of an HTTP port, it returns
// client.ErrNotConnected at once. It must not be called on the loop, where it
// returns client.ErrWouldBlock.
func (w *Writer) WaitReady(ctx context.Context) error {
	if w.loop.OnLoop() {
		return fmt.Errorf("wait for a connection: %w", client.ErrWouldBlock)
	}
	answer := make(chan error, 1)
	if err := w.loop.Post(func() {
		if w.closed {
			answer <- ErrClosed
			return
		}
		w.readies = append(w.readies, answer)
		w.answerReadies()
	}); err != nil {
		return fmt.Errorf("wait for a connection: %w", ErrClosed)
	}
	select {
	case err := <-answer:
		if err != nil {
			return fmt.Errorf("wait for a connection: %w", err)
		}
		return nil
	case <-ctx.Done():
	}
	_ = w.loop.Post(func() {
		w.readies = slices.DeleteFunc(w.readies, func(o chan error) bool { return o == answer })
	})
	if last := w.mail.error(); last != nil {
		return fmt.Errorf("wait for a connection: %w: %w", ctx.Err(), last)
	}
	return fmt.Errorf("wait for a connection: %w", ctx.Err())
}

// answerReadies answers those who wait for a connection, if there is one or if
// there is not going to be one.
func (w *Writer) answerReadies() {
	if len(w.readies) == 0 {
		return
	}
	var err error
	if len(w.ready) == 0 {
		cause := w.hopeless()
		if cause == nil {
			return
		}
		err = fmt.Errorf("%w: %w", client.ErrNotConnected, cause)
	}
	for _, answer := range w.readies {
		answer <- err
	}
	w.readies = nil
}
