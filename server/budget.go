package server

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
)

// What things cost in the budget, in bytes: estimates from the sizes of what is
// allocated, rounded up.
const (
	connCost      = 4 << 10  // a connection that has nothing under way
	tlsCost       = 32 << 10 // TLS on a connection
	snappyCost    = 8 << 10
	deflateCost   = 64 << 10
	httpConnCost  = 32 << 10 // an HTTP connection: its goroutine and buffers
	topicCost     = 3 << 10
	channelCost   = 1 << 10
	publisherCost = 512 // a publisher that is remembered
	markCost      = 256 // for each of its topics
	delayCost     = 64  // a deferred message; its body is in the journal
	lineCost      = 64  // a message of an HTTP publish beside its body

	// Of an nsqlookupd: its connections are bounded by their number.
	knownCost      = 384
	registeredCost = 96
	producerCost   = 8 << 10 // with what it may say of itself

	smallInput = 4 << 10 // sizes of the loop's buffers of unfinished input
	largeInput = 64 << 10
)

const (
	// reliefEvery is how often, at most, the budget looks what clients have
	// read meanwhile.
	reliefEvery = 20 * time.Millisecond

	// deafAfter is how long a client may read nothing of what waits for it
	// when the memory is needed for others.
	deafAfter = time.Second

	// deafBytes is how much has to wait for a client that is given up then.
	deafBytes = 16 << 10
)

// errDeaf is why a client is given up that does not read.
var errDeaf = errors.New("client does not read, and the memory is needed (--max-memory)")

// budget is what the server holds for its peers: unfinished input, output that
// they have not read, the bodies of HTTP requests, messages that are not in
// files, and what connections, topics and channels cost by themselves. It is
// counted where it enters, which is behind decompression. Whoever wants more
// than is left is refused by name; nothing that was acknowledged is dropped.
//
// It may be used from any goroutine.
type budget struct {
	limit int64
	used  atomic.Int64
}

// take reserves n bytes and reports whether there was room. Otherwise nothing
// is reserved.
func (b *budget) take(n int64) bool {
	if b.used.Add(n) <= b.limit {
		return true
	}
	b.used.Add(-n)
	return false
}

// add counts what is there whether or not there is room for it; n may be
// negative, to give it back.
func (b *budget) add(n int64) {
	if n != 0 {
		b.used.Add(n)
	}
}

// has says whether there is room for n bytes more.
func (b *budget) has(n int64) bool { return b.used.Load()+n <= b.limit }

// inputCost is what n bytes of an unfinished command hold: the loop keeps them
// in a buffer of one of two sizes, and beyond those in one that doubles.
func inputCost(n int) int64 {
	switch {
	case n == 0:
		return 0
	case n <= smallInput:
		return smallInput
	case n <= largeInput:
		return largeInput
	}
	return 2 * int64(n)
}

// weigh brings what c holds up to date: the unfinished command, and what it has
// not read. It reports whether c may hold that much.
func (c *conn) weigh() bool {
	in, out := inputCost(c.partial), int64(c.c.Buffered())
	more := in - c.heldIn
	c.heldIn = in
	c.origin.heldIn += more
	c.s.budget.add(more)
	c.weighOutput(out)
	if more <= 0 {
		return true
	}
	if c.origin.heldIn > c.s.budget.limit/2 {
		return false // no address takes it all
	}
	return c.s.budget.has(0) || c.s.relief.look() && c.s.budget.has(0)
}

// weighOutput notes how much waits for c.
func (c *conn) weighOutput(n int64) {
	if n != c.heldOut {
		c.s.relief.output += n - c.heldOut
		c.s.budget.add(n - c.heldOut)
		c.heldOut = n
	}
}

// holdFixed counts what c costs by itself from now on.
func (c *conn) holdFixed(n int64) {
	c.heldFixed += n
	c.s.budget.add(n)
}

// weighNothing gives back what c holds.
func (c *conn) weighNothing() {
	c.weighOutput(0)
	c.s.budget.add(-c.heldIn - c.heldFixed)
	c.origin.heldIn -= c.heldIn
	c.heldIn, c.heldFixed = 0, 0
}

// noRoom is what a client is told whose unfinished command p is too much. The
// codes of publishes say that the same publish may succeed later.
func noRoom(p []byte) *wire.Error {
	for _, v := range []wire.Verb{wire.Pub, wire.MPub, wire.DPub} {
		if name := v.String(); len(p) > len(name) && string(p[:len(name)]) == name && p[len(name)] == ' ' {
			return publishFailed(v, errNoMemory)
		}
	}
	return wire.Errorf(wire.CodeBadBody, "%s", errNoMemory)
}

// relief makes room when memory is short. Output is counted as it is made, and
// only now and then is it looked what of it has been read: when it matters.
type relief struct {
	s      *Server
	output int64 // that waits for clients, or did when last looked at
	looked int64 // when that was, unix nanoseconds
	posted bool  // evict will run
}

// short says whether clients have left so much unread that those who still have
// something to read are given no more: half the budget. The other half is for
// those who send.
func (r *relief) short() bool {
	if !r.tight() {
		return false
	}
	r.look()
	return r.tight()
}

// look counts what is really waiting, and has clients given up that read
// nothing, if there is too little memory then. It does so every reliefEvery at
// most, and reports whether it did.
func (r *relief) look() bool {
	now := r.s.now()
	if now < r.looked+int64(reliefEvery) {
		return false
	}
	r.looked = now
	for _, c := range r.s.conns {
		n := int64(c.c.Buffered())
		switch {
		case n < deafBytes || n < c.unread:
			c.deafSince = 0
		case c.deafSince == 0:
			c.deafSince = now
		}
		c.unread = n
		c.weighOutput(n)
	}
	if r.tight() && !r.posted {
		// Not now: whoever asks may be in the middle of a delivery.
		r.posted = r.s.l.Post(r.evict) == nil
	}
	return true
}

// tight says whether there is too much, or too much of it output.
func (r *relief) tight() bool {
	return r.output > r.s.budget.limit/2 || !r.s.budget.has(0)
}

// evict gives up clients that have read nothing for deafAfter, until there is
// room.
func (r *relief) evict() {
	r.posted = false
	now := r.s.now()
	for i := len(r.s.conns) - 1; i >= 0 && r.tight(); i-- {
		if c := r.s.conns[i]; c.deafSince != 0 && now >= c.deafSince+int64(deafAfter) {
			c.tell(slog.LevelWarn, "client given up", "err", errDeaf, "unread", c.unread)
			c.leave() // puts the last connection, which has been looked at, in its place
			c.c.Abort(errDeaf)
		}
	}
}

// relieve is look for those who are not on the loop.
func (s *Server) relieve() {
	if !s.closed {
		s.relief.look()
	}
}

// room says whether the topic may take a message of n bytes. Those in files
// need no memory. Others are counted at once, since many come in a turn, and
// twice, since they are in a block of the journal until the turn ends; then
// weigh finds what is left of that.
func (t *topic) room(n int) error {
	if t.onDisk {
		return nil
	}
	need := 2 * int64(n)
	if !t.s.budget.has(need) && !(t.s.relief.look() && t.s.budget.has(need)) {
		return errNoMemory
	}
	t.held += need
	t.s.budget.add(need)
	return nil
}

// weigh brings what the topic's messages hold in memory up to date: all of them
// if they are not in files, and the places of those that are deferred.
func (t *topic) weigh() {
	var held int64
	if !t.onDisk {
		held = t.j.Bytes()
	}
	if t.delays {
		t.delays = false
		n := t.j.Deferred()
		for _, ch := range t.channels {
			n += int64(ch.cur.Deferred())
		}
		t.heldDelays = n * delayCost
	}
	held += t.heldDelays
	if held != t.held {
		t.s.budget.add(held - t.held)
		t.held = held
	}
}
