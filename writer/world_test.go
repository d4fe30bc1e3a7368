package writer_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/loop/looptest"
)

// world is a virtual network with a loop for what is tested and one for its
// peers.
type world struct {
	*looptest.World
	t      testing.TB
	client *hooked
	server *looptest.Loop
}

// hooked is a loop that tells when something was posted.
type hooked struct {
	*looptest.Loop
	posted chan struct{}
}

func (h *hooked) Post(f func()) error {
	err := h.Loop.Post(f)
	select {
	case h.posted <- struct{}{}:
	default:
	}
	return err
}

func newWorld(t testing.TB, seed uint64) *world {
	t.Helper()
	return newWorldWith(t, looptest.Options{Seed: seed})
}

func newWorldWith(t testing.TB, o looptest.Options) *world {
	t.Helper()
	w := &world{World: looptest.Test(t, o), t: t}
	w.client = &hooked{w.Loop("client"), make(chan struct{}, 1)}
	w.server = w.Loop("server")
	return w
}

// do runs f on the client's loop, now.
func (w *world) do(f func()) { w.client.Do(f) }

// run lets virtual time pass.
func (w *world) run(d time.Duration) { w.Run(d) }

// runUntil runs until cond is true, which may depend on other goroutines.
func (w *world) runUntil(cond func() bool) {
	w.t.Helper()
	giveUp := time.After(10 * time.Second)
	for !cond() {
		select {
		case <-giveUp:
			w.t.Fatal("nothing happens")
		default:
		}
		w.Run(time.Millisecond)
		runtime.Gosched()
	}
}

// background runs f, which waits for the client's loop, on a goroutine, and
// returns when it has posted something.
func (w *world) background(f func()) {
	select {
	case <-w.client.posted:
	default:
	}
	go f()
	<-w.client.posted
}

var _ loop.Loop = (*hooked)(nil)
