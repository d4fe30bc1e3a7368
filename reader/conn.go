package reader

import (
	"errors"
	"fmt"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
)

// connState is where a connection stands with regard to its subscription.
type connState uint8

const (
	connecting  connState = iota // dialling and identifying
	subscribing                  // SUB is sent, its answer awaited
	subscribed                   // has a place in the ready budget
	leaving                      // CLS is sent: answers still count
	gone                         // closed
)

func (s connState) String() string {
	return [...]string{"connecting", "subscribing", "subscribed", "leaving", "gone"}[s]
}

// conn is one connection as the reader sees it.
type conn struct {
	reader *Reader
	node   *node
	client *client.Conn
	state  connState
	slot   *slot // while subscribed
	since  int64 // when it subscribed
	waited bool  // CLOSE_WAIT has come

	// The messages in flight, in the order of their deadlines, and one timer
	// for all of them, which is armed for a deadline that was the first at
	// some time. So a message costs no timer, and an answer touches none.
	head, tail *Message
	inFlight   int
	timer      loop.Timer
	armed      bool
	keeper     loop.Timer // touches what asks for it; nil while nothing does

	msgTimeout    int64 // nanoseconds, as negotiated
	maxMsgTimeout int64
}

// String names the connection in the loop's reports.
func (c *conn) String() string {
	return fmt.Sprintf("reader %s/%s of nsqd %s", c.reader.o.Topic, c.reader.o.Channel, c.node.addr)
}

// OnReady subscribes. The connection counts only when nsqd has agreed.
func (c *conn) OnReady(cc *client.Conn) {
	c.state = subscribing
	cc.Subscribe(c.reader.o.Topic, c.reader.o.Channel)
	c.timer = c.reader.loop.After(c.reader.o.Client.HandshakeTimeout, c.onTimer)
	c.armed = true
}

// OnResponse awaits the answers to SUB and to CLS.
func (c *conn) OnResponse(data []byte) {
	switch {
	case c.state == subscribing && string(data) == wire.OK:
		c.join()
	case c.state == leaving && string(data) == wire.CloseWait:
		c.waited = true
		c.closeWhenDone()
	default:
		c.client.Abort(fmt.Errorf("%w: response %q while %v", client.ErrProtocol, clip(data), c.state))
	}
}

// clip keeps foreign bytes from flooding an error message.
func clip(b []byte) []byte { return b[:min(len(b), 80)] }

// join takes a subscribed connection into the budget.
func (c *conn) join() {
	r, info := c.reader, c.client.Info()
	c.timer.Stop()
	c.armed = false
	c.state, c.since = subscribed, r.now()
	c.node.err, c.node.told = nil, false
	c.msgTimeout, c.maxMsgTimeout = int64(info.MsgTimeout), int64(info.MaxMsgTimeout)
	limit := max(info.MaxRdyCount, 1)
	log := r.log.With("nsqd", c.node.addr)
	if limit < r.ready.max {
		log.Warn("nsqd accepts a smaller ready count than max in flight", "max_rdy_count", limit, "max_in_flight", r.ready.max)
	}
	log.Info("subscribed")
	c.slot = r.ready.add(c, limit, c.since)
	if r.member != nil {
		r.member.resize()
	}
	r.sendReady()
	if r.o.OnConnect != nil {
		addr := c.node.addr
		r.emit(func() { r.o.OnConnect(addr) })
	}
}

// OnMessage takes a message in flight and hands it on.
func (c *conn) OnMessage(w wire.Message) {
	r := c.reader
	if c.state != subscribed {
		c.onUnwanted(w)
		return
	}
	r.stats.Received++
	now := r.now()
	m := r.arena.message()
	m.ID = MessageID(w.ID)
	m.Body = r.arena.body(w.Body)
	m.Timestamp = time.Unix(0, w.Timestamp)
	m.Attempts = w.Attempts
	m.NSQD = c.node.addr
	m.reader = r
	m.limit, m.received = now+c.maxMsgTimeout, now
	c.push(m, now+c.msgTimeout)
	r.ready.message(c.slot, now)
	if r.limit.rate > 0 {
		r.onMetered(now)
	}
	if r.member != nil {
		r.member.message()
	}
	r.sendReady()
	r.showStarved()
	r.take(m)
}

// onUnwanted deals with a message that comes when none should: on its way
// while we leave, or without a subscription.
func (c *conn) onUnwanted(w wire.Message) {
	if c.state == leaving {
		c.reader.stats.Received++
		c.reader.stats.Returned++
		c.client.Requeue(w.ID, 0)
		return
	}
	c.client.Abort(fmt.Errorf("%w: message while %v", client.ErrProtocol, c.state))
}

// OnError hears of answers that nsqd refused. All other errors are fatal;
// OnClose receives them again.
func (c *conn) OnError(e *client.Error) {
	if e.Fatal() {
		return
	}
	r := c.reader
	r.stats.Refused++
	r.report(fmt.Errorf("answer to nsqd %s: %w", c.node.addr, e))
	if r.o.FinishErrorsBackOff && errors.Is(e, client.ErrFinFailed) {
		r.outcome(failure, e)
		r.sendReady()
	}
}

// OnClose is the end of the connection, and of the messages in flight on it:
// nsqd will deliver them again.
func (c *conn) OnClose(err error) {
	r, before := c.reader, c.state
	c.state = gone
	if c.timer != nil {
		c.timer.Stop()
	}
	if c.keeper != nil {
		c.keeper.Stop()
	}
	if c.slot != nil {
		slot := c.slot
		c.slot = nil
		r.ready.remove(slot, r.now())
		r.sendReady()
		if r.member != nil {
			r.member.resize()
		}
	}
	c.abandon()
	r.showStarved()
	log := r.log.With("nsqd", c.node.addr)
	switch {
	case before >= subscribed:
		log.Info("disconnected", "err", err)
		if r.o.OnDisconnect != nil {
			addr := c.node.addr
			r.emit(func() { r.o.OnDisconnect(addr, err) })
		}
	case err != nil:
		if before == subscribing {
			err = fmt.Errorf("subscribe to %s/%s: %w", r.o.Topic, r.o.Channel, err)
		}
		c.node.logFailure(log, err)
		r.report(err)
	}
	r.onConnClosed(c, before, err)
}

// abandon ends the time in flight of all messages: nobody can answer them here
// any more.
func (c *conn) abandon() {
	for m := c.head; m != nil; m = c.head {
		m.state.CompareAndSwap(stateOpen, stateLost)
		c.drop(m, Lost)
	}
}

// leave asks nsqd to send no more, so that what is in flight can be answered
// before the connection closes. One without subscription closes at once.
func (c *conn) leave() {
	r := c.reader
	switch c.state {
	case connecting, subscribing:
		c.client.Close()
	case subscribed:
		c.state = leaving
		c.client.StartClose()
		slot := c.slot
		c.slot = nil
		r.ready.remove(slot, r.now())
		if !r.leaving { // else the others leave too, and should not grow
			r.sendReady()
		}
	}
}

// closeWhenDone closes a leaving connection when nothing is left to be said.
func (c *conn) closeWhenDone() {
	if c.state == leaving && c.waited && c.inFlight == 0 {
		c.client.Close()
	}
}

// push puts a message that has arrived in flight.
func (c *conn) push(m *Message, deadline int64) {
	m.conn = c
	m.deadline.Store(deadline)
	c.inFlight++
	c.insert(m, deadline)
	if !c.armed {
		c.arm(deadline - c.reader.now())
	}
}

// insert links m in the order of deadlines. They nearly always grow, so the
// search from the end finds the place at once.
func (c *conn) insert(m *Message, deadline int64) {
	before := c.tail
	for before != nil && before.deadline.Load() > deadline {
		before = before.prev
	}
	m.prev = before
	if before == nil {
		m.next = c.head
		c.head = m
	} else {
		m.next = before.next
		before.next = m
	}
	if m.next == nil {
		c.tail = m
	} else {
		m.next.prev = m
	}
}

// unlink takes m out of the list.
func (c *conn) unlink(m *Message) {
	if m.prev == nil {
		c.head = m.next
	} else {
		m.prev.next = m.next
	}
	if m.next == nil {
		c.tail = m.prev
	} else {
		m.next.prev = m.prev
	}
	m.prev, m.next = nil, nil
}

// drop ends a message's time in flight.
func (c *conn) drop(m *Message, how End) {
	r := c.reader
	c.unlink(m)
	m.conn = nil
	c.inFlight--
	if c.slot != nil {
		r.ready.answered(c.slot, r.now())
	}
	if r.member != nil {
		r.member.answered()
	}
	m.finishUp(how)
	if m.line != nil {
		r.lines.ended(m)
	}
	if m.given {
		r.given--
		r.scheduleWaiting()
	}
}

// touch moves a message's deadline.
func (c *conn) touch(m *Message, now int64) {
	c.unlink(m)
	deadline := min(now+c.msgTimeout, m.limit)
	m.deadline.Store(deadline)
	c.insert(m, deadline)
}

// arm starts the timer.
func (c *conn) arm(d int64) {
	c.armed = true
	c.timer.Reset(time.Duration(max(d, int64(time.Millisecond))))
}

// onTimer gives up on a SUB without answer, or on messages whose time is over:
// nsqd has given them to somebody else, and without this they would count as
// in flight for as long as the connection lives.
func (c *conn) onTimer() {
	r := c.reader
	c.armed = false
	if c.state == subscribing {
		c.client.Abort(fmt.Errorf("%w: no answer to SUB within %v", client.ErrTimeout, r.o.Client.HandshakeTimeout))
		return
	}
	now := r.now()
	for m := c.head; m != nil && m.deadline.Load() <= now; {
		next := m.next
		// One that another goroutine has answered is about to be settled.
		if m.state.CompareAndSwap(stateOpen, stateExpired) {
			r.stats.Expired++
			c.drop(m, Expired)
		}
		m = next
	}
	r.sendReady()
	r.showStarved()
	if c.head != nil {
		c.arm(c.head.deadline.Load() - now)
	}
	c.closeWhenDone()
}
