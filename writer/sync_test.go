package writer_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/internal/mocknsqd"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/writer"
)

// Statements 89 to 92 for the calls that wait.
func TestWriter_SyncCalls(t *testing.T) {
	l, s := startReal(t)
	w := mustRealWriter(t, l, s)
	ctx := t.Context()
	for name, err := range map[string]error{
		"PublishSync":         w.PublishSync(ctx, "t", []byte("x")),
		"MultiPublishSync":    w.MultiPublishSync(ctx, "t", [][]byte{[]byte("x"), []byte("y")}),
		"DeferredPublishSync": w.DeferredPublishSync(ctx, "t", time.Second, []byte("x")),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, row := range map[string]struct{ got, want error }{
		"empty":     {w.PublishSync(ctx, "t", nil), client.ErrBadMessage},
		"topic":     {w.PublishSync(ctx, "a b", []byte("x")), client.ErrBadTopic},
		"no bodies": {w.MultiPublishSync(ctx, "t", nil), client.ErrBadBody},
		"delay":     {w.DeferredPublishSync(ctx, "t", -1, []byte("x")), client.ErrInvalid},
	} {
		if !errors.Is(row.got, row.want) {
			t.Errorf("%s: got %v, want %v", name, row.got, row.want)
		}
	}
	if got := w.Stats(); got.Confirmed != 3 || got.Messages != 4 || got.Rejected != 4 || got.Pending != 0 {
		t.Errorf("got %+v", got)
	}
}

// A context that ends says what is known: nothing was sent, or it is unknown.
func TestWriter_SyncContext(t *testing.T) {
	g := start(t, 1, writer.Options{Window: 1, Timeout: -1, ReplyTimeout: -1, Client: silent})
	conn := g.s[0].Conns[0]
	g.do(func() { conn.Mute = true })
	ctx, cancel := context.WithCancel(context.Background())
	sent, waiting := make(chan error, 1), make(chan error, 1)
	g.background(func() { sent <- g.w.PublishSync(ctx, "t", []byte("sent")) })
	g.run(time.Second)
	g.background(func() { waiting <- g.w.PublishSync(ctx, "t", []byte("waiting")) })
	g.run(time.Second)
	cancel()
	if err := <-sent; writer.OutcomeOf(err) != writer.Unknown || !errors.Is(err, context.Canceled) {
		t.Errorf("sent: got %v", err)
	}
	if err := <-waiting; writer.OutcomeOf(err) != writer.NotSent || !errors.Is(err, context.Canceled) {
		t.Errorf("waiting: got %v", err)
	}
	if err := g.w.PublishSync(ctx, "t", []byte("x")); writer.OutcomeOf(err) != writer.NotSent || !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: got %v", err)
	}
	// What was given up is not sent later.
	g.do(func() {
		conn.Mute = false
		conn.OK()
	})
	g.publish("next")
	g.run(time.Second)
	g.rs.want(t, "next confirmed")
	if got := g.s[0].Bodies(); !slices.Equal(got, []string{"sent", "next"}) {
		t.Errorf("published: got %q, want sent and next", got)
	}
	if got := g.stats(); got.Pending != 0 {
		t.Errorf("%d pending, want 0", got.Pending)
	}
}

// Statement 121: when it is full, those that can wait do, in order, and go
// before those that cannot.
func TestWriter_SyncWaitsForRoom(t *testing.T) {
	g := start(t, 1, writer.Options{MaxPending: 1, Timeout: -1, ReplyTimeout: -1, Client: silent})
	conn := g.s[0].Conns[0]
	g.do(func() { conn.Mute = true })
	g.publish("first")
	g.run(time.Second)
	ctx, cancel := context.WithCancel(context.Background())
	blocked := func() int {
		n, _ := writer.Blocked(g.w)
		return n
	}
	errs := make([]chan error, 3)
	for i := range errs {
		errs[i] = make(chan error, 1)
		c := context.Background()
		if i == 1 {
			c = ctx
		}
		go func() { errs[i] <- g.w.PublishSync(c, "t", []byte(fmt.Sprint("blocked ", i))) }()
		g.runUntil(func() bool { return blocked() == i+1 })
	}
	g.publish("refused")
	g.run(time.Second)
	g.rs.want(t, "refused not sent")
	cancel()
	if err := <-errs[1]; writer.OutcomeOf(err) != writer.NotSent || !errors.Is(err, context.Canceled) {
		t.Errorf("given up: got %v", err)
	}
	g.runUntil(func() bool { return blocked() == 2 })
	g.do(func() {
		conn.Mute = false
		conn.OK()
	})
	g.runUntil(func() bool { return len(errs[0]) == 1 && len(errs[2]) == 1 })
	if err := errors.Join(<-errs[0], <-errs[2]); err != nil {
		t.Error(err)
	}
	if got := g.s[0].Bodies(); !slices.Equal(got, []string{"first", "blocked 0", "blocked 2"}) {
		t.Errorf("published: got %q", got)
	}
	// Close ends those that wait for room.
	g.do(func() { g.s[0].Conns[0].Mute = true })
	g.publish("second")
	g.run(time.Second)
	go func() { errs[0] <- g.w.PublishSync(context.Background(), "t", []byte("x")) }()
	g.runUntil(func() bool { return blocked() == 1 })
	g.do(func() { g.w.Close() })
	g.runUntil(func() bool { return len(errs[0]) == 1 })
	if err := <-errs[0]; !errors.Is(err, writer.ErrClosed) || writer.OutcomeOf(err) != writer.NotSent {
		t.Errorf("got %v, want %v", err, writer.ErrClosed)
	}
}

// Statements 103 and 110.
func TestWriter_WaitReady(t *testing.T) {
	l, s := startReal(t)
	w := mustRealWriter(t, l, s)
	if err := w.WaitReady(t.Context()); err != nil {
		t.Error(err)
	}
	if err := w.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := w.WaitReady(t.Context()); !errors.Is(err, writer.ErrClosed) {
		t.Errorf("after Shutdown: got %v, want %v", err, writer.ErrClosed)
	}

	g := &given{world: newWorld(t, 1), t: t}
	g.w = g.writer(writer.Options{NSQDs: []string{"a:4150"}})
	ctx, cancel := context.WithCancel(context.Background())
	err := make(chan error, 1)
	g.background(func() { err <- g.w.WaitReady(ctx) })
	g.run(time.Second)
	cancel()
	var dns *net.DNSError
	if e := <-err; !errors.Is(e, context.Canceled) || !errors.As(e, &dns) {
		t.Errorf("nobody there: got %v, want the context's error and the dial's", e)
	}
	s2 := g.mock(0)
	s2.OnAccept = func(c *mocknsqd.Conn) bool { return true }
	s2.Identify = "nonsense"
	g.background(func() { err <- g.w.WaitReady(context.Background()) })
	g.run(time.Second)
	s2.Identify = "OK"
	g.runUntil(func() bool { return len(err) == 1 })
	if e := <-err; e != nil {
		t.Errorf("once it answers: got %v", e)
	}
}

// Statement 122: many goroutines, one Writer, on real sockets. With -race it
// shows that nothing is shared that should not be.
func TestWriter_ManyGoroutines(t *testing.T) {
	l, s := startReal(t)
	w, err := writer.New(l, writer.Options{NSQDs: []string{s.Addr()}, MaxPending: 500})
	if err != nil {
		t.Fatal(err)
	}
	const goroutines, each = 1000, 10
	var wg sync.WaitGroup
	ended := make(chan error, goroutines*each)
	for i := range goroutines {
		wg.Go(func() {
			for n := range each {
				if (i+n)%2 == 0 {
					ended <- w.PublishSync(t.Context(), "t", []byte("x"))
					continue
				}
				w.Publish("t", []byte("x"), func(r writer.Result) { ended <- r.Err })
			}
		})
	}
	wg.Wait()
	if err := w.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if len(ended) != goroutines*each {
		t.Fatalf("%d ended, want %d", len(ended), goroutines*each)
	}
	for range goroutines * each {
		if err := <-ended; err != nil && !errors.Is(err, writer.ErrFull) {
			t.Fatal(err)
		}
	}
}

// Whatever the way in which the loop ends, every done is called, once, and so
// are those of publishes that come too late.
func TestWriter_LoopEnds(t *testing.T) {
	for _, row := range []struct {
		name  string
		nsqd  bool // there is one
		end   func(e *loop.Engine) error
		wants writer.Outcome
	}{
		{"shutdown", true, func(e *loop.Engine) error { return e.Shutdown(context.Background()) }, writer.Confirmed},
		{"shutdown without an nsqd", false, func(e *loop.Engine) error { return e.Shutdown(context.Background()) }, writer.NotSent},
	} {
		t.Run(row.name, func(t *testing.T) {
			l, s := startReal(t)
			addr := s.Addr()
			if !row.nsqd {
				addr = "127.0.0.1:1" // nobody listens there
			}
			w, err := writer.New(l, writer.Options{NSQDs: []string{addr}})
			if err != nil {
				t.Fatal(err)
			}
			results := make(chan writer.Result, 20)
			for range 10 {
				w.Publish("t", []byte("x"), func(r writer.Result) { results <- r })
			}
			if err := row.end(l.(*loop.Engine)); err != nil {
				t.Error(err)
			}
			for range 10 {
				if r := <-results; r.Outcome() != row.wants {
					t.Errorf("got %v, want %v", r, row.wants)
				}
			}
			for range 10 {
				w.Publish("t", []byte("late"), func(r writer.Result) { results <- r })
			}
			for range 10 {
				if r := <-results; !errors.Is(r.Err, writer.ErrClosed) {
					t.Errorf("late: got %v, want %v", r.Err, writer.ErrClosed)
				}
			}
			if err := w.PublishSync(t.Context(), "t", []byte("x")); !errors.Is(err, writer.ErrClosed) {
				t.Errorf("late PublishSync: got %v, want %v", err, writer.ErrClosed)
			}
			if err := w.Shutdown(t.Context()); err != nil {
				t.Errorf("late Shutdown: got %v", err)
			}
			_ = w.Stats()
		})
	}
}
