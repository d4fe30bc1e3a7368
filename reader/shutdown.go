package reader

import (
	"context"
	"fmt"
	"time"

	"github.com/nsqloop/nsqloop/client"
)

// Shutdown ends the reader in order: it
//
//   - stops asking nsqlookupd and dialling,
//   - tells each nsqd to send no more (CLS),
//   - gives back, without delay, what the handler has not started,
//   - waits until the rest is answered, or has expired, and nsqd has agreed;
//     after Options.DrainGrace it ends the contexts of what is in flight,
//   - closes the connections and ends the workers.
//
// When ctx ends first it closes as Close does, and returns an error that wraps
// ctx's. It returns client.ErrWouldBlock, and does nothing, when it is called
// on the loop. Calling it again waits for the same end.
//
// One of Options.Workers must not wait for it: Shutdown waits for the handler
// that it is called in, until ctx ends. It is called there on a goroutine of
// its own.
func (r *Reader) Shutdown(ctx context.Context) error {
	if r.loop.OnLoop() {
		return fmt.Errorf("shut down reader %s/%s: %w", r.o.Topic, r.o.Channel, client.ErrWouldBlock)
	}
	if r.closeUnstarted() {
		return nil
	}
	if r.loop.Post(r.leave) != nil {
		return nil // the loop has stopped, and with it every connection
	}
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		r.Close()
		return fmt.Errorf("shut down reader %s/%s: %w", r.o.Topic, r.o.Channel, ctx.Err())
	}
}

// Close ends the reader at once: what the handler has not started is given
// back, the connections close, and answers to messages in flight have no
// effect any more, so that nsqd delivers them again when their time is over.
// It does not wait. The handler is not called for any message after Close was
// called on the loop, or after the turn in which a Close from elsewhere
// arrives there. Calling it again has no effect.
func (r *Reader) Close() error {
	if r.closeUnstarted() {
		return nil
	}
	if r.life.Swap(lifeClosed) == lifeClosed {
		return nil
	}
	if r.loop.OnLoop() {
		r.closeNow()
		return nil
	}
	// A loop that has stopped has closed every connection.
	_ = r.loop.Post(r.closeNow)
	return nil
}

// closeUnstarted closes a reader that the loop has not started, and reports
// whether it was one.
func (r *Reader) closeUnstarted() bool {
	if !r.life.CompareAndSwap(lifeNew, lifeClosed) {
		return false
	}
	r.remove()
	if r.workers != nil {
		r.workers.stop()
	}
	r.final.Store(&Stats{Topic: r.o.Topic, Channel: r.o.Channel, MaxInFlight: r.o.MaxInFlight})
	close(r.done)
	return true
}

// drain is Shutdown for a loop that shuts down. Its deadline is the loop's.
func (r *Reader) drain(done func()) {
	if r.closeUnstarted() {
		done()
		return
	}
	r.onDone = append(r.onDone, done)
	if r.member != nil {
		r.member.group.stop() // no topic should come any more
	}
	r.leave()
}

// onLoopStopped ends the reader of a loop that was closed, when every connection
// has had its end, so that workers and those who range over messages end too.
func (r *Reader) onLoopStopped() {
	if !r.closeUnstarted() {
		r.leave()
	}
}

// leave begins the orderly end.
func (r *Reader) leave() {
	if !r.leaving {
		r.stop()
		for _, n := range r.nodes {
			if n.conn != nil {
				n.conn.leave()
			}
		}
		r.sendReady()
		// After CLS, so that nsqd does not send us the same ones again.
		r.giveBackUnstarted()
		r.graceTimer = r.loop.After(r.o.DrainGrace, r.endGrace)
	}
	r.finishWhenDone()
}

// closeNow is the end without order.
func (r *Reader) closeNow() {
	r.openMail() // answers that were given before the call still count
	r.leave()
	for _, n := range r.nodes {
		if n.conn != nil {
			n.conn.client.Close()
			n.conn.abandon()
		}
	}
}

// stop ends everything that would make connections or raise ready counts.
func (r *Reader) stop() {
	r.leaving = true
	r.discovery.Stop()
	r.ticker.Stop()
	if r.pauseTimer != nil {
		r.pauseTimer.Stop()
		r.pauseTimer, r.pauseEnds = nil, time.Time{}
	}
	if r.limit.timer != nil {
		r.limit.timer.Stop()
	}
	for _, n := range r.nodes {
		if n.timer != nil {
			n.timer.Stop()
			n.timer = nil
		}
	}
}

// giveBackUnstarted requeues, without delay, what the handler has not started.
func (r *Reader) giveBackUnstarted() {
	back := r.waiting
	r.waiting = nil
	if r.lines != nil {
		back = append(back, r.lines.unstarted()...)
	}
	if r.gathering != nil {
		back = append(back, r.gathering.takeBack()...)
	}
	if r.workers != nil {
		unstarted := r.workers.takeBack()
		r.stats.Handled -= uint64(len(unstarted))
		back = append(back, unstarted...)
	}
	for _, m := range back {
		if m.state.CompareAndSwap(stateOpen, stateAnswered) {
			r.settle(answer{m: m, kind: giveBack})
		}
	}
}

// finishWhenDone ends the reader when its last connection has closed.
func (r *Reader) finishWhenDone() {
	for _, n := range r.nodes {
		if n.conn != nil {
			return
		}
	}
	if r.final.Load() != nil {
		select {
		case <-r.done:
			r.callDone()
		default: // the workers' end will
		}
		return
	}
	r.life.Store(lifeClosed)
	r.remove()
	if r.graceTimer != nil {
		r.graceTimer.Stop()
		r.graceTimer = nil
	}
	s := r.snapshot()
	r.final.Store(&s)
	if r.member != nil {
		r.member.group.left(r.member)
	}
	if r.workers == nil {
		close(r.done)
		r.callDone()
		return
	}
	r.workers.stop()
	// Waiting for the handlers that still run is not for the loop.
	r.loop.Go(func() func() {
		<-r.workers.ended
		close(r.done)
		return r.callDone
	})
}

// callDone tells the loop that the reader has ended.
func (r *Reader) callDone() {
	for _, done := range r.onDone {
		done()
	}
	r.onDone = nil
}
