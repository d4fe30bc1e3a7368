package reader

import (
	"errors"
	"log/slog"
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
	dialed int64      // when it was dialled last
	down   int64      // since when there is no subscription
	err    error      // why the last connection ended; nil while subscribed
	told   bool       // that there is no subscription was logged as a warning
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
	n.timer, n.dialed = nil, r.now()
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
	took := time.Duration(now - n.dialed)
	if before >= subscribed {
		took, n.down, n.missed = 0, now, 0
		if now-c.since >= stable {
			n.redial.Reset()
		}
		if n.found {
			r.discovery.Soon()
		}
	}
	if !n.wanted() {
		r.forget(n)
		return
	}
	n.timer = r.loop.After(r.redialAfter(n, before, took, err), func() { r.dial(n) })
}

// redialAfter is how long to wait before a node is dialled again whose connection has
// ended in the state before, because of err; took is how long it took to fail.
func (r *Reader) redialAfter(n *node, before connState, took time.Duration, err error) time.Duration {
	if before < subscribed && permanent(err) {
		return r.o.MaxReconnectDelay
	}
	outage := time.Duration(r.now() - n.down)
	limit := backoff.Outage(outage)
	if refused := (*client.Error)(nil); errors.As(err, &refused) {
		limit = max(limit, outage/10) // it is there, and wants to be left alone
	}
	return n.redial.NextWithin(max(limit, r.o.ReconnectDelay), took)
}

// logFailure says once per outage why there is no subscription, and keeps the
// repetitions for who wants to see them.
func (n *node) logFailure(log *slog.Logger, err error) {
	if n.told {
		log.Debug("still no connection", "err", err)
		return
	}
	n.told = true
	log.Warn("no connection: will try until there is one", "err", err)
}

// permanent says whether trying again soon is pointless: what nsqd has decided to
// refuse, it will refuse again until somebody changes a configuration.
func permanent(err error) bool {
	for _, target := range []error{client.ErrHTTPEndpoint, client.ErrTLSRefused, client.ErrChecksumRefused, client.ErrAuthRequired} {
		if errors.Is(err, target) {
			return true
		}
	}
	var e *client.Error
	return errors.As(err, &e) && !e.Passing()
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
