package loop_test

import (
	"io"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop"
)

func TestPost_AllocatesNothing(t *testing.T) {
	l := start(t, loop.Options{SlowCallback: -1})
	f := func() {}
	const batch = 10_000 // rings are rare in a batch; they cost two allocations
	done := make(chan struct{}, 1)
	last := func() { done <- struct{}{} }
	n := testing.AllocsPerRun(20, func() {
		for range batch {
			_ = l.Post(f)
		}
		_ = l.Post(last)
		<-done
	})
	if n/batch > 0.05 {
		t.Errorf("%v allocations for a posted function", n/batch)
	}
}

func BenchmarkPost(b *testing.B) {
	l := start(b, loop.Options{PostLimit: -1})
	f := func() {}
	b.ReportAllocs()
	for b.Loop() {
		_ = l.Post(f)
	}
	done := make(chan struct{})
	_ = l.Post(func() { close(done) })
	<-done
}

func BenchmarkPost_RoundTripToASleepingLoop(b *testing.B) {
	l := start(b, loop.Options{})
	done := make(chan struct{})
	f := func() { done <- struct{}{} }
	b.ReportAllocs()
	for b.Loop() {
		_ = l.Post(f)
		<-done
	}
}

func BenchmarkOnLoop(b *testing.B) {
	l := start(b, loop.Options{SlowCallback: -1})
	b.Run("Sleeping", func(b *testing.B) {
		for b.Loop() {
			l.OnLoop()
		}
	})
	release, held := make(chan struct{}), make(chan struct{})
	_ = l.Post(func() { close(held); <-release })
	<-held
	b.Run("Busy", func(b *testing.B) {
		for b.Loop() {
			l.OnLoop()
		}
	})
	close(release)
	b.Run("Inside", func(b *testing.B) {
		done := make(chan struct{})
		_ = l.Post(func() {
			defer close(done)
			for b.Loop() {
				l.OnLoop()
			}
		})
		<-done
	})
}

func BenchmarkTimer_Reset(b *testing.B) {
	l := start(b, loop.Options{SlowCallback: -1})
	done := make(chan struct{})
	b.ReportAllocs()
	_ = l.Post(func() {
		defer close(done)
		timer := l.After(time.Hour, func() {})
		for b.Loop() {
			timer.Reset(time.Minute)
		}
	})
	<-done
}

// framesOf echoes frames of a fixed size.
type framesOf struct {
	size int
	conn loop.Conn
}

func (h *framesOf) OnOpen(c loop.Conn) { h.conn = c }
func (h *framesOf) OnClose(error)      {}

func (h *framesOf) OnData(p []byte) int {
	n := 0
	for ; len(p)-n >= h.size; n += h.size {
		h.conn.SetOutput(append(h.conn.Output(), p[n:n+h.size]...))
	}
	return n
}

// BenchmarkEcho measures a frame of 200 bytes there and back, with a hundred
// in flight over one ordinary socket.
func BenchmarkEcho(b *testing.B) {
	const size, flight = 200, 100
	l := start(b, loop.Options{})
	nc := dial(b, l.listen(b, func(loop.Conn) loop.Handler { return &framesOf{size: size} }))
	_ = nc.SetDeadline(time.Time{})
	buf := make([]byte, size*flight)
	b.ReportAllocs()
	b.SetBytes(size)
	b.ResetTimer()
	for n := 0; n < b.N; n += flight {
		if _, err := nc.Write(buf); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(nc, buf); err != nil {
			b.Fatal(err)
		}
	}
}
