package contract

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop"
)

var connTests = []namedTest{
	{"Conn_WriteCopiesAndKeepsOrder", testWrite},
	{"Conn_OutputAndSetOutputAppendInPlace", testOutput},
	{"Conn_OutputIsSentAfterTurnEnd", testOutputLate},
	{"Conn_UnconsumedBytesAreOfferedAgain", testLeftover},
	{"Conn_LargeFrames", testLargeFrames},
	{"Conn_OfferInTheSameTurn", testOffer},
	{"Conn_OfferWithNothingLeftDoesNothing", testOfferEmpty},
	{"Conn_YieldIsForALaterTurn", testYield},
	{"Conn_CloseSendsEverything", testCloseSends},
	{"Conn_CloseIsNilAndLater", testCloseLater},
	{"Conn_CloseStopsOnData", testCloseStopsData},
	{"Conn_CloseDeliversALastFrameToATalkingPeer", testCloseLastFrame},
	{"Conn_CloseLingersForADeafPeer", testCloseLingers},
	{"Conn_AbortGivesItsError", testAbort},
	{"Conn_AbortAfterCloseEndsIt", testAbortAfterClose},
	{"Conn_PeerCloseWrapsEOF", testEOF},
	{"Conn_MethodsAfterOnCloseDoNothing", testDeadConn},
}

func testWrite(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a, b := &recorder{}, &recorder{}
	pair(t, l, a, b)
	l.Do(t, func() {
		p := []byte("one ")
		a.conn.Write(p)
		copy(p, "XXXX")
		a.conn.Write([]byte("two "))
		_ = l.Post(func() { a.conn.Write([]byte("three")) })
	})
	l.Until(t, "all arrived", func() bool { return len(b.data) >= 13 })
	l.Do(t, func() { check(t, "data", string(b.data), "one two three") })
}

func testOutput(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a, b := &recorder{}, &recorder{}
	pair(t, l, a, b)
	l.Do(t, func() {
		for _, s := range []string{"he", "ll", "o"} {
			a.conn.SetOutput(append(a.conn.Output(), s...))
		}
		check(t, "output so far", string(a.conn.Output()), "hello")
		a.conn.SetOutput(a.conn.Output()[:4]) // taking back what was not sent
		check(t, "buffered", a.conn.Buffered(), 4)
	})
	l.Until(t, "all arrived", func() bool { return len(b.data) >= 4 })
	settle(t, l)
	l.Do(t, func() {
		check(t, "data", string(b.data), "hell")
		check(t, "output of a new turn", len(a.conn.Output()), 0)
	})
}

func testOutputLate(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a, b := &recorder{}, &recorder{}
	pair(t, l, a, b)
	l.Do(t, func() {
		l.AtTurnEnd(func() { a.conn.SetOutput(append(a.conn.Output(), " world"...)) })
		a.conn.Write([]byte("hello"))
	})
	l.Until(t, "all arrived", func() bool { return len(b.data) >= 11 })
	l.Do(t, func() { check(t, "data", string(b.data), "hello world") })
}

// framed consumes frames of a length byte and that many bytes, one in each
// call or all of them.
func framed(frames *[]string, all bool) func(p []byte) int {
	return func(p []byte) int {
		n := 0
		for len(p)-n > 0 && len(p)-n > int(p[n]) {
			end := n + 1 + int(p[n])
			*frames = append(*frames, string(p[n+1:end]))
			n = end
			if !all {
				break
			}
		}
		return n
	}
}

func testLeftover(t *testing.T, e Env) {
	for _, all := range []bool{true, false} {
		l := e.New(t, Options{})
		a, b := &recorder{}, &recorder{}
		var got, want []string
		b.onData = framed(&got, all)
		pair(t, l, a, b)
		var out []byte
		for i := range 200 {
			body := string(pattern(i))
			want = append(want, body)
			out = append(append(out, byte(len(body))), body...)
		}
		for len(out) > 0 { // in pieces that cut the frames anywhere, each a turn
			n := min(len(out), 1+len(out)*7%613)
			piece := out[:n]
			out = out[n:]
			l.Do(t, func() { a.conn.Write(piece) })
		}
		l.Do(t, func() { a.conn.Write(nil) })
		if all {
			l.Until(t, "all frames", func() bool { return len(got) >= len(want) })
		} else { // the rest is offered again only with the next bytes
			l.Until(t, "all frames", func() bool { b.conn.Offer(); return len(got) >= len(want) })
		}
		l.Do(t, func() { check(t, "frames", got, want) })
	}
}

func testLargeFrames(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a, b := &recorder{}, &recorder{}
	sizes := []int{3, 5 << 20, 1, 70_000, 2 << 20, 10}
	var got [][]byte
	b.onData = func(p []byte) int {
		n := 0
		for len(got) < len(sizes) && len(p)-n >= sizes[len(got)] {
			size := sizes[len(got)]
			got = append(got, bytes.Clone(p[n:n+size]))
			n += size
		}
		return n
	}
	pair(t, l, a, b)
	l.Do(t, func() {
		for _, size := range sizes {
			a.conn.Write(pattern(size))
		}
	})
	l.Until(t, "all frames", func() bool { return len(got) == len(sizes) })
	l.Do(t, func() {
		for i, size := range sizes {
			if !bytes.Equal(got[i], pattern(size)) {
				t.Errorf("frame %d of %d bytes is not what was sent", i, size)
			}
		}
	})
}

func testOffer(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a, b := &recorder{}, &recorder{}
	var offered []string
	waiting := true
	b.onData = func(p []byte) int {
		offered = append(offered, string(p))
		if waiting {
			return 0
		}
		return len(p)
	}
	pair(t, l, a, b)
	l.Do(t, func() { a.conn.Write([]byte("abc")) })
	l.Until(t, "it arrived", func() bool { return len(offered) > 0 && offered[len(offered)-1] == "abc" })
	l.Do(t, func() {
		turn, before := l.Now(), len(offered)
		waiting = false
		b.conn.Offer()
		b.conn.Offer() // once more, not twice
		check(t, "calls inside Offer", len(offered), before)
		l.AtTurnEnd(func() {
			l.AtTurnEnd(func() {
				check(t, "calls", len(offered), before+1)
				check(t, "bytes", offered[before], "abc")
				check(t, "turn", l.Now(), turn)
			})
		})
	})
}

func testOfferEmpty(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a, b := &recorder{}, &recorder{}
	calls := 0
	b.onData = func(p []byte) int { calls++; b.conn.Offer(); return len(p) }
	pair(t, l, a, b)
	l.Do(t, func() { b.conn.Offer(); a.conn.Write([]byte("x")) })
	l.Until(t, "it arrived", func() bool { return calls > 0 })
	settle(t, l)
	l.Do(t, func() { check(t, "calls", calls, 1) })
}

// Where reading can be put off, what a yield leaves comes in later turns, and all of
// it before the peer's end.
func testYield(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a, b := &recorder{}, &recorder{}
	sent, turns, can := pattern(50), 0, true
	b.onData = func(p []byte) int {
		b.data = append(b.data, p[0])
		if can = b.conn.Yield(); !can {
			b.data = append(b.data, p[1:]...)
			return len(p)
		}
		turns++
		calls := turns
		b.conn.Offer()
		l.AtTurnEnd(func() { l.AtTurnEnd(func() { check(t, "calls in a turn", turns, calls) }) })
		return 1
	}
	pair(t, l, a, b)
	l.Do(t, func() { a.conn.Write(sent); a.conn.Close() })
	l.Until(t, "the end came", func() bool { return b.closed > 0 })
	l.Do(t, func() {
		check(t, "bytes", b.data, sent)
		check(t, "turns", turns == len(sent) || !can, true)
		check(t, "the end", errors.Is(b.err, io.EOF), true)
	})
}

func testCloseSends(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a, b := &recorder{}, &recorder{}
	pair(t, l, a, b)
	want := pattern(8 << 20)
	l.Do(t, func() {
		a.conn.Write(want)
		a.conn.Close()
		a.conn.Write([]byte("too late"))
		a.conn.Close()
	})
	l.Until(t, "both ends are closed", func() bool { return a.closed == 1 && b.closed == 1 })
	l.Do(t, func() {
		check(t, "error of the closer", a.err, nil)
		if !errors.Is(b.err, io.EOF) {
			t.Errorf("error of the peer: %v", b.err)
		}
		if !bytes.Equal(b.data, want) {
			t.Errorf("received %d of %d bytes", len(b.data), len(want))
		}
	})
}

func testCloseLater(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a, b := &recorder{}, &recorder{}
	pair(t, l, a, b)
	inside := false
	l.Do(t, func() {
		inside = true
		a.onClose = func(error) { check(t, "closed in the same turn", inside, false) }
		a.conn.Close()
		l.AtTurnEnd(func() { inside = false })
	})
	l.Until(t, "closed", func() bool { return a.closed == 1 })
	l.Do(t, func() { check(t, "error", a.err, nil) })
}

func testCloseStopsData(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a, b := &recorder{}, &recorder{}
	calls := 0
	b.onData = func(p []byte) int { calls++; b.conn.Close(); return 0 }
	pair(t, l, a, b)
	l.Do(t, func() { a.conn.Write([]byte("one")) })
	l.Until(t, "it arrived", func() bool { return calls == 1 })
	l.Do(t, func() {
		if a.closed == 0 {
			a.conn.Write([]byte("two"))
		}
		b.conn.Offer()
	})
	l.Until(t, "both ends are closed", func() bool { return a.closed == 1 && b.closed == 1 })
	l.Do(t, func() {
		check(t, "calls of OnData", calls, 1)
		check(t, "error", b.err, nil)
	})
}

func testCloseLastFrame(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a, b := &recorder{}, &recorder{}
	b.onData = func(p []byte) int { b.conn.Write([]byte("E_BAD")); b.conn.Close(); return 0 }
	pair(t, l, a, b)
	l.Do(t, func() {
		a.conn.Write(pattern(1 << 20)) // much of it is on its way when the answer is sent
		var more func()
		more = func() {
			if a.closed == 0 {
				a.conn.Write(pattern(1000))
				l.After(100*time.Microsecond, more)
			}
		}
		more()
	})
	l.Until(t, "both ends are closed", func() bool { return a.closed == 1 && b.closed == 1 })
	l.Do(t, func() { check(t, "the last frame", string(a.data), "E_BAD") })
}

func testCloseLingers(t *testing.T, e Env) {
	l := e.New(t, Options{Linger: 50 * time.Millisecond, OutputLimit: 256 << 20})
	deaf := e.Deaf(t)
	a := &recorder{}
	l.Do(t, func() { l.Dial(deaf.Addr(), loop.DialOptions{}, a) })
	l.Until(t, "it is open", func() bool { return a.opened == 1 })
	var began time.Time
	l.Do(t, func() {
		began = l.Now()
		a.conn.Write(pattern(16 << 20))
		a.conn.Close()
	})
	l.Until(t, "it is closed", func() bool { return a.closed == 1 })
	l.Do(t, func() {
		check(t, "error", a.err, nil)
		if d := l.Now().Sub(began); d < 50*time.Millisecond {
			t.Errorf("closed after %v", d)
		}
	})
}

func testAbort(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a, b := &recorder{}, &recorder{}
	pair(t, l, a, b)
	mine := errors.New("mine")
	l.Do(t, func() {
		a.conn.Write([]byte("never sent"))
		a.conn.Abort(mine)
		a.conn.Abort(errors.New("second"))
		check(t, "closed inside Abort", a.closed, 0)
	})
	l.Until(t, "both ends are closed", func() bool { return a.closed > 0 && b.closed > 0 })
	settle(t, l)
	l.Do(t, func() {
		check(t, "error", a.err, mine)
		check(t, "OnClose", a.closed, 1)
		check(t, "data", string(b.data), "")
	})
}

func testAbortAfterClose(t *testing.T, e Env) {
	l := e.New(t, Options{Linger: time.Hour, OutputLimit: 256 << 20})
	deaf := e.Deaf(t)
	a := &recorder{}
	l.Do(t, func() { l.Dial(deaf.Addr(), loop.DialOptions{}, a) })
	l.Until(t, "it is open", func() bool { return a.opened == 1 })
	mine := errors.New("enough")
	l.Do(t, func() {
		a.conn.Write(pattern(16 << 20))
		a.conn.Close()
	})
	l.Do(t, func() { check(t, "OnClose before the peer reads", a.closed, 0); a.conn.Abort(mine) })
	l.Until(t, "it is closed", func() bool { return a.closed == 1 })
	l.Do(t, func() { check(t, "error", a.err, mine) })
}

func testEOF(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a, b := &recorder{}, &recorder{}
	pair(t, l, a, b)
	l.Do(t, func() { a.conn.Write([]byte("bye")); a.conn.Close() })
	l.Until(t, "the peer is closed", func() bool { return b.closed > 0 })
	settle(t, l)
	l.Do(t, func() {
		check(t, "data", string(b.data), "bye")
		check(t, "events", b.events, []string{"open", "close"})
		if !errors.Is(b.err, io.EOF) {
			t.Errorf("error: %v", b.err)
		}
	})
}

func testDeadConn(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a, b := &recorder{}, &recorder{}
	pair(t, l, a, b)
	closes := 0
	use := func() {
		c := a.conn
		c.Write([]byte("x"))
		c.SetOutput(append(c.Output(), "y"...))
		c.Offer()
		c.Upgrade(&xor{closed: &closes})
		c.Close()
		c.Abort(errors.New("late"))
		check(t, "buffered", c.Buffered(), 0)
		if c.LocalAddr() == nil || c.RemoteAddr() == nil {
			t.Error("addresses are gone")
		}
	}
	a.onClose = func(error) { use() }
	l.Do(t, func() { a.conn.Abort(nil) })
	l.Until(t, "both ends are closed", func() bool { return a.closed > 0 && b.closed > 0 })
	l.Do(t, use)
	settle(t, l)
	l.Do(t, func() {
		check(t, "events", a.events, []string{"open", "close"})
		check(t, "data", string(b.data), "")
		check(t, "layers closed", closes, 2)
	})
}
