package writer

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nsqloop/nsqloop/client"
)

// PublishSync publishes and waits for the outcome: nil, or an error as
// Result.Err. When too much is pending it waits for room. It ends with ctx or
// after Options.Timeout, which counts from when there is room, whichever is
// first; a negative Timeout leaves it to ctx. When ctx is first, the error wraps
// ctx.Err() and says what is known: Outcome NotSent or Unknown. The body is the
// caller's again when PublishSync has returned, whatever it returns.
//
// The loop must have started: before that only ctx counts. On the loop it returns
// client.ErrWouldBlock.
func (w *Writer) PublishSync(ctx context.Context, topic string, body []byte) error {
	p := publish{topic: topic, body: body, size: len(body), err: w.checkBody(body)}
	return w.publishSync(ctx, &p)
}

// MultiPublishSync is MultiPublish, waiting as PublishSync does.
func (w *Writer) MultiPublishSync(ctx context.Context, topic string, bodies [][]byte) error {
	p := publish{kind: kindMPub, topic: topic, bodies: bodies, size: totalSize(bodies), err: w.checkBodies(bodies)}
	return w.publishSync(ctx, &p)
}

// DeferredPublishSync is DeferredPublish, waiting as PublishSync does.
func (w *Writer) DeferredPublishSync(ctx context.Context, topic string, delay time.Duration, body []byte) error {
	p := publish{kind: kindDPub, topic: topic, delay: delay, body: body, size: len(body), err: w.checkDeferred(delay, body)}
	return w.publishSync(ctx, &p)
}

// PublishWait is Publish that waits for room where Publish ends in ErrFull. It
// returns nil when done is going to be called, whatever the outcome. Otherwise
// done is not: ctx has ended, and the error wraps ctx.Err(), or PublishWait
// would have to wait on the loop, and the error wraps client.ErrWouldBlock.
func (w *Writer) PublishWait(ctx context.Context, topic string, body []byte, done func(Result)) error {
	wt := waiters.Get().(*waiter)
	wt.state.Store(waitTurn)
	p := publish{topic: topic, body: body, size: len(body), done: done, wait: wt, roomOnly: true, err: w.checkBody(body)}
	w.put(&p)
	if p.wait == nil { // there was room
		waiters.Put(wt)
		return nil
	}
	err := client.ErrWouldBlock
	if !w.loop.OnLoop() {
		select {
		case <-wt.outcome:
			waiters.Put(wt)
			return nil
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if wt.state.CompareAndSwap(waitRoom, waitAbandoned) {
		w.mail.leave(wt)
		return notSent(err)
	}
	<-wt.outcome // room has just come
	waiters.Put(wt)
	return nil
}

// The states of a waiter. The loop moves it from waitTurn to waitSettled; the
// waiting goroutine may move it to waitAbandoned except while it is
// waitSending, when the body is being copied.
const (
	waitTurn      uint32 = iota // in the mailbox or in the writer's queue, and nowhere else
	waitRoom                    // not yet counted in
	waitSending                 // its bytes are being written
	waitSent                    // unanswered, or to be tried again with an unknown outcome
	waitSettled                 // the outcome is in, or about to be in, the chan
	waitAbandoned               // nobody waits any more
)

// waiter is a goroutine that waits for an outcome. The chan carries it from
// the loop to that goroutine, once; it has room for it, so the loop never
// waits.
type waiter struct {
	state   atomic.Uint32
	outcome chan error
}

// waiters are reused, so that a publish that waits allocates nothing.
var waiters = sync.Pool{New: func() any { return &waiter{outcome: make(chan error, 1)} }}

// begin claims the publish for sending, for the first time or again, and
// reports whether anybody still waits for it.
func (wt *waiter) begin() bool {
	return wt.state.CompareAndSwap(waitTurn, waitSending) || wt.state.CompareAndSwap(waitSent, waitSending)
}

// unsend says that what was sent is nowhere, and waits to be sent again. It
// reports whether anybody still waits for it.
func (wt *waiter) unsend() bool { return wt.state.CompareAndSwap(waitSent, waitTurn) }

// settle hands the outcome over, if anybody still waits for it.
func (wt *waiter) settle(err error) {
	if wt.state.Swap(waitSettled) != waitAbandoned {
		wt.outcome <- err
	}
}

func (w *Writer) publishSync(ctx context.Context, p *publish) error {
	if w.loop.OnLoop() {
		return notSent(client.ErrWouldBlock)
	}
	if err := ctx.Err(); err != nil {
		return notSent(err)
	}
	wt := waiters.Get().(*waiter)
	wt.state.Store(waitTurn)
	p.wait = wt
	w.put(p)
	over := ctx.Done()
	if over == nil { // it never ends, as most: to wait for one thing is cheaper
		err := <-wt.outcome
		waiters.Put(wt)
		return err
	}
	select {
	case err := <-wt.outcome:
		waiters.Put(wt)
		return err
	case <-over:
		return w.abandon(wt, ctx.Err())
	}
}

// abandon gives up waiting because of cause, unless the outcome has come in
// the meantime.
func (w *Writer) abandon(wt *waiter, cause error) error {
	for {
		switch s := wt.state.Load(); s {
		case waitTurn, waitRoom:
			if wt.state.CompareAndSwap(s, waitAbandoned) {
				if s == waitRoom {
					w.mail.leave(wt)
				}
				return notSent(cause)
			}
		case waitSending:
			// The loop is copying the body, which belongs to the caller again
			// when this returns.
			runtime.Gosched()
		case waitSent:
			if wt.state.CompareAndSwap(s, waitAbandoned) {
				return fmt.Errorf("publish: %w: %w", client.ErrUnknownOutcome, cause)
			}
		default:
			err := <-wt.outcome
			waiters.Put(wt)
			return err
		}
	}
}
