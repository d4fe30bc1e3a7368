package contract

import (
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop"
)

var limitTests = []namedTest{
	{"OutputLimit_ClosesADeafPeer", testOutputLimit},
	{"OutputLimit_HoldsInOneTurn", testOutputLimitTurn},
	{"Drainer_IsToldWhenOutputHasGone", testDrainer},
	{"Buffered_FallsToZero", testBuffered},
	{"InputLimit_ClosesAHandlerThatDoesNotConsume", testInputLimit},
}

// deafPair connects h with a peer that does not read.
func deafPair(t *testing.T, e Env, l Loop, h loop.Handler, opened func() bool) Deaf {
	t.Helper()
	deaf := e.Deaf(t)
	l.Do(t, func() { l.Dial(deaf.Addr(), loop.DialOptions{}, h) })
	l.Until(t, "it is open", opened)
	return deaf
}

func testOutputLimit(t *testing.T, e Env) {
	l := e.New(t, Options{OutputLimit: 4 << 20, OutputHigh: 1 << 20})
	a := &recorder{}
	deafPair(t, e, l, a, func() bool { return a.opened == 1 })
	piece, written := pattern(256<<10), 0
	l.Until(t, "it is closed", func() bool {
		if a.closed == 0 {
			a.conn.Write(piece)
			written += len(piece)
		}
		return a.closed > 0
	})
	l.Do(t, func() {
		check(t, "error", a.err, loop.ErrOutputLimit)
		if written < 4<<20 {
			t.Errorf("closed after only %d bytes", written)
		}
		check(t, "OnClose", a.closed, 1)
	})
}

func testOutputLimitTurn(t *testing.T, e Env) {
	l := e.New(t, Options{OutputLimit: 1 << 20, OutputHigh: 1 << 20})
	a, b := &recorder{}, &recorder{}
	pair(t, l, a, b)
	l.Do(t, func() {
		piece := pattern(64 << 10)
		for range 17 {
			a.conn.Write(piece)
		}
		check(t, "output beyond the limit", a.conn.Buffered(), 0)
	})
	l.Until(t, "it is closed", func() bool { return a.closed == 1 })
	l.Do(t, func() { check(t, "error", a.err, loop.ErrOutputLimit) })
}

func testDrainer(t *testing.T, e Env) {
	l := e.New(t, Options{OutputHigh: 1 << 20})
	a := &drainRecorder{}
	deaf := deafPair(t, e, l, a, func() bool { return a.opened == 1 })
	const size = 16 << 20 // more than any kernel takes by itself
	l.Do(t, func() { a.conn.Write(pattern(size)) })
	l.Until(t, "a while has passed", after(l, 50*time.Millisecond))
	l.Do(t, func() {
		check(t, "OnDrain before the peer reads", a.drained, 0)
		if n := a.conn.Buffered(); n <= 1<<20 || n > size {
			t.Errorf("buffered: %d", n)
		}
	})
	deaf.Listen()
	var left int
	l.Until(t, "OnDrain was called", func() bool { left = a.conn.Buffered(); return a.drained > 0 })
	l.Do(t, func() {
		if left >= 1<<19 {
			t.Errorf("OnDrain with %d bytes left", left)
		}
	})
	l.Until(t, "all arrived", func() bool { return deaf.Received() == size })
	settle(t, l)
	l.Do(t, func() {
		check(t, "OnDrain", a.drained, 1)
		a.conn.Write([]byte("a little")) // never above the mark
	})
	settle(t, l)
	l.Do(t, func() { check(t, "OnDrain after a little", a.drained, 1) })
}

func testBuffered(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a, b := &recorder{}, &recorder{}
	pair(t, l, a, b)
	l.Do(t, func() {
		check(t, "at first", a.conn.Buffered(), 0)
		a.conn.Write(pattern(1000))
		check(t, "gathered", a.conn.Buffered(), 1000)
	})
	l.Until(t, "all arrived", func() bool { return len(b.data) == 1000 })
	l.Do(t, func() { check(t, "at last", a.conn.Buffered(), 0) })
}

func testInputLimit(t *testing.T, e Env) {
	l := e.New(t, Options{InputLimit: 1 << 20})
	a, b := &recorder{}, &recorder{}
	most := 0
	b.onData = func(p []byte) int { most = max(most, len(p)); return 0 }
	pair(t, l, a, b)
	l.Do(t, func() { a.conn.Write(pattern(3 << 20)) })
	l.Until(t, "both ends are closed", func() bool { return a.closed == 1 && b.closed == 1 })
	l.Do(t, func() {
		check(t, "error", b.err, loop.ErrInputLimit)
		if most > 1<<20 {
			t.Errorf("offered %d bytes", most)
		}
	})
}
