package looptest_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/loop/internal/contract"
	"github.com/nsqloop/nsqloop/loop/looptest"
)

// env runs the contract in one world for each test.
type env struct {
	o looptest.Options
	w *looptest.World
	t *testing.T
	n int
}

func (e *env) world(t *testing.T, o contract.Options) *looptest.World {
	if e.t != t {
		e.o.OutputLimit, e.o.OutputHigh, e.o.InputLimit, e.o.Linger = o.OutputLimit, o.OutputHigh, o.InputLimit, o.Linger
		e.t, e.w, e.n = t, looptest.Test(t, e.o), 0
	}
	return e.w
}

func (e *env) New(t *testing.T, o contract.Options) contract.Loop {
	w := e.world(t, o)
	e.n++
	return &virtual{Loop: w.Loop("loop" + string(rune('0'+e.n))), w: w}
}

func (e *env) Path(t *testing.T) string { return filepath.Join(t.TempDir(), "sock") }

func (e *env) Silent(t *testing.T) (string, loop.DialOptions) {
	w := e.w
	silent := w.Loop("silent")
	ln, err := silent.Listen("silent:0", func(loop.Conn) loop.Handler { return nil })
	if err != nil {
		t.Fatal(err)
	}
	w.Partition("loop1", "silent")
	return ln.Addr().String(), loop.DialOptions{}
}

func (e *env) Deaf(t *testing.T) contract.Deaf {
	d := &deaf{w: e.w}
	ln, err := e.w.Loop("deaf").Listen("127.0.0.1:0", func(c loop.Conn) loop.Handler {
		d.link = d.w.Link(c)
		d.link.Deaf("deaf", true)
		return d
	})
	if err != nil {
		t.Fatal(err)
	}
	d.addr = ln.Addr().String()
	return d
}

// virtual is a loop of a world as the contract sees it.
type virtual struct {
	*looptest.Loop
	w *looptest.World
}

func (l *virtual) Do(t *testing.T, f func()) {
	done := false
	if err := l.Post(func() { f(); done = true }); err != nil {
		t.Fatal(err)
	}
	if !l.w.RunUntil(func() bool { return done }, time.Second) {
		t.Fatal("a posted function did not run")
	}
}

func (l *virtual) Until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	met := false
	tick := l.Every(100*time.Microsecond, func() { met = met || cond() })
	l.w.RunUntil(func() bool { return met }, 2*time.Minute)
	tick.Stop()
	if !met {
		t.Fatalf("not within two virtual minutes: %s", what)
	}
}

func (l *virtual) End() error { return l.Shutdown(time.Minute) }

// deaf is a handler whose link it made deaf.
type deaf struct {
	w        *looptest.World
	link     *looptest.Link
	addr     string
	received int
}

func (d *deaf) Addr() string        { return d.addr }
func (d *deaf) Received() int       { return d.received }
func (d *deaf) Listen()             { d.link.Deaf("deaf", false) }
func (d *deaf) OnOpen(loop.Conn)    {}
func (d *deaf) OnData(p []byte) int { d.received += len(p); return len(p) }
func (d *deaf) OnClose(error)       {}

func TestLoop_Contract(t *testing.T) {
	for _, seed := range []uint64{1, 2} {
		contract.Test(t, &env{o: looptest.Options{Seed: seed}})
	}
	contract.Test(t, &env{o: looptest.Options{Whole: true}})
}
