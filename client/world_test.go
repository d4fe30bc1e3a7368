package client_test

import (
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop/looptest"
)

// world is a virtual network with a loop for what is tested and one for its
// peers.
type world struct {
	*looptest.World
	t      testing.TB
	client *looptest.Loop
	server *looptest.Loop
}

func newWorld(t testing.TB, seed uint64) *world {
	t.Helper()
	return newWorldWith(t, looptest.Options{Seed: seed})
}

func newWorldWith(t testing.TB, o looptest.Options) *world {
	t.Helper()
	w := &world{World: looptest.Test(t, o), t: t}
	w.client = w.Loop("client")
	w.server = w.Loop("server")
	return w
}

// do runs f on the client's loop, now.
func (w *world) do(f func()) { w.client.Do(f) }

// run lets virtual time pass.
func (w *world) run(d time.Duration) { w.Run(d) }
