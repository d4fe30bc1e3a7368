package main

import (
	"context"
	"fmt"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/writer"
)

// onLoop runs f on a loop of its own until f calls done, then shuts it down.
func onLoop(f func(l loop.Loop, done func(error)) error) error {
	l, err := loop.New(loop.Options{})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	over := make(chan error, 1)
	if err := f(l, func(err error) { over <- err; cancel() }); err != nil {
		return err
	}
	if err := l.Run(ctx); err != nil {
		return err
	}
	return <-over
}

// sdkWriter keeps -inflight publishes of one Writer pending: each done callback
// publishes the next message.
func sdkWriter(r *run) error {
	if err := warm(r); err != nil {
		return err
	}
	return onLoop(func(l loop.Loop, over func(error)) error {
		w, err := writer.New(l, writer.Options{NSQDs: []string{r.addr}})
		if err != nil {
			return err
		}
		b := body(r.size)
		out, done := 0, 0
		var latencies []time.Duration
		var finished func(res writer.Result)
		next := func() { out++; w.Publish(topic, b, finished) }
		finished = func(res writer.Result) {
			if res.Err != nil {
				over(fmt.Errorf("publish: %w", res.Err))
				return
			}
			if done++; done%64 == 0 {
				latencies = append(latencies, res.Latency)
			}
			switch {
			case done == r.n:
				r.end(r.n, latencies)
				over(nil)
			case out < r.n:
				next()
			}
		}
		// The first publish waits for the connection, which is not measured.
		w.Publish(topic+"-warm", b, func(writer.Result) {
			r.begin()
			for range min(r.inflight, r.n) {
				next()
			}
		})
		return nil
	})
}

// sdkReader lets one Reader finish -n waiting messages in a handler on the loop.
func sdkReader(r *run) error {
	if err := preload(r, r.n); err != nil {
		return err
	}
	return onLoop(func(l loop.Loop, over func(error)) error {
		got := 0
		_, err := reader.New(l, reader.Options{
			Topic: topic, Channel: channel, MaxInFlight: r.inflight,
			NSQDs: []string{r.addr},
			Handler: func(m *reader.Message) error {
				if got++; got == 1 {
					r.begin()
				}
				if got == r.n {
					r.end(r.n, nil)
					over(nil)
				}
				return nil
			},
		})
		return err
	})
}
