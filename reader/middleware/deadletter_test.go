package middleware_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/reader/middleware"
	"github.com/nsqloop/nsqloop/writer"
)

// buried makes a world whose handler answers by the body, and puts messages
// aside as outcome says.
func buried(t *testing.T, outcome func(attempts uint16) error) *world {
	t.Helper()
	var w *world
	w = newWorld(t, reader.Options{Handler: middleware.Chain(func(m *reader.Message) error {
		w.note("%s %d", m.Body, m.Attempts)
		switch string(m.Body) {
		case "bad":
			return errBoom
		case "late":
			if m.Attempts < 3 {
				return errBoom
			}
		case "poison":
			return reader.Discard(errBoom)
		case "calm":
			return reader.WithoutBackoff(reader.RequeueAfter(time.Second, nil))
		case "pending":
			w.l.After(time.Second, func() { m.Finish() })
			return reader.Pending
		case "itself":
			m.Finish()
			return errBoom
		case "itself and no":
			m.Finish()
			return reader.Discard(nil)
		}
		return nil
	}, middleware.DeadLetter(middleware.DeadLetterOptions{
		MaxAttempts: 3,
		Publish: func(m *reader.Message, why error, done func(error)) {
			w.note("%s aside: %v", m.Body, why)
			w.l.After(time.Second, func() { done(outcome(m.Attempts)) })
		},
	}))})
	return w
}

func TestDeadLetter_PutsAsideWhatFails(t *testing.T) {
	for _, tt := range []struct {
		body               string
		want               string
		finished, requeued uint64
	}{
		{"good", "good 1", 1, 0},
		{"bad", "bad 1, bad 2, bad 3, bad aside: boom", 1, 2},
		{"late", "late 1, late 2, late 3", 1, 2},
		{"poison", "poison 1, poison aside: discard: boom", 1, 0},
		{"calm", "calm 1, calm 2, calm 3, calm aside: requeue after 1s without backoff", 1, 2},
		{"pending", "pending 1", 1, 0},
		{"itself", "itself 1", 1, 0},
		{"itself and no", "itself and no 1", 1, 0},
	} {
		w := buried(t, func(uint16) error { return nil })
		w.publish(time.Minute, tt.body)
		w.want(strings.Split(tt.want, ", ")...)
		w.wantDone(tt.finished, tt.requeued)
	}
}

// The message is finished after the publish was acknowledged and never before,
// and is not lost when it is not.
func TestDeadLetter_FinishesAfterTheAcknowledgement(t *testing.T) {
	w := buried(t, func(attempts uint16) error {
		if attempts < 3 {
			return errBoom
		}
		return nil
	})
	w.publish(500*time.Millisecond, "poison")
	var s reader.Stats
	w.l.Do(func() { s = w.r.Stats() })
	if s.Finished != 0 || s.Unanswered != 1 || s.Touched != 1 {
		t.Errorf("while the publish is under way: %+v", s)
	}
	w.Run(time.Minute)
	w.want(
		"poison 1", "poison aside: discard: boom",
		"poison 2", "poison aside: discard: boom",
		"poison 3", "poison aside: discard: boom",
	)
	w.wantDone(1, 2)
}

// What has killed the program at each attempt does so no more.
func TestDeadLetter_TooManyAttemptsNeverReachTheHandler(t *testing.T) {
	w := buried(t, func(attempts uint16) error {
		if attempts == 3 {
			return errBoom
		}
		return nil
	})
	w.publish(time.Minute, "bad")
	w.want("bad 1", "bad 2", "bad 3", "bad aside: boom", "bad aside: attempt 4 of at most 3")
	w.wantDone(1, 3)
}

func TestDeadLetter_DefaultOfAttempts(t *testing.T) {
	n := 0
	h := middleware.DeadLetter(middleware.DeadLetterOptions{
		Publish: func(m *reader.Message, why error, done func(error)) { n++; done(nil) },
	})(func(m *reader.Message) error { return errBoom })
	m := &reader.Message{Attempts: 4}
	if err := h(m); err != errBoom || n != 0 {
		t.Errorf("attempt 4: %v, put aside %d times", err, n)
	}
	m = &reader.Message{Attempts: 5}
	if err := h(m); err != reader.Pending || n != 1 || !m.Responded() {
		t.Errorf("attempt 5: %v, put aside %d times", err, n)
	}
}

// Without a function that puts messages aside they would come back for ever.
func TestDeadLetter_WantsPublish(t *testing.T) {
	defer func() {
		if said := fmt.Sprint(recover()); !strings.Contains(said, "DeadLetterOptions.Publish is nil") {
			t.Errorf("the panic says %q", said)
		}
	}()
	middleware.DeadLetter(middleware.DeadLetterOptions{MaxAttempts: 3})
}

// A handler that stops because the reader does gives its message back.
func TestDeadLetter_ShutdownIsNoFailure(t *testing.T) {
	var held *reader.Message
	w := newWorld(t, reader.Options{DrainGrace: -1, Handler: func(m *reader.Message) error {
		held = m
		return reader.Pending
	}})
	w.publish(time.Second, "x")
	h := middleware.DeadLetter(middleware.DeadLetterOptions{
		MaxAttempts: 1,
		Publish:     func(m *reader.Message, why error, done func(error)) { t.Errorf("put aside: %v", why) },
	})(func(m *reader.Message) error { return m.Context().Err() })
	w.l.Do(func() {
		w.l.After(time.Second, func() {
			err := h(held)
			if err != context.Canceled {
				t.Errorf("the result is %v", err)
			}
			held.Answer(err)
		})
	})
	if err := w.l.Shutdown(time.Minute); err != nil {
		t.Error(err)
	}
	if s := w.r.Stats(); s.Returned != 1 {
		t.Errorf("%+v", s)
	}
}

// The whole of it, with a writer.
func TestDeadLetter_WithAWriter(t *testing.T) {
	var w *world
	w = newWorld(t, reader.Options{Handler: middleware.DeadLetter(middleware.DeadLetterOptions{
		MaxAttempts: 2,
		Publish: func(m *reader.Message, why error, done func(error)) {
			w.w.Publish(m.Topic()+".dead", m.Body, func(res writer.Result) { done(res.Err) })
		},
	})(func(*reader.Message) error { return errBoom })})
	_, err := reader.New(w.l, reader.Options{
		Topic: "t.dead", Channel: "c", NSQDs: []string{"nsqd:4150"},
		Handler: func(m *reader.Message) error { w.note("dead: %s", m.Body); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	w.publish(time.Minute, "x")
	w.want("dead: x")
	w.wantDone(1, 1)
}
