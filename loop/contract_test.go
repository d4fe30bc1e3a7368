package loop_test

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/loop/internal/contract"
)

func TestEngine_Contract(t *testing.T) { contract.Test(t, env{}) }

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

type env struct{}

func (env) New(t *testing.T, o contract.Options) contract.Loop {
	return start(t, loop.Options{OutputLimit: o.OutputLimit, OutputHigh: o.OutputHigh,
		InputLimit: o.InputLimit, Linger: o.Linger})
}

func (env) Path(t *testing.T) string {
	dir, err := os.MkdirTemp("", "loop") // t.TempDir is too long for a unix socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "sock")
}

// Silent lets a dial wait until it is given up: no address is sure to be
// silent on every machine.
func (env) Silent(*testing.T) (string, loop.DialOptions) {
	return "192.0.2.1:4150", loop.DialOptions{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
}

func (env) Deaf(t *testing.T) contract.Deaf {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &deaf{ln: ln, accepted: make(chan net.Conn, 1), listen: make(chan struct{}), ended: make(chan struct{})}
	go d.serve()
	t.Cleanup(func() {
		ln.Close()
		d.Listen()
		select {
		case nc := <-d.accepted:
			nc.Close()
		default:
		}
		<-d.ended
	})
	return d
}

// deaf is a peer that reads nothing until Listen.
type deaf struct {
	ln       net.Listener
	accepted chan net.Conn
	listen   chan struct{}
	heard    atomic.Bool
	received atomic.Int64
	ended    chan struct{}
}

func (d *deaf) serve() {
	defer close(d.ended)
	nc, err := d.ln.Accept()
	if err != nil {
		return
	}
	defer nc.Close()
	d.accepted <- nc
	<-d.listen
	_, _ = io.Copy(io.Discard, io.TeeReader(nc, count{&d.received}))
}

type count struct{ n *atomic.Int64 }

func (c count) Write(p []byte) (int, error) { c.n.Add(int64(len(p))); return len(p), nil }

func (d *deaf) Addr() string  { return d.ln.Addr().String() }
func (d *deaf) Received() int { return int(d.received.Load()) }

func (d *deaf) Listen() {
	if d.heard.CompareAndSwap(false, true) {
		close(d.listen)
	}
}

// running is an Engine that runs, and how to wait for it.
type running struct{ *loop.Engine }

// start starts a loop that is closed when the test ends.
func start(t testing.TB, o loop.Options) running {
	t.Helper()
	e, err := loop.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return running{e}
}

func (r running) End() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return r.Shutdown(ctx)
}

func (r running) Do(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	if err := r.Post(func() { defer close(done); f() }); err != nil {
		t.Fatal(err)
	}
	wait(t, "a posted function", done)
}

func (r running) Until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	met, quit := make(chan struct{}), make(chan struct{})
	var look func()
	look = func() {
		select {
		case <-quit:
			return
		default:
		}
		if cond() {
			close(met)
			return
		}
		r.After(200*time.Microsecond, look)
	}
	if err := r.Post(look); err != nil {
		t.Fatal(err)
	}
	defer close(quit)
	wait(t, what, met)
}

// wait waits until ch is closed, or has something.
func wait[T any](t testing.TB, what string, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(patience):
		t.Fatalf("not within %v: %s", patience, what)
	}
	return v
}
