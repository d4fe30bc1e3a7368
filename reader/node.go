package reader

import (
	"errors"
	"slices"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/internal/backoff"
	"github.com/nsqloop/nsqloop/loop"
)

// stable is how long a subscription must have lasted for the next redial to
// start again with the shortest delay.
const stable = int64(time.Second)

// missedPolls is how many polls in a row must not name a lost nsqd before it
// is forgotten. It is more than one because an nsqd that restarts is missing
// from nsqlookupd for a moment.
const missedPolls = 2

// node is an nsqd that the reader is or wants to be connected to. There is one
// for each address, so there is never a second connection to one.
type node struct {
	addr   string
	direct bool // added by the program: dialled as long as it stays so
	found  bool // named by nsqlookupd
	missed int  // polls in a row that did not name it

	conn   *conn // nil while disconnected
	redial *backoff.Reconnect
	timer  loop.Timer // of the next dial; nil when none is due
	down   int64      // since when there is no subscription
	err    error      // why the last connection ended; nil while subscribed
}

// wanted says whether the node is to be connected.
func (n *node) wanted() bool { return n.direct || n.found && n.missed < missedPolls }

// find returns the node for an address, nil when there is none.
func (r *Reader) find(addr string) *node {
	for _, n := range r.nodes {
		if n.addr == addr {
			return n
		}
	}
	return nil
}

// node returns the node for an address, and makes and dials it when it is new.
func (r *Reader) node(addr string) *node {
	if n := r.find(addr); n != nil {
		return n
	}
	n := &node{
		addr: addr,
		down: r.now(),
		redial: backoff.NewReconnect(backoff.ReconnectOptions{
			Initial: r.o.ReconnectDelay,
			Max:     r.o.MaxReconnectDelay,
		}, r.loop.Now, r.loop.Rand()),
	}
	r.nodes = append(r.nodes, n)
	r.dial(n)
	return n
}

// dial connects to a node.
func (r *Reader) dial(n *node) {
	n.timer = nil
	c := &conn{reader: r, node: n}
	n.conn = c
	c.client = client.Dial(r.loop, n.addr, r.o.Client, c)
}

// onConnClosed decides what follows when a connection has closed, or was never
// made.
func (r *Reader) onConnClosed(c *conn, before connState, err error) {
	n := c.node
	if n.conn != c {
		panic("reader: a connection closed that its node does not have")
	}
	n.conn, n.err = nil, err
	if r.leaving {
		r.finishWhenDone()
		return
	}
	now := r.now()
	if before >= subscribed {
		n.down, n.missed = now, 0
		if now-c.since >= stable {
			n.redial.Reset()
		}
		if n.found {
			r.discovery.Soon()
		}
	}
	r.tend(n, before < subscribed && permanent(err))
}

// tend plans the next dial of a node without connection, or forgets it.
func (r *Reader) tend(n *node, permanent bool) {
	if !n.wanted() {
		r.forget(n)
		return
	}
	// While an outage is young a refused dial is cheap and coming back late
	// is not: a tenth of the outage is the longest delay, but half a second is
	// always allowed.
	outage := time.Duration(r.now() - n.down)
	d := min(n.redial.Next(), max(outage/10, r.o.ReconnectDelay, time.Second/2))
	if permanent {
		d = r.o.MaxReconnectDelay
	}
	n.timer = r.loop.After(d, func() { r.dial(n) })
}

// permanent says whether trying again soon is pointless: what nsqd refused, it
// will refuse again until somebody changes a configuration.
func permanent(err error) bool {
	for _, target := range []error{client.ErrHTTPEndpoint, client.ErrTLSRefused, client.ErrChecksumRefused, client.ErrAuthRequired} {
		if errors.Is(err, target) {
			return true
		}
	}
	var e *client.Error
	return errors.As(err, &e) && !errors.Is(e, client.ErrSubFailed)
}

// forget drops a node that is neither wanted nor connected.
func (r *Reader) forget(n *node) {
	if n.conn != nil {
		return
	}
	if n.timer != nil {
		n.timer.Stop()
		n.timer = nil
	}
	if i := slices.Index(r.nodes, n); i >= 0 {
		r.nodes = slices.Delete(r.nodes, i, i+1)
	}
}
