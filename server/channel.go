package server

import (
	"slices"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/server/journal"
)

// A share is how many messages, and about how many bytes, a subscriber is given
// before the next one has its turn. Small enough to be fair, large enough that what goes to one client
// goes in one piece.
const (
	shareMost  = 64
	shareBytes = 256 << 10
)

// passBytes is about how much of a journal a channel reads in one turn to pass
// over what it is not to deliver: messages that were published with a delay and
// handed over already.
const passBytes = 512 << 10

// readRetry is how long a channel waits when a file could not be read.
const readRetry = time.Second

// channel is a cursor in its topic's journal, and the subscribers that share
// what it reads.
type channel struct {
	t    *topic
	name string
	cur  *journal.Cursor

	subscribers []*conn // in the order of their SUB
	ready       readySet
	maker       *origin // nil: the server itself, or before it started
	ephemeral   bool
	dropped     bool // deleted
	woken       bool // in turn.woken
	passing     bool // wakes itself in the next turn, to read on

	timer loop.Timer // for what is in flight and what is deferred
	alarm int64      // when timer runs; 0: it does not

	onTimeout func(seq uint64, owner uint32)

	finished, requeued, timedOut uint64
	near                         [distances]uint64 // deliveries by the subscriber's distance

	latencies *latencies // nil unless percentiles are asked for
}

// newChannel makes the channel of a cursor.
func newChannel(t *topic, cur *journal.Cursor) *channel {
	ch := &channel{t: t, name: cur.Name(), cur: cur, ephemeral: wire.Ephemeral(cur.Name())}
	ch.onTimeout = ch.noteTimeout
	ch.latencies = newLatencies(&t.s.o)
	return ch
}

// subscribe makes c a subscriber, which is not ready yet.
func (ch *channel) subscribe(c *conn) {
	s := ch.t.s
	s.lastOwner++
	c.ch, c.owner, c.distance = ch, s.lastOwner, s.distance(c.identity)
	ch.subscribers = append(ch.subscribers, c)
	s.subscribers[c.owner] = c
}

// unsubscribe lets c go. What it has in flight waits for its timeout, as in
// nsqd, unless the server is told otherwise.
func (ch *channel) unsubscribe(c *conn) {
	i := slices.Index(ch.subscribers, c)
	ch.subscribers = slices.Delete(ch.subscribers, i, i+1)
	s := ch.t.s
	delete(s.subscribers, c.owner)
	c.updateReady()
	if ch.dropped || s.closed {
		return
	}
	if s.o.RequeueOnDisconnect && c.inFlight > 0 {
		ch.cur.Release(c.owner, ch.returned)
		ch.t.touch()
		ch.wake()
	}
	c.inFlight = 0
	if ch.ephemeral && len(ch.subscribers) == 0 {
		s.turn.reap(ch, nil)
	}
}

// wake has the channel deliver at the end of the turn.
func (ch *channel) wake() {
	if !ch.woken {
		ch.woken = true
		ch.t.s.turn.wake(ch)
	}
}

// dispatch gives waiting messages to subscribers that can take them: each in
// its turn a share, so that nobody goes without and what goes to one client
// stays together. Subscribers that are not ready cost nothing.
func (ch *channel) dispatch() {
	ch.woken = false
	if ch.dropped {
		return
	}
	ch.cur.Pace(passBytes)
	share := shareMost
	if depth := ch.cur.Depth(); depth < int64(ch.ready.n)*shareMost {
		share = (int(depth) + ch.ready.n - 1) / max(ch.ready.n, 1)
	}
	for ch.ready.n > 0 && ch.cur.Depth() > 0 && !ch.cur.Paused() {
		c := ch.ready.first()
		if !ch.deliver(c, min(share, c.rdy-c.inFlight)) {
			break
		}
		// To the end of the line, or out of it.
		ch.ready.remove(c)
		if c.canTake() {
			ch.ready.push(c)
		}
	}
	if ch.ready.n > 0 && ch.cur.Passing() && !ch.cur.Paused() {
		ch.readOn()
	}
	ch.arm()
}

// readOn has the channel go on in the next turn: there is much to pass over
// before the next message, and others have their turn meanwhile.
func (ch *channel) readOn() {
	if ch.passing {
		return
	}
	ch.passing = true
	ch.t.touch() // how far it has read is to be written down
	ch.t.s.l.After(0, func() {
		ch.passing = false
		if !ch.dropped && !ch.t.s.closed {
			ch.wake()
		}
	})
}

// deliver writes up to n messages into c's output and notes that they are in
// flight. It stops early when no more are waiting or c has enough to read. It
// reports whether it took any message off the channel.
func (ch *channel) deliver(c *conn, n int) (took bool) {
	s := ch.t.s
	d := &s.delivery
	now := s.now()
	out := c.c.Output()
	had := len(out)
	most := had + shareBytes
	for n > 0 && len(out) < most {
		ok, err := ch.cur.Next(now, now+c.timeout, c.owner, d)
		if err != nil {
			ch.unreadable(err)
		}
		if !ok {
			break
		}
		took = true
		// The share that is kept is one percent more than was asked for: so
		// nsqd counts. What is not kept is gone for all subscribers.
		if c.sample > 0 && int32(s.l.Rand().IntN(100)) > c.sample {
			if err := ch.cur.Finish(d.Seq, c.owner); err != nil {
				panic("a message just delivered is not in flight: " + err.Error())
			}
			continue
		}
		out = wire.AppendMessage(out, d.Timestamp, d.Attempts, formatID(d.Seq), d.Body)
		ch.launched(d.Seq, d.Timestamp)
		c.inFlight++
		c.delivered++
		ch.near[c.distance]++
		n--
	}
	c.c.SetOutput(out)
	c.weighOutput(c.heldOut + int64(len(out)-had))
	ch.t.touch()
	if c.c.Buffered() >= outputMost || s.relief.short() {
		s.output.hold(c)
	}
	return took
}

// unreadable notes that the journal's file could not be read, and tries again
// after a while.
func (ch *channel) unreadable(err error) {
	ch.t.log.Error("message cannot be read: trying again", "channel", ch.name, "err", err)
	ch.t.s.l.After(readRetry, func() {
		if !ch.dropped && !ch.t.s.closed {
			ch.wake()
		}
	})
}

// arm has the timer run when the first deadline or due time comes. It is never
// put off: when it runs too early, because what it was set for has been
// finished, it is set again; so an answer costs it nothing.
func (ch *channel) arm() {
	due, ok := ch.cur.Due()
	if !ok || ch.alarm != 0 && ch.alarm <= due {
		return
	}
	s := ch.t.s
	ch.alarm = due
	d := time.Duration(max(due-s.now(), 0))
	if ch.timer == nil {
		ch.timer = s.l.After(d, ch.expire)
	} else {
		ch.timer.Reset(d)
	}
}

// expire returns what is overdue to those that wait.
func (ch *channel) expire() {
	ch.alarm = 0
	if ch.dropped || ch.t.s.closed {
		return
	}
	expired, released := ch.cur.Expire(ch.t.s.now(), ch.onTimeout)
	if expired+released > 0 {
		ch.t.delays = true
		ch.t.touch()
		ch.wake()
	}
	ch.arm()
}

// noteTimeout is told of each message whose time in flight is over.
func (ch *channel) noteTimeout(seq uint64, owner uint32) {
	ch.returned(seq)
	ch.timedOut++
	if c := ch.t.s.subscribers[owner]; c != nil { // else it has gone
		c.inFlight--
		c.updateReady()
	}
}

// pause stops deliveries, or lets them go on. It is kept when pause returns.
func (ch *channel) pause(on bool) error {
	ch.cur.SetPaused(on)
	ch.t.log.Info("channel paused", "channel", ch.name, "paused", on)
	ch.t.s.metadata.changed()
	ch.wake()
	return ch.t.keep()
}

// empty drops everything: what waits, what is in flight, what is deferred. Its
// subscribers can take messages again.
func (ch *channel) empty() {
	// What was appended in this turn came before.
	if err := ch.t.commit(); err != nil {
		ch.t.log.Warn("empty channel: journal cannot be written yet", "channel", ch.name, "err", err)
	}
	ch.cur.Empty()
	ch.t.delays = true
	ch.grounded()
	for _, c := range ch.subscribers {
		c.inFlight = 0
		c.updateReady()
	}
	if err := ch.t.keep(); err != nil {
		ch.t.log.Warn("empty channel: kept in memory until the journal can be written", "channel", ch.name, "err", err)
	}
}

// drop ends the channel and closes its subscribers. The caller takes it out of
// the topic.
func (ch *channel) drop() {
	ch.dropped = true
	ch.stopTimer()
	for _, c := range slices.Clone(ch.subscribers) { // each takes itself out
		c.close()
	}
}

// forget takes a channel that was dropped out of the books.
func (ch *channel) forget() {
	ch.grounded()
	ch.maker.count(0, -1)
	ch.t.s.budget.add(-channelCost)
	ch.t.delays = true
}

// stopTimer ends the channel's timer.
func (ch *channel) stopTimer() {
	if ch.timer != nil {
		ch.timer.Stop()
	}
}
