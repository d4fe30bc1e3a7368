package server

import (
	"errors"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/server/journal"
)

// exec carries out one command whose form and state ReadCommand has found in
// order. It returns what the client is to be told if it cannot be done.
func (c *conn) exec(cmd *wire.Command) *wire.Error {
	switch cmd.Verb {
	case wire.Fin:
		return c.finish(cmd)
	case wire.Pub, wire.DPub:
		return c.publish(cmd)
	case wire.MPub:
		return c.multiPublish(cmd)
	case wire.Rdy:
		c.setReady(cmd.Count)
	case wire.Req:
		return c.requeue(cmd)
	case wire.Touch:
		return c.touch(cmd)
	case wire.Sub:
		return c.subscribe(cmd)
	case wire.Identify:
		return c.identify(cmd.Body)
	case wire.Auth:
		return c.authenticate(cmd.Body)
	case wire.Cls:
		c.startClose()
	case wire.Nop:
	}
	return nil
}

// answersAtOnce says whether a command is answered within its turn, so that it
// has to wait until the publishes before it have been answered.
func answersAtOnce(v wire.Verb) bool {
	return v == wire.Sub || v == wire.Identify || v == wire.Auth || v == wire.Cls
}

// publish is PUB and DPUB. The OK is owed.
func (c *conn) publish(cmd *wire.Command) *wire.Error {
	p, err := c.publisher(cmd.Topic)
	if err != nil {
		return publishFailed(cmd.Verb, err)
	}
	if known, err := c.repeats(p, cmd, 1); err != nil {
		return publishFailed(cmd.Verb, err)
	} else if known == 1 {
		return nil
	}
	if err := p.t.room(len(cmd.Body)); err != nil {
		return publishFailed(cmd.Verb, err)
	}
	now, due := c.s.now(), int64(0)
	if cmd.Verb == wire.DPub && cmd.Delay > 0 {
		if err := c.s.mayHold(delayCost); err != nil {
			return publishFailed(cmd.Verb, err)
		}
		due = now + int64(cmd.Delay)
	}
	c.touches(p.t)
	p.t.append(now, due, cmd.Body)
	p.n++
	if p.mark != nil {
		p.mark.raise(cmd.Number)
	}
	c.owe(p.t, cmd.Verb)
	return nil
}

// multiPublish is MPUB: all of it is in one generation, so it is kept or
// refused as one, but for what was published before.
func (c *conn) multiPublish(cmd *wire.Command) *wire.Error {
	p, err := c.publisher(cmd.Topic)
	if err != nil {
		return publishFailed(cmd.Verb, err)
	}
	known, err := c.repeats(p, cmd, cmd.Count)
	if err != nil {
		return publishFailed(cmd.Verb, err)
	}
	if known == cmd.Count {
		return nil
	}
	if err := p.t.room(len(cmd.Body)); err != nil {
		return publishFailed(cmd.Verb, err)
	}
	for range known {
		cmd.NextMessage()
	}
	c.touches(p.t)
	p.n += uint64(cmd.Count - known)
	if p.mark != nil {
		p.mark.raise(cmd.Number + uint64(cmd.Count) - 1)
	}
	c.owe(p.t, cmd.Verb)
	if c.s.larges.isLarge(cmd.Count-known, len(cmd.Body)) {
		c.store(p.t, cmd)
		return nil
	}
	now := c.s.now()
	for body, ok := cmd.NextMessage(); ok; body, ok = cmd.NextMessage() {
		p.t.append(now, 0, body)
	}
	return nil
}

// publishFailed is what a publisher is told whose message is not kept.
func publishFailed(v wire.Verb, err error) *wire.Error {
	code := wire.CodePubFailed
	switch {
	case errors.Is(err, errDoubtful):
		code = wire.CodePubDoubtful
	case v == wire.MPub:
		code = wire.CodeMPubFailed
	case v == wire.DPub:
		code = wire.CodeDPubFailed
	}
	return wire.Errorf(code, "%s failed %s", v, err)
}

// publisher returns the count for a topic, made with the topic if need be. Most
// clients publish to one topic; the others pay a look-up per message, by bytes,
// so that it allocates nothing.
func (c *conn) publisher(name []byte) (*published, error) {
	if p := c.pub; p != nil && p.name == string(name) && !p.t.deleted {
		return p, nil
	}
	p := c.pubs[string(name)]
	if p != nil && !p.t.deleted {
		c.pub = p
		return p, nil
	}
	t := c.s.byName[string(name)]
	if t == nil {
		c.spent += makeCost
		var err error
		if t, err = c.s.makeTopic(string(name), c.origin); err != nil {
			return nil, err
		}
	}
	var m *mark
	if c.as != nil {
		var err error
		if m, err = c.as.mark(t); err != nil {
			return nil, err
		}
	}
	if p == nil {
		p = &published{name: t.name}
		if c.pubs == nil {
			c.pubs = map[string]*published{}
		}
		c.pubs[p.name] = p
		c.all = append(c.all, p)
	}
	p.t, p.mark, c.pub = t, m, p
	return p, nil
}

// touches notes that t is to be changed by a command of c.
func (c *conn) touches(t *topic) {
	if !t.dirty {
		c.spent += touchCost
	}
}

// subscribe is SUB.
func (c *conn) subscribe(cmd *wire.Command) *wire.Error {
	c.spent += makeCost // it most likely makes the channel, if not the topic
	t, err := c.s.makeTopic(string(cmd.Topic), c.origin)
	if err != nil {
		return wire.Errorf(wire.CodeSubFailed, "SUB failed %s", err)
	}
	ch, err := t.makeChannel(string(cmd.Channel), c.origin)
	if err != nil {
		return wire.Errorf(wire.CodeSubFailed, "SUB failed %s", err)
	}
	if most := c.s.o.MaxChannelConsumers; most > 0 && len(ch.subscribers) >= most {
		return wire.Errorf(wire.CodeSubFailed, "SUB failed consumers for %s:%s exceeds limit of %d", t.name, ch.name, most)
	}
	c.rules.State = wire.StateSubscribed
	ch.subscribe(c)
	c.watchGrants()
	c.reply(wire.OK)
	return nil
}

// setReady is RDY. A client that has sent CLS gets nothing any more.
func (c *conn) setReady(n int) {
	if c.rules.State == wire.StateSubscribed {
		c.rdy = n
		c.updateReady()
	}
}

// startClose is CLS.
func (c *conn) startClose() {
	c.setReady(0)
	c.rules.State = wire.StateClosing
	c.reply(wire.CloseWait)
}

// finish is FIN.
func (c *conn) finish(cmd *wire.Command) *wire.Error {
	seq, ok := parseID(&cmd.ID)
	if !ok {
		return answerFailed(wire.CodeFinFailed, cmd, journal.ErrNotInFlight)
	}
	ch := c.ch
	if err := ch.cur.Finish(seq, c.owner); err != nil {
		return answerFailed(wire.CodeFinFailed, cmd, err)
	}
	c.finished++
	ch.finished++
	ch.ended(seq)
	c.landed()
	return nil
}

// requeue is REQ.
func (c *conn) requeue(cmd *wire.Command) *wire.Error {
	seq, ok := parseID(&cmd.ID)
	if !ok {
		return answerFailed(wire.CodeReqFailed, cmd, journal.ErrNotInFlight)
	}
	due := int64(0)
	if cmd.Delay > 0 {
		due = c.s.now() + int64(cmd.Delay)
		c.ch.t.delays = true
	}
	ch := c.ch
	if err := ch.cur.Requeue(seq, c.owner, due); err != nil {
		return answerFailed(wire.CodeReqFailed, cmd, err)
	}
	c.requeued++
	ch.requeued++
	ch.returned(seq)
	c.landed()
	ch.wake() // it waits again, or its due time may be the next
	return nil
}

// landed is told that a message of this subscriber is no longer in flight.
func (c *conn) landed() {
	c.inFlight--
	if c.inFlight < 0 {
		panic("a subscriber has fewer than no messages in flight")
	}
	if !c.ready {
		c.updateReady()
	}
	t := c.ch.t
	t.answered = true
	t.touch()
}

// touch is TOUCH.
func (c *conn) touch(cmd *wire.Command) *wire.Error {
	seq, ok := parseID(&cmd.ID)
	if !ok {
		return answerFailed(wire.CodeTouchFailed, cmd, journal.ErrNotInFlight)
	}
	err := c.ch.cur.Touch(seq, c.owner, c.s.now()+c.timeout, int64(c.s.o.MaxMsgTimeout))
	if err != nil {
		return answerFailed(wire.CodeTouchFailed, cmd, err)
	}
	c.ch.arm() // the limit may come before the deadline it had
	return nil
}

// answerFailed is what a client is told whose FIN, REQ or TOUCH had no effect.
func answerFailed(code wire.Code, cmd *wire.Command, err error) *wire.Error {
	reason := "ID not in flight"
	if err == journal.ErrNotOwner {
		reason = "client does not own message"
	}
	return wire.Errorf(code, "%s %s failed %s", cmd.Verb, cmd.ID[:], reason)
}

// millis is a duration as clients are told it.
func millis(d time.Duration) int { return int(d.Milliseconds()) }
