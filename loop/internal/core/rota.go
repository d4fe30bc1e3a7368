package core

import "time"

const (
	// heavyInput is how many bytes make a turn a heavy one: a little less than
	// what a local socket hands over at once, 64 KiB without a packet's head.
	heavyInput = 60 << 10

	// heavyTurn is how long the turns of a connection have to take, on the
	// average of the last few, to be heavy ones. A single long turn says
	// nothing: the system may have had something else to do.
	heavyTurn = 250 * time.Microsecond

	// longestTurn is what a turn counts at most in that average.
	longestTurn = 2 * heavyTurn

	// lastWill is how much of what still comes for a connection that is being
	// closed is read as fast as it comes, so that its peer gets to read why.
	// Beyond that, one of all those that go on is read each lateEvery.
	lastWill  = 1 << 20
	lateEvery = time.Millisecond
)

// Reading is what comes over a socket, as a Rota puts it off.
type Reading interface {
	// Pause leaves what comes to the system, which holds the peer up when it
	// has enough. It reports whether it can.
	Pause() bool

	// Resume ends a Pause, and reports whether there is something to read.
	Resume() bool

	// Ready says whether there is something to read.
	Ready() bool

	// Closing says whether nobody wants what comes; see Stream.Closing.
	Closing() bool

	// Behind says whether there is enough to do without it; see Stream.Behind.
	Behind() bool
}

// Rota says whose input is read when several connections make much work. A
// system that is asked for all sockets with input names all of them: forty that
// send as fast as they can would all be served before anybody else was. With a
// rota one of them is served for each time that the system is asked. The others
// are paused, and take turns. As long as there is one, or none, it does nothing.
//
// While somebody waits the owner has input: so its turn comes, and then the
// next one's.
type Rota struct {
	core    *Core
	owner   *Place // may be read from, although it makes heavy turns
	waiting places
	behind  places // have something from before to be opened
	late    places // being closed, while their peers go on
	timer   *Timer // lets one of late be read
	armed   bool
}

// Place is a connection's place in a Rota.
type Place struct {
	reading       Reading
	in            *places       // nil while the connection is read from
	before, after *Place        // there
	took          time.Duration // average of the last turns
	dropped       int           // bytes that came although it is being closed
	left          bool
}

// places is a queue, first in first out.
type places struct{ first, last *Place }

// Init makes r ready for connections of c.
func (r *Rota) Init(c *Core) { r.core = c }

// Init makes p the place of the connection that r reads from.
func (p *Place) Init(r Reading) { p.reading = r }

// heavy notes a turn and says whether it was a heavy one.
func (p *Place) heavy(n int, took time.Duration) bool {
	p.took += (min(took, longestTurn) - p.took) / 4
	return n >= heavyInput || p.took >= heavyTurn
}

// Served says that p was read from, n bytes, and that the turn took so long.
func (r *Rota) Served(p *Place, n int, took time.Duration) {
	heavy := p.heavy(n, took)
	switch {
	case p.left:
	case p.in != nil: // its output has gone, whereupon it was read from again
		p.reading.Pause()
	case p.reading.Behind():
		r.putOff(p, &r.behind)
	case p.reading.Closing():
		if p.dropped += n; p.dropped > lastWill {
			r.putOff(p, &r.late)
		} else {
			r.rotate(p, heavy)
		}
	default:
		r.rotate(p, heavy)
	}
}

// rotate lets the next one have its turn after p has had one.
func (r *Rota) rotate(p *Place, heavy bool) {
	switch {
	case r.owner == nil && heavy:
		r.owner = p
	case r.owner != p && heavy:
		if !p.reading.Pause() {
			return
		}
		alone := r.waiting.first == nil
		r.waiting.push(p)
		if alone && !r.owner.reading.Ready() {
			r.pass() // the owner has been quiet since
		}
	case r.owner == p && r.waiting.first != nil:
		if heavy && p.reading.Pause() {
			r.waiting.push(p)
		}
		r.pass()
	case r.owner == p && !heavy:
		r.owner = nil
	}
}

// pass makes the first one that has something to be read the owner. Those that
// have nothing need no place.
func (r *Rota) pass() {
	r.owner = nil
	for r.owner == nil && r.waiting.first != nil {
		if p := r.waiting.pop(); p.reading.Resume() {
			r.owner = p
		}
	}
}

// putOff takes p out of the turns, to another queue.
func (r *Rota) putOff(p *Place, to *places) {
	if !p.reading.Pause() {
		return
	}
	to.push(p)
	if r.owner == p {
		r.pass()
	}
	if to == &r.late {
		r.arm()
	}
}

// CaughtUp says that p is not behind any more: it waits for its turn.
func (r *Rota) CaughtUp(p *Place) {
	if p.in != &r.behind {
		return
	}
	p.in.remove(p)
	r.waiting.push(p)
	if r.owner == nil || r.waiting.first == p && !r.owner.reading.Ready() {
		r.pass()
	}
}

func (r *Rota) arm() {
	if r.armed {
		return
	}
	r.armed = true
	if r.timer == nil {
		r.timer = r.core.After(lateEvery, r.readLate)
	} else {
		r.timer.Reset(lateEvery)
	}
}

// readLate lets one that is being closed be read, once.
func (r *Rota) readLate() {
	r.armed = false
	if r.late.first == nil {
		return // it has closed
	}
	r.late.pop().reading.Resume()
	if r.late.first != nil {
		r.arm()
	}
}

// Leave gives up the place of a connection that is closed.
func (r *Rota) Leave(p *Place) {
	p.left = true
	if p.in != nil {
		p.in.remove(p)
	}
	if r.owner == p {
		r.pass()
	}
}

func (q *places) push(p *Place) {
	p.in, p.before = q, q.last
	if q.last == nil {
		q.first = p
	} else {
		q.last.after = p
	}
	q.last = p
}

func (q *places) pop() *Place {
	p := q.first
	q.remove(p)
	return p
}

// remove takes p out, which may be anywhere: a connection closes while it
// waits.
func (q *places) remove(p *Place) {
	if p.before == nil {
		q.first = p.after
	} else {
		p.before.after = p.after
	}
	if p.after == nil {
		q.last = p.before
	} else {
		p.after.before = p.before
	}
	p.in, p.before, p.after = nil, nil, nil
}
