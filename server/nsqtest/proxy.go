package nsqtest

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// Direction is one of the two ways through a Proxy, or both.
type Direction uint8

// The directions.
const (
	Both Direction = iota
	ToServer
	ToClients
)

// Fault is what a Proxy does to what passes in one direction. The zero value lets
// it pass. Faults act together.
type Fault struct {
	Delay    time.Duration // how long each piece is under way; order stays
	Throttle int           // bytes per second of each connection; 0: as fast as it goes
	Hold     bool          // nothing passes, as when all packets are lost; when it ends, what was held does
	Corrupt  float64       // the chance, 0 to 1, that a bit of a piece is flipped

	// ResetAfter is how many bytes of each connection still pass before it is
	// reset, within a command or a frame maybe. 0 means any number.
	ResetAfter int
}

// Proxy stands between clients and a server and does to their connections what
// bad networks do. Its methods may be called from any goroutine.
type Proxy struct {
	to   string
	ln   net.Listener
	work sync.WaitGroup

	mu      sync.Mutex // guards what follows: every connection has goroutines
	rng     *rand.Rand
	faults  [ToClients + 1]Fault // of Both none
	changed chan struct{}        // closed, and made again, by Set
	refuse  bool
	closed  bool
	links   map[*link]bool
}

// Faults puts a Proxy in front of the server, with f in both directions, and
// takes it away at the end of the test. Clients that are to suffer connect to
// its TCPAddr. It goes on when the server is started again.
func (s *Server) Faults(f Fault) *Proxy {
	s.tb.Helper()
	return NewProxy(s.tb, s.TCPAddr(), f)
}

// NewProxy puts a Proxy in front of any address, with f in both directions, and
// takes it away at the end of the test.
func NewProxy(tb testing.TB, to string, f Fault) *Proxy {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("start proxy: %v", err)
	}
	p := &Proxy{to: to, ln: ln, rng: rand.New(rand.NewPCG(1, 0)), changed: make(chan struct{}), links: map[*link]bool{}}
	p.faults[ToServer], p.faults[ToClients] = f, f
	p.work.Go(p.accept)
	tb.Cleanup(p.Close)
	return p
}

// TCPAddr is the address for clients, "127.0.0.1:port".
func (p *Proxy) TCPAddr() string { return p.ln.Addr().String() }

// Set has f happen from now on to what passes in direction d, of all
// connections. Nothing of what was set before is left.
func (p *Proxy) Set(d Direction, f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range []Direction{ToServer, ToClients} {
		if d == Both || d == one {
			p.faults[one] = f
		}
	}
	for l := range p.links {
		l.passed = [ToClients + 1]int{}
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

// Refuse says whether new connections are closed at once.
func (p *Proxy) Refuse(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = on
}

// Reset resets all connections: what is under way is lost on both sides.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.reset()
	}
}

// HalfClose ends all connections in direction d, as if whoever sends there had
// closed that half. The other half goes on.
func (p *Proxy) HalfClose(d Direction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		if d != ToClients {
			_ = l.server.CloseWrite() // it may be closed already
		}
		if d != ToServer {
			_ = l.client.CloseWrite()
		}
	}
}

// Connections is how many connections go through now.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// Close resets all connections and accepts no more. Later calls do nothing.
func (p *Proxy) Close() {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		_ = p.ln.Close()
		for l := range p.links {
			l.reset()
		}
	}
	p.mu.Unlock()
	p.work.Wait()
}

// accept connects each client with the server.
func (p *Proxy) accept() {
	for {
		c, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		refuse := p.refuse
		p.mu.Unlock()
		if refuse {
			abort(c.(*net.TCPConn))
			continue
		}
		p.work.Go(func() { p.connect(c.(*net.TCPConn)) })
	}
}

// connect carries one connection until both directions have ended.
func (p *Proxy) connect(client *net.TCPConn) {
	c, err := net.Dial("tcp", p.to)
	if err != nil {
		abort(client)
		return
	}
	l := &link{p: p, client: client, server: c.(*net.TCPConn), over: make(chan struct{})}
	p.mu.Lock()
	if p.closed {
		l.reset()
	} else {
		p.links[l] = true
	}
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { l.carry(ToServer, l.client, l.server) })
	both.Go(func() { l.carry(ToClients, l.server, l.client) })
	both.Wait()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
	l.client.Close()
	l.server.Close()
}

// abort closes a connection with a reset.
func abort(c *net.TCPConn) {
	_ = c.SetLinger(0) // a connection that is closed already needs none
	_ = c.Close()
}

// link is one connection through a proxy.
type link struct {
	p              *Proxy
	client, server *net.TCPConn
	once           sync.Once
	over           chan struct{}      // closed by reset
	passed         [ToClients + 1]int // bytes since the faults were set; guarded by the proxy's mu
}

func (l *link) reset() {
	l.once.Do(func() {
		close(l.over)
		abort(l.client)
		abort(l.server)
	})
}

// piece is some bytes under way.
type piece struct {
	p  []byte
	at time.Time // when they came
}

// pieces is how many pieces may be under way in one direction; beyond it the
// sender has to wait.
const pieces = 256

// carry carries bytes in one direction until it ends.
func (l *link) carry(d Direction, from, to *net.TCPConn) {
	way := make(chan piece, pieces)
	l.p.work.Go(func() { l.receive(from, way) })
	for one := range way {
		if !l.pass(d, one, to) {
			l.reset()
			for range way { // what is left of it goes nowhere
			}
			return
		}
	}
	_ = to.CloseWrite() // after a reset there is nothing to close
}

// receive reads until there is nothing more.
func (l *link) receive(from io.Reader, way chan<- piece) {
	defer close(way)
	for {
		p := make([]byte, 16<<10)
		n, err := from.Read(p)
		if n > 0 {
			select {
			case way <- piece{p[:n], time.Now()}:
			case <-l.over:
				return
			}
		}
		if err != nil {
			if err != io.EOF {
				l.reset()
			}
			return
		}
	}
}

// pass does to a piece what the faults of the moment say, and reports whether
// the connection still stands.
func (l *link) pass(d Direction, one piece, to io.Writer) bool {
	f, ok := l.fault(d, one.at)
	if !ok {
		return false
	}
	l.p.mu.Lock()
	if f.Corrupt > 0 && l.p.rng.Float64() < f.Corrupt {
		one.p[l.p.rng.IntN(len(one.p))] ^= 1 << l.p.rng.IntN(8)
	}
	rest := len(one.p)
	if f.ResetAfter > 0 {
		rest = min(rest, max(0, f.ResetAfter-l.passed[d]))
	}
	l.passed[d] += rest
	l.p.mu.Unlock()
	whole := rest == len(one.p)
	for p := one.p[:rest]; len(p) > 0; {
		n := len(p)
		if f.Throttle > 0 {
			n = min(n, max(1, f.Throttle/100))
			if !l.sleep(time.Duration(n) * time.Second / time.Duration(f.Throttle)) {
				return false
			}
		}
		if _, err := to.Write(p[:n]); err != nil {
			return false
		}
		p = p[n:]
	}
	return whole
}

// fault is the fault of the moment at which a piece that came at a time may
// pass on. ok is false when the connection ends before.
func (l *link) fault(d Direction, came time.Time) (f Fault, ok bool) {
	for {
		l.p.mu.Lock()
		f, changed := l.p.faults[d], l.p.changed
		l.p.mu.Unlock()
		wait := time.Until(came.Add(f.Delay))
		switch {
		case f.Hold:
			select {
			case <-changed:
			case <-l.over:
				return f, false
			}
		case wait > 0:
			if !l.sleep(wait) {
				return f, false
			}
		default:
			return f, true
		}
	}
}

// sleep waits, and reports whether the connection still stands.
func (l *link) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.over:
		return false
	}
}
