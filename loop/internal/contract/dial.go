package contract

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop"
)

var dialTests = []namedTest{
	{"Dial_OpensOnceAndNotInside", testDialOpens},
	{"Dial_FailureIsOneOnCloseWithoutOnOpen", testDialFails},
	{"Dial_BadAddressIsOneOnClose", testDialBad},
	{"Dial_TimeoutIsOneOnClose", testDialTimeout},
	{"Dial_CancelIsOneOnClose", testDialCancel},
	{"Dial_CancelAfterOpenDoesNothing", testDialCancelLate},
	{"Listen_PortZeroIsShown", testListenPort},
	{"Listen_TakenAddressIsAnError", testListenTaken},
	{"Listen_UnixPath", testListenUnix},
	{"Listen_NilHandlerRefuses", testListenNil},
	{"Listen_NilHandlerAfterALastWord", testListenLastWord},
	{"Listen_CloseKeepsConnections", testListenClose},
}

func testDialOpens(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a, b := &recorder{}, &recorder{}
	accepts := 0
	l.Do(t, func() {
		ln, err := l.Listen("127.0.0.1:0", func(c loop.Conn) loop.Handler {
			accepts++
			check(t, "OnOpen before accept", b.opened, 0)
			return b
		})
		if err != nil {
			t.Error(err)
			return
		}
		l.Dial(ln.Addr().String(), loop.DialOptions{}, a)
		check(t, "opened inside Dial", a.opened, 0)
	})
	l.Until(t, "both are open", func() bool { return a.opened > 0 && b.opened > 0 })
	settle(t, l)
	l.Do(t, func() {
		check(t, "accepts", accepts, 1)
		check(t, "events of the dialler", a.events, []string{"open"})
		check(t, "events of the acceptor", b.events, []string{"open"})
		check(t, "addresses", a.conn.LocalAddr().String(), b.conn.RemoteAddr().String())
		check(t, "addresses", a.conn.RemoteAddr().String(), b.conn.LocalAddr().String())
	})
}

func testDialFails(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a := &recorder{}
	l.Do(t, func() {
		ln, err := l.Listen("127.0.0.1:0", nil)
		if err != nil {
			t.Error(err)
			return
		}
		addr := ln.Addr().String()
		ln.Close()
		l.Dial(addr, loop.DialOptions{}, a)
		check(t, "events inside Dial", len(a.events), 0)
	})
	l.Until(t, "it failed", func() bool { return a.closed > 0 })
	settle(t, l)
	l.Do(t, func() {
		check(t, "events", a.events, []string{"close"})
		var op *net.OpError
		if !errors.As(a.err, &op) || op.Op != "dial" {
			t.Errorf("error: %v", a.err)
		}
	})
}

func testDialBad(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a, b := &recorder{}, &recorder{}
	l.Do(t, func() {
		l.Dial("127.0.0.1", loop.DialOptions{}, a)
		l.Dial(e.Path(t), loop.DialOptions{}, b)
		check(t, "events inside Dial", len(a.events)+len(b.events), 0)
	})
	l.Until(t, "both failed", func() bool { return a.closed == 1 && b.closed == 1 })
	l.Do(t, func() {
		if a.err == nil || b.err == nil || a.opened+b.opened > 0 {
			t.Errorf("got %v and %v", a.err, b.err)
		}
	})
}

func testDialTimeout(t *testing.T, e Env) {
	l := e.New(t, Options{})
	addr, o := e.Silent(t)
	a := &recorder{}
	var began time.Time
	l.Do(t, func() {
		began = l.Now()
		o.Timeout = 10 * time.Millisecond
		l.Dial(addr, o, a)
	})
	l.Until(t, "it failed", func() bool { return a.closed > 0 })
	l.Do(t, func() {
		check(t, "events", a.events, []string{"close"})
		if d := l.Now().Sub(began); d < 10*time.Millisecond {
			t.Errorf("timed out after %v", d)
		}
		var timeout interface{ Timeout() bool }
		if !errors.As(a.err, &timeout) || !timeout.Timeout() {
			t.Errorf("error is not a timeout: %v", a.err)
		}
	})
}

func testDialCancel(t *testing.T, e Env) {
	l := e.New(t, Options{})
	addr, o := e.Silent(t)
	a, b := &recorder{}, &recorder{}
	l.Do(t, func() {
		cancel := l.Dial(addr, o, a)
		cancel()
		cancel()
		check(t, "events inside cancel", len(a.events), 0)
		ln, err := l.Listen("127.0.0.1:0", func(loop.Conn) loop.Handler { return &recorder{} })
		if err != nil {
			t.Error(err)
			return
		}
		l.Dial(ln.Addr().String(), loop.DialOptions{}, b)() // would succeed
	})
	l.Until(t, "both were told", func() bool { return a.closed > 0 && b.closed > 0 })
	settle(t, l)
	l.Do(t, func() {
		check(t, "events", a.events, []string{"close"})
		check(t, "events", b.events, []string{"close"})
		if !errors.Is(a.err, context.Canceled) {
			t.Errorf("error: %v", a.err)
		}
	})
}

func testDialCancelLate(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a, b := &recorder{}, &recorder{}
	var cancel func()
	l.Do(t, func() {
		ln, err := l.Listen("127.0.0.1:0", func(loop.Conn) loop.Handler { return b })
		if err != nil {
			t.Error(err)
			return
		}
		cancel = l.Dial(ln.Addr().String(), loop.DialOptions{}, a)
	})
	l.Until(t, "it is open", func() bool { return a.opened == 1 })
	l.Do(t, func() { cancel(); a.conn.Write([]byte("x")) })
	l.Until(t, "it still works", func() bool { return len(b.data) == 1 })
	l.Do(t, func() { check(t, "events", a.events, []string{"open"}) })
}

func testListenPort(t *testing.T, e Env) {
	l := e.New(t, Options{})
	l.Do(t, func() {
		ln, err := l.Listen("127.0.0.1:0", nil)
		if err != nil {
			t.Error(err)
			return
		}
		host, port, err := net.SplitHostPort(ln.Addr().String())
		if host != "127.0.0.1" || port == "0" || err != nil {
			t.Errorf("address: %v", ln.Addr())
		}
		check(t, "Close", ln.Close(), nil)
		check(t, "second Close", ln.Close(), nil)
	})
}

func testListenTaken(t *testing.T, e Env) {
	l := e.New(t, Options{})
	l.Do(t, func() {
		ln, err := l.Listen("127.0.0.1:0", nil)
		if err != nil {
			t.Error(err)
			return
		}
		if second, err := l.Listen(ln.Addr().String(), nil); err == nil {
			t.Errorf("listening twice on %v", second.Addr())
		}
		for _, bad := range []string{"127.0.0.1", "127.0.0.1:x", "127.0.0.1:99999"} {
			if ln, err := l.Listen(bad, nil); err == nil {
				t.Errorf("listening on %q: %v", bad, ln.Addr())
			}
		}
	})
}

func testListenUnix(t *testing.T, e Env) {
	l := e.New(t, Options{})
	path := e.Path(t)
	a, b := &recorder{}, &recorder{}
	l.Do(t, func() {
		ln, err := l.Listen(path, func(loop.Conn) loop.Handler { return b })
		if err != nil {
			t.Error(err)
			return
		}
		check(t, "address", ln.Addr().String(), path)
		check(t, "network", ln.Addr().Network(), "unix")
		l.Dial(path, loop.DialOptions{}, a)
	})
	l.Until(t, "both are open", func() bool { return a.opened == 1 && b.opened == 1 })
	l.Do(t, func() {
		check(t, "local address of the acceptor", b.conn.LocalAddr().String(), path)
		check(t, "remote address of the dialler", a.conn.RemoteAddr().String(), path)
		a.conn.Write([]byte("over there"))
		b.conn.Write([]byte("over here"))
	})
	l.Until(t, "both heard", func() bool { return string(a.data) == "over here" && string(b.data) == "over there" })
}

func testListenNil(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a := &recorder{}
	l.Do(t, func() {
		ln, err := l.Listen("127.0.0.1:0", func(loop.Conn) loop.Handler { return nil })
		if err != nil {
			t.Error(err)
			return
		}
		l.Dial(ln.Addr().String(), loop.DialOptions{}, a)
	})
	l.Until(t, "it was refused", func() bool { return a.closed > 0 })
	l.Do(t, func() {
		if a.closed != 1 || a.err == nil || len(a.data) > 0 {
			t.Errorf("events %v, error %v, data %q", a.events, a.err, a.data)
		}
	})
}

func testListenLastWord(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a := &recorder{}
	a.onOpen = func(c loop.Conn) { c.Write([]byte("may I?")) } // crosses the refusal
	l.Do(t, func() {
		ln, err := l.Listen("127.0.0.1:0", func(c loop.Conn) loop.Handler { c.Write([]byte("full")); return nil })
		if err != nil {
			t.Error(err)
			return
		}
		l.Dial(ln.Addr().String(), loop.DialOptions{}, a)
	})
	l.Until(t, "it was refused", func() bool { return a.closed > 0 })
	l.Do(t, func() {
		check(t, "data", string(a.data), "full")
		if !errors.Is(a.err, io.EOF) {
			t.Errorf("error: %v", a.err)
		}
	})
}

func testListenClose(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a, b, late := &recorder{}, &recorder{}, &recorder{}
	var ln loop.Listener
	l.Do(t, func() {
		var err error
		if ln, err = l.Listen("127.0.0.1:0", func(loop.Conn) loop.Handler { return b }); err != nil {
			t.Error(err)
			return
		}
		l.Dial(ln.Addr().String(), loop.DialOptions{}, a)
	})
	l.Until(t, "both are open", func() bool { return a.opened == 1 && b.opened == 1 })
	l.Do(t, func() {
		check(t, "Close", ln.Close(), nil)
		l.Dial(ln.Addr().String(), loop.DialOptions{}, late)
	})
	l.Until(t, "a late dial failed", func() bool { return late.closed == 1 && late.opened == 0 })
	l.Do(t, func() { a.conn.Write([]byte("still here")) })
	l.Until(t, "the open connection works", func() bool { return string(b.data) == "still here" })
}
