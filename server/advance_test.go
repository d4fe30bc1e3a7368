package server

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// Time passes only on loops that can be advanced, and not for those who call on
// the loop or too late. Package nsqtest shows that it passes.
func TestAdvance_Refusals(t *testing.T) {
	w := newWorld(t, Options{})
	if err := w.s.Advance(time.Hour); err == nil || !strings.Contains(err.Error(), "*server.bareLoop cannot be advanced") {
		t.Errorf("a loop that cannot: %v", err)
	}
	s, err := Start(Options{})
	if err != nil {
		t.Fatal(err)
	}
	on := make(chan error, 1)
	if err := s.l.Post(func() { on <- s.Advance(time.Hour) }); err != nil {
		t.Fatal(err)
	}
	if err := <-on; !errors.Is(err, ErrOnLoop) {
		t.Errorf("on the loop: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Advance(time.Hour); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// Whoever is excused for a while is closed that much later: without a magic after
// 10 s, silent after two heartbeat intervals, within a command after 30 s.
func TestAdvance_ExcusesClients(t *testing.T) {
	for _, row := range []struct {
		name string
		dial func(w *world) *peer
		left time.Duration // until it is closed, without an excuse
	}{
		{"without a magic", func(w *world) *peer { return w.dialSilent() }, 10 * time.Second},
		{"silent", func(w *world) *peer {
			p := w.dial()
			p.sendString("NOP\n")
			return p
		}, time.Minute},
		{"within a command", func(w *world) *peer {
			p := w.dial()
			p.sendString("NOP\nPUB t")
			return p
		}, 30 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t, Options{})
			p := row.dial(w)
			w.do(func() { w.s.excuse(time.Hour) })
			w.sleep(time.Hour + row.left - time.Second)
			if p.closed() {
				t.Error("closed too early")
			}
			w.sleep(2 * time.Second)
			if !p.closed() {
				t.Error("not closed in time")
			}
		})
	}
}
