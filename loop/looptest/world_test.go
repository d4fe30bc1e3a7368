package looptest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/loop/looptest"
)

// peer is a handler that writes down what it is told.
type peer struct {
	conn   loop.Conn
	opened int
	closed int
	err    error
	data   []byte
	pieces []int
	onData func(p []byte) int
}

func (h *peer) OnOpen(c loop.Conn) { h.conn = c; h.opened++ }

func (h *peer) OnData(p []byte) int {
	h.pieces = append(h.pieces, len(p))
	if h.onData != nil {
		return h.onData(p)
	}
	h.data = append(h.data, p...)
	return len(p)
}

func (h *peer) OnClose(err error) { h.closed++; h.err = err }

// connected connects loops "a" and "b".
func connected(t *testing.T, w *looptest.World) (a, b *peer) {
	t.Helper()
	a, b = &peer{}, &peer{}
	mustListen(t, w.Loop("b"), ":4150", func(loop.Conn) loop.Handler { return b })
	w.Loop("a").Dial("b:4150", loop.DialOptions{}, a)
	until(t, w, "both ends are open", func() bool { return a.opened == 1 && b.opened == 1 })
	return a, b
}

func mustListen(t *testing.T, l *looptest.Loop, addr string, accept func(loop.Conn) loop.Handler) loop.Listener {
	t.Helper()
	ln, err := l.Listen(addr, accept)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func until(t *testing.T, w *looptest.World, what string, cond func() bool) {
	t.Helper()
	if !w.RunUntil(cond, time.Minute) {
		t.Fatalf("not within a virtual minute: %s", what)
	}
}

func check[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// chatter is a scenario with everything in it: it ends with a summary of what
// its loops saw, and the trace.
func chatter(seed uint64) string {
	w := looptest.New(seed, looptest.Options{Faults: looptest.Faults{Refuse: 0.1, Timeout: 0.05, Reset: 0.2, Vanish: 0.05}})
	var log []string
	server := w.Loop("server")
	_, err := server.Listen(":4150", func(loop.Conn) loop.Handler {
		h := &peer{}
		h.onData = func(p []byte) int { h.conn.Write(p); return len(p) }
		return h
	})
	if err != nil {
		panic(err)
	}
	for i := range 5 {
		l := w.Loop(fmt.Sprint("client ", i))
		var again func()
		again = func() {
			h := &peer{}
			h.onData = func(p []byte) int { log = append(log, fmt.Sprintf("%d got %d", i, len(p))); return len(p) }
			l.Dial("server:4150", loop.DialOptions{Timeout: time.Second}, h)
			var tick loop.Timer
			tick = l.Every(time.Duration(1+l.Rand().IntN(50))*time.Millisecond, func() {
				switch {
				case h.closed > 0:
					tick.Stop()
					log = append(log, fmt.Sprint(i, " lost ", h.err))
					l.Go(func() func() { return again })
				case h.opened > 0:
					h.conn.Write(make([]byte, l.Rand().IntN(3000)))
				}
			})
		}
		again()
	}
	w.Run(2 * time.Second)
	w.Crash(w.Loop("client 3"))
	w.Partition("server", "client 1")
	w.Run(time.Second)
	w.Heal("server", "client 1")
	w.Run(time.Second)
	w.Close()
	return fmt.Sprintf("%s\n%x", strings.Join(log, "\n"), w.Trace())
}

func TestWorld_SameSeedSameTrace(t *testing.T) {
	seen := map[string]uint64{}
	for seed := uint64(1); seed <= 10; seed++ {
		first := chatter(seed)
		if second := chatter(seed); first != second {
			t.Errorf("seed %d: two runs differ", seed)
		}
		if other, ok := seen[first]; ok {
			t.Errorf("seeds %d and %d are the same", seed, other)
		}
		seen[first] = seed
	}
}

func TestWorld_SplitsAndJoins(t *testing.T) {
	w := looptest.Test(t, looptest.Options{})
	a, b := connected(t, w)
	const writes, size = 500, 100
	for range writes {
		w.Loop("a").Do(func() { a.conn.Write(make([]byte, size)) })
	}
	until(t, w, "all arrived", func() bool { return len(b.data) == writes*size })
	single, split, joined := 0, 0, 0
	for _, n := range b.pieces {
		switch {
		case n == 1:
			single++
		case n < size:
			split++
		case n > size:
			joined++
		}
	}
	if single == 0 || split == 0 || joined == 0 {
		t.Errorf("%d single bytes, %d split, %d joined writes", single, split, joined)
	}
}

func TestWorld_WholeDoesNotSplit(t *testing.T) {
	w := looptest.Test(t, looptest.Options{Whole: true})
	a, b := connected(t, w)
	for range 100 {
		w.Loop("a").Do(func() { a.conn.Write(make([]byte, 100)) })
	}
	until(t, w, "all arrived", func() bool { return len(b.data) == 10_000 })
	for _, n := range b.pieces {
		if n%100 != 0 {
			t.Fatalf("a piece of %d bytes", n)
		}
	}
}

func TestWorld_TimePassesOnlyAsAsked(t *testing.T) {
	w := looptest.Test(t, looptest.Options{})
	began := w.Now()
	check(t, "an empty world", w.Step(), false)
	w.Run(time.Hour)
	check(t, "after Run", w.Now().Sub(began), time.Hour)
	ran := 0
	l := w.Loop("a")
	l.After(time.Minute, func() { ran++ })
	check(t, "RunUntil that fails", w.RunUntil(func() bool { return ran > 0 }, time.Minute-1), false)
	check(t, "after RunUntil", w.Now().Sub(began), time.Hour+time.Minute-1)
	check(t, "RunUntil", w.RunUntil(func() bool { return ran > 0 }, time.Second), true)
	check(t, "time of the timer", w.Now().Sub(began), time.Hour+time.Minute)
	check(t, "the loop's time", l.Now(), w.Now())
}

func TestWorld_MustNotBeMovedInACallback(t *testing.T) {
	w := looptest.New(1, looptest.Options{OnPanic: func(string, any, []byte) {}})
	l := w.Loop("a")
	for name, f := range map[string]func(){
		"Step": func() { w.Step() }, "Run": func() { w.Run(1) }, "Close": w.Close,
		"Do": func() { l.Do(func() {}) }, "Crash": func() { w.Crash(l) },
	} {
		message := ""
		l.Do(func() {
			defer func() { message = fmt.Sprint(recover()) }()
			f()
		})
		if !strings.Contains(message, "inside a callback of loop a") {
			t.Errorf("%s: %s", name, message)
		}
	}
	l.Do(func() {
		if err := l.Shutdown(time.Second); !errors.Is(err, loop.ErrOnLoop) {
			t.Errorf("Shutdown: %v", err)
		}
		if err := l.Close(); !errors.Is(err, loop.ErrOnLoop) {
			t.Errorf("loop.Close: %v", err)
		}
	})
}

func TestWorld_PanicsPassUnlessAsked(t *testing.T) {
	func() {
		defer func() { check(t, "panic", fmt.Sprint(recover()), "mine") }()
		looptest.New(1, looptest.Options{}).Loop("a").Do(func() { panic("mine") })
	}()
	var reports []string
	w := looptest.Test(t, looptest.Options{OnPanic: func(what string, value any, _ []byte) {
		reports = append(reports, fmt.Sprint(value))
	}})
	a, b := connected(t, w)
	b.onData = func([]byte) int { panic("theirs") }
	w.Loop("a").Do(func() { a.conn.Write([]byte("x")) })
	until(t, w, "both ends are closed", func() bool { return a.closed == 1 && b.closed == 1 })
	if !errors.Is(b.err, loop.ErrPanic) || fmt.Sprint(reports) != "[theirs]" {
		t.Errorf("error %v, reports %v", b.err, reports)
	}
}

func TestLoop_PostFromAnotherGoroutine(t *testing.T) {
	w := looptest.Test(t, looptest.Options{})
	l := w.Loop("a")
	ran := 0
	posted := make(chan error, 1)
	go func() { posted <- l.Post(func() { ran++ }) }()
	if err := <-posted; err != nil {
		t.Fatal(err)
	}
	until(t, w, "it ran", func() bool { return ran == 1 })
}

func TestLoop_GoTakesVirtualTime(t *testing.T) {
	w := looptest.Test(t, looptest.Options{})
	l := w.Loop("a")
	began := w.Now()
	var worked, done time.Time
	l.Go(func() func() {
		check(t, "on the loop", l.OnLoop(), false)
		worked = w.Now()
		return func() { check(t, "on the loop", l.OnLoop(), true); done = w.Now() }
	})
	until(t, w, "the result", func() bool { return !done.IsZero() })
	if !worked.After(began) || !done.After(worked) {
		t.Errorf("began %v, worked %v, done %v", began, worked, done)
	}
}

func TestLoop_SkewMovesTheClockAndNoTimer(t *testing.T) {
	w := looptest.Test(t, looptest.Options{})
	l, other := w.Loop("a"), w.Loop("b")
	began := w.Now()
	ran := false
	l.After(time.Minute, func() { ran = true })
	l.Skew(-time.Hour)
	check(t, "skewed", l.Now().Sub(began), -time.Hour)
	check(t, "not skewed", other.Now(), began)
	w.Run(time.Minute)
	check(t, "ran", ran, true)
}

func TestLoop_NamesAndAddresses(t *testing.T) {
	w := looptest.Test(t, looptest.Options{})
	a, b, c := w.Loop("a"), w.Loop("b"), w.Loop("c")
	reached := ""
	accept := func(name string) func(loop.Conn) loop.Handler {
		return func(loop.Conn) loop.Handler { reached = name; return &peer{} }
	}
	mustListen(t, a, ":4150", accept("a"))
	mustListen(t, b, ":4150", accept("b"))
	mustListen(t, b, "b:4161", accept("b alone"))
	mustListen(t, c, "127.0.0.1:4171", accept("c"))
	mustListen(t, c, "/run/c.sock", accept("c's path"))
	for _, test := range []struct {
		from *looptest.Loop
		addr string
		want string
	}{
		{c, "a:4150", "a"}, {c, "b:4150", "b"}, {c, "10.0.0.2:4150", "b"},
		{a, "localhost:4150", "a"}, {b, "127.0.0.1:4150", "b"}, {b, ":4150", "b"},
		{c, "localhost:4150", "a"}, // the first, when it listens on none of its own
		{a, "b:4161", "b alone"}, {a, "10.0.0.2:4161", "b alone"},
		{a, "localhost:4171", "c"}, {a, "[::1]:4171", "c"}, {b, "/run/c.sock", "c's path"},
		{a, "localhost:4161", "refused"}, {a, "c:4171", "refused"}, {a, "10.9.9.9:4150", "refused"},
		{a, "/run/d.sock", "refused"}, {a, "nowhere:4150", "no such host"},
	} {
		reached = ""
		h := &peer{}
		test.from.Dial(test.addr, loop.DialOptions{}, h)
		until(t, w, "an outcome", func() bool { return h.opened > 0 && reached != "" || h.closed > 0 })
		got := reached
		switch {
		case errors.Is(h.err, syscall.ECONNREFUSED):
			got = "refused"
		case h.err != nil && strings.HasSuffix(h.err.Error(), "no such host"):
			got = "no such host"
		}
		check(t, test.from.Name()+" to "+test.addr, got, test.want)
	}
	for _, taken := range []string{":4150", "a:4150", "127.0.0.1:4171", "/run/c.sock"} {
		if _, err := a.Listen(taken, nil); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("listening twice on %s: %v", taken, err)
		}
	}
	if ln, err := c.Listen(":4150", nil); err != nil || ln.Addr().String() != "[::]:4150" {
		t.Errorf("listening on the same port of another host: %v", err)
	}
}

func TestLoop_DialContextNeedsSockets(t *testing.T) {
	w := looptest.Test(t, looptest.Options{})
	h := &peer{}
	w.Loop("a").Dial("b:1", loop.DialOptions{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, nil },
	}, h)
	until(t, w, "it failed", func() bool { return h.closed == 1 })
	if !strings.Contains(h.err.Error(), "DialContext") {
		t.Errorf("error: %v", h.err)
	}
}

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

func BenchmarkWorld_Echo(b *testing.B) {
	w := looptest.New(1, looptest.Options{})
	server, client := w.Loop("server"), w.Loop("client")
	_, err := server.Listen(":4150", func(loop.Conn) loop.Handler {
		h := &peer{}
		h.onData = func(p []byte) int { h.pieces = nil; h.conn.Write(p); return len(p) }
		return h
	})
	if err != nil {
		b.Fatal(err)
	}
	left := b.N
	h := &peer{}
	got := 0
	h.onData = func(p []byte) int {
		h.pieces = nil
		for got += len(p); got >= 200; got -= 200 {
			left--
			h.conn.Write(make([]byte, 200))
		}
		return len(p)
	}
	client.Dial("server:4150", loop.DialOptions{}, h)
	w.RunUntil(func() bool { return h.opened == 1 }, time.Minute)
	client.Do(func() { h.conn.Write(make([]byte, 200)) })
	b.ReportAllocs()
	b.ResetTimer()
	w.RunUntil(func() bool { return left <= 0 }, 1000*time.Hour)
}
