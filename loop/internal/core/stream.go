package core

import (
	"math"
	"net"
	"time"
)

// Handler receives the events of a stream. Its OnOpen takes the connection of
// the package that users see, so it comes in as a function.
type Handler interface {
	OnData(p []byte) (consumed int)
	OnClose(err error)
}

// Drainer is a handler that wants to know when output has gone.
type Drainer interface {
	OnDrain()
}

// phase is where a stream is in its life. Streams only move down this list.
//
//	          Close         Abort      Receive    Lost        linger is over
//	dialing   closes        closes     -          OnClose     -
//	open      to flushing   OnClose    OnData     OnClose     -
//	flushing  -             OnClose    discarded  OnClose(nil) OnClose(nil)
//	shut      -             OnClose    discarded  OnClose(nil) OnClose(nil)
//	gone      -             -          -          -           -
//	told      -             -          -          -           -
type phase uint8

const (
	dialing  phase = iota
	open           // the handler can be called
	flushing       // Close was called; output is still on its way
	shut           // all output was taken and the peer knows that no more comes
	gone           // the socket is closed; OnClose is due
	told           // OnClose was called
)

// Stream is one connection: what was gathered for it, what it has not
// consumed, and its layers.
type Stream struct {
	core       *Core
	prev, next *Stream
	handler    Handler
	sock       Socket // nil before it is connected and once it is closed
	addrs      Addrs
	name       *string
	giveUp     func() // ends a dial; nil once it has ended
	err        error  // for OnClose

	phase   phase
	dirty   bool // on core.dirty
	offered bool // on core.offered
	hot     bool // OnDrain is due
	behind  bool // on core.behind
	yielded bool // what is left is not offered before it goes on
	writing bool // to the socket, which may be lost meanwhile

	out    []byte // plain output of this turn
	in     []byte // unconsumed input, from off on
	off    int
	level  int // how many layers have opened what is in in
	layers []layer

	opened, openMost int // plain bytes that layers have made in this turn, and may

	wait *waiting // nil until the peer has to be waited for
}

// waiting is what a stream needs when its peer does not take its output, or
// when it is being closed. Most streams never do.
type waiting struct {
	poll   *Timer // looks how much output is left
	pause  time.Duration
	left   int    // at the last look
	linger *Timer // ends a stream that is being closed
	began  int64  // when Close was called
}

func (s *Stream) waits() *waiting {
	if s.wait == nil {
		s.wait = &waiting{}
	}
	return s.wait
}

// Dial makes s a stream that will be connected, or lost, later. giveUp is
// called when nobody needs the connection any more before that.
func (s *Stream) Dial(c *Core, h Handler, giveUp func()) {
	s.attach(c, h)
	s.giveUp = giveUp
	s.link()
}

// Connect ends a dial: s is open. onOpen calls the handler's OnOpen.
func (s *Stream) Connect(sock Socket, a Addrs, onOpen func()) {
	s.sock, s.addrs, s.phase, s.giveUp = sock, a, open, nil
	s.guard(KindOpen, onOpen)
	s.rename()
}

// Accept makes s a stream that is connected. accept returns its handler, and
// what calls the handler's OnOpen; with a nil handler the stream is closed,
// after what accept wrote to it was sent.
func (s *Stream) Accept(c *Core, sock Socket, a Addrs, accept func() (h Handler, onOpen func())) {
	s.core, s.sock, s.addrs, s.phase, s.name = c, sock, a, open, &unnamed
	s.link()
	var h Handler
	var onOpen func()
	s.guard(KindAccept, func() { h, onOpen = accept() })
	switch {
	case s.phase == gone:
	case h == nil && len(s.out) == 0:
		s.gone(nil)
	case h == nil:
		s.Close()
	default:
		s.attach(c, h)
		s.guard(KindOpen, onOpen)
		s.rename()
	}
}

func (s *Stream) attach(c *Core, h Handler) {
	s.core, s.handler, s.name = c, h, &unnamed
	s.rename()
}

func (s *Stream) link() {
	c := s.core
	s.prev = c.last
	if c.last == nil {
		c.first = s
	} else {
		c.last.next = s
	}
	c.last = s
}

func (s *Stream) unlink() {
	c := s.core
	if s.prev == nil {
		c.first = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next == nil {
		c.last = s.prev
	} else {
		s.next.prev = s.prev
	}
	s.prev, s.next = nil, nil
}

// Dialing says whether the stream is neither connected nor lost.
func (s *Stream) Dialing() bool { return s.phase == dialing }

// Gone says whether the socket is closed for good.
func (s *Stream) Gone() bool { return s.phase >= gone }

// Closing says whether nobody wants what comes.
func (s *Stream) Closing() bool { return s.phase > open }

// LocalAddr is the address of this end.
func (s *Stream) LocalAddr() net.Addr { return s.addrs.Local }

// RemoteAddr is the address of the peer.
func (s *Stream) RemoteAddr() net.Addr { return s.addrs.Remote }

// Close sends what is gathered and closes when the peer has taken it.
func (s *Stream) Close() {
	switch s.phase {
	case dialing:
		s.gone(nil)
	case open:
		s.phase = flushing
		s.core.closing++
		s.dropInput()
		if s.core.cfg.Linger > 0 {
			w := s.waits()
			w.began = s.core.since
			w.linger = s.core.After(s.core.cfg.Linger, func() { s.gone(nil) })
		}
		s.mark()
	}
}

// Abort closes without sending.
func (s *Stream) Abort(err error) { s.gone(err) }

// Lost says that the socket is closed, for the reason err; it may be called
// while the stream writes.
func (s *Stream) Lost(err error) {
	s.sock = nil
	if s.behind && !s.writing {
		s.catchUp(math.MaxInt) // it had come before
	}
	if s.phase == flushing || s.phase == shut {
		err = nil // the owner wanted it closed, and does not care how
	}
	s.gone(err)
}

// end closes the stream because its loop ends.
func (s *Stream) end() {
	err := s.core.cfg.Errors.Closed
	if s.phase == flushing || s.phase == shut {
		err = nil
	}
	s.gone(err)
}

// gone gives up everything the stream holds and lets OnClose(err) follow in a
// later turn. Later reasons do not count.
func (s *Stream) gone(err error) {
	if s.phase >= gone {
		return
	}
	c := s.core
	switch s.phase {
	case dialing:
		s.giveUp()
	case flushing, shut:
		c.closing--
	}
	s.phase, s.err = gone, err
	if w := s.wait; w != nil {
		for _, t := range []*Timer{w.poll, w.linger} {
			if t != nil {
				t.Stop()
			}
		}
		s.wait = nil
	}
	s.out = nil
	s.dropInput()
	layers := s.layers
	s.layers, s.level = nil, 0
	for i := range layers {
		s.protect(KindLayer, layers[i].Close)
	}
	if sock := s.sock; sock != nil {
		s.sock = nil
		sock.Close()
	}
	c.lost = append(c.lost, s)
	c.need()
}

// tell calls OnClose, which nothing follows.
func (s *Stream) tell() {
	s.phase = told
	s.unlink()
	if s.handler != nil {
		s.guard(KindClose, func() { s.handler.OnClose(s.err) })
	}
}
