package writer_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/writer"
)

// unstarted makes a Writer on a loop that nobody has started. The loop ends with the
// test.
func unstarted(t *testing.T) (*loop.Engine, *writer.Writer) {
	t.Helper()
	l, err := loop.New(loop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	w, err := writer.New(l, writer.Options{NSQDs: []string{"127.0.0.1:1", "127.0.0.1:2"}, Timeout: -1})
	if err != nil {
		t.Fatal(err)
	}
	return l, w
}

// soon fails the test when f does not return.
func soon(t *testing.T, what string, f func()) {
	t.Helper()
	returned := make(chan struct{})
	go func() { f(); close(returned) }()
	select {
	case <-returned:
	case <-time.After(10 * time.Second):
		t.Fatal(what + " does not return")
	}
}

// On a loop that was never started, Shutdown has nothing to wait for, and Stats says
// what there is.
func TestWriter_UnstartedLoop(t *testing.T) {
	l, w := unstarted(t)
	soon(t, "Stats", func() {
		if s := w.Stats(); len(s.NSQDs) != 2 || s.NSQDs[1].Addr != "127.0.0.1:2" || !s.NSQDs[1].Direct || s.Pending != 0 {
			t.Errorf("got %+v, want two nsqds and nothing pending", s)
		}
	})
	for range 2 {
		soon(t, "Shutdown", func() {
			if err := w.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	soon(t, "Stats", func() { w.Stats() })
	// It stays closed when the loop starts after all, and dials nobody.
	if err := l.Start(); err != nil {
		t.Fatal(err)
	}
	if err := w.PublishSync(t.Context(), "t", []byte("x")); !errors.Is(err, writer.ErrClosed) {
		t.Errorf("got %v, want %v", err, writer.ErrClosed)
	}
	if s := w.Stats(); len(s.NSQDs) != 0 || s.NotSent != 1 {
		t.Errorf("got %+v, want no nsqds, and one not sent", s)
	}
	if err := w.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// What was published on a loop that was never started is waited for until ctx ends,
// and ends, on the loop, when that starts after all.
func TestWriter_UnstartedLoopWithPublishes(t *testing.T) {
	l, w := unstarted(t)
	results := make(chan error, 3)
	for range 3 {
		w.Publish("t", []byte("xy"), func(r writer.Result) {
			if !l.OnLoop() {
				t.Error("done runs elsewhere than on the loop")
			}
			results <- r.Err
		})
	}
	if s := w.Stats(); s.Pending != 3 || s.PendingBytes != 6 {
		t.Errorf("got %+v, want 3 pending with 6 bytes", s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	soon(t, "Shutdown", func() {
		var cut *writer.ShutdownError
		if err := w.Shutdown(ctx); !errors.As(err, &cut) || cut.NotSent != 3 || cut.Unknown != 0 || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want 3 not sent because of %v", err, context.Canceled)
		}
	})
	if len(results) > 0 {
		t.Error("done has run without the loop")
	}
	if err := l.Start(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := <-results; !errors.Is(err, writer.ErrClosed) {
			t.Errorf("got %v, want %v", err, writer.ErrClosed)
		}
	}
	if err := w.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
