package loop

import (
	"net"

	"github.com/panjf2000/gnet/v2"

	"github.com/nsqloop/nsqloop/loop/internal/core"
)

// conn is a connection of an Engine: a stream over a socket of gnet.
type conn struct {
	core.Stream
	engine *Engine
	sock   socket
	place  core.Place
	open   func() // tells the stream that it is connected; nil once it was called
}

// newConn makes a connection that has no socket yet.
func newConn(e *Engine) *conn {
	c := &conn{engine: e}
	c.sock.conn = c
	c.place.Init(c)
	return c
}

// Upgrade puts l between the handler and the socket.
func (c *conn) Upgrade(l Layer) { c.Stream.Upgrade(l) }

// opened is gnet's first event.
func (c *conn) opened(gc gnet.Conn) {
	open := c.open
	c.open = nil
	if c.Gone() { // cancelled while it was on its way
		_ = gc.EventLoop().Close(gc)
		return
	}
	c.sock.gc = gc
	open()
}

// closed is gnet's last event. It may come while the connection writes.
func (c *conn) closed(err error) {
	c.sock.gc = nil
	c.engine.rota.Leave(&c.place)
	if err == nil {
		err = ErrClosed // gnet stopped under us
	}
	c.Lost(err)
}

// Pause is core.Reading's.
func (c *conn) Pause() bool { return c.sock.gc != nil && c.engine.poller.pause(c.sock.gc) }

// Resume is core.Reading's.
func (c *conn) Resume() bool { return c.sock.gc != nil && c.engine.poller.resume(c.sock.gc) }

// Ready is core.Reading's.
func (c *conn) Ready() bool { return c.sock.gc != nil && c.engine.poller.ready(c.sock.gc) }

// socket is a gnet connection as package core sees it. After gnet has closed
// it, gc is nil: the file descriptor in it may be another connection's by now.
type socket struct {
	gc   gnet.Conn
	conn *conn
}

func (s *socket) Write(p []byte) error {
	_, err := s.gc.Write(p)
	return err
}

// CanWait says whether the socket is not read while it is behind.
func (s *socket) CanWait() bool { return s.gc != nil && s.conn.engine.poller.pauses(s.gc) }

// CaughtUp lets the socket be read again.
func (s *socket) CaughtUp() { s.conn.engine.rota.CaughtUp(&s.conn.place) }

func (s *socket) Buffered() int { return s.gc.OutboundBuffered() }

func (s *socket) CloseWrite() { closeWrite(s.gc) }

func (s *socket) Close() {
	if gc := s.gc; gc != nil {
		s.gc = nil
		_ = gc.EventLoop().Close(gc)
	}
}

// takeAddrs reads the addresses of nc before gnet gets them. They are copied,
// because gnet writes into those of unix sockets, and frees the zone of a link
// local IPv6 address, which belongs to package net; so that is taken away.
func takeAddrs(nc net.Conn) core.Addrs {
	return core.Addrs{Local: takeAddr(nc.LocalAddr()), Remote: takeAddr(nc.RemoteAddr())}
}

func takeAddr(a net.Addr) net.Addr {
	switch a := a.(type) {
	case *net.UnixAddr:
		if a != nil {
			c := *a
			return &c
		}
	case *net.TCPAddr:
		if a != nil && a.Zone != "" {
			c := *a
			a.Zone = ""
			return &c
		}
	}
	return a
}
