package server

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
)

const (
	// publisherWindow is how long a publisher is remembered after its
	// connection has ended.
	publisherWindow = 10 * time.Minute

	// publisherSweep is how often it is looked who is to be forgotten.
	publisherSweep = time.Minute

	// publishersMost is how many publishers are remembered. Further ones are
	// told that they are not: none is forgotten before its time. Those of one
	// address are half of them at most.
	publishersMost = 10_000
)

// errSuperseded is why a connection is ended whose client has made a new one.
var errSuperseded = errors.New("the publisher has connected again")

// publisher is a client that numbers what it publishes, so that the server
// knows again what it has already. It is remembered in memory, and in a file
// from an orderly stop to the next start: a kill forgets it. Another token in the
// answer to its next IDENTIFY tells it so.
type publisher struct {
	id      string
	token   string
	index   int // in publishers.all
	conn    *conn
	left    int64            // when it had a connection last, unix nanoseconds
	marks   map[string]*mark // by topic, for looking up; never ranged over
	all     []*mark
	floor   uint64  // the highest number in topics that are deleted
	trusted bool    // it has had a connection that might publish
	maker   *origin // nil: of an earlier process, and not back yet
}

// publishers are all that are remembered.
type publishers struct {
	s     *Server
	most  int
	byID  map[string]*publisher // for looking up; never ranged over
	all   []*publisher          // in no particular but repeatable order
	timer loop.Timer
	armed bool

	loaded string // the content of the file, until the server has begun
}

// join makes c the connection of the publisher of that id, who is remembered
// from now on if there is room. Another connection of the same is ended: the
// client has given it up, and nothing more of it is to be carried out.
func (ps *publishers) join(c *conn, id string) {
	p := ps.byID[id]
	if p != nil && p.conn == nil && ps.s.now() >= p.left+int64(publisherWindow) {
		ps.forget(p) // the next sweep would have
		p = nil
	}
	if p == nil {
		if p = ps.remember(c.origin, id); p == nil {
			return
		}
	}
	if p.maker == nil {
		p.maker = c.origin
		p.maker.publishers++
	}
	if old := p.conn; old != nil {
		old.tell(slog.LevelInfo, "client has connected again")
		old.leave()
		old.c.Abort(errSuperseded)
	}
	p.conn, c.as = c, p
	c.rules.Numbered = true
	for _, sent := range c.all { // before it said who it is
		if sent.mark = p.marks[sent.name]; sent.mark == nil && !sent.t.deleted {
			sent.mark = p.newMark(sent.t)
		}
	}
}

// remember makes a publisher, nil when there is no room for one.
func (ps *publishers) remember(from *origin, id string) *publisher {
	if len(ps.all) >= ps.most || from.publishers >= (ps.most+1)/2 || ps.s.mayHold(publisherCost) != nil {
		return nil
	}
	p := ps.add(id, ps.newToken())
	p.maker = from
	from.publishers++
	ps.watch()
	return p
}

// add makes a publisher.
func (ps *publishers) add(id, token string) *publisher {
	p := &publisher{id: id, token: token, index: len(ps.all)}
	if ps.byID == nil {
		ps.byID = map[string]*publisher{}
	}
	ps.byID[id] = p
	ps.all = append(ps.all, p)
	ps.s.budget.add(publisherCost)
	return p
}

// newToken is a token that was never given before, by any server.
func (ps *publishers) newToken() string { return fmt.Sprintf("%016x", ps.s.l.Rand().Uint64()) }

// leave is told that c, which is p's, is over. Nobody is remembered who never
// came as far as being allowed to publish.
func (ps *publishers) leave(c *conn, p *publisher) {
	p.conn, p.left = nil, ps.s.now()
	if p.trusted = p.trusted || !c.rules.AuthFirst; !p.trusted {
		ps.forget(p)
	}
}

// forget drops p and all that is known of it.
func (ps *publishers) forget(p *publisher) {
	for len(p.all) > 0 {
		p.drop(p.all[len(p.all)-1])
	}
	last := len(ps.all) - 1
	moved := ps.all[last]
	ps.all[p.index], moved.index = moved, p.index
	ps.all[last] = nil
	ps.all = ps.all[:last]
	delete(ps.byID, p.id)
	if p.maker != nil {
		p.maker.publishers--
	}
	ps.s.budget.add(-publisherCost)
}

// watch has the publishers looked at after a while.
func (ps *publishers) watch() {
	switch {
	case ps.armed || ps.s.closed:
		return
	case ps.timer == nil:
		ps.timer = ps.s.l.After(publisherSweep, ps.sweep)
	default:
		ps.timer.Reset(publisherSweep)
	}
	ps.armed = true
}

// sweep forgets those whose time is over.
func (ps *publishers) sweep() {
	ps.armed = false
	over := ps.s.now() - int64(publisherWindow)
	for i := len(ps.all) - 1; i >= 0; i-- { // forget puts one in its place that was looked at
		if p := ps.all[i]; p.conn == nil && p.left <= over {
			ps.forget(p)
		}
	}
	if len(ps.all) > 0 {
		ps.watch()
	}
}

// stopTimer ends the looking.
func (ps *publishers) stopTimer() {
	if ps.timer != nil {
		ps.timer.Stop()
	}
}

// identifyPublisher takes the publisher that an IDENTIFY names, if any.
func (c *conn) identifyPublisher(q *wire.IdentifyRequest) *wire.Error {
	id := q.LitePublisher
	switch {
	case id == "" || !q.FeatureNegotiation:
		return nil
	case !wire.ValidPublisher(id):
		return wire.Errorf(wire.CodeBadBody, "IDENTIFY lite_publisher is invalid: want 16 lower-case hexadecimal digits")
	case c.as == nil:
		c.s.publishers.join(c, id)
	case c.as.id != id:
		return wire.Errorf(wire.CodeBadBody, "IDENTIFY lite_publisher is another than before")
	}
	return nil
}

// publisherToken is what the client is told about how it is remembered; "" for
// not at all.
func (c *conn) publisherToken() string {
	if c.as == nil {
		return ""
	}
	return c.as.token
}
