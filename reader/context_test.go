package reader

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/loop/looptest"
)

// hold makes a reader that keeps what it gets.
func (w *world) hold(o Options) (*Reader, *[]*Message) {
	w.t.Helper()
	kept := new([]*Message)
	o.Handler = func(m *Message) error { *kept = append(*kept, m); return Pending }
	return w.reader(o), kept
}

// cause is why a context ended; "" while it has not.
func cause(ctx context.Context) string {
	if ctx.Err() == nil {
		return ""
	}
	return fmt.Sprintf("%v (%v)", context.Cause(ctx), ctx.Err())
}

func TestMessage_ContextEndsWithTheMessage(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	r, kept := w.hold(Options{MaxInFlight: 9})
	b.send("answered", "expired", "touched", "lost")
	w.until("four messages", func() bool { return len(*kept) == 4 })
	var ctxs []context.Context
	for _, m := range *kept {
		ctxs = append(ctxs, m.Context())
		if m.Context() != m.Context() {
			t.Error("a second call gives another context")
		}
		if got, ok := m.Context().Deadline(); !ok || !got.Equal(m.HardDeadline()) {
			t.Errorf("the context's deadline is %v, %v; want the hard one", got, ok)
		}
	}
	child, cancel := context.WithCancel(ctxs[1])
	defer cancel()
	w.Run(30 * time.Second)
	w.l.Do(func() { (*kept)[0].Finish(); (*kept)[2].Touch(); (*kept)[3].Touch() })
	w.Run(35 * time.Second)
	for i, want := range []string{
		"the message was answered (context canceled)",
		"context deadline exceeded (context deadline exceeded)",
		"", "",
	} {
		if got := cause(ctxs[i]); got != want {
			t.Errorf("%s: ended by %q, want %q", (*kept)[i].Body, got, want)
		}
	}
	if child.Err() == nil {
		t.Error("a context made of it goes on")
	}
	b.on(b.mock.Cut)
	w.until("the loss", func() bool { return ctxs[3].Err() != nil })
	if got := context.Cause(ctxs[3]); got != ErrLost {
		t.Errorf("ended by %v, want %v", got, ErrLost)
	}
	if s := r.snapshot(); s.Expired != 1 {
		t.Errorf("%d expired, want 1", s.Expired)
	}
}

func TestMessage_ContextAfterTheEnd(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	_, kept := w.hold(Options{})
	b.send("x")
	w.until("a message", func() bool { return len(*kept) == 1 })
	(*kept)[0].Finish()
	if got := context.Cause((*kept)[0].Context()); got != ErrAnswered {
		t.Errorf("ended by %v, want %v", got, ErrAnswered)
	}
	alone := &Message{}
	ctx := alone.Context()
	if _, ok := ctx.Deadline(); ok || ctx.Err() != nil || !alone.KeepAlive(0) || !alone.RequeueIn(time.Second) {
		t.Error("a message without reader has a deadline, or is over")
	}
	alone.Discard()
	if context.Cause(ctx) != ErrAnswered || alone.KeepAlive(0) || alone.RequeueIn(0) {
		t.Error("the answer to a message without reader does not end it")
	}
}

func TestMessage_ContextEndsAtDrain(t *testing.T) {
	for _, tt := range []struct{ grace, from, to time.Duration }{
		{0, 5 * time.Second, 5 * time.Second},
		{-1, 0, 0},
		{20 * time.Second, 20 * time.Second, 20 * time.Second},
	} {
		w := newWorld(t, looptest.Options{})
		b := w.broker("nsqd")
		r, kept := w.hold(Options{MaxInFlight: 3, DrainGrace: tt.grace})
		b.send("x", "y", "z")
		w.until("three messages", func() bool { return len(*kept) == 3 })
		x, y, z := (*kept)[0], (*kept)[1], (*kept)[2]
		ctx := x.Context()
		w.l.Do(r.leave)
		w.Run(tt.from - time.Millisecond)
		if tt.from > 0 && ctx.Err() != nil {
			t.Fatalf("grace %v: ended too early", tt.grace)
		}
		w.Run(10 * time.Millisecond)
		if got := context.Cause(ctx); got != ErrDraining {
			t.Errorf("grace %v: ended by %v, want %v", tt.grace, got, ErrDraining)
		}
		if late := y.Context(); context.Cause(late) != ErrDraining {
			t.Error("a context asked for after the grace goes on")
		}
		w.l.Do(func() {
			x.Answer(fmt.Errorf("get: %w", ctx.Err())) // gives it back
			y.Answer(errBoom)
			z.Finish() // has asked for nothing
		})
		w.until("the end", func() bool { return r.final.Load() != nil })
		b.wantTrace("SUB, RDY 1, RDY 3, CLS, REQ 0, REQ 90000, FIN")
		if s := r.final.Load(); s.Returned != 1 || s.Requeued != 1 || s.Finished != 1 {
			t.Errorf("%+v", s)
		}
	}
}

func TestMessage_KeepAlive(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	r, kept := w.hold(Options{MaxInFlight: 3})
	b.send("long", "limited", "plain")
	w.until("three messages", func() bool { return len(*kept) == 3 })
	long, limited, plain := (*kept)[0], (*kept)[1], (*kept)[2]
	w.l.Do(func() {
		if !long.KeepAlive(0) || !limited.KeepAlive(100*time.Second) {
			t.Error("open messages are not kept")
		}
	})
	w.Run(5*time.Minute + time.Second)
	if plain.endCause() != context.DeadlineExceeded || limited.endCause() != context.DeadlineExceeded {
		t.Errorf("ends are %v and %v", plain.endCause(), limited.endCause())
	}
	if long.Responded() || !long.Deadline().After(w.Now()) {
		t.Error("a message that was to be kept is gone")
	}
	// Touched at 0, 20, 40, 60, 80 s the limited one lasts until 140 s.
	if n := strings.Count(strings.Join(b.trace, " "), "TOUCH"); n != 2+4+15 {
		t.Errorf("%d touches, want 21", n)
	}
	if !long.Finish() {
		t.Error("it cannot be finished")
	}
	w.Run(30 * time.Second)
	if c := r.nodes[0].conn; c.keeper != nil {
		t.Error("the timer runs on without messages")
	}
	if long.KeepAlive(0) {
		t.Error("an answered message is kept alive")
	}
}

func TestMessage_KeepAliveEndsAtTheHardDeadline(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	_, kept := w.hold(Options{})
	b.send("x")
	w.until("a message", func() bool { return len(*kept) == 1 })
	m := (*kept)[0]
	m.KeepAlive(0)
	ctx := m.Context()
	w.Run(14*time.Minute + 55*time.Second)
	if ctx.Err() != nil {
		t.Fatalf("ended early: %v", context.Cause(ctx))
	}
	w.Run(10 * time.Second)
	if ctx.Err() != context.DeadlineExceeded {
		t.Errorf("after 15 minutes the context says %v", ctx.Err())
	}
}

func TestMessage_RequeueIn(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	_, kept := w.hold(Options{MaxInFlight: 2})
	b.send("slow", "quick")
	w.until("two messages", func() bool { return len(*kept) == 2 })
	slow, quick := (*kept)[0], (*kept)[1]
	ctx := slow.Context()
	w.l.Do(func() {
		slow.RequeueIn(time.Hour)
		slow.RequeueIn(3 * time.Second)
		quick.RequeueIn(3 * time.Second)
	})
	w.Run(2 * time.Second)
	w.l.Do(func() { quick.Finish() })
	b.wantTrace("SUB, RDY 1, RDY 2")
	w.Run(1100 * time.Millisecond)
	b.wantTrace("FIN, RDY 0, REQ 90000")
	if slow.Finish() {
		t.Error("an answer after the limit has an effect")
	}
	if got := context.Cause(ctx); !errors.Is(got, client.ErrTimeout) || !strings.Contains(got.Error(), "3s") {
		t.Errorf("the context ended by %v", got)
	}
	if len(w.events) != 2 || !strings.Contains(w.events[1], "not answered within 3s") {
		t.Errorf("events are %q", w.events)
	}
}

func TestMessage_AnswerIsAResultThatComesLater(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	_, kept := w.hold(Options{MaxInFlight: 5})
	b.send("a", "b", "c", "d", "e")
	w.until("the messages", func() bool { return len(*kept) == 5 })
	b.trace = nil
	w.l.Do(func() {
		for i, tt := range []struct {
			err  error
			want bool
		}{{nil, true}, {WithoutBackoff(RequeueAfter(time.Second, nil)), true}, {Discard(errBoom), true}, {Pending, false}, {errBoom, true}} {
			if got := (*kept)[i].Answer(tt.err); got != tt.want {
				t.Errorf("answer %v had an effect: %v, want %v", tt.err, got, tt.want)
			}
		}
	})
	w.Run(10 * time.Millisecond)
	b.wantTrace("FIN, REQ 1000, FIN, RDY 0, REQ 90000")
	if (*kept)[3].Responded() || (*kept)[0].Received().IsZero() {
		t.Error("Pending answers, or nobody knows when a message came")
	}
}
