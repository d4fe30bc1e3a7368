package loop_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop"
)

func newEngine(t *testing.T, o loop.Options) *loop.Engine {
	t.Helper()
	e, err := loop.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestRun_DrainsWhenItsContextEnds(t *testing.T) {
	e := newEngine(t, loop.Options{})
	drained := false
	e.OnShutdown(func(done func()) { e.After(time.Millisecond, func() { drained = true; done() }) })
	ctx, cancel := context.WithCancel(context.Background())
	_ = e.Post(cancel)
	if err := e.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if !drained {
		t.Error("Run returned before the drain was done")
	}
	if err := e.Post(func() {}); err != loop.ErrClosed {
		t.Errorf("Post: %v", err)
	}
	if err := e.Run(ctx); !errors.Is(err, loop.ErrClosed) {
		t.Errorf("second Run: %v", err)
	}
	if err := e.Start(); !errors.Is(err, loop.ErrClosed) {
		t.Errorf("Start: %v", err)
	}
}

func TestRun_CutsADrainOff(t *testing.T) {
	e := newEngine(t, loop.Options{DrainTimeout: 10 * time.Millisecond})
	e.OnShutdown(func(func()) {})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := e.Run(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "drain cut off") {
		t.Errorf("error: %v", err)
	}
}

// A callback that does not return cannot keep a process from its end: Run names
// it, and the loop ends when it does return.
func TestRun_NamesTheCallbackThatHoldsTheLoop(t *testing.T) {
	e := newEngine(t, loop.Options{DrainTimeout: time.Millisecond})
	held, release := make(chan struct{}), make(chan struct{})
	told := make(chan error, 1)
	l := running{e}
	addr := l.listen(t, func(loop.Conn) loop.Handler {
		return &handler{
			name:    "reader orders/billing",
			onData:  func(_ loop.Conn, p []byte) int { close(held); <-release; return len(p) },
			onClose: func(err error) { told <- err },
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	began := time.Now()
	go func() { ran <- e.Run(ctx) }()
	_, _ = dial(t, addr).Write([]byte("x"))
	wait(t, "the handler has the loop", held)
	cancel()
	err := wait(t, "Run returns", ran)
	if took := time.Since(began); took > 5*loop.Grace {
		t.Errorf("Run took %v", took)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error: %v", err)
	}
	contains(t, err.Error(), "drain cut off", "a callback holds the loop: OnData of reader orders/billing")
	close(release)
	if err := e.Close(); err != nil { // the end that Run has begun
		t.Fatal(err)
	}
	if err := wait(t, "OnClose", told); !errors.Is(err, loop.ErrClosed) {
		t.Errorf("OnClose: %v", err)
	}
}

func TestShutdown_NamesADrainThatHoldsTheLoop(t *testing.T) {
	e := newEngine(t, loop.Options{})
	e.SetGrace(10 * time.Millisecond)
	held, release := make(chan struct{}), make(chan struct{})
	e.OnShutdown(func(done func()) { close(held); <-release; done() })
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Shutdown(ctx) }()
	wait(t, "the drain has the loop", held)
	cancel()
	err := wait(t, "Shutdown returns", ended)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v", err)
	}
	contains(t, err.Error(), "a callback holds the loop: OnShutdown function github.com/nsqloop/nsqloop/loop_test.TestShutdown_Names")
	close(release)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// A callback may return in the moment in which it is looked at.
func TestShutdown_ACallbackReturnsAtTheLimit(t *testing.T) {
	for i := range 200 {
		e := newEngine(t, loop.Options{})
		e.SetGrace(time.Millisecond)
		if err := e.Start(); err != nil {
			t.Fatal(err)
		}
		held := make(chan struct{})
		limit := time.Millisecond + time.Duration(i-100)*5*time.Microsecond
		_ = e.Post(func() {
			close(held)
			for began := time.Now(); time.Since(began) < limit; { // it holds the loop
			}
		})
		wait(t, "the callback runs", held)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		err := e.Shutdown(ctx)
		// It is nil when the callback was over before it was looked at.
		if err != nil && (!errors.Is(err, context.Canceled) || strings.HasSuffix(err.Error(), "holds the loop: ")) {
			t.Fatalf("error: %v", err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRun_EndsWithTheLoop(t *testing.T) {
	e := newEngine(t, loop.Options{})
	ran := make(chan error, 1)
	go func() { ran <- e.Run(context.Background()) }()
	posted := make(chan struct{})
	_ = e.Post(func() { close(posted) })
	wait(t, "the loop runs", posted)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := wait(t, "Run returns", ran); err != nil {
		t.Errorf("error: %v", err)
	}
}

func TestEngine_WaitingCallsRefuseOnTheLoop(t *testing.T) {
	l := start(t, loop.Options{})
	l.Do(t, func() {
		for name, call := range map[string]func() error{
			"Close":    l.Close,
			"Shutdown": func() error { return l.Shutdown(context.Background()) },
			"Run":      func() error { return l.Run(context.Background()) },
		} {
			if err := call(); !errors.Is(err, loop.ErrOnLoop) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	l.Do(t, func() {})
}

func TestShutdown_RunsDrainsOfALoopThatNeverStarted(t *testing.T) {
	e := newEngine(t, loop.Options{})
	var got []string
	_ = e.Post(func() { got = append(got, "posted") })
	e.OnShutdown(func(done func()) { got = append(got, "drained"); done() })
	if err := e.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if strings.Join(got, " ") != "posted drained" {
		t.Errorf("got %v", got)
	}
}

func TestShutdown_TwoCallersWaitForTheSameDrains(t *testing.T) {
	l := start(t, loop.Options{})
	release := make(chan struct{})
	began := make(chan struct{})
	drained := false
	l.OnShutdown(func(done func()) {
		close(began)
		l.Go(func() func() { <-release; return func() { drained = true; done() } })
	})
	ended := make(chan error, 2)
	for range 2 {
		go func() { ended <- l.Shutdown(context.Background()) }()
	}
	wait(t, "the drain begins", began)
	if len(ended) > 0 {
		t.Error("a Shutdown returned before the drain was done")
	}
	close(release)
	for range 2 {
		if err := wait(t, "Shutdown", ended); err != nil {
			t.Error(err)
		}
	}
	if !drained {
		t.Error("the drain was cut off")
	}
}

func TestClose_OfALoopThatNeverStarted(t *testing.T) {
	e := newEngine(t, loop.Options{})
	ran := 0
	_ = e.Post(func() { ran++ })
	var told []error
	e.Dial("127.0.0.1:1", loop.DialOptions{}, &handler{onClose: func(err error) { told = append(told, err) }})
	ln, err := e.Listen("127.0.0.1:0", echo)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if ran != 1 || len(told) != 1 || !errors.Is(told[0], loop.ErrClosed) {
		t.Errorf("ran %d, told %v", ran, told)
	}
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
	if _, err := e.Listen(ln.Addr().String(), echo); !errors.Is(err, loop.ErrClosed) {
		t.Errorf("Listen: %v", err)
	}
	other := start(t, loop.Options{})
	if _, err := other.Listen(ln.Addr().String(), echo); err != nil {
		t.Errorf("the address is still taken: %v", err)
	}
}

func TestClose_DropsTheResultOfWork(t *testing.T) {
	l := start(t, loop.Options{})
	began, release, worked := make(chan struct{}), make(chan struct{}), make(chan struct{})
	l.Go(func() func() {
		defer close(worked)
		close(began)
		<-release
		return func() { t.Error("it ran") }
	})
	wait(t, "the work begins", began)
	if err := l.Close(); err != nil { // does not wait for the work
		t.Fatal(err)
	}
	close(release)
	wait(t, "the work ends", worked)
}
