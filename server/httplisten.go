package server

import (
	"net"
	"sync/atomic"
)

// cappedListener turns connections beyond max away, by name: without a cap,
// one client can use up the descriptors that the journals need.
type cappedListener struct {
	net.Listener
	max    int64
	budget *budget
	open   atomic.Int64
}

const tooManyConns = "HTTP/1.1 503 Service Unavailable\r\n" +
	"Content-Type: " + typeJSON + "\r\nX-NSQ-Content-Type: nsq; version=1.0\r\nConnection: close\r\n\r\n" +
	`{"message":"TOO_MANY_CONNECTIONS","detail":"The server has as many HTTP connections as it allows; reuse them, or close some."}`

// Accept is net.Listener's.
func (l *cappedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= l.max {
			l.budget.add(httpConnCost)
			return &cappedConn{Conn: c, l: l}, nil
		}
		l.open.Add(-1)
		// A new socket takes these few bytes without waiting.
		_, _ = c.Write([]byte(tooManyConns))
		_ = c.Close() // nobody is left to be told
	}
}

// cappedConn gives its place back when it closes.
type cappedConn struct {
	net.Conn
	l      *cappedListener
	closed atomic.Bool
}

// Close is net.Conn's.
func (c *cappedConn) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		c.l.open.Add(-1)
		c.l.budget.add(-httpConnCost)
	}
	return c.Conn.Close()
}
