package server

import (
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
)

// bareLoop is the least that a server runs on: no network, no goroutine, and
// nothing of its own that allocates or takes time. It measures the server and
// nothing else.
type bareLoop struct {
	at     time.Time
	ends   []func()
	posted []func()
	timers []*bareTimer
	dice   *rand.Rand
	turns  int    // so far
	each   func() // after each turn; nil: nothing

	slow  bool            // work given to Go waits for work
	queue []func() func() // that work
}

func newBareLoop() *bareLoop {
	return &bareLoop{at: time.Unix(1_800_000_000, 0), dice: rand.New(rand.NewPCG(1, 2))}
}

func (l *bareLoop) Now() time.Time      { return l.at }
func (l *bareLoop) Rand() *rand.Rand    { return l.dice }
func (l *bareLoop) Post(f func()) error { l.posted = append(l.posted, f); return nil }
func (l *bareLoop) AtTurnEnd(f func())  { l.ends = append(l.ends, f) }
func (l *bareLoop) OnLoop() bool        { return true }
func (l *bareLoop) After(d time.Duration, f func()) loop.Timer {
	t := &bareTimer{l: l, f: f}
	t.Reset(d)
	l.timers = append(l.timers, t)
	return t
}
func (l *bareLoop) Every(time.Duration, func()) loop.Timer { panic("the server has no such timer") }
func (l *bareLoop) Go(work func() func()) {
	if l.slow {
		l.queue = append(l.queue, work)
	} else if then := work(); then != nil {
		l.posted = append(l.posted, then)
	}
}

// work does what was given to Go so far.
func (l *bareLoop) work() {
	queue := l.queue
	l.queue = nil
	for _, work := range queue {
		if then := work(); then != nil {
			l.posted = append(l.posted, then)
		}
	}
	l.turn(func() {})
}

func (l *bareLoop) Dial(string, loop.DialOptions, loop.Handler) func() {
	panic("the server does not dial")
}
func (l *bareLoop) Listen(string, func(loop.Conn) loop.Handler) (loop.Listener, error) {
	panic("a bare loop has no network")
}
func (l *bareLoop) OnShutdown(func(func())) func() { return func() {} }
func (l *bareLoop) OnStop(func()) func()           { return func() {} }

// turn runs f and the end of the turn, and then the turns that were asked for
// by Post.
func (l *bareLoop) turn(f func()) {
	for {
		l.turns++
		f()
		for i := 0; i < len(l.ends); i++ {
			l.ends[i]()
		}
		l.ends = l.ends[:0]
		if l.each != nil {
			l.each()
		}
		if len(l.posted) == 0 {
			return
		}
		f = l.posted[0]
		l.posted = slices.Delete(l.posted, 0, 1)
	}
}

// sleep lets time pass, turn by turn.
func (l *bareLoop) sleep(d time.Duration) {
	end := l.at.Add(d)
	for {
		var next *bareTimer
		for _, t := range l.timers {
			if !t.due.IsZero() && !t.due.After(end) && (next == nil || t.due.Before(next.due)) {
				next = t
			}
		}
		if next == nil {
			l.at = end
			return
		}
		if next.due.After(l.at) {
			l.at = next.due
		}
		next.due = time.Time{}
		l.turn(next.f)
	}
}

type bareTimer struct {
	l   *bareLoop
	f   func()
	due time.Time
}

func (t *bareTimer) Stop() bool            { was := !t.due.IsZero(); t.due = time.Time{}; return was }
func (t *bareTimer) Reset(d time.Duration) { t.due = t.l.at.Add(d) }

// bareConn keeps what the server says.
type bareConn struct {
	in      []byte
	out     []byte
	stuck   bool // the peer does not read
	offered bool
	patient bool // it can yield
	yielded bool // it has
	closed  bool
	from    *net.TCPAddr // nil: 10.0.0.1:4000
}

func (c *bareConn) Output() []byte     { return c.out }
func (c *bareConn) SetOutput(b []byte) { c.out = b }
func (c *bareConn) Write(p []byte)     { c.out = append(c.out, p...) }
func (c *bareConn) Buffered() int {
	if c.stuck {
		return len(c.out)
	}
	return 0
}
func (c *bareConn) Offer()              { c.offered = true }
func (c *bareConn) Yield() bool         { c.yielded = c.patient; return c.patient }
func (c *bareConn) Upgrade(loop.Layer)  {}
func (c *bareConn) Close()              { c.closed = true }
func (c *bareConn) Abort(error)         { c.closed = true }
func (c *bareConn) LocalAddr() net.Addr { return &net.TCPAddr{} }
func (c *bareConn) RemoteAddr() net.Addr {
	if c.from != nil {
		return c.from
	}
	return &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 4000}
}

// bare is a server on a bare loop.
type bare struct {
	l *bareLoop
	s *Server
}

func newBare(tb testing.TB, o Options) *bare {
	tb.Helper()
	b := &bare{l: newBareLoop()}
	s, err := New(b.l, o)
	if err != nil {
		tb.Fatal(err)
	}
	b.s = s
	b.l.turn(func() {})
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return b
}

// client is a connection without a socket.
func (b *bare) client() (*conn, *bareConn) {
	h, bc := newConn(b.s).(*conn), &bareConn{}
	h.OnOpen(bc)
	b.data(h, []byte(wire.MagicV2))
	return h, bc
}

// data gives a client's bytes to the server, all of which must be consumed.
func (b *bare) data(c *conn, p []byte) {
	b.l.turn(func() {
		if n := c.OnData(p); n != len(p) {
			panic("a part of a command was left")
		}
	})
}

// subscriber is a client that has subscribed and takes n messages at once.
func (b *bare) subscriber(topic, channel string, n int) (*conn, *bareConn) {
	c, bc := b.client()
	b.data(c, wire.AppendRdy(wire.AppendSub(nil, topic, channel), n))
	bc.out = bc.out[:0]
	return c, bc
}
