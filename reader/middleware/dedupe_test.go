package middleware_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/reader/middleware"
)

// deduped makes a world whose handler is inside a Dedupe.
func deduped(t *testing.T, o middleware.DedupeOptions, ro reader.Options, handle func(w *world, m *reader.Message) error) *world {
	t.Helper()
	var w *world
	o.OnDuplicate = func(m *reader.Message) { w.note("duplicate %s", m.Body) }
	ro.Handler = middleware.Dedupe(o)(func(m *reader.Message) error {
		w.note("%s %d", m.Body, m.Attempts)
		return handle(w, m)
	})
	w = newWorld(t, ro)
	return w
}

func body(m *reader.Message) string { return string(m.Body) }

func TestDedupe_ByKey(t *testing.T) {
	w := deduped(t, middleware.DedupeOptions{Key: func(m *reader.Message) string {
		if string(m.Body) == "none" {
			return ""
		}
		return string(m.Body)
	}}, reader.Options{}, func(w *world, m *reader.Message) error {
		if string(m.Body) == "bad" && m.Attempts == 1 {
			return errBoom
		}
		return nil
	})
	w.publish(time.Second, "x", "y", "x", "none", "none")
	w.want("x 1", "y 1", "duplicate x", "none 1", "none 1")
	w.publish(5*time.Second, "bad")
	w.want("bad 1", "bad 2") // a failure is not remembered
	w.publish(time.Second, "bad")
	w.want("duplicate bad")
	w.wantDone(7, 1)
}

// Without a key two messages with one body are two messages, and one that
// nsqd delivers again is the same, be it that its answer came too late.
func TestDedupe_ByNSQDAndID(t *testing.T) {
	late := reader.Options{Client: client.Options{MsgTimeout: 2 * time.Second}}
	w := deduped(t, middleware.DedupeOptions{}, late, func(w *world, m *reader.Message) error { return nil })
	w.publish(time.Second, "x", "x")
	w.want("x 1", "x 1")

	h := middleware.Dedupe(middleware.DedupeOptions{})(func(m *reader.Message) error { return nil })
	first := &reader.Message{NSQD: "a:1", ID: reader.MessageID{1}}
	again := &reader.Message{NSQD: "a:1", ID: reader.MessageID{1}}
	other := &reader.Message{NSQD: "b:1", ID: reader.MessageID{1}}
	if err := h(first); err != nil {
		t.Error(err)
	}
	if err := h(again); !errors.Is(err, reader.ErrDiscard) {
		t.Errorf("delivered again: %v", err)
	}
	if err := h(other); err != nil {
		t.Errorf("the same id on another nsqd: %v", err)
	}
}

func TestDedupe_AnswersThatComeLater(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(m *reader.Message) // after a second
		want []string
	}{
		{"finished", func(m *reader.Message) { m.Finish() }, []string{"x 1", "x duplicates"}},
		{"requeued", func(m *reader.Message) { m.Requeue(10 * time.Second) }, []string{"x 1", "x handled again"}},
		{"discarded", func(m *reader.Message) { m.Discard() }, []string{"x 1", "x handled again"}},
		{"expired", func(m *reader.Message) {}, []string{"x 1", "x handled again"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			first := true
			w := deduped(t, middleware.DedupeOptions{Key: body}, reader.Options{Client: client.Options{MsgTimeout: 5 * time.Second}},
				func(w *world, m *reader.Message) error {
					if !first {
						return nil
					}
					first = false
					w.l.After(time.Second, func() { tt.end(m) })
					return reader.Pending
				})
			w.publish(20*time.Second, "x")
			w.publish(20*time.Second, "x")
			handled, duplicates := 0, 0
			for _, e := range w.events {
				switch e[:2] {
				case "x ":
					handled++
				case "du":
					duplicates++
				}
			}
			if again := tt.want[1] == "x handled again"; again != (handled == 2) || duplicates == 0 != (tt.name == "discarded") {
				t.Errorf("there were %v, want %v", w.events, tt.want)
			}
		})
	}
}

// A handler that requeues by itself and returns nil has not processed it.
func TestDedupe_HandlersThatAnswerThemselves(t *testing.T) {
	w := deduped(t, middleware.DedupeOptions{}, reader.Options{}, func(w *world, m *reader.Message) error {
		if m.Attempts == 1 {
			m.Requeue(0)
		} else {
			m.Finish()
		}
		return nil
	})
	w.publish(5*time.Second, "x")
	w.want("x 1", "x 2")
	w.wantDone(1, 1)
}

// The work was done, though the answer is too late.
func TestDedupe_LateAnswersCount(t *testing.T) {
	var held *reader.Message
	w := newWorld(t, reader.Options{Client: client.Options{MsgTimeout: 2 * time.Second}, Handler: func(m *reader.Message) error {
		if held == nil {
			held = m
		}
		return reader.Pending
	}})
	w.publish(5*time.Second, "x")
	h := middleware.Dedupe(middleware.DedupeOptions{Key: body})(func(m *reader.Message) error { return nil })
	if !held.Responded() {
		t.Fatal("its time is not over")
	}
	if err := h(held); err != nil {
		t.Error(err)
	}
	if err := h(&reader.Message{Body: []byte("x")}); !errors.Is(err, reader.ErrDiscard) {
		t.Errorf("delivered again: %v", err)
	}
}

// While the handler has a message, the same one waits at nsqd.
func TestDedupe_TheSameIsBeingProcessed(t *testing.T) {
	ok := false
	w := deduped(t, middleware.DedupeOptions{Key: body}, reader.Options{}, func(w *world, m *reader.Message) error {
		if ok {
			return nil
		}
		ok = true
		w.l.After(2*time.Second, func() { m.Requeue(time.Hour) })
		return reader.Pending
	})
	w.publish(time.Minute, "x", "x")
	w.want("x 1", "x 3") // the second one came again until the first had failed
	w.wantDone(1, 3)
}

func TestDedupe_PanicIsNotProcessed(t *testing.T) {
	w := deduped(t, middleware.DedupeOptions{}, reader.Options{}, func(w *world, m *reader.Message) error {
		if m.Attempts == 1 {
			panic("kaboom")
		}
		return nil
	})
	w.publish(5*time.Second, "x")
	w.want("x 1", "x 2")
}

func TestDedupe_ForgetsByTimeAndNumber(t *testing.T) {
	nothing := func(*world, *reader.Message) error { return nil }
	w := deduped(t, middleware.DedupeOptions{Key: body}, reader.Options{}, nothing)
	w.publish(10*time.Minute-2*time.Second, "x")
	w.publish(4*time.Second, "x")
	w.publish(time.Second, "x")
	w.want("x 1", "duplicate x", "x 1")

	w = deduped(t, middleware.DedupeOptions{Key: body, Size: 3, Window: time.Hour}, reader.Options{}, nothing)
	w.publish(time.Second, "1", "2", "3", "1", "2", "3", "4", "1", "3", "4", "2", "1")
	w.want("1 1", "2 1", "3 1", "duplicate 1", "duplicate 2", "duplicate 3", "4 1", "1 1", "duplicate 3", "duplicate 4", "2 1", "duplicate 1")
}

// On many goroutines each message is handled once.
func TestDedupe_ManyGoroutines(t *testing.T) {
	var handled, duplicates, later atomic.Int64
	h := middleware.Dedupe(middleware.DedupeOptions{Key: body})(func(*reader.Message) error { handled.Add(1); return nil })
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 2000 {
				switch err := h(&reader.Message{Body: fmt.Appendf(nil, "%d", i)}); {
				case errors.Is(err, reader.ErrDiscard):
					duplicates.Add(1)
				case err != nil:
					later.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if handled.Load() != 2000 || duplicates.Load()+later.Load() != 7*2000 {
		t.Errorf("%d handled, %d duplicates, %d to come again", handled.Load(), duplicates.Load(), later.Load())
	}
}
