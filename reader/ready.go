package reader

import (
	"math/rand/v2"
	"slices"
)

// phase says how far failures hold the reader back.
type phase uint8

const (
	flowing phase = iota // no failures: every connection may have its share
	halted               // inside a pause of backoff: nothing may come
	probing              // after a pause: one connection, one message
)

// slot is one connection's part of the budget.
type slot struct {
	conn   *conn   // whose it is; nothing in this file looks at it
	member *member // or this, when a group divides its budget among topics
	limit  int     // the largest ready count that nsqd accepts here; 0: retired
	least  int     // what it may have before it is warm; 0 means 1

	count    int   // the ready count decided
	sent     int   // the ready count last written to nsqd
	inFlight int   // messages delivered here and not answered
	share    int   // its part of max when each connection has one
	peak     int   // the most in flight since demand was looked at
	demand   int   // what it can use, going by its peak; 0 is anything
	warm     bool  // a message has come: the share is earned
	heard    int64 // when the last message came, or the connection did
	since    int64 // when count last rose from 0
	until    int64 // when count last fell to 0; 0 when it never rose
	starved  bool  // see gauge
	changed  bool  // is in ready.changed
}

// use is what the slot takes of the budget: a message that is in flight takes
// its place also when the ready count has been lowered since.
func (s *slot) use() int { return max(s.count, s.inFlight) }

// idle says whether the slot has nothing and could have something.
func (s *slot) idle() bool { return s.use() == 0 && s.limit > 0 }

// ready decides the ready count of every connection. It is pure: events and
// times (unix nanoseconds) come in through its methods, and decisions are left
// in changed for the caller to write out and clear.
//
// What always holds: the sum of all counts is at most max, no count is above
// its connection's limit, and no count is raised while the messages in flight
// leave no room for it.
//
// There are three regimes. With a zero budget, or in a pause, every count is 0. With fewer messages than connections, or while backoff probes,
// slots of 1 are handed around (scarce). Otherwise each connection has 1 until
// its first message has come, so that a new one does not take a burst from
// those that have been waiting, and its share from then on.
type ready struct {
	max       int   // max in flight, over all connections
	paused    bool  // by the user: counts are 0, and what was earned is kept
	held      bool  // by the rate: the same
	phase     phase // see there
	slots     []*slot
	committed int   // the sum of use
	starving  int   // how many slots are starved
	short     bool  // some connection waits for room
	turn      int   // at which slot the remainder of the division starts
	turned    int64 // when turn last moved
	changed   []*slot

	adaptive    bool  // shares go by demand
	idleTimeout int64 // a scarce slot without messages moves on after this
	holdTimeout int64 // a scarce slot moves on after this in any case
	rand        *rand.Rand
}

// add takes a connection into the budget that accepts ready counts up to limit.
func (b *ready) add(c *conn, limit int, now int64) *slot {
	s := &slot{conn: c, limit: limit, heard: now}
	b.slots = append(b.slots, s)
	b.divide()
	b.adjust(now)
	return s
}

// remove gives back what a lost connection had to those that remain.
func (b *ready) remove(s *slot, now int64) {
	i := slices.Index(b.slots, s)
	if i < 0 {
		panic("reader: a connection left the ready budget twice")
	}
	b.slots = slices.Delete(b.slots, i, i+1)
	b.committed -= s.use()
	s.count, s.sent, s.inFlight = 0, 0, 0
	b.gauge(s)
	b.divide()
	b.adjust(now)
}

// retire leaves a connection nothing but what is in flight there, until it is
// removed.
func (b *ready) retire(s *slot, now int64) {
	s.limit = 0
	b.divide()
	b.adjust(now)
}

// message notes a delivery. It is called before the handler sees the message.
func (b *ready) message(s *slot, now int64) {
	s.inFlight++
	if s.inFlight > s.count {
		b.committed++
	}
	s.heard = now
	s.peak = max(s.peak, s.inFlight)
	b.gauge(s)
	switch {
	case !s.warm:
		s.warm, s.demand = true, 0
		if b.adaptive {
			b.divide()
		}
		b.adjust(now)
	case s.demand > 0 && s.inFlight >= s.count && !b.quiet():
		s.demand = 0 // it could use more than it was left
		b.divide()
		b.adjust(now)
	}
}

// answered notes that a message is no longer in flight.
func (b *ready) answered(s *slot, now int64) {
	if s.inFlight == 0 {
		panic("reader: more answers than messages in flight")
	}
	if s.inFlight > s.count {
		b.committed--
	}
	s.inFlight--
	b.gauge(s)
	if b.short && b.committed < b.max {
		b.adjust(now)
	}
}

// setMax changes the budget. A budget of 0 takes away what was earned: after
// it every connection starts again with 1.
func (b *ready) setMax(n int, now int64) {
	if n == 0 {
		for _, s := range b.slots {
			s.warm = false
		}
	}
	b.lend(n, now)
}

// lend is setMax that takes nothing away.
func (b *ready) lend(n int, now int64) {
	b.max = n
	b.divide()
	b.adjust(now)
}

// pause sets every count to 0 and, with on false, back to what it would be.
func (b *ready) pause(on bool, now int64) {
	b.paused = on
	b.adjust(now)
}

// hold is pause, for messages that come too fast.
func (b *ready) hold(on bool, now int64) {
	b.held = on
	b.adjust(now)
}

// halt begins a pause of backoff.
func (b *ready) halt(now int64) {
	b.phase = halted
	b.adjust(now)
}

// probe ends a pause of backoff with one message on one connection, chosen at
// random, rather one that has nothing in flight. Unlike a probe that moves
// later, it does not wait for messages in flight elsewhere: a handler that
// collects messages may be waiting for this one.
func (b *ready) probe(now int64) {
	b.phase = probing
	b.adjust(now)
	if b.quiet() || len(b.slots) == 0 || b.sum() > 0 {
		return
	}
	free := b.pick(func(s *slot) bool { return s.inFlight == 0 })
	if free == nil || b.committed >= b.max {
		// A connection that is busy commits nothing more.
		free = b.pick(func(s *slot) bool { return s.inFlight > 0 })
	}
	b.set(free, 1, now)
}

// leave ends backoff: every connection has its share at once.
func (b *ready) leave(now int64) {
	b.phase = flowing
	for _, s := range b.slots {
		s.warm = true
	}
	b.adjust(now)
}

// tick moves slots on. It is called every few seconds.
//
// In plenty it passes the remainder of the division on, and looks at demand.
// When slots are scarce
// it takes them from connections that were silent for idleTimeout, and from
// those that had them for holdTimeout. When even then none is free it takes
// one from a connection that has a message in flight: nothing comes free at
// once, but that message's answer goes to somebody else instead of the same
// connection, which would otherwise keep its slot for as long as it is busy.
func (b *ready) tick(now int64) {
	if b.quiet() || len(b.slots) == 0 {
		return
	}
	if !b.scarce() {
		if now-b.turned >= b.holdTimeout {
			b.turn, b.turned = b.turn+1, now
		}
		if b.adaptive {
			b.look()
		}
		b.divide()
		b.adjust(now)
		return
	}
	if !b.waiting() {
		return
	}
	for _, s := range b.slots {
		if s.count > 0 && (now-s.heard > b.idleTimeout || now-s.since > b.holdTimeout) {
			b.set(s, 0, now)
		}
	}
	if b.committed >= b.allowed() {
		if s := b.pick(func(s *slot) bool { return s.count > 0 && s.inFlight > 0 }); s != nil {
			b.set(s, 0, now)
		}
	}
	b.adjust(now)
}

// gauge keeps count of the starved connections: those with so many messages in
// flight that nsqd will soon send nothing more, 85 percent of the ready count.
// The figure is NSQ's.
func (b *ready) gauge(s *slot) {
	starved := s.inFlight > 0 && s.inFlight*100 >= s.count*85
	if starved == s.starved {
		return
	}
	s.starved = starved
	if starved {
		b.starving++
	} else {
		b.starving--
	}
}

// quiet says whether all counts have to be 0.
func (b *ready) quiet() bool { return b.max == 0 || b.paused || b.held || b.phase == halted }

// scarce says whether there are fewer slots than connections.
func (b *ready) scarce() bool { return b.phase == probing || b.max < len(b.slots) }

// allowed is how many slots of 1 may be out when they are scarce.
func (b *ready) allowed() int {
	if b.phase == probing {
		return 1
	}
	return b.max
}

// waiting says whether a connection has neither a slot nor a message.
func (b *ready) waiting() bool {
	return slices.ContainsFunc(b.slots, (*slot).idle)
}

// without says whether a connection has no slot, be it that its last message
// is still in flight.
func (b *ready) without() bool {
	return slices.ContainsFunc(b.slots, func(s *slot) bool { return s.count == 0 && s.limit > 0 })
}

func (b *ready) sum() (n int) {
	for _, s := range b.slots {
		n += s.count
	}
	return n
}

// adjust brings every count to what the state asks for, as far as there is
// room. Counts are lowered before others are raised.
func (b *ready) adjust(now int64) {
	b.short = false
	switch {
	case b.quiet():
		for _, s := range b.slots {
			b.set(s, 0, now)
		}
	case b.scarce():
		b.shed(now)
		b.fill(now)
	default:
		for _, s := range b.slots {
			b.set(s, min(s.count, s.target()), now)
		}
		for _, s := range b.slots {
			want := s.target()
			if s.count >= want {
				continue
			}
			room := b.max - b.committed + s.use()
			b.set(s, max(s.count, min(want, room)), now)
			b.short = b.short || s.count < want
		}
	}
}

// target is the count that a slot should have in plenty.
func (s *slot) target() int {
	if s.warm {
		return s.share
	}
	return min(max(1, s.least), s.share)
}

// shed lowers counts to 1, and to 0 for a random surplus.
func (b *ready) shed(now int64) {
	for _, s := range b.slots {
		b.set(s, min(s.count, s.limit, 1), now)
	}
	for n := b.sum(); n > b.allowed(); n-- {
		b.set(b.pick(func(s *slot) bool { return s.count > 0 }), 0, now)
	}
}

// fill hands free slots to the connections that have gone longest without, so
// that each has its turn within a bounded time; among equals to a random one,
// so that readers that were started together do not move in step.
func (b *ready) fill(now int64) {
	for b.committed < b.allowed() {
		oldest := int64(-1)
		for _, s := range b.slots {
			if s.idle() && (oldest < 0 || s.until < oldest) {
				oldest = s.until
			}
		}
		if oldest < 0 {
			break
		}
		b.set(b.pick(func(s *slot) bool { return s.idle() && s.until == oldest }), 1, now)
	}
	b.short = b.without()
}

// why says why a slot's count is 0.
func (b *ready) why(s *slot) Reason {
	switch {
	case s.count > 0:
		return ""
	case b.max == 0:
		return ReasonNoBudget
	case b.paused:
		return ReasonPaused
	case b.held:
		return ReasonRate
	case b.phase == halted:
		return ReasonBackoff
	case b.phase == probing:
		return ReasonProbe
	case b.scarce():
		return ReasonTurn
	}
	return ReasonInFlight
}

// pick chooses one of the slots that fit, at random; nil when none does.
func (b *ready) pick(fits func(*slot) bool) *slot {
	n := 0
	for _, s := range b.slots {
		if fits(s) {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	n = b.rand.IntN(n)
	for _, s := range b.slots {
		if fits(s) {
			if n == 0 {
				return s
			}
			n--
		}
	}
	return nil
}

// set decides a slot's count.
func (b *ready) set(s *slot, n int, now int64) {
	if n == s.count {
		return
	}
	b.committed -= s.use()
	if s.count == 0 {
		s.since = now
	}
	if n == 0 {
		s.until = now
	}
	s.count = n
	b.committed += s.use()
	b.gauge(s)
	if !s.changed {
		s.changed = true
		b.changed = append(b.changed, s)
	}
}
