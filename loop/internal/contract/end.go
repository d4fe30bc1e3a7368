package contract

import (
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop"
)

var endTests = []namedTest{
	{"OnShutdown_LatestFirstOneAfterAnother", testDrainOrder},
	{"OnShutdown_RemoveTakesItBack", testDrainRemove},
	{"OnShutdown_DrainsCanUseTheLoop", testDrainUses},
	{"OnShutdown_OutputOfADrainIsSent", testDrainOutput},
	{"Close_TellsEverybodyOnce", testCloseTells},
	{"Close_DropsTimersAndDrains", testCloseDrops},
	{"Close_DialInOnCloseFailsToo", testCloseDial},
	{"OnStop_LastOfAllHoweverItEnds", testStopLast},
	{"OnStop_RemoveTakesItBack", testStopRemove},
}

func testDrainOrder(t *testing.T, e Env) {
	l := e.New(t, Options{})
	var got []string
	for _, name := range []string{"first", "second", "third"} {
		l.OnShutdown(func(done func()) {
			check(t, "on the loop", l.OnLoop(), true)
			got = append(got, name+" begins")
			l.After(time.Millisecond, func() {
				got = append(got, name+" ends")
				done()
				done() // counts once
			})
		})
	}
	if err := l.End(); err != nil {
		t.Fatal(err)
	}
	check(t, "order", got, []string{"third begins", "third ends", "second begins", "second ends",
		"first begins", "first ends"})
}

func testDrainRemove(t *testing.T, e Env) {
	l := e.New(t, Options{})
	ran := 0
	remove := l.OnShutdown(func(done func()) { t.Error("a removed drain ran"); done() })
	l.OnShutdown(func(done func()) { ran++; done() })
	remove()
	remove()
	if err := l.End(); err != nil {
		t.Fatal(err)
	}
	check(t, "drains", ran, 1)
}

func testDrainUses(t *testing.T, e Env) {
	l := e.New(t, Options{})
	posted, nested := false, false
	l.OnShutdown(func(done func()) {
		l.OnShutdown(func(done func()) { nested = true; done() })
		if err := l.Post(func() { posted = true; done() }); err != nil {
			t.Errorf("Post in a drain: %v", err)
			done()
		}
	})
	if err := l.End(); err != nil {
		t.Fatal(err)
	}
	check(t, "posted", posted, true)
	check(t, "a drain registered in a drain", nested, true)
}

func testDrainOutput(t *testing.T, e Env) {
	l, other := e.New(t, Options{Linger: time.Minute}), e.New(t, Options{OutputLimit: 64 << 20})
	a, b := &recorder{}, &recorder{}
	var addr string
	other.Do(t, func() {
		ln, err := other.Listen("127.0.0.1:0", func(loop.Conn) loop.Handler { return b })
		if err != nil {
			t.Error(err)
			return
		}
		addr = ln.Addr().String()
	})
	l.Do(t, func() { l.Dial(addr, loop.DialOptions{}, a) })
	l.Until(t, "it is open", func() bool { return a.opened == 1 })
	const size = 8 << 20
	l.OnShutdown(func(done func()) {
		a.conn.Write(pattern(size))
		a.conn.Close()
		done()
	})
	if err := l.End(); err != nil {
		t.Fatal(err)
	}
	check(t, "error", a.err, nil)
	other.Until(t, "all arrived", func() bool { return b.closed == 1 })
	other.Do(t, func() { check(t, "bytes", len(b.data), size) })
}

func testCloseTells(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a, b, waiting, closing := &recorder{}, &recorder{}, &recorder{}, &recorder{}
	pair(t, l, a, b)
	deafPair(t, e, l, closing, func() bool { return closing.opened == 1 })
	addr, o := e.Silent(t)
	l.Do(t, func() {
		l.Dial(addr, o, waiting)
		closing.conn.Write(pattern(16 << 20))
		closing.conn.Close()
	})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*recorder{a, b, waiting} {
		check(t, "OnClose", r.closed, 1)
		check(t, "error", r.err, loop.ErrClosed)
	}
	check(t, "OnOpen of the dial", waiting.opened, 0)
	check(t, "OnClose after Close", closing.closed, 1)
	check(t, "error after Close", closing.err, nil)
}

func testCloseDrops(t *testing.T, e Env) {
	l := e.New(t, Options{})
	l.Do(t, func() {
		l.After(time.Hour, func() { t.Error("a timer ran") })
		l.OnShutdown(func(done func()) { t.Error("a drain ran"); done() })
	})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func testCloseDial(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a, b, again := &recorder{}, &recorder{}, &recorder{}
	inside := false
	a.onClose = func(error) {
		inside = true
		l.Dial("127.0.0.1:1", loop.DialOptions{}, again)
		inside = false
	}
	again.onClose = func(error) { check(t, "OnClose inside Dial", inside, false) }
	pair(t, l, a, b)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	check(t, "events of the late dial", again.events, []string{"close"})
	check(t, "its error", again.err, loop.ErrClosed)
}

func testStopLast(t *testing.T, e Env) {
	for _, closed := range []bool{true, false} {
		l := e.New(t, Options{})
		var got []string
		l.OnStop(func() { got = append(got, "second") })
		l.OnStop(func() {
			check(t, "on the loop", l.OnLoop(), true)
			got = append(got, "first")
			l.AtTurnEnd(func() { got = append(got, "end of the turn") })
		})
		a, b := &recorder{}, &recorder{}
		pair(t, l, a, b)
		a.onClose = func(error) { got = append(got, "close") }
		end := l.End
		if closed {
			end = l.Close
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		check(t, "order", got, []string{"close", "first", "second", "end of the turn"})
	}
}

func testStopRemove(t *testing.T, e Env) {
	l := e.New(t, Options{})
	l.OnStop(func() { t.Error("what was taken back ran") })()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
