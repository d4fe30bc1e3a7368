package writer

import (
	"errors"
	"fmt"
	"log/slog"
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
// one, and who waits for its answers. It implements client.Handler. There is
// one for each address.
type conn struct {
	w    *Writer
	addr string
	log  *slog.Logger

	direct bool // added by the program: dialled as long as it stays so
	found  bool // named by nsqlookupd
	missed int  // polls in a row that did not name it

	client  *client.Conn // nil between a close and the next dial
	ready   bool
	dialed  int64 // Writer.now: when it was dialled last
	since   int64 // Writer.now: ready since
	down    int64 // Writer.now: since when it was not ready, or was suspect
	redial  *backoff.Reconnect
	timer   loop.Timer // the next dial; nil until the first failure
	err     error      // why the last connection ended, or was not made
	failing bool       // the current outage was logged

	// hopeless says that the last attempt failed in a way that another one
	// will hardly mend: the address is not nsqd's, or nsqd has decided to
	// refuse what it is told in the handshake.
	hopeless bool

	// suspect says that publishes have failed here and none was confirmed
	// since: it gets one at a time.
	suspect bool

	// The publishes that are sent and unanswered, oldest first.
	pending      ring[publish]
	pendingBytes int
	expired      int // how many of them have expired

	once once

	// What is about to be sent: see Options.Batch.
	batches       []batch
	gathered      int
	gatheredBytes int

	quiet    int    // looks in a row at which an answer was owed and nothing had come
	received uint64 // client.Received at the last look
	pace     pace

	connects  uint64
	confirmed uint64 // publishes
}

// String names the connection in the loop's reports.
func (c *conn) String() string { return "writer " + c.w.o.Name + " nsqd " + c.addr }

// dial connects. DNS is asked each time.
func (c *conn) dial() {
	o := c.w.o.Client
	o.Publisher = c.once.id
	c.dialed = c.w.now()
	c.client = client.Dial(c.w.loop, c.addr, o, c)
}

// wanted says whether the nsqd is to be connected.
func (c *conn) wanted() bool { return c.direct || c.found && c.missed < missedPolls }

// usable says whether publishes may be sent: from OnReady until something ends
// the connection, of which OnClose tells only in a later turn.
func (c *conn) usable() bool { return c.ready && c.client.State() == client.StateReady }

// hasRoom reports whether one more publish may be sent.
func (c *conn) hasRoom() bool {
	if !c.usable() {
		return false
	}
	n := c.pending.len() + c.gathered
	return n == 0 || n < c.w.o.Window && !c.suspect && c.pendingBytes+c.gatheredBytes < windowBytes
}

// send writes p and enters it among the pending.
func (c *conn) send(p *publish) { c.sendAs(p, c.once.number(p.messages())) }

// sendAs is send with a number, or none.
func (c *conn) sendAs(p *publish, number uint64) {
	p.number = number
	c.client.Number(number)
	switch p.kind {
	case kindPub:
		c.client.Publish(p.topic, p.body)
	case kindMPub:
		c.client.MultiPublish(p.topic, p.bodies)
	case kindDPub:
		c.client.DeferredPublish(p.topic, p.delay, p.body)
	}
	c.enter(p)
}

// enter enters p, which was written, among the pending.
func (c *conn) enter(p *publish) {
	if c.pending.len() == 0 { // an answer is owed from now on
		c.quiet, c.received = 0, c.client.Received()
	}
	p.at, p.sent = c, c.w.now()
	c.pace.asked = p.sent
	p.tries++
	*c.pending.push() = *p
	c.pendingBytes += p.size
	if p.wait != nil {
		p.wait.state.Store(waitSent)
	}
	c.w.watchReplies()
}

// pop drops the oldest pending publish.
func (c *conn) pop() {
	p := c.pending.at(0)
	c.pendingBytes -= p.size
	if p.expired {
		c.expired--
	}
	c.pending.pop()
}

// take is pop, and returns it.
func (c *conn) take() publish {
	p := *c.pending.at(0)
	c.pop()
	return p
}

// expire ends those whose time was up at the given moment, and returns when
// the next one's is, as its start; 0 when there is none. Their places stay: the
// late answer must not be taken for another's.
func (c *conn) expire(startedBefore int64) (next int64) {
	next = c.expireUnsure(startedBefore)
	var err error
	for i := range c.pending.len() {
		p := c.pending.at(i)
		switch {
		case p.expired:
			continue
		case p.start > startedBefore:
			if next == 0 || p.start < next { // what is tried again is older than its neighbours
				next = p.start
			}
			continue
		}
		if err == nil {
			err = unknown(c.addr, fmt.Errorf("%w: no answer within %v", client.ErrTimeout, c.w.o.Timeout))
			c.distrust()
		}
		c.w.end(p, err)
		p.expire()
		c.expired++
	}
	c.leaveWhenDone()
	return next
}

// distrust makes the nsqd suspect, because it has failed.
func (c *conn) distrust() {
	if !c.suspect {
		c.suspect, c.down = true, c.w.now()
	}
}

// OnReady is part of client.Handler.
func (c *conn) OnReady(*client.Conn) {
	w := c.w
	c.ready, c.since, c.err = true, w.now(), nil
	c.failing, c.hopeless = false, false
	c.connects++
	w.setReady()
	c.ask()
	c.log.Info("connected", "version", c.client.Info().Version)
	c.emitConnect()
	w.answerReadies()
	w.atTurnEnd()
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
	c.suspect = false
	c.pace.add(c.pending.at(0).sent, c.w.now())
	for range max(1, c.pending.at(0).together) {
		if p := c.pending.at(0); !p.expired {
			c.confirmed++
			c.w.end(p, nil)
		}
		c.pop()
	}
	c.leaveWhenDone()
	c.w.atTurnEnd()
}

// OnError is part of client.Handler. The other errors that are not fatal answer
// commands that a writer does not send.
func (c *conn) OnError(e *client.Error) {
	switch {
	case c.pending.len() == 0:
		c.log.Warn("error frame", "err", e)
	case e.Is(client.ErrPubDoubtful):
		c.onDoubtful(e)
	case e.Fatal():
		c.onFatal(e)
	default:
		c.log.Warn("error frame", "err", e)
	}
}

// OnClose is part of client.Handler.
func (c *conn) OnClose(err error) {
	w := c.w
	wasReady := c.ready
	c.client, c.ready = nil, false
	if wasReady {
		if !c.suspect {
			c.down = w.now()
		}
		w.setReady()
		c.emitDisconnect(err)
	}
	w.stopping = w.stopping || errors.Is(err, loop.ErrClosed)
	if c.pending.len() > 0 {
		c.distrust()
		c.lose(unknown(c.addr, err))
	}
	switch {
	case w.stopping:
		return // the loop is in its last turn: see onLoopStopped
	case w.closed:
		c.log.Info("disconnected")
		w.onConnClosed()
		return
	case !c.wanted():
		c.log.Info("disconnected: not wanted any more")
		w.forget(c)
		return
	case err == nil:
		err = client.ErrClosed
	}
	c.onLoss(wasReady, err)
	if w.leaving || c.hopeless {
		c.endUnsure(notSentAfter(client.ErrNotConnected, err))
	}
	w.failPointless()
	w.answerReadies()
	w.atTurnEnd()
}

// onLoss plans the next dial after a connection was lost or not made.
func (c *conn) onLoss(wasReady bool, err error) {
	w := c.w
	c.logLoss(wasReady, err)
	var refused *client.Error
	c.err = err
	c.hopeless = errors.Is(err, client.ErrHTTPEndpoint) || errors.Is(err, client.ErrTLSRefused) || errors.Is(err, client.ErrChecksumRefused) ||
		errors.Is(err, client.ErrAuthRequired) || !wasReady && errors.As(err, &refused) && !refused.Passing()
	w.mail.setError(err)
	if !wasReady {
		w.onError(err)
	} else {
		c.missed = 0
		if w.now()-c.since >= int64(stableAfter) {
			c.redial.Reset()
		}
		if c.found {
			w.discovery.Soon()
		}
	}
	c.dialLater(wasReady)
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

// dialLater plans the next dial, after a connection was lost that was ready, or
// was not made.
func (c *conn) dialLater(wasReady bool) {
	w := c.w
	var d time.Duration
	outage := time.Duration(w.now() - c.down)
	limit := max(backoff.Outage(outage), w.o.ReconnectDelay)
	switch refused := (*client.Error)(nil); {
	case c.hopeless:
		d = c.redial.Next()
	case !wasReady && errors.As(c.err, &refused): // it is there, and wants to be left alone
		d = c.redial.NextWithin(max(limit, outage/10), time.Duration(w.now()-c.dialed))
	case wasReady:
		d = c.redial.NextWithin(limit, 0)
	default:
		d = c.redial.NextWithin(limit, time.Duration(w.now()-c.dialed))
	}
	if c.timer == nil {
		c.timer = c.w.loop.After(d, c.dial)
		return
	}
	c.timer.Reset(d)
}

// look counts for how long an answer has been owed in silence.
func (c *conn) look() {
	if !c.usable() || c.pending.len() == 0 {
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
