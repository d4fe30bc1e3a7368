package client_test

import (
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/loop/looptest"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

// counting is a loop that counts the dials made on it, and those under way.
type counting struct {
	*looptest.Loop
	dials, underWay, most int
}

func (l *counting) Dial(addr string, o loop.DialOptions, h loop.Handler) func() {
	d := &counted{Handler: h, l: l}
	l.dials++
	l.underWay++
	l.most = max(l.most, l.underWay)
	cancel := l.Loop.Dial(addr, o, d)
	return func() { d.end(); cancel() }
}

// counted is a dial that is under way until it ends.
type counted struct {
	loop.Handler
	l     *counting
	ended bool
}

func (d *counted) end() {
	if !d.ended {
		d.ended = true
		d.l.underWay--
	}
}

func (d *counted) OnOpen(c loop.Conn) { d.end(); d.Handler.OnOpen(c) }
func (d *counted) OnClose(err error)  { d.end(); d.Handler.OnClose(err) }

// racing starts a dial to nsqd:4150 on a loop that counts.
func racing(t *testing.T, w *world, o client.Options) (*recorder, *counting) {
	t.Helper()
	o, err := o.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	r, l := &recorder{}, &counting{Loop: w.client}
	w.do(func() { r.conn = client.Dial(l, "nsqd:4150", o, r) })
	return r, l
}

// A network that is back is noticed by the next fresh dial, long before the
// first one is given up, and the connection is one: the other dials leave
// nothing behind.
func TestDial_IsMadeAnewWhileUnanswered(t *testing.T) {
	for seed := range uint64(20) {
		w := newWorldWith(t, looptest.Options{Seed: seed + 1, Faults: looptest.Faults{Timeout: 1}})
		s := mock(t, w)
		r, l := racing(t, w, client.Options{DialTimeout: 10 * time.Second})
		w.run(3 * time.Second)
		if l.dials != 8 || l.most != 2 || len(r.events) > 0 {
			t.Errorf("after 3 s: %d dials, at most %d under way, events %q; want 8 and 2", l.dials, l.most, r.events)
		}
		w.SetFaults(looptest.Faults{})
		w.run(410 * time.Millisecond)
		if r.conn.State() != client.StateReady || s.Accepted != 1 || l.underWay != 0 {
			t.Errorf("0.4 s after the network is back: %v, %d accepted, %d dials under way", r.conn.State(), s.Accepted, l.underWay)
		}
		before := l.dials
		w.run(time.Minute)
		if l.dials != before || len(s.Conns) != 1 || r.closed != 0 {
			t.Errorf("a minute later: %d more dials, %d connections, closed %d times: %v", l.dials-before, len(s.Conns), r.closed, r.err)
		}
		w.do(r.conn.Close)
		w.run(time.Second)
		if r.closed != 1 || r.err != nil || len(s.Conns) != 0 {
			t.Errorf("closed %d times with %v, %d connections are left", r.closed, r.err, len(s.Conns))
		}
	}
}

// A peer that is slow, and not away, is reached by the first dial, and has no
// connection of the others.
func TestDial_WaitsForASlowPeer(t *testing.T) {
	const way = 600 * time.Millisecond
	w := newWorldWith(t, looptest.Options{Seed: 1, MinLatency: way, MaxLatency: way + time.Millisecond})
	s := mock(t, w)
	r, l := racing(t, w, client.Options{DialTimeout: 5 * time.Second, HandshakeTimeout: time.Minute})
	w.run(20 * time.Second)
	if r.conn.State() != client.StateReady || l.dials != 4 || l.most != 2 {
		t.Errorf("%v after %d dials, %d at a time; want ready after 4, two at a time", r.conn.State(), l.dials, l.most)
	}
	if len(s.Conns) != 1 || l.underWay != 0 {
		t.Errorf("%d connections, %d dials are left", len(s.Conns), l.underWay)
	}
}

// The outcome of a dial that nobody answers is that of the first, once, and what
// becomes of the fresh ones meanwhile does not count.
func TestDial_FailsOnce(t *testing.T) {
	for _, row := range []struct {
		name       string
		begin, end looptest.Faults
		after      time.Duration
		want       error
		dials      int
	}{
		{"refused", looptest.Faults{Refuse: 1}, looptest.Faults{Refuse: 1}, 10 * time.Millisecond, syscall.ECONNREFUSED, 1},
		{"no answer", looptest.Faults{Timeout: 1}, looptest.Faults{Timeout: 1}, time.Second, os.ErrDeadlineExceeded, 3},
		{"no answer, then refused", looptest.Faults{Timeout: 1}, looptest.Faults{Refuse: 1}, time.Second, os.ErrDeadlineExceeded, 3},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorldWith(t, looptest.Options{Seed: 1, Faults: row.begin})
			mock(t, w)
			r, l := racing(t, w, client.Options{})
			w.run(5 * time.Millisecond)
			w.SetFaults(row.end)
			w.RunUntil(func() bool { return r.closed > 0 }, row.after)
			if r.closed != 1 || !errors.Is(r.err, row.want) || l.dials != row.dials {
				t.Errorf("closed %d times with %v after %d dials, want %v after %d", r.closed, r.err, l.dials, row.want, row.dials)
			}
			w.run(time.Minute)
			if r.closed != 1 || l.dials != row.dials || l.underWay != 0 {
				t.Errorf("closed %d times, %d dials made, %d under way", r.closed, l.dials, l.underWay)
			}
		})
	}
}

// Close and Abort end all dials, whenever they come, with one OnClose.
func TestDial_ClosedMeanwhile(t *testing.T) {
	cause := errors.New("enough")
	for ms := range 1300 {
		w := newWorldWith(t, looptest.Options{Seed: uint64(ms) + 1, MinLatency: 300 * time.Millisecond, MaxLatency: 600 * time.Millisecond})
		s := mock(t, w)
		r, l := racing(t, w, client.Options{DialTimeout: 5 * time.Second})
		w.run(time.Duration(ms) * time.Millisecond)
		w.do(func() {
			if ms%2 == 0 {
				r.conn.Close()
			} else {
				r.conn.Abort(cause)
			}
		})
		dials := l.dials
		w.run(time.Minute)
		if r.closed != 1 || ms%2 == 0 && r.err != nil || ms%2 == 1 && !errors.Is(r.err, cause) {
			t.Errorf("ended after %d ms: closed %d times with %v", ms, r.closed, r.err)
		}
		if l.dials != dials || l.underWay != 0 || len(s.Conns) != 0 {
			t.Errorf("ended after %d ms: %d more dials, %d under way, %d connections", ms, l.dials-dials, l.underWay, len(s.Conns))
		}
	}
}

// On real sockets: a dial that hangs is overtaken by the next one, and given up.
func TestDial_IsOvertaken(t *testing.T) {
	s := nsqtest.Start(t)
	l := startLoop(t)
	var dials atomic.Int32
	gaveUp := make(chan error, 1)
	o, err := client.Options{
		DialTimeout: time.Minute,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if dials.Add(1) == 1 {
				<-ctx.Done()
				gaveUp <- ctx.Err()
				return nil, ctx.Err()
			}
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	}.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	ready, closed := make(chan struct{}), make(chan error, 1)
	r := &recorder{onReady: func(*client.Conn) { close(ready) }}
	if err := l.Post(func() { client.Dial(l, s.TCPAddr(), o, closing{r, closed}) }); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(30 * time.Second)
	select {
	case <-ready:
	case err := <-closed:
		t.Fatal(err)
	case <-deadline:
		t.Fatal("not ready after 30 s")
	}
	select {
	case err := <-gaveUp:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the first dial ended with %v", err)
		}
	case <-deadline:
		t.Error("the first dial goes on")
	}
	if n := dials.Load(); n < 2 {
		t.Errorf("%d dials", n)
	}
}
