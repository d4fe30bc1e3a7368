package middleware_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/reader/middleware"
)

func TestChain_FirstIsOutermost(t *testing.T) {
	var order []string
	mark := func(name string) middleware.Middleware {
		return func(next reader.Handler) reader.Handler {
			return func(m *reader.Message) error {
				order = append(order, name)
				defer func() { order = append(order, "/"+name) }()
				return next(m)
			}
		}
	}
	h := middleware.Chain(func(*reader.Message) error { order = append(order, "handler"); return errBoom }, mark("a"), mark("b"))
	if err := h(&reader.Message{}); err != errBoom {
		t.Errorf("result %v", err)
	}
	if got, want := strings.Join(order, " "), "a b handler /b /a"; got != want {
		t.Errorf("the order is %s, want %s", got, want)
	}
	if err := middleware.Chain(func(*reader.Message) error { return errBoom })(nil); err != errBoom {
		t.Errorf("an empty chain gives %v", err)
	}
}

func TestRecover_MakesAnErrorOfAPanic(t *testing.T) {
	var seen string
	h := middleware.Recover(func(m *reader.Message, v any, stack []byte) {
		seen = fmt.Sprintf("%s %v %v", m.Body, v, strings.Contains(string(stack), "TestRecover_MakesAnErrorOfAPanic"))
	})(func(*reader.Message) error { panic("kaboom") })
	err := h(&reader.Message{Body: []byte("x")})
	if !errors.Is(err, reader.ErrPanic) || !strings.Contains(err.Error(), "kaboom") || seen != "x kaboom true" {
		t.Errorf("result %v, seen %q", err, seen)
	}
	for _, want := range []error{nil, errBoom} {
		if got := middleware.Recover(nil)(func(*reader.Message) error { return want })(nil); got != want {
			t.Errorf("result %v, want %v", got, want)
		}
	}
	if err := middleware.Recover(nil)(func(*reader.Message) error { panic(1) })(nil); !errors.Is(err, reader.ErrPanic) {
		t.Errorf("without a function: %v", err)
	}
}

func TestTimeout_RequeuesWhatIsNotAnswered(t *testing.T) {
	var w *world
	w = newWorld(t, reader.Options{Handler: middleware.Chain(func(m *reader.Message) error {
		w.note("%s %d", m.Body, m.Attempts)
		m.OnEnd(func(how reader.End) { w.note("%s %v", m.Body, how) })
		if m.Attempts == 1 {
			return reader.Pending
		}
		return nil
	}, middleware.Timeout(5*time.Second))})
	w.publish(4900*time.Millisecond, "x")
	w.want("x 1")
	w.Run(200 * time.Millisecond)
	w.want("x requeued")
	w.Run(time.Minute)
	w.want("x 2", "x finished")
	w.wantDone(1, 1)
}

func TestMaxAge_DiscardsWhatIsOld(t *testing.T) {
	var w *world
	w = newWorld(t, reader.Options{Handler: middleware.Chain(func(m *reader.Message) error {
		w.note("%s %d", m.Body, m.Attempts)
		return reader.RequeueAfter(3*time.Second, nil)
	}, middleware.MaxAge(5*time.Second, func(m *reader.Message) { w.note("old %s %d", m.Body, m.Attempts) }))})
	w.publish(time.Minute, "x")
	w.want("x 1", "x 2", "old x 3")
	w.wantDone(1, 2)

	w = newWorld(t, reader.Options{Handler: middleware.MaxAge(0, nil)(func(m *reader.Message) error {
		t.Error("handled")
		return nil
	})})
	w.publish(time.Minute, "x")
	w.wantDone(1, 0)
}
