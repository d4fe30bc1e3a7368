package loop

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// OnShutdown registers drain, to be called once on the loop when it shuts
// down.
func (e *Engine) OnShutdown(drain func(done func())) (remove func()) { return e.drains.Add(drain) }

// OnStop registers f, to be called once in the loop's last turn. See
// [Loop.OnStop].
func (e *Engine) OnStop(f func()) (remove func()) { return e.core.OnStop(f) }

// Run starts the loop, waits for ctx, and shuts the loop down, for which the
// drains have Options.DrainTimeout. It returns nil after a clean end, also
// when somebody else stopped the loop, and an error when the loop could not
// start, when a drain was cut off, when a callback holds the loop, which it
// names as Shutdown does, or, as ErrOnLoop, when it is called on the loop.
func (e *Engine) Run(ctx context.Context) error {
	if e.OnLoop() {
		return fmt.Errorf("run loop: %w", ErrOnLoop)
	}
	if err := e.Start(); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-e.done:
		return nil
	}
	drain, cancel := context.WithCancel(context.Background())
	if e.opts.DrainTimeout > 0 {
		drain, cancel = context.WithTimeout(context.Background(), e.opts.DrainTimeout)
	}
	defer cancel()
	return e.Shutdown(drain)
}

// Shutdown ends the loop in order:
//
//  1. the drains run, the latest registered first
//  2. connections that are being closed may finish (Options.Linger)
//  3. the loop stops, as by Close
//
// When ctx is done first, the rest of the first two is skipped and an error
// wraps ctx's. A callback that does not return then holds up the third, as it
// does everything: Shutdown gives it one second more, returns an error that also
// names it, and leaves the loop to stop when the callback lets it. Called on the
// loop it does nothing and returns ErrOnLoop.
func (e *Engine) Shutdown(ctx context.Context) error {
	if e.OnLoop() {
		return fmt.Errorf("shut down loop: %w", ErrOnLoop)
	}
	if err := e.Start(); err != nil { // what was built before Start has drains too
		return e.afterStart(err)
	}
	e.drainOnce.Do(func() {
		post := func(f func()) { _ = e.Post(f) }
		post(func() { e.drains.Run(&e.core, post, e.settled) })
	})
	select {
	case <-e.drained:
	case <-e.done:
	case <-ctx.Done():
		cut := fmt.Errorf("shut down loop: drain cut off: %w", ctx.Err())
		if err := e.stop(e.grace); err != nil {
			return fmt.Errorf("%w; %w", cut, err)
		}
		return cut
	}
	return e.stop(stuck)
}

// afterStart ends a loop that could not be started to be drained.
func (e *Engine) afterStart(err error) error {
	if errors.Is(err, ErrClosed) {
		return e.stop(stuck)
	}
	return errors.Join(err, e.stop(stuck))
}

// closingPoll is how often settled looks.
const closingPoll = time.Millisecond

// settled closes drained when no connection is being closed any more.
func (e *Engine) settled() {
	if e.core.Closing() == 0 {
		close(e.drained)
		return
	}
	e.core.After(closingPoll, e.settled)
}

// Close stops the loop now, without drains. Functions posted before run; every
// connection that is open, and every dial that has no outcome yet, gets
// OnClose(ErrClosed); timers do not run any more. It returns when all that is
// over; called on the loop it does nothing and returns ErrOnLoop. A second
// Close waits for the first. When a callback does not return for ten seconds,
// Close does, with an error that names it.
func (e *Engine) Close() error {
	if e.OnLoop() {
		return fmt.Errorf("close loop: %w", ErrOnLoop)
	}
	return e.stop(stuck)
}

const (
	// stuck is how long stop waits for a callback that does not return.
	stuck = 10 * time.Second

	// graceDefault is the same for somebody whose time is over already. It is
	// more than a busy machine needs for an end that nothing holds up.
	graceDefault = time.Second
)

// stop ends the loop and waits for that, for at most a while. The end comes
// later then, when the callback that holds it up has returned.
func (e *Engine) stop(patience time.Duration) error {
	e.stopOnce.Do(func() { go e.end() })
	p := e.core.Probe()
	held := p.Running()
	give := time.NewTimer(patience)
	defer give.Stop()
	select {
	case <-e.done:
		return nil
	case <-give.C:
	}
	// A callback may return at any moment, and its name go with it.
	now := p.Running()
	what := p.Describe(now)
	select {
	case <-e.done:
		return nil
	default:
	}
	switch {
	case what == "":
		return fmt.Errorf("stop loop: it has not ended after %v", patience)
	case now != held:
		return fmt.Errorf("stop loop: it has not ended after %v: it runs the %s", patience, what)
	}
	return fmt.Errorf("stop loop: a callback holds the loop: %s", what)
}

// end is the end of a loop, step by step. gnet must not be stopped while a
// goroutine is inside a call of it: a socket being enrolled would wait for
// ever, and a late ring would write into a closed file descriptor.
func (e *Engine) end() {
	// 1. No new connections.
	e.mu.Lock()
	started := e.state == running
	e.state = stopping
	listeners := e.listeners
	e.listeners = nil
	e.mu.Unlock()
	for _, l := range listeners {
		_ = l.ln.Close()
	}
	if !started {
		close(e.started)
		e.goroutine.Store(goroutine())
		e.finish()
	} else {
		// 2. Those on their way arrive, while the loop still turns.
		select {
		case <-e.unused():
		case <-e.finished: // gnet's loop has died
		}
		// 3. The last turn.
		e.finishing.Store(true)
		e.knock()
		<-e.finished
	}
	// 4. No more rings; those on their way arrive.
	e.mu.Lock()
	e.state = stopped
	e.mu.Unlock()
	if started {
		<-e.unused()
		// 5. gnet stops.
		_ = e.client.Stop()
		_ = e.control.Close()
	}
	if e.alarm != nil {
		e.alarm.Stop()
	}
	if e.watch != nil {
		e.watch.stop()
	}
	close(e.done)
}

// unused returns a channel that is closed when nobody is inside a call of
// gnet.
func (e *Engine) unused() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	ch := make(chan struct{})
	if e.users == 0 {
		close(ch)
	} else {
		e.idle = ch
	}
	return ch
}

// finish is the last turn.
func (e *Engine) finish() {
	e.core.Finish(e.queue.Close())
	close(e.finished)
}

// collapse is the last turn of a loop whose gnet ended by itself, as after an
// error of the system's poller: everybody is still told. When we have stopped
// gnet it does nothing.
func (e *Engine) collapse(err error) {
	if e.core.Over() {
		return
	}
	e.opts.Logger.Error("loop died", "err", err)
	e.finish()
	e.stopOnce.Do(func() { go e.end() })
}
