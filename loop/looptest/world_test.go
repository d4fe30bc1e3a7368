package looptest_test

import (
	"errors"
	"fmt"
	"strings"
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
