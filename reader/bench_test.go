package reader

import (
	"sync"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/mocknsqd"
	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
)

// flood is an nsqd on a loop of its own that always has messages: it sends as
// many as the ready count allows, and a new one for each FIN.
type flood struct {
	mock  *mocknsqd.NSQD
	frame []byte
}

func startFlood(b *testing.B, size int) string {
	b.Helper()
	l := startLoop(b)
	f := &flood{frame: wire.AppendMessage(nil, 1, 1, mocknsqd.ID("f"), make([]byte, size))}
	addr := make(chan string)
	l.Post(func() {
		mock, err := mocknsqd.Listen(l, "127.0.0.1:0")
		if err != nil {
			b.Error(err)
			close(addr)
			return
		}
		mock.Quiet = true
		mock.Script = f.script
		f.mock = mock
		addr <- mock.Addr()
	})
	return <-addr
}

func (f *flood) script(c *mocknsqd.Conn, cmd *wire.Command) bool {
	switch cmd.Verb {
	case wire.Rdy:
		if cmd.Count > 1 {
			for range cmd.Count {
				c.Raw(f.frame)
			}
			return true
		}
		if cmd.Count == 1 {
			c.Raw(f.frame)
		}
		return true
	case wire.Fin:
		c.Raw(f.frame)
		return true
	}
	return false
}

// startLoop runs a real loop for the length of the test.
func startLoop(tb testing.TB) *loop.Engine {
	tb.Helper()
	l, err := loop.New(loop.Options{SlowCallback: -1})
	if err != nil {
		tb.Fatal(err)
	}
	if err := l.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := l.Close(); err != nil {
			tb.Error(err)
		}
	})
	return l
}

func benchmarkConsume(b *testing.B, size int, o Options, handle func(m *Message) error) {
	addr := startFlood(b, size)
	l := startLoop(b)
	done := make(chan struct{})
	var once sync.Once
	n := 0
	var lock sync.Mutex
	count := func() {
		if n++; n == b.N {
			once.Do(func() { close(done) })
		}
	}
	o.Topic, o.Channel, o.NSQDs, o.MaxInFlight = "bench", "bench", []string{addr}, 1000
	o.Handler = func(m *Message) error {
		if o.Workers > 0 {
			lock.Lock()
			count()
			lock.Unlock()
		} else {
			count()
		}
		return handle(m)
	}
	b.ReportAllocs()
	b.SetBytes(int64(size))
	b.ResetTimer()
	r, err := New(l, o)
	if err != nil {
		b.Fatal(err)
	}
	select {
	case <-done:
	case <-time.After(time.Minute):
		b.Fatalf("stuck after %d of %d messages", n, b.N)
	}
	b.StopTimer()
	r.Close()
}

// Consuming from an nsqd that costs next to nothing, over a socket: the time
// is that of both sides.
func BenchmarkConsume(b *testing.B) {
	b.Run("result", func(b *testing.B) {
		benchmarkConsume(b, 200, Options{}, func(*Message) error { return nil })
	})
	b.Run("Finish", func(b *testing.B) {
		benchmarkConsume(b, 200, Options{}, func(m *Message) error { m.Finish(); return Pending })
	})
	b.Run("workers", func(b *testing.B) {
		benchmarkConsume(b, 200, Options{Workers: 8}, func(*Message) error { return nil })
	})
}
