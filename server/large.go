package server

import (
	"bytes"

	"github.com/nsqloop/nsqloop/internal/wire"
)

// A publish of many messages, a million of them in the largest MPUB there may be,
// is stored a piece at a time, a turn each, so that nobody waits for more than a
// piece. All of it is in one generation of its topic, which ends with it: it is
// kept or refused as one, and so is what others publish to the topic meanwhile.
const (
	// largePiece is how long a piece is: about a millisecond of work.
	largePiece = 512 << 10

	// largeFrom is how long a publish is that is stored in pieces. For shorter
	// ones others can wait, and they are stored faster.
	largeFrom = 4 * largePiece

	// largeMessage is what a message counts for beside its body, in bytes.
	largeMessage = 64
)

// larges stores long publishes, one after the other: so all together hold what
// they came with, and no topic's generation goes on for longer than one takes.
type larges struct {
	s       *Server
	piece   int      // how long one is
	from    int      // how long a publish is that is stored in some
	now     *large   // is being stored; nil: none
	waiting []func() // have each of the others begin, oldest first
	called  *conn    // whose turn it is, and who has not come yet
	over    bool     // the server stops
}

// large is a publish that is being stored.
type large struct {
	t    *topic
	next func() (body []byte, ok bool)
	done func() // next is not called any more
}

// init says what is long. Where files are small, so are pieces: simulated
// systems, which publish little, come through all that happens to much.
func (l *larges) init(s *Server) {
	l.s = s
	l.piece = int(min(largePiece, max(s.o.MaxBytesPerFile/16, 2*largeMessage)))
	l.from = int(min(largeFrom, max(s.o.MaxBytesPerFile/8, 4*largeMessage)))
}

// isLarge says whether so many messages, of so many bytes together, are stored in
// pieces.
func (l *larges) isLarge(messages, size int) bool { return size+messages*largeMessage > l.from }

// areLarge says whether several messages are stored in pieces. It looks at no more
// of a million than it must.
func (l *larges) areLarge(bodies [][]byte) bool {
	size := 0
	for i, body := range bodies {
		if size += len(body); l.isLarge(i+1, size) {
			return len(bodies) > 1
		}
	}
	return false
}

// begin stores the messages that next returns, the first piece now. Whoever awaits
// them is known to the topic. Nothing else may be being stored.
func (l *larges) begin(t *topic, next func() ([]byte, bool), done func()) {
	l.now = &large{t, next, done}
	t.storing = true
	l.step()
}

// step stores a piece.
func (l *larges) step() {
	g := l.now
	now := l.s.now()
	for n := 0; n < l.piece; {
		body, ok := g.next()
		if !ok {
			l.end()
			return
		}
		g.t.append(now, 0, body)
		n += len(body) + largeMessage
	}
	if err := g.t.j.Spill(); err != nil {
		g.t.endGeneration(false, err)
		l.end()
		return
	}
	_ = l.s.l.Post(func() {
		if l.now == g {
			l.step()
		}
	})
}

// end is the end of what is being stored: the generation may end, and the next one
// begins in a turn of its own.
func (l *larges) end() {
	g := l.now
	l.now, g.t.storing = nil, false
	if !g.t.deleted {
		g.t.touch()
	}
	g.done()
	_ = l.s.l.Post(l.call)
}

// refuse ends what is being stored in t because of err, and with it the running
// generation.
func (l *larges) refuse(t *topic, err error) {
	if t.storing {
		t.endGeneration(false, t.j.Refuse(err))
		l.end()
	}
}

// drop ends what is being stored in t, which is deleted.
func (l *larges) drop(t *topic) {
	if t.storing {
		l.end()
	}
}

// call has the next one begin, unless there is one.
func (l *larges) call() {
	for l.now == nil && l.called == nil && len(l.waiting) > 0 {
		begin := l.waiting[0]
		l.waiting[0] = nil
		l.waiting = l.waiting[1:]
		begin()
	}
}

// finish stores what is being stored without waiting for further turns, and
// refuses the others: the server stops.
func (l *larges) finish() {
	l.over = true
	for l.now != nil {
		l.step()
	}
	l.called = nil
	l.call()
}

// busy says whether a further one has to wait.
func (l *larges) busy() bool { return l.now != nil || l.called != nil || len(l.waiting) > 0 }

// publish stores bodies when it is their turn, and has done told of the outcome,
// as topic.publish does. taken is closed when they are not read any more, at the
// latest when done is called.
func (l *larges) publish(t *topic, bodies [][]byte, done func(error)) (taken chan struct{}) {
	taken = make(chan struct{})
	begin := func() {
		if t.deleted || l.over {
			close(taken)
			l.s.l.AtTurnEnd(func() { done(errGone) })
			return
		}
		t.await(done)
		next := func() (body []byte, ok bool) {
			if ok = len(bodies) > 0; ok {
				body, bodies = bodies[0], bodies[1:]
			}
			return body, ok
		}
		l.begin(t, next, func() { close(taken) })
	}
	l.waiting = append(l.waiting, begin)
	l.call()
	return taken
}

// awaitsTurn says whether the client's MPUB is to be read again: it is long, and
// others are before it. The connection is stalled.
func (c *conn) awaitsTurn(cmd *wire.Command) bool {
	l := &c.s.larges
	switch {
	case !l.isLarge(cmd.Count, len(cmd.Body)):
		return false
	case l.called == c:
		l.called = nil
	case l.busy():
		c.stalled = true
		if !c.inLine {
			c.inLine = true
			l.waiting = append(l.waiting, c.comeOn)
		}
		return true
	}
	l.s.l.AtTurnEnd(l.call) // it may be refused, or known
	return false
}

// comeOn lets the client's MPUB be read again.
func (c *conn) comeOn() {
	c.inLine = false
	if l := &c.s.larges; !c.closing && !l.over {
		l.called = c
		c.resume()
	}
}

// forget takes the turn from c, which is closing.
func (l *larges) forget(c *conn) {
	if l.called == c {
		l.called = nil
		_ = l.s.l.Post(l.call)
	}
}

// store has the messages of an MPUB, whose OK is owed, stored in pieces. The
// connection is stalled until they are.
func (c *conn) store(t *topic, cmd *wire.Command) {
	s := c.s
	rest := &wire.Command{Body: bytes.Clone(cmd.Body)}
	held := int64(len(rest.Body))
	s.budget.add(held)
	c.stalled = true
	s.larges.begin(t, rest.NextMessage, func() {
		s.budget.add(-held)
		_ = s.l.Post(c.goOn) // when the generation has ended, or the next one would prolong it
	})
}

// goOn lets the client's next commands be read, unless they must not be.
func (c *conn) goOn() {
	if c.stalled && !c.refused && !c.closing {
		c.stalled = false
		c.c.Offer()
	}
}
