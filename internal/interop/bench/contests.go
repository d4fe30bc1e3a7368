package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"sync"
	"sync/atomic"
	"time"

	nsq "github.com/nsqio/go-nsq"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/writer"
)

var contests = []contest{
	{name: "async publish", n: 400_000, ours: oursAsync(0), theirs: theirsAsync},
	{name: "async publish, Batch 100", n: 400_000, ours: oursAsync(100), theirs: theirsAsync},
	{name: "blocking publish, 64 goroutines", n: 100_000, ours: oursBlocking(64), theirs: theirsBlocking(64)},
	{name: "blocking publish, 1 goroutine", n: 20_000, ours: oursBlocking(1), theirs: theirsBlocking(1)},
	{name: "consume, 1 handler", n: 200_000, before: preload, ours: oursConsume(0), theirs: theirsConsume(1)},
	{name: "consume, 8 workers", n: 200_000, before: preload, ours: oursConsume(8), theirs: theirsConsume(8)},
}

const (
	asyncWindow = 5000
	inFlight    = 2500
	timeout     = 5 * time.Minute
)

var silence = log.New(io.Discard, "", 0)

// onLoop runs f's work on a loop of ours until it calls over.
func onLoop(f func(l loop.Loop, over func(error)) error) error {
	l, err := loop.New(loop.Options{})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	result := make(chan error, 1)
	var once sync.Once
	over := func(err error) {
		once.Do(func() { result <- err; cancel() })
	}
	if err := f(l, over); err != nil {
		return err
	}
	if err := l.Run(ctx); err != nil {
		return err
	}
	select {
	case err := <-result:
		return err
	default:
		return context.DeadlineExceeded
	}
}

// oursAsync publishes from done callbacks, asyncWindow pending.
func oursAsync(batch int) func(*env, int) error {
	return func(e *env, n int) error {
		return onLoop(func(l loop.Loop, over func(error)) error {
			w, err := writer.New(l, writer.Options{NSQDs: []string{e.addr}, Batch: batch})
			if err != nil {
				return err
			}
			body := make([]byte, e.size)
			sent, done := 0, 0
			var finish func(writer.Result)
			publish := func() { sent++; w.Publish(e.topic, body, finish) }
			finish = func(res writer.Result) {
				if res.Err != nil {
					over(res.Err)
					return
				}
				if done++; done == n {
					e.timer.stop(n)
					over(nil)
				} else if sent < n {
					publish()
				}
			}
			w.Publish(e.topic, body, func(writer.Result) {
				e.timer.start()
				for range min(asyncWindow, n) {
					publish()
				}
			})
			return nil
		})
	}
}

// theirsAsync publishes as results come back, asyncWindow pending.
func theirsAsync(e *env, n int) error {
	p, err := nsq.NewProducer(e.addr, nsq.NewConfig())
	if err != nil {
		return err
	}
	p.SetLogger(silence, nsq.LogLevelError)
	defer p.Stop()
	if err := p.Publish(e.topic, make([]byte, e.size)); err != nil {
		return err
	}
	body := make([]byte, e.size)
	results := make(chan *nsq.ProducerTransaction, asyncWindow)
	e.timer.start()
	sent := 0
	for done := 0; done < n; {
		for sent < n && sent-done < asyncWindow {
			if err := p.PublishAsync(e.topic, body, results); err != nil {
				return err
			}
			sent++
		}
		if res := <-results; res.Error != nil {
			return res.Error
		}
		done++
	}
	e.timer.stop(n)
	return nil
}

// concurrently publishes n messages from g goroutines and measures it.
func concurrently(e *env, n, g int, publish func() error) error {
	if err := publish(); err != nil {
		return err
	}
	var left atomic.Int64
	left.Store(int64(n))
	errs := make(chan error, g)
	e.timer.start()
	for range g {
		go func() {
			for left.Add(-1) >= 0 {
				if err := publish(); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range g {
		if err := <-errs; err != nil {
			return err
		}
	}
	e.timer.stop(n)
	return nil
}

func oursBlocking(g int) func(*env, int) error {
	return func(e *env, n int) error {
		return onLoop(func(l loop.Loop, over func(error)) error {
			w, err := writer.New(l, writer.Options{NSQDs: []string{e.addr}})
			if err != nil {
				return err
			}
			body := make([]byte, e.size)
			ctx := context.Background()
			go func() {
				over(concurrently(e, n, g, func() error { return w.PublishSync(ctx, e.topic, body) }))
			}()
			return nil
		})
	}
}

func theirsBlocking(g int) func(*env, int) error {
	return func(e *env, n int) error {
		p, err := nsq.NewProducer(e.addr, nsq.NewConfig())
		if err != nil {
			return err
		}
		p.SetLogger(silence, nsq.LogLevelError)
		defer p.Stop()
		body := make([]byte, e.size)
		return concurrently(e, n, g, func() error { return p.Publish(e.topic, body) })
	}
}

// preload leaves n messages waiting.
func preload(e *env, n int) error {
	p, err := nsq.NewProducer(e.addr, nsq.NewConfig())
	if err != nil {
		return err
	}
	p.SetLogger(silence, nsq.LogLevelError)
	defer p.Stop()
	bodies := make([][]byte, 100)
	for i := range bodies {
		bodies[i] = make([]byte, e.size)
	}
	for n > 0 {
		k := min(n, len(bodies))
		if err := p.MultiPublish(e.topic, bodies[:k]); err != nil {
			return err
		}
		n -= k
	}
	return nil
}

// oursConsume handles on the loop when there are no workers.
func oursConsume(workers int) func(*env, int) error {
	return func(e *env, n int) error {
		return onLoop(func(l loop.Loop, over func(error)) error {
			var got atomic.Int64
			_, err := reader.New(l, reader.Options{
				Topic: e.topic, Channel: "bench", MaxInFlight: inFlight, Workers: workers,
				NSQDs:   []string{e.addr},
				Handler: counting(e, n, &got, func() { over(nil) }),
			})
			return err
		})
	}
}

func counting(e *env, n int, got *atomic.Int64, over func()) func(*reader.Message) error {
	return func(*reader.Message) error {
		switch got.Add(1) {
		case 1:
			e.timer.start()
		case int64(n):
			e.timer.stop(n)
			over()
		}
		return nil
	}
}

func theirsConsume(handlers int) func(*env, int) error {
	return func(e *env, n int) error {
		c := nsq.NewConfig()
		c.MaxInFlight = inFlight
		k, err := nsq.NewConsumer(e.topic, "bench", c)
		if err != nil {
			return err
		}
		k.SetLogger(silence, nsq.LogLevelError)
		var got atomic.Int64
		over := make(chan struct{})
		k.AddConcurrentHandlers(nsq.HandlerFunc(func(*nsq.Message) error {
			switch got.Add(1) {
			case 1:
				e.timer.start()
			case int64(n):
				e.timer.stop(n)
				close(over)
			}
			return nil
		}), handlers)
		if err := k.ConnectToNSQD(e.addr); err != nil {
			return err
		}
		select {
		case <-over:
		case <-time.After(timeout):
			return fmt.Errorf("%d of %d messages came", got.Load(), n)
		}
		k.Stop()
		<-k.StopChan
		return nil
	}
}
