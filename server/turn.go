package server

import (
	"time"

	"github.com/nsqloop/nsqloop/loop"
)

// What the end of a turn does not write at once, it writes after this time.
const (
	trailDelay = 10 * time.Millisecond // deliveries
	retryDelay = 50 * time.Millisecond // when the disk has just refused
)

// turn is what is to be done at the end of the running turn. The package
// comment lists it.
type turn struct {
	s         *Server
	atEnd     func()
	scheduled bool // atEnd has been given to the loop, or runs

	dirty   []*topic   // have something to write
	owing   []*conn    // have replies that wait for a write
	awaited []*topic   // have waiters
	woken   []*channel // may have something to deliver
	doomed  []doomed   // may have lost their last reason to live

	trailing []*topic // to be written a little later
	timer    loop.Timer
	armed    bool
}

// doomed is an ephemeral channel without subscribers, or an ephemeral topic
// without channels.
type doomed struct {
	ch *channel
	t  *topic
}

func (u *turn) init(s *Server) {
	u.s = s
	u.atEnd = u.run
}

// schedule has run called at the end of this turn.
func (u *turn) schedule() {
	if !u.scheduled {
		u.scheduled = true
		u.s.l.AtTurnEnd(u.atEnd)
	}
}

// write has t's journal written.
func (u *turn) write(t *topic) {
	t.dirty = true
	u.dirty = append(u.dirty, t)
	u.s.idle.use(t)
	u.schedule()
}

// await has the waiters of t told when they can be.
func (u *turn) await(t *topic) {
	if !t.awaited {
		t.awaited = true
		u.awaited = append(u.awaited, t)
	}
	u.schedule()
}

// owe has c's replies sent when they can be. c must not be owing yet.
func (u *turn) owe(c *conn) {
	u.owing = append(u.owing, c)
	u.schedule()
}

// wake has ch deliver what it can.
func (u *turn) wake(ch *channel) {
	u.woken = append(u.woken, ch)
	u.schedule()
}

// reap has ch, or t, removed if then nothing holds it any more.
func (u *turn) reap(ch *channel, t *topic) {
	u.doomed = append(u.doomed, doomed{ch, t})
	u.schedule()
}

// run is the end of the turn.
func (u *turn) run() {
	u.scheduled = true // what comes up below is seen to below
	for i := 0; i < len(u.dirty); i++ {
		if t := u.dirty[i]; t.ahead && !t.deleted {
			_ = t.commit() // the publishers are told, and the health
		}
	}
	u.settle()
	for i := 0; i < len(u.woken); i++ {
		u.woken[i].dispatch()
	}
	u.woken = u.woken[:0]
	for i := 0; i < len(u.dirty); i++ {
		u.writeRest(u.dirty[i])
	}
	u.dirty = u.dirty[:0]
	u.s.fsync.endTurn()
	u.scheduled = false
	for i := 0; i < len(u.doomed); i++ {
		u.remove(u.doomed[i])
	}
	u.doomed = u.doomed[:0]
}

// writeRest writes what the cursors of t have done. Answers are written now: a
// message that was finished must not come back. Deliveries may wait a little,
// for the answers to them most likely: a kill before that costs them their
// attempts.
func (u *turn) writeRest(t *topic) {
	t.dirty = false
	if !t.deleted && (t.delays || !t.onDisk) {
		defer t.weigh() // when everything is written
	}
	switch {
	case t.deleted || !t.j.Dirty():
	case t.answered:
		_ = t.writeEvents() // the health is told, and it is tried again
	default:
		u.writeLater(t)
	}
}

// remove deletes what nothing holds any more.
func (u *turn) remove(d doomed) {
	switch {
	case d.ch != nil && !d.ch.dropped && len(d.ch.subscribers) == 0:
		d.ch.t.deleteChannel(d.ch)
	case d.t != nil && !d.t.deleted && len(d.t.channels) == 0:
		if err := u.s.deleteTopic(d.t); err != nil {
			d.t.log.Error("ephemeral topic", "err", err)
		}
	}
}

// settle pays what is owed, as far as it is known.
func (u *turn) settle() {
	topics := u.awaited
	u.awaited = nil // waiters that are told may publish
	for _, t := range topics {
		t.awaited = false
		t.settle()
		if len(t.waiters) > 0 {
			u.await(t)
		}
	}
	kept := u.owing[:0]
	for _, c := range u.owing {
		if !c.settle() {
			kept = append(kept, c)
		}
	}
	clear(u.owing[len(kept):])
	u.owing = kept
}

// fail refuses the publishes to t of the generations from first up to, but
// not, end.
func (u *turn) fail(t *topic, first, end uint64, err error) {
	t.fail(first, end, err)
	for _, c := range u.owing {
		for i := range c.owed {
			if o := &c.owed[i]; o.t == t && o.refusal == nil && o.generation >= first && o.generation < end {
				u.s.measures.refused[o.verb] += uint64(o.n)
				o.refusal = publishFailed(o.verb, t.refusal(o.generation, err))
				if c.as != nil {
					// Nothing behind it is carried out, though it may have to
					// wait for what is before it: a mark must not pass it.
					c.stalled, c.refused = true, true
				}
			}
		}
	}
}

// writeLater has t written soon, in another turn.
func (u *turn) writeLater(t *topic) {
	if !t.trailing {
		t.trailing = true
		u.trailing = append(u.trailing, t)
	}
	if u.armed || u.s.closed {
		return
	}
	u.armed = true
	d := trailDelay
	if u.s.wrote != nil {
		d = retryDelay
	}
	if u.timer == nil {
		u.timer = u.s.l.After(d, u.writeTrailing)
	} else {
		u.timer.Reset(d)
	}
}

// writeTrailing has the trailing topics written at the end of this turn.
func (u *turn) writeTrailing() {
	u.armed = false
	for _, t := range u.trailing {
		t.trailing = false
		if !t.deleted && t.j.Dirty() {
			t.answered = true
			t.touch()
		}
	}
	clear(u.trailing)
	u.trailing = u.trailing[:0]
}

// stopTimer ends the timer of the trailing topics.
func (u *turn) stopTimer() {
	if u.timer != nil {
		u.timer.Stop()
	}
}
