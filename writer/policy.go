package writer

import (
	"slices"
	"time"
)

// Policy is how a Writer chooses among the nsqds that it is connected to.
// Under each of them an nsqd that has failed a publish gets one at a time until
// it confirms one.
type Policy string

// The policies.
const (
	// RoundRobin gives every nsqd the same share, in runs of 64 per turn of
	// the loop.
	RoundRobin Policy = "round robin"

	// Sticky publishes to the first of NSQDs that works, and goes back to an
	// earlier one when that works again. When its Window is full, publishes
	// wait for it. What nsqlookupd names comes after NSQDs.
	Sticky Policy = "sticky"

	// Nearest publishes to the nsqd with the shortest time from a publish to
	// its answer, of which the best in the last 10 to 20 s counts. The next
	// one gets what goes beyond its Window. Each of the others gets a publish
	// every 10 s, to be measured.
	Nearest Policy = "nearest"
)

// run is how many publishes of a turn go to one nsqd before the next one gets
// some: enough that each connection's write carries many.
const run = 64

// setReady rebuilds the list of connections that can be used: first those of
// the program, in its order, then those that nsqlookupd names.
func (w *Writer) setReady() {
	w.ready = w.ready[:0]
	for _, direct := range []bool{true, false} {
		for _, c := range w.conns {
			if c.direct == direct && c.ready && c.wanted() {
				w.ready = append(w.ready, c)
			}
		}
	}
	w.turn = 0
}

// chooser is the function that chooses for a publish that may go anywhere: the
// connection it returns has room. nil means that there is none.
func (w *Writer) chooser() func() *conn {
	switch w.o.Policy {
	case Sticky:
		return w.first
	case Nearest:
		return w.nearest
	}
	return w.inTurn
}

// inTurn is round robin in runs, passing over those without room.
func (w *Writer) inTurn() *conn {
	if len(w.ready) == 0 {
		return nil
	}
	for range len(w.ready) + 1 {
		c := w.ready[w.turn]
		if w.left > 0 && c.hasRoom() {
			w.left--
			return c
		}
		w.turn, w.left = w.turn+1, run
		if w.turn == len(w.ready) {
			w.turn = 0
		}
	}
	return nil
}

// first is the first that works, if it has room.
func (w *Writer) first() *conn {
	for _, c := range w.ready {
		switch {
		case c.hasRoom():
			return c
		case c.usable() && !c.suspect:
			return nil
		}
	}
	return nil
}

// nearest is the one that has answered fastest, or one that is to be measured.
func (w *Writer) nearest() (best *conn) {
	now := w.now()
	for _, c := range w.ready {
		switch {
		case !c.hasRoom():
		case c.pace.due(now):
			return c
		case best == nil || c.pace.best() < best.pace.best():
			best = c
		}
	}
	return best
}

// chooseFor is the connection for a publish that may not go just anywhere.
func (w *Writer) chooseFor(p *publish) (best *conn) {
	for i := range w.ready {
		c := w.ready[i]
		if w.o.Policy == RoundRobin {
			c = w.ready[(w.turn+i)%len(w.ready)]
		}
		switch {
		case !c.hasRoom() || c == p.avoid || p.copies != nil && p.copies.takes(c, p):
		case w.o.Policy != Nearest:
			return c
		case best == nil || c.pace.best() < best.pace.best():
			best = c
		}
	}
	return best
}

// pace is how fast an nsqd answers: the shortest time in this period and in
// the one before.
type pace struct {
	began     int64         // Writer.now: this period; 0: nothing was measured
	this, old time.Duration // 0: not measured
	asked     int64         // Writer.now: the last publish
}

// measureEvery is the length of a period.
const measureEvery = int64(10 * time.Second)

// due reports whether a publish would be welcome for the sake of the measure.
func (p *pace) due(now int64) bool { return p.asked == 0 || now-p.asked >= measureEvery }

// best is the shortest time; what was not measured is as far as can be.
func (p *pace) best() time.Duration {
	switch {
	case p.began == 0:
		return 1<<63 - 1
	case p.old == 0:
		return p.this
	}
	return min(p.this, p.old)
}

// fastest is best, or 0.
func (p *pace) fastest() time.Duration {
	if p.began == 0 {
		return 0
	}
	return p.best()
}

// add adds the time between two moments.
func (p *pace) add(sent, answered int64) {
	d := time.Duration(answered - sent)
	if p.began == 0 || answered-p.began >= measureEvery {
		p.began, p.old, p.this = answered, p.this, d
		return
	}
	p.this = min(p.this, d)
}

// dialling reports whether a connection is being made.
func (w *Writer) dialling() bool {
	return slices.ContainsFunc(w.conns, func(c *conn) bool { return c.client != nil })
}
