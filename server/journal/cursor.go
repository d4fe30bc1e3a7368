package journal

import "errors"

// CursorOptions say what kind of cursor to create.
type CursorOptions struct {
	// Ephemeral cursors do not survive a restart and write nothing.
	Ephemeral bool

	// Limit is how many messages may wait at an ephemeral cursor, deferred
	// ones not counted: newer ones are dropped. 0 means no limit. Other
	// cursors have none.
	Limit int64
}

// Delivery is a message that was taken for delivery. Body is borrowed until
// the next call on the journal or one of its cursors.
type Delivery struct {
	Seq       uint64
	Timestamp int64
	Attempts  uint16
	Body      []byte
}

// gap is a run of messages in front of the read position that this cursor
// does not get: dropped by its limit, or discarded with the topic's.
type gap struct {
	from     uint64
	to       place
	deferred int64 // how many of them are counted in deferredAhead
}

// passMost is how many records that are no fresh messages are passed over before
// one that waits is delivered: behind a million deferred ones nobody waits for
// all of them to be read.
const passMost = 16

// timeouts is how many different message timeouts have a list of their own;
// further ones share the heap.
const timeouts = 8

// flights are the messages in flight with one timeout.
type flights struct {
	timeout int64
	list    list
}

// Cursor is a channel's place in the journal: how far it has read, and what of
// that is outstanding: in flight, deferred, or waiting once more.
type Cursor struct {
	j       *Journal
	id      uint32
	name    string
	options CursorOptions
	silent  bool // writes no events: ephemeral, or the journal is volatile
	paused  bool

	read          place  // the next message to read
	again         uint64 // deferred records before it are read like others: the cursor was set back
	unsure        bool   // deferredAhead may count records that damage has taken, until the cursor has caught up
	deferredAhead int64  // records between read and the frontier that are skipped: they were handed over when the frontier passed them
	gaps          []gap  // in order
	gapAhead      int64  // messages in gaps, without the deferred ones
	messages      uint64
	gone          int64 // outstanding messages whose records could not be read when the journal was opened
	ahead         readAhead
	paced         bool  // Pace was called: Next passes over so much and no more
	pace          int64 // bytes of it that are left
	freshLast     bool  // the last delivery was a fresh message
	oldest        struct {
		seq       uint64 // the read position for which it was found out
		published int64  // of the fresh message at the head, 0 when not known
	}

	out      entries
	waiting  list // requeued or timed out, in the order they came back
	flights  []flights
	heap     dueHeap // deferred ones, and those in flight that fit no list
	inFlight int
	deferred int

	logged    place  // the read position that is in the log
	passed    int64  // deferred records passed since then
	runStart  uint64 // finished messages not in the log yet: a run
	runLength uint64
	dirty     bool // listed in the journal's events as having something to stage
}

// Name is the cursor's name.
func (c *Cursor) Name() string { return c.name }

// Number tells the cursor from all others that its journal has had.
func (c *Cursor) Number() uint32 { return c.id }

// Ephemeral reports whether the cursor is gone after a restart.
func (c *Cursor) Ephemeral() bool { return c.options.Ephemeral }

// Paused is what SetPaused has set, also before a restart.
func (c *Cursor) Paused() bool { return c.paused }

// SetPaused keeps a flag with the cursor. It changes nothing here.
func (c *Cursor) SetPaused(on bool) {
	if c.paused == on {
		return
	}
	c.paused = on
	if !c.silent {
		c.j.events.pause(c)
	}
}

// Depth is the number of messages that wait: those not read yet up to the
// frontier and those that came back.
func (c *Cursor) Depth() int64 { return c.fresh() + int64(c.waiting.n) }

// fresh is the number of messages not read yet.
func (c *Cursor) fresh() int64 {
	// Damage can make the two counts higher than what is left to read.
	n := max(int64(c.j.front.seq-c.read.seq)-c.deferredAhead-c.gapAhead, 0)
	if n == 0 && c.unsure && c.read.seq != c.j.front.seq {
		return 1 // whoever reads on will know
	}
	return n
}

// InFlight is the number of messages delivered and not answered.
func (c *Cursor) InFlight() int { return c.inFlight }

// Deferred is the number of messages that wait for their time.
func (c *Cursor) Deferred() int { return c.deferred }

// Messages is the number of messages given to the cursor since it was created
// or opened.
func (c *Cursor) Messages() uint64 { return c.messages }

// take is given the messages between two places of the frontier. deferred are
// the records among them that were published with a delay.
func (c *Cursor) take(from, to place, deferred []deferral) {
	n := int64(to.seq - from.seq)
	c.messages += uint64(n)
	c.deferredAhead += int64(len(deferred))
	for i := range deferred {
		c.putDeferred(deferred[i].place, 0, deferred[i].due)
	}
	if c.options.Limit > 0 && c.options.Ephemeral {
		c.limit(from, to, deferred)
	}
}

// limit keeps a cursor at its limit: of the plain messages just taken the
// newest ones, as many as are too many, become a gap.
func (c *Cursor) limit(from, to place, deferred []deferral) {
	room := int64(to.seq-from.seq) - int64(len(deferred)) - max(c.Depth()-c.options.Limit, 0)
	at, kept := from, int64(0)
	for kept < room {
		var r record
		if c.j.readRecord(at.pos, &c.j.scratch, &r) != nil {
			return // not reached: what was just committed is still in memory
		}
		at.pos += int64(r.size)
		if r.flags&flagMoved == 0 {
			at.seq++
		}
		if r.flags&(flagMoved|flagDeferred) == 0 {
			kept++
		}
	}
	left := int64(0)
	for i := range deferred {
		if deferred[i].seq >= at.seq {
			left++
		}
	}
	c.pass(at, to, left)
}

// pass makes a gap of the messages between two places, the last of which is
// the frontier's next. deferred of them are counted in deferredAhead.
func (c *Cursor) pass(from, to place, deferred int64) {
	if from.seq == to.seq {
		return
	}
	if c.read == from {
		if !c.silent {
			c.stage()
		}
		// The log knows of the gap by another event, not by having read it.
		c.read, c.logged = to, to
		c.deferredAhead -= deferred
		return
	}
	c.gapAhead += int64(to.seq-from.seq) - deferred
	if n := len(c.gaps); n > 0 && c.gaps[n-1].to.seq == from.seq {
		c.gaps[n-1].to = to
		c.gaps[n-1].deferred += deferred
		return
	}
	c.gaps = append(c.gaps, gap{from.seq, to, deferred})
}

// Next takes the next waiting message in flight with owner until deadline.
// Messages that came back and fresh ones take turns, so that neither waits for
// ever. ok is false when none waits, or when the pace is used up: then Passing
// is true. An error means that a message waits but could not be read now; it
// stays.
func (c *Cursor) Next(now, deadline int64, owner uint32, d *Delivery) (ok bool, err error) {
	for passed := 0; ; passed++ {
		fresh := c.mayRead(passed)
		switch {
		case c.waiting.n > 0 && (c.freshLast || !fresh || passed >= passMost):
			ok, err = c.nextWaiting(now, deadline, owner, d)
			if ok || err != nil {
				c.freshLast = false
				return ok, err
			}
		case fresh:
			from := c.read.pos
			ok, err = c.nextFresh(now, deadline, owner, d)
			if ok || err != nil {
				c.freshLast = true
				return ok, err
			}
			c.pace -= c.read.pos - from
		default:
			return false, nil
		}
	}
}

// mayRead reports whether Next, which has passed over some records, looks at one
// more. A few are looked at with every message that is delivered, so that the
// read position keeps up with what is finished. All of them only when a fresh
// message is known to be among them: after a start with a million deferred ones
// ahead, nobody waits for all of them to be read.
func (c *Cursor) mayRead(passed int) bool {
	if c.read.seq == c.j.front.seq || c.paced && c.pace <= 0 {
		return false
	}
	return passed < passMost || c.fresh() > 0
}

// Pace lets Next pass over about so many more bytes of records that are not to be
// delivered. Whoever must not be held up calls it once in a while and asks
// Passing. Without it Next reads on until it has a message.
func (c *Cursor) Pace(bytes int64) { c.paced, c.pace = true, bytes }

// Passing reports whether the pace was used up on the way to a fresh message:
// Next finds it after another Pace.
func (c *Cursor) Passing() bool { return c.paced && c.pace <= 0 && c.fresh() > 0 }

// nextWaiting delivers the message that has waited longest since it came back.
// ok is false when its record was damaged: then it is gone.
func (c *Cursor) nextWaiting(now, deadline int64, owner uint32, d *Delivery) (ok bool, err error) {
	slot := c.waiting.head
	e := c.out.get(slot)
	var r record
	if err := c.j.readRecord(e.pos, &c.j.scratch, &r); errors.Is(err, errCorrupt) || err == nil && r.seq != e.seq {
		c.j.lost(e.seq, e.seq+1, "a message that was to be delivered again is damaged", "sequence", e.seq)
		c.out.unlink(&c.waiting, slot)
		c.forget(slot)
		return false, nil
	} else if err != nil {
		return false, err
	}
	c.out.unlink(&c.waiting, slot)
	e.attempts++
	c.fly(slot, now, deadline, owner)
	c.redelivered(e)
	*d = Delivery{Seq: e.seq, Timestamp: r.timestamp, Attempts: e.attempts, Body: r.body}
	return true, nil
}

// nextFresh delivers the message at the read position. ok is false when there
// was none up to the frontier, or something had to be passed over.
func (c *Cursor) nextFresh(now, deadline int64, owner uint32, d *Delivery) (ok bool, err error) {
	if len(c.gaps) > 0 && c.gaps[0].from <= c.read.seq {
		c.jump(c.read)
		return false, nil
	}
	var r record
	if err := c.j.readRecord(c.read.pos, &c.ahead, &r); errors.Is(err, errCorrupt) {
		return false, c.skipDamage()
	} else if err != nil {
		return false, err
	}
	at := c.read
	if r.flags&flagMoved == 0 && r.seq > at.seq {
		// A damaged piece was mended here. The record is read once more, with
		// its own sequence: what the log is told meanwhile must not have the
		// position behind it.
		c.jump(place{r.seq, at.pos})
		c.doubt()
		return false, nil
	}
	c.read.pos += int64(r.size)
	if r.flags&flagMoved != 0 || r.seq < at.seq {
		return false, nil // a copy of a message that was read long ago
	}
	c.read.seq++
	c.touched()
	handed := r.flags&flagDeferred != 0 && r.seq >= c.again
	if handed && c.deferredAhead > 0 {
		c.deferredAhead--
		c.passed++
	}
	if c.read.seq == c.j.front.seq {
		c.caughtUp()
	}
	if handed {
		return false, nil
	}
	if r.due > now {
		c.postpone(place{r.seq, at.pos}, r.due)
		return false, nil
	}
	slot := c.out.tryAdd(r.seq)
	if slot == 0 {
		// The log, which has outlived a loss of power better than the
		// segment, knows another message of this sequence.
		c.j.damaged(1, "two messages have one sequence", "cursor", c.name, "sequence", r.seq)
		return false, nil
	}
	e := c.out.get(slot)
	e.pos = at.pos
	e.attempts = 1
	c.j.refer(at.pos, 1)
	c.fly(slot, now, deadline, owner)
	*d = Delivery{Seq: r.seq, Timestamp: r.timestamp, Attempts: 1, Body: r.body}
	return true, nil
}

// jump moves the read position to a place, and on to the end of a gap that is
// there: it never stands inside one. Gaps are counted whole, so that what stands
// behind one would seem not to be there; and a log that says a cursor has read up
// to the middle of a gap has its rest be read afterwards.
func (c *Cursor) jump(to place) {
	c.read = to
	for len(c.gaps) > 0 && c.gaps[0].from <= c.read.seq {
		g := c.gaps[0]
		c.gaps = c.gaps[1:]
		c.gapAhead -= int64(g.to.seq-g.from) - g.deferred
		c.deferredAhead -= g.deferred
		c.passed += g.deferred
		if g.to.seq > c.read.seq {
			c.read = g.to
		}
	}
	// After damage more was counted than there is room for.
	over := max(c.deferredAhead-int64(c.j.front.seq-c.read.seq), 0)
	c.deferredAhead -= over
	c.passed += over
	c.touched()
	if c.read.seq == c.j.front.seq {
		c.caughtUp()
	}
}

// caughtUp is called when the cursor has read all there is.
func (c *Cursor) caughtUp() {
	// After damage more was counted than was met.
	c.passed += c.deferredAhead
	c.deferredAhead, c.gapAhead, c.gaps = 0, 0, nil
	c.unsure = false
	c.ahead.drop()
	c.j.behind--
	c.j.trim()
}

// doubt notes that deferredAhead may be too high from here on. The log must know
// too: after a restart nobody would look behind what is counted.
func (c *Cursor) doubt() {
	if c.unsure || c.deferredAhead == 0 {
		return
	}
	c.unsure = true
	if !c.silent {
		c.stage()
		c.j.events.add(evUnsure, uint64(c.id))
	}
}

// touched notes that the read position moved.
func (c *Cursor) touched() {
	if !c.dirty && !c.silent {
		c.dirty = true
		c.j.events.dirty = append(c.j.events.dirty, c)
	}
	if s := c.j.segments; len(s) > 1 && c.read.pos >= s[0].end {
		c.j.reclaimable = true
	}
}

// skipDamage moves the read position to the next intact record.
func (c *Cursor) skipDamage() error {
	to, err := c.j.resync(c.read)
	if err != nil {
		return err
	}
	c.j.lost(c.read.seq, to.seq, "damaged records were skipped", "cursor", c.name, "sequence", c.read.seq)
	// The deferred ones among them were handed over by their own entries;
	// what cannot be told apart any more is counted as lost.
	c.jump(to)
	c.doubt()
	return nil
}

// Empty drops all that waits, is in flight or is deferred.
func (c *Cursor) Empty() {
	c.drop()
	if c.read.seq != c.j.front.seq {
		c.read = c.j.front
		c.caughtUp()
	}
	c.deferredAhead, c.gapAhead, c.gaps, c.passed = 0, 0, nil, 0
	c.runLength = 0
	c.logged = c.read
	if !c.silent {
		c.j.events.emptied(c)
	}
	c.j.reclaimable = true
}

// drop forgets everything outstanding.
func (c *Cursor) drop() {
	c.out.each(func(slot uint32) { c.j.refer(c.out.get(slot).pos, -1) })
	c.out.reset()
	c.waiting = list{}
	c.flights = nil
	c.heap = dueHeap{}
	c.inFlight, c.deferred = 0, 0
	c.ahead.drop()
}
