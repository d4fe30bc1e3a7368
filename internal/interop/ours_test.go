package interop

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	nsq "github.com/nsqio/go-nsq"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/writer"
)

// newWriter is our Writer for a target.
func newWriter(t testing.TB, l loop.Loop, s *target) *writer.Writer {
	t.Helper()
	w, err := writer.New(l, writer.Options{NSQDs: []string{s.tcp}})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// newReader is our Reader for a target.
func newReader(t testing.TB, l loop.Loop, s *target, o reader.Options) *reader.Reader {
	t.Helper()
	o.Channel, o.NSQDs = "c", []string{s.tcp}
	r, err := reader.New(l, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// writeAll publishes bodies 0 to n-1 through our Writer, 1,000 pending, again
// those that fail, and returns when each has been accepted.
func writeAll(t testing.TB, l loop.Loop, w *writer.Writer, topic string, n int, accepted func(done int)) {
	t.Helper()
	over := make(chan struct{})
	next, done := 0, 0
	var publish func(i int)
	proceed := func() {
		if next < n {
			next++
			publish(next - 1)
		}
	}
	publish = func(i int) {
		w.Publish(topic, body(i), func(res writer.Result) {
			if res.Err != nil {
				l.After(10*time.Millisecond, func() { publish(i) })
				return
			}
			if done++; done == n {
				close(over)
			}
			accepted(done)
			proceed()
		})
	}
	must(t, l.Post(func() {
		for range 1000 {
			proceed()
		}
	}))
	select {
	case <-over:
	case <-time.After(patience):
		t.Fatalf("not all of %d messages accepted in %v", n, patience)
	}
}

func TestWriter_ToGoNSQConsumer(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 10_000
	}
	eachServer(t, func(t *testing.T, s *target) {
		got := newSeen(n)
		c := config()
		c.MaxInFlight = 2500
		consumer(t, s, "ours", c, func(m *nsq.Message) error { got.add(m.Body); return nil })
		l := startLoop(t)
		writeAll(t, l, newWriter(t, l, s), "ours", n, func(int) {})
		got.await(t)
		got.exactly(t)
	})
}

func TestReader_FromGoNSQProducer(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 10_000
	}
	eachServer(t, func(t *testing.T, s *target) {
		got := newSeen(n)
		newReader(t, startLoop(t), s, reader.Options{Topic: "theirs", MaxInFlight: 2500, Handler: func(m *reader.Message) error {
			got.add(m.Body)
			return nil
		}})
		publishAll(t, producer(t, s, config()), "theirs", n, func(int) {})
		got.await(t)
		got.exactly(t)
	})
}

func TestWriterAndReader_StoppingTheServerMidwayLosesNone(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 10_000
	}
	eachServer(t, func(t *testing.T, s *target) {
		got := newSeen(n)
		newReader(t, startLoop(t), s, reader.Options{Topic: "both", MaxInFlight: 500, Handler: func(m *reader.Message) error {
			got.add(m.Body)
			return nil
		}})
		l := startLoop(t)
		restart := make(chan struct{}, 2)
		go func() {
			for range restart {
				s.stop(t)
				s.start(t)
			}
		}()
		writeAll(t, l, newWriter(t, l, s), "both", n, func(done int) {
			if done == n/3 || done == 2*n/3 {
				restart <- struct{}{}
			}
		})
		got.await(t)
		close(restart)
	})
}

func TestWriter_EveryWayToPublish(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		got := newSeen(5)
		const delay = 300 * time.Millisecond
		began := time.Now()
		var early atomic.Bool
		consumer(t, s, "ways", config(), func(m *nsq.Message) error {
			if bytes.Equal(m.Body, body(3)) && time.Since(began) < delay {
				early.Store(true)
			}
			got.add(m.Body)
			return nil
		})
		w := newWriter(t, startLoop(t), s)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		must(t, w.PublishSync(ctx, "ways", body(0)))
		must(t, w.MultiPublishSync(ctx, "ways", [][]byte{body(1), body(2)}))
		must(t, w.DeferredPublishSync(ctx, "ways", delay, body(3)))
		done := make(chan error, 1)
		w.Publish("ways", body(4), func(res writer.Result) { done <- res.Err })
		must(t, <-done)
		got.await(t)
		got.exactly(t)
		if early.Load() {
			t.Errorf("the deferred message came before its %v were over", delay)
		}
	})
}

func TestReader_AnswersAndAttempts(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		l := startLoop(t)
		var attempts []uint16 // only the loop touches it
		finished := make(chan struct{})
		newReader(t, l, s, reader.Options{Topic: "answers", MaxBackoff: -1, Handler: func(m *reader.Message) error {
			attempts = append(attempts, m.Attempts)
			switch len(attempts) {
			case 1:
				return reader.RequeueAfter(50*time.Millisecond, errors.New("requeued with a delay"))
			case 2:
				l.After(50*time.Millisecond, func() { m.RequeueWithoutBackoff(0) })
				return reader.Pending
			}
			close(finished)
			return nil
		}})
		must(t, producer(t, s, config()).Publish("answers", body(0)))
		select {
		case <-finished:
		case <-time.After(patience):
			t.Fatal("the message did not come a third time")
		}
		done := make(chan []uint16, 1)
		must(t, l.Post(func() { done <- attempts }))
		for i, a := range <-done {
			if int(a) != i+1 {
				t.Errorf("delivery %d says attempts %d", i+1, a)
			}
		}
	})
}
