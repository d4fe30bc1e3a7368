package reader

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/loop/looptest"
)

func TestMessages_AreSharedByAllWhoRange(t *testing.T) {
	b, addr := realBroker(t)
	l := startLoop(t)
	const n = 500
	r, messages, err := Messages(l, Options{Topic: "t", Channel: "c", NSQDs: []string{addr}, MaxInFlight: 20})
	if err != nil {
		t.Fatal(err)
	}
	var ranging sync.WaitGroup
	var handled atomic.Int64
	for range 4 {
		ranging.Go(func() {
			for m := range messages {
				handled.Add(1)
				if string(m.Body) == "13" && m.Attempts == 1 {
					m.Answer(WithoutBackoff(RequeueAfter(0, nil)))
					break // and comes back for more
				}
				m.Answer(nil)
			}
			for m := range messages {
				handled.Add(1)
				m.Finish()
			}
		})
	}
	publishMany(t, b, n)
	await(t, b.l, "all messages finished", func() bool { return b.finished() == n })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	ranging.Wait() // the range has ended with the reader
	if s := r.Stats(); handled.Load() != n+1 || s.Handled != n+1 || s.Requeued != 1 {
		t.Errorf("%d handled, %+v", handled.Load(), s)
	}
}

func TestMessages_WhatNobodyTookIsGivenBack_73(t *testing.T) {
	b, addr := realBroker(t)
	l := startLoop(t)
	r, messages, err := Messages(l, Options{Topic: "t", Channel: "c", NSQDs: []string{addr}, MaxInFlight: 5})
	if err != nil {
		t.Fatal(err)
	}
	publishMany(t, b, 5)
	for m := range messages {
		m.Finish()
		break
	}
	await(t, l, "four messages that wait", func() bool { return r.snapshot().Unanswered == 4 })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if s := r.Stats(); s.Returned != 4 || s.Finished != 1 || s.Handled != 1 {
		t.Errorf("%+v", s)
	}
	for range messages {
		t.Error("a reader that has ended has a message")
	}
}

func TestMessages_OnTheLoopYieldsNothing(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	var log strings.Builder
	_, messages, err := Messages(w.l, Options{
		Topic: "t", Channel: "c", NSQDs: []string{b.addr}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	b.send("x")
	w.Run(time.Second)
	w.l.Do(func() {
		for range messages {
			t.Error("a message")
		}
	})
	if !strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("the log says %s", &log)
	}
}

func TestMessages_TakesTheHandlersPlace(t *testing.T) {
	l := startLoop(t)
	good := Options{Topic: "t", Channel: "c", NSQDs: []string{"localhost:4150"}}
	for _, change := range []func(o *Options){
		func(o *Options) { o.Handler = func(*Message) error { return nil } },
		func(o *Options) { o.Batch.Handler = func([]*Message) error { return nil } },
		func(o *Options) { o.Workers = 1 },
		func(o *Options) { o.Topic = "" },
	} {
		o := good
		change(&o)
		if r, messages, err := Messages(l, o); err == nil || r != nil || messages != nil {
			t.Errorf("%+v was accepted", o)
		}
	}
	onLoop(t, l, func() { l.OnShutdown(func(done func()) { done() }) })
	if err := l.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Messages(l, good); !errors.Is(err, ErrClosed) {
		t.Errorf("on a loop that has stopped: %v", err)
	}
}

// A loop that is closed without order takes the range, and workers, with it.
func TestMessages_EndWithTheLoop(t *testing.T) {
	b, addr := realBroker(t)
	l, err := loop.New(loop.Options{SlowCallback: -1})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start(); err != nil {
		t.Fatal(err)
	}
	r, messages, err := Messages(l, Options{Topic: "t", Channel: "c", NSQDs: []string{addr}, MaxInFlight: 5})
	if err != nil {
		t.Fatal(err)
	}
	publishMany(t, b, 1)
	n := 0
	for m := range messages {
		n++
		m.Finish()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if n != 1 {
		t.Errorf("%d messages, want 1", n)
	}
	select {
	case <-r.done:
	case <-time.After(patience):
		t.Error("the reader goes on")
	}
	if s := r.Stats(); s.Handled != 1 || s.Connections != 0 {
		t.Errorf("%+v", s)
	}
}
