package looptest_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/loop/looptest"
)

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
