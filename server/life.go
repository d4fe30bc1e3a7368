package server

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/nsqloop/nsqloop/loop"
)

// life decides to whom a server, or an nsqlookupd, belongs: to its loop from the
// first callback on, and until then to whoever made it. A loop may never be
// started, and what is on it must be closed all the same.
type life struct {
	state  atomic.Int32
	ending sync.Mutex    // held while giveBack of end runs
	over   chan struct{} // closed when it ended before it had begun
}

const (
	lifeNew   int32 = iota
	lifeBegun       // for ever: what ends on the loop says so there
	lifeOver        // nothing will run on the loop
)

func newLife() life { return life{over: make(chan struct{})} }

// begin is called first in whatever the loop runs. It reports false when
// somebody else was first to end it, and nothing may be touched.
func (x *life) begin() bool {
	return x.state.CompareAndSwap(lifeNew, lifeBegun) || x.state.Load() == lifeBegun
}

// end reports whether it has ended, or does now, without the loop. The first
// such call has giveBack run, for which later ones wait.
func (x *life) end(giveBack func() error) (ended bool, err error) {
	x.ending.Lock()
	defer x.ending.Unlock()
	if !x.state.CompareAndSwap(lifeNew, lifeOver) {
		return x.isOver(), nil
	}
	close(x.over)
	return true, giveBack()
}

func (x *life) isOver() bool { return x.state.Load() == lifeOver }

// callOn runs f on l and waits for it. It returns ErrOnLoop when it is called
// there, and ErrClosed, without having run f, when what lives x is closed;
// closed belongs to the loop.
func callOn(l loop.Loop, x *life, closed *bool, f func()) error {
	switch {
	case l.OnLoop():
		return ErrOnLoop
	case x.isOver():
		return ErrClosed // a loop that is not started would keep what is posted
	}
	done := make(chan bool, 1)
	err := l.Post(func() {
		ran := x.begin() && !*closed
		defer func() { done <- ran }() // also when f panics, which the loop reports
		if ran {
			f()
		}
	})
	if err != nil {
		return ErrClosed
	}
	select {
	case ran := <-done:
		if ran {
			return nil
		}
	case <-x.over: // f will not run
	}
	return ErrClosed
}

// startPatience is how long calls wait for a loop that has not been started: a Run on
// another goroutine may be about to.
const startPatience = 500 * time.Millisecond

// awaitStart returns ErrNotStarted when l is known not to run, and nobody has started
// it for a while.
func awaitStart(l loop.Loop) error {
	if e, ok := l.(interface{ Started(time.Duration) bool }); ok && !e.Started(startPatience) {
		return ErrNotStarted
	}
	return nil
}
