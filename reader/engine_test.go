package reader

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

// The tests of this file run on real sockets and goroutines, for the race
// detector. Everything that can be shown in virtual time is shown elsewhere.

// patience bounds the waits of these tests.
const patience = 20 * time.Second

// onLoop runs f on l and waits for it.
func onLoop(t testing.TB, l loop.Loop, f func()) {
	t.Helper()
	done := make(chan struct{})
	if err := l.Post(func() { f(); close(done) }); err != nil {
		t.Fatal(err)
	}
	<-done
}

// realBroker starts a broker on a loop of its own.
func realBroker(t testing.TB) (b *broker, addr string) {
	t.Helper()
	l := startLoop(t)
	onLoop(t, l, func() {
		b = newBroker(t, l, "127.0.0.1:0")
		addr = b.mock.Addr()
	})
	return b, addr
}

// publishMany publishes n messages.
func publishMany(t testing.TB, b *broker, n int) {
	t.Helper()
	onLoop(t, b.l, func() {
		bodies := make([]string, n)
		for i := range bodies {
			bodies[i] = fmt.Sprint(i)
		}
		b.publish(bodies...)
	})
}

// await polls a condition on a loop until it holds.
func await(t testing.TB, l loop.Loop, what string, holds func() bool) {
	t.Helper()
	reached := make(chan struct{})
	var timer loop.Timer
	onLoop(t, l, func() {
		timer = l.Every(time.Millisecond, func() {
			if holds() {
				timer.Stop()
				close(reached)
			}
		})
	})
	select {
	case <-reached:
	case <-time.After(patience):
		t.Fatalf("never came: %s", what)
	}
}

// Eight workers have eight messages without a word of MaxInFlight: each waits
// until all have one.
func TestReader_WorkersAllHaveAMessage(t *testing.T) {
	b, addr := realBroker(t)
	l := startLoop(t)
	const n = 8
	var meeting sync.WaitGroup
	meeting.Add(n)
	r, err := New(l, Options{Topic: "t", Channel: "c", NSQDs: []string{addr}, Workers: n, Handler: func(m *Message) error {
		meeting.Done()
		meeting.Wait()
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	publishMany(t, b, n)
	met := make(chan struct{})
	go func() { meeting.Wait(); close(met) }()
	select {
	case <-met:
	case <-time.After(patience):
		t.Fatal("eight workers never had a message at once")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v", err)
	}
}

// A worker that shuts its reader down waits for itself, until its context ends.
func TestReader_ShutdownByAWorkerWaitsForIt(t *testing.T) {
	b, addr := realBroker(t)
	l := startLoop(t)
	said := make(chan error, 1)
	var r *Reader
	made := make(chan struct{})
	r, err := New(l, Options{Topic: "t", Channel: "c", NSQDs: []string{addr}, Workers: 1, Handler: func(m *Message) error {
		<-made
		m.Finish()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		said <- r.Shutdown(ctx)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	close(made)
	publishMany(t, b, 1)
	select {
	case err := <-said:
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("shutdown: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the shutdown never returned")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.Shutdown(ctx); err != nil {
		t.Errorf("shutdown once the handler has returned: %v", err)
	}
}

func TestReader_WorkersHandleEveryMessageOnce_11(t *testing.T) {
	b, addr := realBroker(t)
	l := startLoop(t)
	const n = 2000
	var running, most, handled atomic.Int64
	r, err := New(l, Options{
		Topic: "t", Channel: "c", NSQDs: []string{addr}, MaxInFlight: 50, Workers: 8,
		Handler: func(m *Message) error {
			now := running.Add(1)
			defer running.Add(-1)
			for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
			}
			handled.Add(1)
			switch m.ID[len(m.ID)-1] % 3 {
			case 0:
				m.Touch()
				m.Finish()
			case 1:
				if m.Attempts == 1 {
					return WithoutBackoff(RequeueAfter(time.Millisecond, nil))
				}
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	publishMany(t, b, n)
	await(t, b.l, "all messages finished", func() bool { return b.finished() == n })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if most.Load() > 8 {
		t.Errorf("%d handlers ran at once, want at most 8", most.Load())
	}
	s := r.Stats()
	if s.Connections != 0 || s.Received != s.Handled || s.Handled != uint64(handled.Load()) || s.Finished != n {
		t.Errorf("after the end: %+v; handlers ran %d times", s, handled.Load())
	}
}

func TestReader_AnswersFromAnyGoroutine_11_12(t *testing.T) {
	b, addr := realBroker(t)
	l := startLoop(t)
	const n = 1000
	var effective atomic.Int64
	var answering sync.WaitGroup
	_, err := New(l, Options{
		Topic: "t", Channel: "c", NSQDs: []string{addr}, MaxInFlight: 10,
		Handler: func(m *Message) error {
			answering.Add(1)
			go func() {
				defer answering.Done()
				m.Touch()
				var both sync.WaitGroup
				for range 2 { // a race for the one answer
					both.Add(1)
					go func() {
						defer both.Done()
						if m.Finish() {
							effective.Add(1)
						}
					}()
				}
				both.Wait()
				if m.Touch() || m.Requeue(AutoDelay) {
					t.Error("an answered message took another answer")
				}
				if !m.Deadline().IsZero() || !m.Responded() {
					t.Error("an answered message has a deadline")
				}
			}()
			return Pending
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	publishMany(t, b, n)
	await(t, b.l, "all messages finished", func() bool { return b.finished() == n })
	answering.Wait()
	if effective.Load() != n {
		t.Errorf("%d answers had an effect, want %d", effective.Load(), n)
	}
}

func TestReader_ShutdownWaitsForWorkersAndReturnsWhatTheyHaveNotStarted_72_73(t *testing.T) {
	b, addr := realBroker(t)
	l := startLoop(t)
	started, release := make(chan struct{}, 10), make(chan struct{})
	r, err := New(l, Options{
		Topic: "t", Channel: "c", NSQDs: []string{addr}, MaxInFlight: 10, Workers: 2,
		Handler: func(m *Message) error {
			started <- struct{}{}
			<-release
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	publishMany(t, b, 10)
	<-started
	<-started
	await(t, l, "ten messages in flight", func() bool { return r.snapshot().InFlight == 10 })
	shut := make(chan error)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		shut <- r.Shutdown(ctx)
	}()
	await(t, b.l, "eight messages back", func() bool { return len(b.waiting) == 8 })
	close(release)
	if err := <-shut; err != nil {
		t.Errorf("shutdown: %v", err)
	}
	await(t, b.l, "the connection closed", func() bool { return b.open() == 0 })
	onLoop(t, b.l, func() {
		if got := b.finished(); got != 2 {
			t.Errorf("%d messages finished, want 2", got)
		}
	})
	if s := r.Stats(); s.Handled != 2 || s.Returned != 8 || s.Finished != 2 || s.Received != 10 {
		t.Errorf("got %+v", s)
	}
	if err := r.Shutdown(t.Context()); err != nil { // statement 74
		t.Errorf("second shutdown: %v", err)
	}
}

func TestReader_ShutdownIsCutOffByItsContext_72(t *testing.T) {
	b, addr := realBroker(t)
	l := startLoop(t)
	got := make(chan *Message, 1)
	r, err := New(l, Options{
		Topic: "t", Channel: "c", NSQDs: []string{addr},
		Handler: func(m *Message) error { got <- m; return Pending },
	})
	if err != nil {
		t.Fatal(err)
	}
	publishMany(t, b, 1)
	m := <-got
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("shutdown: %v, want context canceled", err)
	}
	await(t, b.l, "the connection closed", func() bool { return b.open() == 0 })
	await(t, l, "the reader's end", func() bool { return r.final.Load() != nil })
	if m.Finish() { // statement 81
		t.Error("an answer after the end had an effect")
	}
}

func TestReader_CallsOnTheLoopNeverWaitForThemselves(t *testing.T) {
	_, addr := realBroker(t)
	l := startLoop(t)
	o := valid()
	o.NSQDs = []string{addr}
	r, err := New(l, o)
	if err != nil {
		t.Fatal(err)
	}
	onLoop(t, l, func() {
		if err := r.Shutdown(context.Background()); !errors.Is(err, client.ErrWouldBlock) {
			t.Errorf("shutdown on the loop: %v, want ErrWouldBlock", err)
		}
		if s := r.Stats(); s.Topic != "topic" {
			t.Errorf("stats on the loop: %+v", s)
		}
		if err := r.Close(); err != nil {
			t.Errorf("close on the loop: %v", err)
		}
	})
	<-r.done
}

func TestReader_CloseBeforeTheLoopRuns_71(t *testing.T) {
	l, err := loop.New(loop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(l, valid())
	if err != nil {
		t.Fatal(err)
	}
	r2, err := New(l, valid())
	if err != nil {
		t.Fatal(err)
	}
	if s := r.Stats(); s.Topic != "topic" || s.Connections != 0 {
		t.Errorf("stats: %+v", s)
	}
	if err := errors.Join(r.Close(), r.Close(), r2.Shutdown(t.Context()), r2.Shutdown(t.Context())); err != nil {
		t.Error(err)
	}
	if err := r.SetMaxInFlight(5); !errors.Is(err, ErrClosed) {
		t.Errorf("SetMaxInFlight after Close: %v, want ErrClosed", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := New(l, valid()); !errors.Is(err, ErrClosed) {
		t.Errorf("New on a stopped loop: %v, want ErrClosed", err)
	}
}

func TestReader_LoopShutdownDrains_72(t *testing.T) {
	b, addr := realBroker(t)
	l, err := loop.New(loop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan *Message, 1)
	r, err := New(l, Options{
		Topic: "t", Channel: "c", NSQDs: []string{addr},
		Handler: func(m *Message) error { got <- m; return Pending },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error)
	go func() { ran <- l.Run(ctx) }()
	publishMany(t, b, 1)
	m := <-got
	cancel()
	await(t, b.l, "CLS", func() bool { return b.peers[0].closing })
	if !m.Finish() {
		t.Error("an answer during the shutdown has no effect")
	}
	if err := <-ran; err != nil {
		t.Errorf("run: %v", err)
	}
	onLoop(t, b.l, func() {
		if b.finished() != 1 {
			t.Error("the answer was not sent")
		}
	})
	if s := r.Stats(); s.Finished != 1 || s.Connections != 0 {
		t.Errorf("got %+v", s)
	}
}

func TestReader_ManyGoroutinesUseItAtOnce(t *testing.T) {
	b, addr := realBroker(t)
	l := startLoop(t)
	r, err := New(l, Options{
		Topic: "t", Channel: "c", NSQDs: []string{addr}, MaxInFlight: 10, Workers: 4,
		Handler: func(m *Message) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	publishMany(t, b, 500)
	var all sync.WaitGroup
	for i := range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			for range 50 {
				r.Stats()
				r.Starved()
				err := errors.Join(r.SetMaxInFlight(1+i), r.Pause(), r.Resume())
				other := fmt.Sprintf("127.0.0.1:%d", 2+i)
				err = errors.Join(err, r.AddNSQD(other), r.RemoveNSQD(other))
				if err != nil {
					t.Error(err)
				}
			}
		}()
	}
	all.Wait()
	await(t, b.l, "all messages finished", func() bool { return b.finished() == 500 })
	r.Close()
	<-r.done
}

// TestReader_AgainstTheServer consumes from the server of this module, with
// failures, until its channel says that nothing is left.
func TestReader_AgainstTheServer(t *testing.T) {
	s := nsqtest.Start(t)
	const n = 300
	for i := range n {
		s.Publish("t", fmt.Sprint(i))
	}
	l := startLoop(t)
	var left atomic.Int64
	left.Store(n)
	all := make(chan struct{})
	r, err := New(l, Options{
		Topic: "t", Channel: "c", NSQDs: []string{s.TCPAddr()}, MaxInFlight: 20, Workers: 4, RequeueDelay: -1,
		Handler: func(m *Message) error {
			if m.Attempts == 1 && m.Body[len(m.Body)-1] == '7' {
				return WithoutBackoff(errBoom)
			}
			if left.Add(-1) == 0 {
				close(all)
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-all:
	case <-time.After(patience):
		t.Fatalf("%d messages are left", left.Load())
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if got := r.Stats(); got.Finished != n || got.Requeued != n/10 || got.Refused != 0 {
		t.Errorf("got %+v", got)
	}
}
