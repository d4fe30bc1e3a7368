package looptest

import (
	"io"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/loop/internal/core"
)

// conn is a connection of a Loop: a stream over one end of a link.
type conn struct {
	core.Stream
	loop *Loop
	end  *end // nil while it is dialled
}

// Upgrade puts l between the handler and the socket.
func (c *conn) Upgrade(l loop.Layer) { c.Stream.Upgrade(l) }

// Link is a connection between two loops, as the network sees it.
type Link struct {
	w        *World
	id       uint64
	ends     [2]end // the dialler's and the acceptor's
	vanished bool
	fate     fate
}

// end is one end of a link: what a kernel knows of a socket.
type end struct {
	link  *Link
	loop  *Loop
	conn  *conn // nil until accepted
	addrs core.Addrs
	out   pipe // towards the other end
	peer  *end

	ready  bool // the stream is open
	closed bool
	reset  bool // a reset arrived before the stream was open
	deaf   bool // reads nothing
}

func (w *World) link(a, b *Loop) *Link {
	w.linked++
	k := &Link{w: w, id: w.linked}
	for i, l := range []*Loop{a, b} {
		k.ends[i] = end{link: k, loop: l, peer: &k.ends[1-i]}
		k.ends[i].out.from = &k.ends[i]
	}
	w.links = append(w.links, k)
	k.foresee()
	return k
}

// connect opens the dialler's stream.
func (e *end) connect(h loop.Handler) {
	c := e.conn
	switch {
	case c.loop.dead:
	case c.Gone(): // cancelled meanwhile
		e.Close()
	default:
		e.ready = true
		e.loop.turn('o', e.link.id, nil, func() { c.Connect(e, e.addrs, func() { h.OnOpen(c) }) })
		e.opened()
	}
}

// accept opens the acceptor's stream.
func (e *end) accept(ln *listener) {
	if e.loop.dead || !ln.open() {
		e.closed = true
		e.link.resetEnd(e.peer)
		return
	}
	c := &conn{loop: e.loop, end: e}
	e.conn, e.ready = c, true
	e.loop.turn('a', e.link.id, nil, func() {
		c.Accept(&e.loop.core, e, e.addrs, func() (core.Handler, func()) {
			h := ln.f(c)
			if h == nil {
				return nil, nil
			}
			return h, func() { h.OnOpen(c) }
		})
	})
	e.opened()
}

// opened deals with what arrived before the stream was open.
func (e *end) opened() {
	if e.reset {
		e.lose(syscall.ECONNRESET)
		return
	}
	e.peer.out.read()
}

// lose closes the end, because of the peer or the network, and tells the
// stream. Like gnet it gives up a connection whose peer has closed only its
// own direction.
func (e *end) lose(cause error) {
	if e.closed {
		return
	}
	if !e.ready {
		e.reset = true
		return
	}
	e.Close()
	e.loop.turn('c', e.link.id, nil, func() {
		e.conn.Lost(os.NewSyscallError("read", cause))
		e.loop.core.Tell()
	})
}

// Write sends p as far as the window allows and keeps the rest.
func (e *end) Write(p []byte) error {
	if !e.loop.halted {
		e.out.write(p)
	}
	return nil
}

// CanWait says that nothing is read while the stream is behind.
func (e *end) CanWait() bool { return true }

// CaughtUp reads on.
func (e *end) CaughtUp() { e.link.w.after(0, call(e.peer.out.read)) }

// Buffered is what the window did not allow yet.
func (e *end) Buffered() int { return e.out.pending() }

// CloseWrite lets the peer see the end of the stream after all that was
// written.
func (e *end) CloseWrite() {
	if e.loop.halted {
		return
	}
	e.out.fin = true
	e.out.pump()
}

// Close closes the socket: what is under way arrives, what was not taken yet
// is lost, and what the peer has sent and nobody has read makes it a reset.
func (e *end) Close() {
	if e.closed || e.loop.halted {
		return
	}
	e.closed = true
	in := &e.peer.out
	if in.arrived > 0 {
		in.drop()
		e.link.resetEnd(e.peer)
	} else {
		e.out.buf = e.out.buf[:len(e.out.buf)-e.out.pending()]
		e.CloseWrite()
	}
	e.link.forget()
}

// forget takes a link out of the world when both ends are closed.
func (k *Link) forget() {
	if k.ends[0].closed && k.ends[1].closed {
		k.w.links = slices.DeleteFunc(k.w.links, func(x *Link) bool { return x == k })
	}
}

// resetEnd sends a reset to e. It may overtake what is under way to e, which
// is lost then; so it happens that a peer never sees an answer that was sent
// before the reset.
func (k *Link) resetEnd(e *end) {
	e.peer.closed = true
	at := k.w.now + int64(k.w.latency())
	overtakes := k.w.rand.IntN(2) == 0
	if !overtakes {
		at = max(at, e.peer.out.last)
	}
	k.w.at(at, call(func() {
		if k.vanished || k.w.walled(k.ends[0].loop, k.ends[1].loop) {
			return
		}
		e.peer.out.drop()
		e.lose(syscall.ECONNRESET)
		k.forget()
	}))
}

// pipe is one direction of a link. Its bytes lie in one buffer, in the order
// they were written: first those that have arrived and were not read, then
// those under way, then those that the window does not allow yet.
type pipe struct {
	from    *end
	buf     []byte
	spare   []byte // buf as it was when nothing had been read from it
	arrived int
	flying  int
	total   int // bytes that ever arrived
	segs    []segment
	sent    []segment // the array under segs, to be used again
	last    int64     // when the latest segment arrives
	due     bool      // an arrival is among the world's events
	acking  bool      // so is the news that the window is open again
	fin     bool      // the sender has written all
	finSent bool
	finSeen bool
}

// segment is a piece of bytes under way. The last one of a pipe is empty.
type segment struct {
	n  int
	at int64
}

// write adds what the sender wrote.
func (p *pipe) write(b []byte) {
	empty := len(p.buf) == 0
	p.buf = append(p.buf, b...)
	if empty {
		p.spare = p.buf
	}
	p.pump()
}

func (p *pipe) pending() int { return len(p.buf) - p.arrived - p.flying }

// drop loses all that was not read.
func (p *pipe) drop() {
	p.buf, p.segs, p.spare, p.sent = nil, nil, nil, nil
	p.arrived, p.flying = 0, 0
}

// pump sends what the window allows.
func (p *pipe) pump() {
	w := p.from.link.w
	for n := min(p.pending(), w.o.Window-p.arrived-p.flying); n > 0; {
		piece := p.cut(n)
		n -= piece
		p.send(piece)
	}
	if p.fin && !p.finSent && p.pending() == 0 {
		p.finSent = true
		p.send(0)
	}
	p.schedule()
}

// segmentGap bounds how long after another a segment arrives that was sent
// with it.
const segmentGap = 2 * time.Microsecond

func (p *pipe) send(n int) {
	w := p.from.link.w
	if p.last <= w.now || w.o.Whole || !w.chance(0.3) { // else together with the one before
		p.last = max(p.last+1+w.rand.Int64N(int64(segmentGap)), w.now+int64(w.latency()))
	}
	p.flying += n
	if len(p.segs) == 0 {
		p.segs = p.sent[:0]
	}
	p.segs = append(p.segs, segment{n, p.last})
	if cap(p.segs) > cap(p.sent) {
		p.sent = p.segs
	}
}

// cut chooses how many of n bytes travel together: mostly all, sometimes some,
// now and then one.
func (p *pipe) cut(n int) int {
	w := p.from.link.w
	switch {
	case w.o.Whole || n == 1:
		return n
	case w.chance(0.02):
		return 1
	case w.chance(0.25):
		return 1 + w.rand.IntN(n)
	}
	return n
}

func (p *pipe) schedule() {
	if len(p.segs) > 0 && !p.due {
		p.due = true
		p.from.link.w.at(p.segs[0].at, p)
	}
}

// fire is the arrival of segments.
func (p *pipe) fire() {
	k := p.from.link
	w := k.w
	p.due = false
	if k.vanished || w.walled(p.from.loop, p.from.peer.loop) {
		return // Heal schedules it again
	}
	for len(p.segs) > 0 && p.segs[0].at <= w.now {
		n := p.segs[0].n
		if n == 0 {
			p.finSeen = true
		}
		p.segs = p.segs[1:]
		p.flying -= n
		p.arrived += n
		p.total += n
	}
	p.schedule()
	if k.meet(p) {
		return
	}
	p.read()
}

const (
	readBuffer = 256 << 10 // how much a loop reads at once
	keepBuffer = 64 << 10  // up to which size a pipe's buffer is used again
)

// read gives the receiver what has arrived, one read in each turn.
func (p *pipe) read() {
	k, to := p.from.link, p.from.peer
	switch {
	case to.closed:
		if p.arrived > 0 { // nobody is there: a kernel answers with a reset
			p.drop()
			k.resetEnd(p.from)
		}
		return
	case !to.ready || to.deaf || to.conn.Behind():
		return
	}
	if n := min(p.arrived, readBuffer); n > 0 {
		data := p.buf[:n:n]
		p.buf = p.buf[n:]
		p.arrived -= n
		to.loop.turn('r', k.id, data, func() { to.conn.Receive(data) })
		if len(p.buf) == 0 && cap(p.spare) <= keepBuffer {
			p.buf = p.spare[:0] // only now: data lies in it
		}
		p.ack()
	}
	switch {
	case to.conn.Behind(): // CaughtUp reads on
	case p.arrived > 0:
		k.w.after(0, call(p.read))
	case p.finSeen:
		to.lose(io.EOF)
	}
}

// ack tells the sender that the window has room, when it waits for that.
func (p *pipe) ack() {
	if p.pending() == 0 || p.acking {
		return
	}
	p.acking = true
	k := p.from.link
	k.w.after(k.w.latency(), call(func() {
		p.acking = false
		if !k.vanished {
			p.pump()
		}
	}))
}
