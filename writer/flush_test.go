package writer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/writer"
)

// Flush waits for what was published before it, and for nothing else.
func TestWriter_Flush(t *testing.T) {
	g := start(t, 2, writer.Options{})
	g.do(func() { g.s[0].Conns[0].Mute, g.s[1].Conns[0].Mute = true, true })
	g.publish("1")
	g.run(10 * time.Millisecond)
	g.publish("2")
	flushed := make(chan error, 1)
	seen := 0
	g.background(func() {
		err := g.w.Flush(context.Background())
		seen = len(g.rs.names)
		flushed <- err
	})
	g.run(10 * time.Millisecond)
	g.publish("other")
	g.run(10 * time.Millisecond)
	g.publish("3")
	g.run(10 * time.Millisecond)
	answer := func(name string) {
		t.Helper()
		for _, s := range g.s {
			if bodies := s.Bodies(); len(bodies) > 0 && slices.Contains(bodies, name) {
				g.do(func() {
					s.Conns[0].Mute = false
					s.Conns[0].OK()
					s.Conns[0].Mute = true
				})
			}
		}
		g.run(10 * time.Millisecond)
		if g.rs.times[name] != 1 {
			t.Fatalf("%s is not the oldest at its nsqd: %q and %q", name, g.s[0].Bodies(), g.s[1].Bodies())
		}
	}
	answer("2")
	answer("3") // behind 2, at the same nsqd
	waiting := func(want int) {
		t.Helper()
		n := 0
		g.do(func() { n = writer.Flushing(g.w) })
		if n != want {
			t.Fatalf("%d flushes wait after %q, want %d", n, g.rs.names, want)
		}
	}
	waiting(1)
	answer("1")
	waiting(0)
	if err := <-flushed; err != nil || seen != 3 {
		t.Errorf("got %v after %d results, want nil after 3", err, seen)
	}
	// ctx, and what a Flush that was given up leaves behind: nothing.
	ctx, cancel := context.WithCancel(context.Background())
	g.background(func() { flushed <- g.w.Flush(ctx) })
	g.run(10 * time.Millisecond)
	waiting(1)
	cancel()
	if err := <-flushed; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	g.run(10 * time.Millisecond)
	waiting(0)
	// Close ends publishes, and so Flush.
	g.background(func() { flushed <- g.w.Flush(context.Background()) })
	g.run(10 * time.Millisecond)
	waiting(1)
	g.do(func() { g.w.Close() })
	g.run(10 * time.Millisecond)
	waiting(0)
	if err := <-flushed; err != nil {
		t.Error(err)
	}
	g.background(func() { flushed <- g.w.Flush(context.Background()) }) // with nothing to wait for
	g.run(10 * time.Millisecond)
	waiting(0)
	if err := <-flushed; err != nil {
		t.Error(err)
	}
	if err := g.client.Close(); err != nil {
		t.Fatal(err)
	}
	if err := g.w.Flush(context.Background()); !errors.Is(err, writer.ErrClosed) {
		t.Errorf("after the loop: got %v, want %v", err, writer.ErrClosed)
	}
}

// What a done function publishes is not what Flush waits for, but done itself
// is.
func TestWriter_FlushWaitsForDone(t *testing.T) {
	l, s := startReal(t)
	w := mustRealWriter(t, l, s)
	for range 100 {
		n := 0
		for range 50 {
			w.Publish("t", []byte("x"), func(writer.Result) { n++ })
		}
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n != 50 {
			t.Fatalf("%d of 50 have ended", n)
		}
	}
}

// MaxWait ends what was not sent in time, and nothing else.
func TestWriter_MaxWait(t *testing.T) {
	for _, timeout := range []time.Duration{0, -1} {
		g := start(t, 1, writer.Options{Window: 1, MaxWait: time.Second, Timeout: timeout, ReplyTimeout: -1, Client: silent})
		g.do(func() { g.s[0].Conns[0].Mute = true })
		g.publish("sent", "waits")
		g.run(500 * time.Millisecond)
		g.publish("later")
		g.run(490 * time.Millisecond)
		g.rs.want(t)
		g.run(20 * time.Millisecond)
		g.rs.want(t, "waits not sent")
		if err := g.rs.all["waits"].Err; !errors.Is(err, client.ErrTimeout) {
			t.Errorf("got %v, want %v", err, client.ErrTimeout)
		}
		g.run(500 * time.Millisecond)
		g.rs.want(t, "waits not sent", "later not sent")
		g.run(3600 * time.Millisecond)
		if timeout == 0 {
			g.rs.want(t, "waits not sent", "later not sent", "sent unknown")
			continue
		}
		g.run(time.Hour)
		g.rs.want(t, "waits not sent", "later not sent")
	}
}

// Shutdown says what it had to end.
func TestWriter_ShutdownReports(t *testing.T) {
	g := start(t, 1, writer.Options{Window: 2, Timeout: -1, ReplyTimeout: -1, Client: silent})
	conn := g.s[0].Conns[0]
	g.do(func() { conn.Mute = true })
	for i := range 10 {
		g.publish(fmt.Sprint(i))
	}
	ctx, cancel := context.WithCancel(context.Background())
	err := make(chan error, 1)
	g.background(func() { err <- g.w.Shutdown(ctx) })
	g.run(10 * time.Millisecond)
	g.publish("too late")
	g.do(func() {
		conn.Mute = false
		conn.OK()
		conn.Mute = true
	})
	g.run(10 * time.Millisecond)
	cancel()
	g.runUntil(func() bool { return len(err) == 1 })
	e := <-err
	var report *writer.ShutdownError
	if !errors.As(e, &report) || report.NotSent != 7 || report.Unknown != 2 || !errors.Is(e, context.Canceled) {
		t.Fatalf("got %v, want 7 not sent and 2 unknown", e)
	}
	if want := "7 publishes were not sent, and of 2 the outcome is unknown"; !strings.Contains(e.Error(), want) {
		t.Errorf("got %q", e)
	}
	if len(g.rs.names) != 11 {
		t.Errorf("%d have ended, want 11", len(g.rs.names))
	}
}

// Whoever has waited for the end has heard of everything before.
func TestWriter_ShutdownReturnsBehindTheLastDone(t *testing.T) {
	l, _ := startReal(t)
	w, err := writer.New(l, writer.Options{NSQDs: []string{"127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	begun, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	w.Publish("t", []byte("x"), func(writer.Result) {
		close(begun)
		<-goOn
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond) // the first dial has failed
	defer cancel()
	go func() {
		_ = w.Shutdown(ctx)
		close(ended)
	}()
	<-begun
	select {
	case <-ended:
		t.Error("Shutdown returns before done has")
	case <-time.After(20 * time.Millisecond):
	}
	close(goOn)
	<-ended
}
