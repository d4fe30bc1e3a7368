package core

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestGuard_PanicOfAFunctionIsReportedAndTheLoopGoesOn(t *testing.T) {
	c, h := newCore(nil)
	ran := 0
	c.After(0, func() { panic("timer") })
	c.After(0, func() { ran++ })
	c.AtTurnEnd(func() { panic("end") })
	c.AtTurnEnd(func() { ran++ })
	turn(c, func() { c.Run([]func(){func() { panic("post") }, func() { ran++ }}) })
	check(t, "functions that ran", ran, 3)
	check(t, "panics", len(h.panics), 3)
	for i, want := range []string{"posted function", "timer", "AtTurnEnd function"} {
		if !strings.HasPrefix(h.panics[i], want+" github.com/nsqloop/nsqloop/loop/internal/core.TestGuard") {
			t.Errorf("report: %s", h.panics[i])
		}
	}
}

// panicLayer panics where it is told to.
type panicLayer struct{ open, seal, close bool }

func (l *panicLayer) Open(dst, raw []byte) ([]byte, error) {
	if l.open {
		panic("open")
	}
	return append(dst, raw...), nil
}

func (l *panicLayer) Seal(dst, plain []byte) ([]byte, error) {
	if l.seal {
		panic("seal")
	}
	return append(dst, plain...), nil
}

func (l *panicLayer) Close() {
	if l.close {
		panic("close")
	}
}

func TestGuard_PanicOfAHandlerEndsItsConnection(t *testing.T) {
	boom := func() { panic("boom") }
	for name, test := range map[string]struct {
		handler *fakeHandler
		layer   *panicLayer
		act     func(s *Stream, sock *fakeSocket)
	}{
		"OnData":  {handler: &fakeHandler{onData: func([]byte) int { boom(); return 0 }}},
		"too far": {handler: &fakeHandler{onData: func(p []byte) int { return len(p) + 1 }}},
		"Open":    {layer: &panicLayer{open: true}},
		"Seal":    {layer: &panicLayer{seal: true}},
		"OnDrain": {handler: &fakeHandler{onDrain: boom}, act: func(s *Stream, sock *fakeSocket) {
			sock.buffered = 1 << 12
			s.Write([]byte("x"))
		}},
	} {
		c, h := newCore(nil)
		handler := test.handler
		if handler == nil {
			handler = &fakeHandler{}
		}
		s, sock := opened(c, handler)
		turn(c, func() {
			if test.layer != nil {
				s.Upgrade(test.layer)
			}
			if test.act != nil {
				test.act(s, sock)
			}
			s.Receive([]byte("data"))
		})
		sock.buffered = 0
		h.advance(c, pollLast)
		h.advance(c, 0)
		check(t, name+": OnClose", handler.closed, 1)
		if !errors.Is(handler.err, errPanic) {
			t.Errorf("%s: error %v", name, handler.err)
		}
		check(t, name+": reports", len(h.panics), 1)
		check(t, name+": socket closed", sock.closed, 1)
		if !strings.Contains(h.panics[0], "fake") {
			t.Errorf("%s: report does not name the handler: %s", name, h.panics[0])
		}
	}
}

func TestGuard_PanicInOnOpenAndAccept(t *testing.T) {
	c, h := newCore(nil)
	handler := &fakeHandler{}
	var a, b Stream
	sa, sb := &fakeSocket{}, &fakeSocket{}
	turn(c, func() {
		a.Accept(c, sa, Addrs{}, func() (Handler, func()) { return handler, func() { panic("open") } })
	})
	turn(c, func() { b.Accept(c, sb, Addrs{}, func() (Handler, func()) { panic("accept") }) })
	turn(c, func() {})
	check(t, "OnClose", handler.closed, 1)
	check(t, "sockets closed", sa.closed*10+sb.closed, 11)
	check(t, "reports", fmt.Sprint(h.panics), "[OnOpen of fake: open accept function of a new connection: accept]")
	if c.first != nil {
		t.Error("a stream is left")
	}
}

func TestGuard_PanicInOnCloseIsOnlyReported(t *testing.T) {
	c, h := newCore(nil)
	handler := &fakeHandler{onClose: func(error) { panic("close") }}
	s, _ := opened(c, handler)
	turn(c, func() { s.Upgrade(&panicLayer{close: true}); s.Abort(nil) })
	turn(c, func() {})
	turn(c, func() {})
	check(t, "OnClose", handler.closed, 1)
	check(t, "reports", len(h.panics), 2)
}

func TestGuard_PanicInStringEndsTheConnection(t *testing.T) {
	c, h := newCore(nil)
	handler := &fakeHandler{name: func() string { panic("name") }}
	s, _ := opened(c, handler)
	turn(c, func() {})
	check(t, "OnClose", handler.closed, 1)
	if !errors.Is(handler.err, errPanic) || len(h.panics) == 0 || !s.Gone() {
		t.Errorf("error %v, reports %v", handler.err, h.panics)
	}
}

func TestGuard_PanicsPassWhenTheyAreNotRecovered(t *testing.T) {
	c, _ := newCore(func(c *Config) { c.Recover = false })
	defer func() {
		if v := recover(); v != "mine" {
			t.Errorf("recovered %v", v)
		}
	}()
	turn(c, func() { c.Run([]func(){func() { panic("mine") }}) })
}

func TestProbe_ShowsWhatRuns(t *testing.T) {
	c, _ := newCore(nil)
	p := c.Probe()
	var seen []string
	look := func() { seen = append(seen, p.Describe(p.Running())) }
	var s *Stream
	s, _ = opened(c, &fakeHandler{
		onData: func(q []byte) int { look(); return len(q) },
		name:   func() string { return "reader a/b" },
	})
	check(t, "busy between turns", p.Busy(), false)
	check(t, "running between turns", p.Running(), 0)
	var first uint64
	turn(c, func() {
		s.Receive([]byte("x"))
		c.Run([]func(){func() { look(); first = p.Running() }, func() {
			check(t, "same number", p.Running() == first, false)
			check(t, "name of the one before", p.Describe(first), "")
		}})
		check(t, "busy", p.Busy(), true)
	})
	check(t, "first", seen[0], "OnData of reader a/b")
	if !strings.HasPrefix(seen[1], "posted function github.com/nsqloop/nsqloop/loop/internal/core.TestProbe_") {
		t.Errorf("second: %s", seen[1])
	}
}
