package server

import (
	"bytes"

	"github.com/nsqloop/nsqloop/internal/wire"
)

// longIdentify is the length of the body of an IDENTIFY from which on it is
// decoded off the loop. What clients say about themselves is shorter by far;
// but it may have megabytes, for which all others would have to wait.
const longIdentify = 64 << 10

// longIdentities decodes what is long, one after the other, so that it takes
// one body's memory beside the clients' input, however many come at once.
type longIdentities struct {
	s       *Server
	waiting []*conn
	busy    bool
}

// spelling is where a long IDENTIFY of a client stands. The client is stalled
// meanwhile, and then its command is read again.
type spelling struct {
	turn bool // it is this one's turn
	done bool
	q    wire.IdentifyRequest
	err  error
}

// awaitsDecoding says whether the client's IDENTIFY, of this body, is to be
// read again: it is long, and not decoded yet. The connection is stalled.
func (c *conn) awaitsDecoding(body []byte) bool {
	if len(body) < longIdentify {
		return false
	}
	sp, long := c.spelling, &c.s.longIdentities
	if sp != nil && sp.done {
		return false
	}
	c.stalled = true
	switch {
	case sp == nil:
		c.spelling = &spelling{}
		long.waiting = append(long.waiting, c)
		long.next()
	case sp.turn:
		sp.turn = false
		long.decode(c, bytes.Clone(body))
	}
	return true
}

// decoded is the body of an IDENTIFY that is not awaited.
func (c *conn) decoded(body []byte) (wire.IdentifyRequest, error) {
	sp := c.spelling
	if sp == nil {
		return wire.DecodeIdentify(body)
	}
	c.spelling = nil
	return sp.q, sp.err
}

// next gives the turn to whoever has waited longest.
func (l *longIdentities) next() {
	for len(l.waiting) > 0 && !l.busy {
		c := l.waiting[0]
		l.waiting[0] = nil
		l.waiting = l.waiting[1:]
		if !c.closing {
			l.busy = true
			c.spelling.turn = true
			_ = l.s.l.Post(c.resume)
		}
	}
}

// forget takes the turn from c, which is closing.
func (l *longIdentities) forget(c *conn) {
	if c.spelling != nil && c.spelling.turn {
		c.spelling.turn = false
		l.busy = false
		l.next()
	}
}

// decode decodes c's, and lets c read it again.
func (l *longIdentities) decode(c *conn, body []byte) {
	l.s.l.Go(func() (then func()) {
		q, err := wire.DecodeIdentify(body)
		return func() {
			l.busy = false
			if !c.closing {
				c.spelling.done, c.spelling.q, c.spelling.err = true, q, err
				c.resume()
			}
			l.next()
		}
	})
}
