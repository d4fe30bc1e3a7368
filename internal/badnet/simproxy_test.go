package badnet

import (
	"errors"
	"io"
	"math/rand/v2"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/loop/looptest"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

// simProxy is nsqtest.Proxy on virtual time. What it does when is decided by the
// seed alone.
type simProxy struct {
	l      *looptest.Loop
	rng    *rand.Rand
	to     string
	faults [nsqtest.ToClients + 1]nsqtest.Fault
	refuse bool
	links  []*simLink // open, by age
}

// simLink is one connection through a proxy.
type simLink struct {
	p              *simProxy
	client, server simEnd
	over           bool
}

// simEnd is an end of a link, and what is on its way to it.
type simEnd struct {
	link   *simLink
	d      nsqtest.Direction // of what is on its way to it
	peer   *simEnd
	conn   loop.Conn // nil until it is open
	way    []simPiece
	timer  loop.Timer
	free   time.Time // when the next piece may pass, because of Throttle
	passed int       // bytes, since the faults were set
	last   bool      // nothing follows what is on its way
	ended  bool      // nothing passes any more
}

type simPiece struct {
	p  []byte
	at time.Time
}

func newSimProxy(l *looptest.Loop, rng *rand.Rand, addr, to string) (*simProxy, error) {
	p := &simProxy{l: l, rng: rng, to: to}
	_, err := l.Listen(addr, func(loop.Conn) loop.Handler {
		if p.refuse {
			return nil
		}
		k := &simLink{p: p}
		k.client = simEnd{link: k, d: nsqtest.ToClients, peer: &k.server}
		k.server = simEnd{link: k, d: nsqtest.ToServer, peer: &k.client}
		p.links = append(p.links, k)
		l.Dial(to, loop.DialOptions{Timeout: time.Second}, &k.server)
		return &k.client
	})
	return p, err
}

// set is Proxy.Set.
func (p *simProxy) set(d nsqtest.Direction, f nsqtest.Fault) {
	for _, one := range []nsqtest.Direction{nsqtest.ToServer, nsqtest.ToClients} {
		if d == nsqtest.Both || d == one {
			p.faults[one] = f
		}
	}
	for _, k := range p.all() {
		k.client.passed, k.server.passed = 0, 0
		k.client.pump()
		k.server.pump()
	}
}

// reset is Proxy.Reset.
func (p *simProxy) reset() {
	for _, k := range p.all() {
		k.reset()
	}
}

// halfClose is Proxy.HalfClose.
func (p *simProxy) halfClose(d nsqtest.Direction) {
	for _, k := range p.all() {
		if d != nsqtest.ToClients {
			k.server.end()
		}
		if d != nsqtest.ToServer {
			k.client.end()
		}
	}
}

// all are the links that are open, and stay the same while some of them end.
func (p *simProxy) all() []*simLink { return append([]*simLink(nil), p.links...) }

var errReset = errors.New("reset by the proxy")

func (k *simLink) reset() {
	if k.over {
		return
	}
	k.over = true
	for i, other := range k.p.links {
		if other == k {
			k.p.links = append(k.p.links[:i], k.p.links[i+1:]...)
			break
		}
	}
	for _, e := range []*simEnd{&k.client, &k.server} {
		e.way, e.ended = nil, true
		if e.timer != nil {
			e.timer.Stop()
		}
		if e.conn != nil {
			e.conn.Abort(errReset)
		}
	}
}

func (e *simEnd) OnOpen(c loop.Conn) {
	if e.conn = c; e.link.over {
		c.Abort(errReset)
		return
	}
	e.pump()
}

func (e *simEnd) OnData(p []byte) int {
	to := e.peer
	if !to.ended && !to.last {
		to.way = append(to.way, simPiece{append([]byte(nil), p...), e.link.p.l.Now()})
		to.pump()
	}
	return len(p)
}

func (e *simEnd) OnClose(err error) {
	e.ended = true
	if err != nil && !errors.Is(err, io.EOF) {
		e.link.reset()
		return
	}
	e.peer.last = true
	e.peer.pump()
	if e.peer.ended {
		e.link.reset() // both halves are over
	}
}

// end closes the way to e, when all that is on it has passed.
func (e *simEnd) end() {
	if !e.ended && e.conn != nil {
		e.ended, e.way = true, nil
		e.conn.Close()
	}
}

// pump lets pass what may.
func (e *simEnd) pump() {
	p := e.link.p
	for !e.ended && e.conn != nil {
		f := p.faults[e.d]
		switch {
		case f.Hold:
			return
		case len(e.way) == 0:
			if e.last {
				e.end()
			}
			return
		}
		due := e.way[0].at.Add(f.Delay)
		if due.Before(e.free) {
			due = e.free
		}
		if wait := due.Sub(p.l.Now()); wait > 0 {
			e.later(wait)
			return
		}
		e.pass(f)
	}
}

// later has pump run again after a while.
func (e *simEnd) later(d time.Duration) {
	if e.timer == nil {
		e.timer = e.link.p.l.After(d, e.pump)
		return
	}
	e.timer.Reset(d)
}

// pass does to the first piece what the faults say.
func (e *simEnd) pass(f nsqtest.Fault) {
	p := e.link.p
	b := e.way[0].p
	if f.Throttle > 0 {
		if n := max(1, f.Throttle/100); len(b) > n {
			e.way[0].p = b[n:]
			b = b[:n:n]
		} else {
			e.way = e.way[1:]
		}
		e.free = p.l.Now().Add(time.Duration(len(b)) * time.Second / time.Duration(f.Throttle))
	} else {
		e.way = e.way[1:]
	}
	if f.Corrupt > 0 && p.rng.Float64() < f.Corrupt {
		b[p.rng.IntN(len(b))] ^= 1 << p.rng.IntN(8)
	}
	rest := len(b)
	if f.ResetAfter > 0 {
		rest = min(rest, max(0, f.ResetAfter-e.passed))
	}
	e.passed += rest
	e.conn.Write(b[:rest])
	if rest < len(b) {
		k := e.link
		p.l.Post(func() { k.reset() }) // when what passes has left
	}
}
