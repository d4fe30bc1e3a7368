package looptest_test

import (
	"errors"
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/loop/looptest"
)

func TestFaults_OfDials(t *testing.T) {
	for name, f := range map[string]looptest.Faults{"refused": {Refuse: 1}, "timeout": {Timeout: 1}} {
		w := looptest.Test(t, looptest.Options{Faults: f})
		mustListen(t, w.Loop("b"), ":4150", func(loop.Conn) loop.Handler { return &peer{} })
		h := &peer{}
		began := w.Now()
		w.Loop("a").Dial("b:4150", loop.DialOptions{Timeout: 3 * time.Second}, h)
		until(t, w, "it failed", func() bool { return h.closed == 1 })
		got := "timeout"
		if errors.Is(h.err, syscall.ECONNREFUSED) {
			got = "refused"
		}
		check(t, "outcome", got, name)
		check(t, "after the timeout", w.Now().Sub(began) == 3*time.Second, name == "timeout")
		w.SetFaults(looptest.Faults{})
		h = &peer{}
		w.Loop("a").Dial("b:4150", loop.DialOptions{}, h)
		until(t, w, "it opened", func() bool { return h.opened == 1 })
	}
}

func TestFaults_ResetAndVanish(t *testing.T) {
	for name, f := range map[string]looptest.Faults{"reset": {Reset: 1}, "vanish": {Vanish: 1}} {
		w := looptest.Test(t, looptest.Options{Faults: f})
		a, b := connected(t, w)
		tick := w.Loop("a").Every(time.Millisecond, func() { a.conn.Write(make([]byte, 100)) })
		w.Run(10 * time.Second)
		tick.Stop()
		want := 0
		if name == "reset" {
			want = 1
		}
		check(t, name+": dialler closed", a.closed, want)
		check(t, name+": acceptor closed", b.closed, want)
		if len(b.data) == 0 || len(b.data) > 8<<10 {
			t.Errorf("%s after %d bytes", name, len(b.data))
		}
	}
}

func TestFaults_SetFaultsSparesOpenConnections(t *testing.T) {
	w := looptest.Test(t, looptest.Options{Faults: looptest.Faults{Reset: 1}})
	a, b := connected(t, w)
	w.SetFaults(looptest.Faults{})
	w.Loop("a").Do(func() { a.conn.Write(make([]byte, 100_000)) })
	until(t, w, "all arrived", func() bool { return len(b.data) == 100_000 })
}

func TestLink_ResetAfterLeavesHalf(t *testing.T) {
	w := looptest.Test(t, looptest.Options{})
	a, b := connected(t, w)
	k := w.Link(a.conn)
	check(t, "dialler", k.Dialer(), "a")
	check(t, "acceptor", k.Acceptor(), "b")
	check(t, "the same link", w.Links("b", "a")[0], k)
	k.ResetAfter(150)
	w.Loop("a").Do(func() { a.conn.Write(make([]byte, 300)) })
	until(t, w, "both ends are closed", func() bool { return a.closed == 1 && b.closed == 1 })
	check(t, "bytes", len(b.data), 150)
	for _, h := range []*peer{a, b} {
		if !errors.Is(h.err, syscall.ECONNRESET) {
			t.Errorf("error: %v", h.err)
		}
	}
	check(t, "links left", len(w.Links("", "")), 0)
	if w.Link(a.conn) != nil {
		t.Error("a closed connection has a link")
	}
}

func TestLink_ResetLosesWhatIsUnderWay(t *testing.T) {
	w := looptest.Test(t, looptest.Options{})
	a, b := connected(t, w)
	w.Loop("a").Do(func() { a.conn.Write(make([]byte, 300)) })
	w.Link(a.conn).Reset()
	until(t, w, "both ends are closed", func() bool { return a.closed == 1 && b.closed == 1 })
	check(t, "bytes", len(b.data), 0)
}

func TestLink_VanishTellsNobody(t *testing.T) {
	w := looptest.Test(t, looptest.Options{})
	a, b := connected(t, w)
	w.Link(a.conn).Vanish()
	w.Loop("a").Do(func() { a.conn.Write(make([]byte, 1<<20)) })
	w.Run(time.Hour)
	check(t, "told", a.closed+b.closed, 0)
	check(t, "bytes", len(b.data), 0)
	check(t, "buffered", a.conn.Buffered(), 1<<20-256<<10)
	w.Loop("b").Do(func() { b.conn.Abort(io.ErrUnexpectedEOF) })
	w.Run(time.Hour)
	check(t, "the one who gives up", b.closed, 1)
	check(t, "the other", a.closed, 0)
}

func TestPartition_HoldsWhatIsSentUntilHeal(t *testing.T) {
	w := looptest.Test(t, looptest.Options{})
	a, b := connected(t, w)
	back := b.conn
	w.Partition("b", "a")
	w.Loop("a").Do(func() { a.conn.Write([]byte("across")) })
	late, other := &peer{}, &peer{}
	w.Loop("a").Dial("b:4150", loop.DialOptions{Timeout: time.Second}, late)
	w.Loop("c").Dial("b:4150", loop.DialOptions{}, other)
	w.Run(time.Minute)
	check(t, "bytes", len(b.data), 0)
	check(t, "told", a.closed, 0)
	check(t, "a dial across", late.closed, 1)
	check(t, "a dial of a third", other.opened, 1)
	w.Heal("a", "b")
	until(t, w, "it arrived", func() bool { return string(b.data) == "across" })
	w.Loop("b").Do(func() { back.Write([]byte("back")) })
	until(t, w, "it arrived", func() bool { return string(a.data) == "back" })
}

func TestCrash_TakesEverythingAndCallsNothing(t *testing.T) {
	w := looptest.Test(t, looptest.Options{})
	a, b := connected(t, w)
	l := w.Loop("b")
	l.After(time.Second, func() { t.Error("a timer ran") })
	l.Go(func() func() { t.Error("work ran"); return nil })
	_ = l.Post(func() { t.Error("a posted function ran") })
	l.OnShutdown(func(done func()) { t.Error("a drain ran"); done() })
	w.Loop("a").Do(func() { a.conn.Write([]byte("x")) })
	w.Crash(l)
	w.Crash(l)
	check(t, "Post", l.Post(func() {}), loop.ErrClosed)
	until(t, w, "the peer is told", func() bool { return a.closed == 1 })
	if !errors.Is(a.err, syscall.ECONNRESET) {
		t.Errorf("error: %v", a.err)
	}
	refused := &peer{}
	w.Loop("a").Dial("b:4150", loop.DialOptions{}, refused)
	until(t, w, "a dial is refused", func() bool { return refused.closed == 1 })

	again := w.Loop("b")
	if again == l {
		t.Fatal("the loop is the old one")
	}
	mustListen(t, again, ":4150", func(loop.Conn) loop.Handler { return b })
	w.Loop("a").Dial("b:4150", loop.DialOptions{}, &peer{})
	until(t, w, "the new one accepts", func() bool { return b.opened == 2 })
	w.Run(time.Minute)
	check(t, "OnClose of the crashed", b.closed, 0)
}

func TestCrash_RandFollowsFromTheSeedAndTheLife(t *testing.T) {
	draw := func() (first, second uint64) {
		w := looptest.New(5, looptest.Options{})
		first = w.Loop("a").Rand().Uint64()
		w.Crash(w.Loop("a"))
		return first, w.Loop("a").Rand().Uint64()
	}
	a1, a2 := draw()
	b1, b2 := draw()
	if a1 != b1 || a2 != b2 || a1 == a2 {
		t.Errorf("drew %d %d, then %d %d", a1, a2, b1, b2)
	}
}

// A close while the other end still talks may lose its last words to a reset,
// when it does not wait for the peer; with Conn.Close it never does.
func TestClose_OfASocketWithUnreadInputIsAReset(t *testing.T) {
	lost := 0
	for seed := range uint64(50) {
		w := looptest.New(seed+1, looptest.Options{})
		a, b := connected(t, w)
		w.Loop("a").Do(func() { a.conn.Write([]byte("talk")) })
		w.Loop("b").Do(func() { b.conn.Write([]byte("last words")) })
		w.Loop("b").Do(func() { b.conn.Abort(nil) })
		w.RunUntil(func() bool { return a.closed == 1 }, time.Minute)
		if string(a.data) != "last words" {
			lost++
		}
		w.Close()
	}
	if lost == 0 || lost == 50 {
		t.Errorf("lost in %d of 50 worlds", lost)
	}
}

func TestHalt_NothingLeavesAndNothingRuns(t *testing.T) {
	w := looptest.Test(t, looptest.Options{})
	a, b := connected(t, w)
	l := w.Loop("b")
	l.After(time.Second, func() { t.Error("a timer ran") })
	l.Do(func() {
		b.conn.Write([]byte("before and after: one write at the turn's end"))
		l.Halt()
		b.conn.Close()
		l.Dial("a:4150", loop.DialOptions{}, &peer{})
	})
	w.Loop("a").Do(func() { a.conn.Write([]byte("x")) })
	w.Run(time.Minute)
	if len(a.data) > 0 || a.closed != 0 || len(b.data) > 0 {
		t.Errorf("received %q, closed %d times; the halted loop received %q", a.data, a.closed, b.data)
	}
	w.Crash(l)
	until(t, w, "the peer is told", func() bool { return a.closed == 1 })
}
