package writer

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/internal/backoff"
	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
)

const (
	// windowBytes bounds the bytes that are sent and unanswered per
	// connection. It is what a connection can carry per round trip.
	windowBytes = 4 << 20

	// stableAfter is how long a connection must have been ready before its
	// loss counts as a new trouble, and not as more of the old one.
	stableAfter = 10 * time.Second

	// A connection that owes an answer is looked at quietLooks times in a
	// ReplyTimeout, and given up at the look after. Counting looks, and not
	// comparing times, keeps a loop that was held up from blaming the peer.
	quietLooks = 8
)

// conn is one nsqd as the writer sees it: the connection to it, if there is
// one, and who waits for its answers. It implements client.Handler.
type conn struct {
	w    *Writer
	addr string
	log  *slog.Logger

	client  *client.Conn // nil between a close and the next dial
	ready   bool
	since   int64 // Writer.now: ready since
	redial  *backoff.Reconnect
	timer   loop.Timer // the next dial; nil until the first failure
	err     error      // why the last connection ended, or was not made
	failing bool       // the current outage was logged

	// hopeless says that the last attempt failed in a way that another one
	// will hardly mend: the address is not nsqd's, or nsqd refuses what it is
	// told in the handshake.
	hopeless bool

	// The publishes that are sent and unanswered, oldest first.
	pending      ring[sent]
	pendingBytes int
	expired      int // how many of the oldest have expired

	quiet    int    // looks in a row at which an answer was owed and nothing had come
	received uint64 // client.Received at the last look

	connects  uint64
	confirmed uint64 // publishes
}

// String names the connection in the loop's reports.
func (c *conn) String() string { return "writer " + c.w.o.Name + " nsqd " + c.addr }

// dial connects. DNS is asked each time.
func (c *conn) dial() {
	c.client = client.Dial(c.w.loop, c.addr, c.w.o.Client, c)
}

// usable says whether publishes may be sent: from OnReady until something ends
// the connection, of which OnClose tells only in a later turn.
func (c *conn) usable() bool { return c.ready && c.client.State() == client.StateReady }

// hasRoom reports whether one more publish may be sent.
func (c *conn) hasRoom() bool {
	return c.usable() && c.pending.len() < c.w.o.Window && c.pendingBytes < windowBytes
}

// send writes p and enters it among the pending.
func (c *conn) send(p *publish) {
	switch p.kind {
	case kindPub:
		c.client.Publish(p.topic, p.body)
	case kindMPub:
		c.client.MultiPublish(p.topic, p.bodies)
	case kindDPub:
		c.client.DeferredPublish(p.topic, p.delay, p.body)
	}
	if c.pending.len() == 0 { // an answer is owed from now on
		c.quiet, c.received = 0, c.client.Received()
	}
	s := c.pending.push()
	s.topic, s.start, s.size, s.messages = p.topic, p.start, p.size, p.messages()
	s.done, s.wait = p.done, p.wait
	c.pendingBytes += p.size
	c.w.watchReplies()
}

// pop drops the oldest pending publish from the order.
func (c *conn) pop() {
	c.pendingBytes -= c.pending.at(0).size
	c.pending.pop()
	if c.expired > 0 {
		c.expired--
	}
}

// fail ends all that is pending with err. Those that have expired were
// reported then.
func (c *conn) fail(err error) {
	for c.pending.len() > 0 {
		if s := c.pending.at(0); !s.expired {
			c.w.settleSent(c, s, err)
		}
		c.pop()
	}
}

// expire ends those whose time was up at the given moment, and returns when
// the next one's is, as its start; 0 when there is none. Their places stay: the
// late answer must not be taken for another's.
func (c *conn) expire(startedBefore int64) (next int64) {
	var err error
	for c.expired < c.pending.len() {
		s := c.pending.at(c.expired)
		if s.start > startedBefore {
			return s.start
		}
		if err == nil {
			err = unknown(c.addr, fmt.Errorf("%w: no answer within %v", client.ErrTimeout, c.w.o.Timeout))
		}
		c.w.settleSent(c, s, err)
		s.expired, s.done, s.wait = true, nil, nil
		c.expired++
	}
	return 0
}

// OnReady is part of client.Handler.
func (c *conn) OnReady(*client.Conn) {
	w := c.w
	c.ready, c.since, c.err = true, w.now(), nil
	c.failing, c.hopeless = false, false
	c.connects++
	w.setReady()
	c.log.Info("connected", "version", c.client.Info().Version)
	w.answerPings()
	w.atTurnEnd()
	if w.o.OnConnect != nil {
		w.o.OnConnect(c.addr)
	}
}

// OnMessage is part of client.Handler. Who has not subscribed gets no messages.
func (c *conn) OnMessage(wire.Message) {
	c.client.Abort(fmt.Errorf("%w: a message without a subscription", client.ErrProtocol))
}

// OnResponse is part of client.Handler: the answer to the oldest pending
// publish.
func (c *conn) OnResponse(data []byte) {
	switch {
	case c.pending.len() == 0:
		c.client.Abort(fmt.Errorf("%w: the response %.40q with nothing pending", client.ErrProtocol, data))
		return
	case string(data) != wire.OK:
		c.client.Abort(fmt.Errorf("%w: the response %.40q to a publish", client.ErrProtocol, data))
		return
	}
	if s := c.pending.at(0); !s.expired {
		c.confirmed++
		c.w.settleSent(c, s, nil)
	}
	c.pop()
	c.w.atTurnEnd()
}

// OnError is part of client.Handler. A fatal error is about the oldest pending
// publish, and nsqd executes nothing of what was sent behind it; but a server
// whose disk has failed may have stored some of that before it noticed. The
// other errors answer commands that a writer does not send.
func (c *conn) OnError(e *client.Error) {
	if !e.Fatal() || c.pending.len() == 0 {
		c.log.Warn("error frame", "err", e)
		return
	}
	if s := c.pending.at(0); !s.expired {
		c.w.settleSent(c, s, fmt.Errorf("publish to %s: %w", c.addr, e))
	}
	c.pop()
	if notStored(e) {
		c.fail(unknown(c.addr, e))
		return
	}
	c.fail(fmt.Errorf("publish to %s: %w: %w", c.addr, ErrNotExecuted, e))
}

// OnClose is part of client.Handler.
func (c *conn) OnClose(err error) {
	w := c.w
	wasReady := c.ready
	c.client, c.ready = nil, false
	if wasReady {
		w.setReady()
	}
	c.fail(unknown(c.addr, err))
	if wasReady && w.o.OnDisconnect != nil {
		defer w.o.OnDisconnect(c.addr, err) // last, in case it panics
	}
	switch {
	case errors.Is(err, loop.ErrClosed):
		return // the loop is in its last turn: see onLoopStopped
	case w.closed:
		c.log.Info("disconnected")
		w.onConnClosed()
		return
	case err == nil:
		err = client.ErrClosed
	}
	c.logLoss(wasReady, err)
	var refused *client.Error
	c.err = err
	c.hopeless = errors.Is(err, client.ErrHTTPEndpoint) || errors.Is(err, client.ErrTLSRefused) ||
		errors.Is(err, client.ErrAuthRequired) || !wasReady && errors.As(err, &refused)
	w.mail.setError(err)
	if wasReady && w.now()-c.since >= int64(stableAfter) {
		c.redial.Reset()
	}
	c.dialLater(c.redial.Next())
	if err := w.pointless(); err != nil {
		w.failWaiting(err)
	}
	w.answerPings()
	w.atTurnEnd()
}

// logLoss says once per outage what happened, and keeps the repetitions for
// who wants to see them.
func (c *conn) logLoss(wasReady bool, err error) {
	switch {
	case wasReady:
		c.log.Info("disconnected", "err", err)
	case !c.failing:
		c.log.Warn("not connected: will try until it is", "err", err)
	default:
		c.log.Debug("still not connected", "err", err)
	}
	c.failing = c.failing || !wasReady
}

func (c *conn) dialLater(d time.Duration) {
	if c.timer == nil {
		c.timer = c.w.loop.After(d, c.dial)
		return
	}
	c.timer.Reset(d)
}

// look counts for how long an answer has been owed in silence.
func (c *conn) look() {
	if !c.ready || c.pending.len() == 0 {
		return
	}
	if received := c.client.Received(); received != c.received {
		c.quiet, c.received = 0, received
		return
	}
	if c.quiet++; c.quiet > quietLooks {
		c.client.Abort(fmt.Errorf("%w: an answer is owed for %v", client.ErrStale, c.w.o.ReplyTimeout))
	}
}

// stop closes the connection, or what would become one.
func (c *conn) stop() {
	if c.timer != nil {
		c.timer.Stop()
	}
	if c.client != nil {
		c.client.Close()
	}
}

// setReady rebuilds the list of connections that can be used, in the order of
// the options.
func (w *Writer) setReady() {
	w.ready = slices.DeleteFunc(slices.Clone(w.conns), func(c *conn) bool { return !c.ready })
	w.turn = 0
}
