package server

import (
	"bytes"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/server/journal"
)

// Limits of taps. A reader that is slower than the topic loses messages, and is
// told how many; the topic never waits for it.
const (
	tapsMost  = 64               // of all topics
	tapQueue  = 256              // turns that wait for one reader
	tapBytes  = 4 << 20          // of messages that wait for one reader
	tapTurn   = 4 << 20          // of messages of one turn; further ones are lost to all readers
	tapExtra  = 64               // what a waiting message costs beside its body
	tapCost   = 8                // times its bytes: as text, in which a byte may take six, it is there once more
	tapShare  = 4                // all that wait take this part of --max-memory
	tapPulse  = 15 * time.Second // how often a quiet stream shows that it is alive
	tapPulses = 2                // after so many without a step, a reader is cut off
)

// tap is a reader of what is published to a topic from now on. It consumes
// nothing. The fields without a comment belong to the loop.
type tap struct {
	t     *topic
	lost  int64  // messages missed since the last batch
	quiet int    // pulses without a step although something waits
	steps uint64 // at the last pulse
	cut   func() // makes a write that hangs fail; any goroutine

	queue   chan tapBatch // closed by the loop at the end; the handler's goroutine is outside and must not be waited for
	pending atomic.Int64  // bytes in queue: the loop adds, the handler takes away
	written atomic.Uint64 // batches that the handler has written
}

// tapBatch is the messages of a turn. It is shared by all taps of the topic and
// not changed. Without messages it is a sign of life.
type tapBatch struct {
	lost     int64 // missed before these
	messages []journal.Peeked
	bytes    int64
}

// taps are all taps of a server.
type taps struct {
	s     *Server
	all   []*tap
	held  atomic.Int64 // in the budget, of batches that wait
	timer loop.Timer
	armed bool
	over  bool // the server stops
}

// add begins a tap.
func (a *taps) add(t *topic, cut func()) (*tap, error) {
	if a.over {
		return nil, errExiting
	}
	if len(a.all) >= tapsMost {
		return nil, errTapsBusy
	}
	p := &tap{t: t, cut: cut, queue: make(chan tapBatch, tapQueue)}
	if len(t.taps) == 0 {
		t.tapAt = t.j.End()
	}
	a.all, t.taps = append(a.all, p), append(t.taps, p)
	if !a.armed {
		a.arm()
	}
	return p, nil
}

// remove ends a tap; it may have ended.
func (a *taps) remove(p *tap) {
	i := slices.Index(a.all, p)
	if i < 0 {
		return
	}
	a.all = slices.Delete(a.all, i, i+1)
	i = slices.Index(p.t.taps, p)
	p.t.taps = slices.Delete(p.t.taps, i, i+1)
	close(p.queue)
}

// end ends all taps, and lets nobody begin one.
func (a *taps) end() {
	a.over = true
	for len(a.all) > 0 {
		a.remove(a.all[0])
	}
	if a.timer != nil {
		a.timer.Stop()
	}
}

// endOf ends the taps of a topic.
func (a *taps) endOf(t *topic) {
	for len(t.taps) > 0 {
		a.remove(t.taps[0])
	}
}

func (a *taps) arm() {
	a.armed = true
	if a.timer == nil {
		a.timer = a.s.l.After(tapPulse, a.pulse)
	} else {
		a.timer.Reset(tapPulse)
	}
}

// pulse gives each tap a sign of life, and cuts off readers that do not read.
func (a *taps) pulse() {
	a.armed = false
	for _, p := range a.all {
		steps := p.written.Load()
		if steps != p.steps || len(p.queue) == 0 && p.pending.Load() == 0 {
			p.quiet = 0
		} else if p.quiet++; p.quiet == tapPulses {
			p.cut()
		}
		p.steps = steps
		p.offer(tapBatch{})
	}
	if len(a.all) > 0 && !a.over {
		a.arm()
	}
}

// handOver gives what was just committed to the taps.
func (t *topic) handOver() {
	var b tapBatch
	from := t.tapAt
	next, err := t.j.Peek(from, tapTurn, tapTurn, func(p *journal.Peeked) {
		m := *p
		m.Body = bytes.Clone(p.Body) // it is read on another goroutine, later
		b.messages = append(b.messages, m)
		b.bytes += int64(len(m.Body)) + tapExtra
	})
	t.tapAt = t.j.End()
	if err != nil {
		t.log.Warn("tap: messages cannot be read", "err", err)
	}
	lost := int64(t.tapAt.Seq() - next.Seq())
	for _, p := range t.taps {
		if len(b.messages) > 0 {
			p.offer(b)
		}
		p.lost += lost
	}
}

// offer gives a batch to the reader if there is room for it.
func (p *tap) offer(b tapBatch) {
	b.lost = p.lost
	if p.mayWait(b.bytes) {
		select {
		case p.queue <- b:
			p.hold(b.bytes)
			p.lost = 0
			return
		default:
		}
	}
	p.lost += int64(len(b.messages))
}

// mayWait says whether n bytes more may wait for the reader: of his own, and of
// all that wait for any.
func (p *tap) mayWait(n int64) bool {
	if n == 0 {
		return true // a sign of life
	}
	s, waiting := p.t.s, p.pending.Load()
	return (waiting == 0 || waiting+n <= tapBytes) &&
		s.taps.held.Load()+tapCost*n <= s.budget.limit/tapShare && s.budget.has(tapCost*n)
}

// hold counts n bytes more that wait for the reader, or fewer. Any goroutine may
// call it.
func (p *tap) hold(n int64) {
	p.pending.Add(n)
	p.t.s.taps.held.Add(tapCost * n)
	p.t.s.budget.add(tapCost * n)
}

// letGo gives back what waits for a reader who has gone. The tap has been
// removed.
func (p *tap) letGo() { p.hold(-p.pending.Load()) }
