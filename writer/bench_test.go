package writer_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nsqloop/nsqloop/internal/mocknsqd"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/writer"
)

// startReal starts a loop on real sockets with a quiet mock, which
// acknowledges everything and keeps nothing, on a loop of its own.
func startReal(tb testing.TB) (loop.Loop, *mocknsqd.NSQD) {
	tb.Helper()
	engine := func() *loop.Engine {
		e, err := loop.New(loop.Options{})
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { e.Close() })
		return e
	}
	server := engine()
	s, err := mocknsqd.Listen(server, "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s.Quiet = true
	if err := server.Start(); err != nil {
		tb.Fatal(err)
	}
	l := engine()
	if err := l.Start(); err != nil {
		tb.Fatal(err)
	}
	return l, s
}

func mustWriter(tb testing.TB, l loop.Loop, o writer.Options) *writer.Writer {
	tb.Helper()
	w, err := writer.New(l, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { w.Close() })
	return w
}

// mustRealWriter is a writer that is connected to s.
func mustRealWriter(tb testing.TB, l loop.Loop, s *mocknsqd.NSQD) *writer.Writer {
	tb.Helper()
	w := mustWriter(tb, l, writer.Options{NSQDs: []string{s.Addr()}})
	if err := w.WaitReady(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return w
}

// BenchmarkPublish keeps 5,000 publishes of 200 bytes pending, each done
// function making room for the next.
func BenchmarkPublish(b *testing.B) {
	l, s := startReal(b)
	w := mustRealWriter(b, l, s)
	body := make([]byte, 200)
	room := make(chan struct{}, 5000)
	var failed atomic.Int64
	done := func(r writer.Result) {
		if r.Err != nil {
			failed.Add(1)
		}
		<-room
	}
	b.ReportAllocs()
	for b.Loop() {
		room <- struct{}{}
		w.Publish("bench", body, done)
	}
	for range cap(room) {
		room <- struct{}{}
	}
	if n := failed.Load(); n > 0 {
		b.Fatalf("%d publishes failed", n)
	}
}

// BenchmarkPublishOnLoop publishes from the done function.
func BenchmarkPublishOnLoop(b *testing.B) {
	l, s := startReal(b)
	w := mustRealWriter(b, l, s)
	body := make([]byte, 200)
	n := b.N
	ended := make(chan struct{})
	var published, finished int
	var done func(writer.Result)
	done = func(r writer.Result) {
		if r.Err != nil {
			b.Error(r.Err)
		}
		if finished++; finished == n {
			close(ended)
		}
		if published < n {
			published++
			w.Publish("bench", body, done)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	if err := l.Post(func() {
		for published < min(n, 5000) {
			published++
			w.Publish("bench", body, done)
		}
	}); err != nil {
		b.Fatal(err)
	}
	<-ended
}

func BenchmarkPublishSync(b *testing.B) {
	for _, c := range []struct {
		name       string
		goroutines int
	}{{"1", 1}, {"64", 64}} {
		b.Run(c.name, func(b *testing.B) {
			l, s := startReal(b)
			w := mustRealWriter(b, l, s)
			body := make([]byte, 200)
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for range c.goroutines {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						if err := w.PublishSync(context.Background(), "bench", body); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}
