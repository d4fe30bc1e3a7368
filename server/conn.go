package server

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
)

// conn is one client's connection.
//
// Replies leave in the order of the commands. A publish is answered when the
// journal has been written; what has to be said meanwhile queues up behind it
// in owed, or the connection is stalled, which means that it takes no more
// commands until all is paid. One whose commands make much work is set aside
// after some of them, until a later turn.
type conn struct {
	s     *Server
	c     loop.Conn
	index int    // in Server.conns
	owner uint32 // its name towards cursors; 0 until it subscribes

	rules    wire.Rules
	progress wire.Progress
	greeted  bool // the magic has come
	stalled  bool
	aside    bool // the rest of its input is offered in a later turn
	refused  bool // it is to be closed when all that is owed is paid
	closing  bool
	inLine   bool  // in larges.waiting
	expired  bool  // the deadline has passed: the unfinished command is to be refused
	partial  int   // bytes of an unfinished command
	spent    int   // what its commands have cost the loop in this turn
	turnAt   int64 // when that turn began, unix nanoseconds

	owed []debt

	pub  *published            // what it published to last
	pubs map[string]*published // everything, when there is more than one; never ranged over
	all  []*published          // everything
	as   *publisher            // whose publishes have numbers; nil: they have none

	origin    *origin
	heldIn    int64 // in the budget: the unfinished command,
	heldOut   int64 // output that it has not read,
	heldFixed int64 // and what it costs by itself
	unread    int64 // when relief looked last
	deafSince int64 // when it had last read something, 0: now

	ch         *channel
	ready      bool // in ch.ready, by prev and next
	full       bool // too much output is waiting
	prev, next *conn
	distance   distance
	rdy        int
	inFlight   int
	timeout    int64 // nanoseconds a message may be in flight
	sample     int32 // percent of the messages wanted; 0: all

	delivered, finished, requeued uint64

	heartbeat heartbeat
	identity  *identity // nil until IDENTIFY
	spelling  *spelling // of an IDENTIFY that is long, while it is decoded
	auth      *auth     // nil until AUTH
	upgrades  upgrades
	connected int64 // unix seconds
}

// debt is a reply that has to wait for a write: n OKs for publishes to t of one
// generation, or a refusal.
type debt struct {
	t          *topic
	generation uint64
	n          int
	verb       wire.Verb
	refusal    *wire.Error
}

// published counts what a connection published to one topic.
type published struct {
	t    *topic
	name string
	n    uint64
	mark *mark // nil: publishes have no numbers
}

// tell writes a line of log about the client, unless there are too many of its
// address.
func (c *conn) tell(level slog.Level, msg string, args ...any) {
	c.s.origins.tell(c.origin, c.s.log, level, msg, append([]any{"client", c.remote()}, args...)...)
}

// newConn makes the handler of a connection that is being accepted.
func newConn(s *Server) loop.Handler {
	if !s.life.begin() || s.closed {
		return nil
	}
	return &conn{s: s, timeout: int64(s.o.MsgTimeout)}
}

// String names the connection in reports of the loop.
func (c *conn) String() string { return "nsqd client " + c.remote() }

// remote is the address of the client.
func (c *conn) remote() string {
	if c.c == nil || c.c.RemoteAddr() == nil || c.c.RemoteAddr().String() == "" {
		return "@" // unix sockets: as nsqd prints them
	}
	return c.c.RemoteAddr().String()
}

// OnOpen is loop.Handler's.
func (c *conn) OnOpen(lc loop.Conn) {
	c.c = lc
	c.index = len(c.s.conns)
	c.s.conns = append(c.s.conns, c)
	c.origin = c.s.origins.of(c.remote())
	c.origin.conns++
	c.holdFixed(connCost)
	o := &c.s.o
	c.rules = wire.Rules{
		MaxMsgSize: o.MaxMsgSize, MaxBodySize: o.MaxBodySize,
		MaxRdyCount: o.MaxRdyCount, MaxReqTimeout: o.MaxReqTimeout,
		TLSRequired: o.TLSRequired != TLSNotRequired,
		Progress:    &c.progress,
	}
	c.startAuth()
	c.connected = c.s.l.Now().Unix()
	c.startHeartbeat()
}

// OnData is loop.Handler's: it carries out the commands in p.
func (c *conn) OnData(p []byte) (consumed int) {
	if c.closing || c.refused {
		return len(p)
	}
	if now := c.s.now(); c.aside || now != c.turnAt { // this is another turn
		c.aside, c.spent, c.turnAt = false, 0, now
	}
	if !c.greeted {
		if consumed = c.greet(p); consumed == 0 || c.closing {
			return consumed
		}
	}
	before := consumed
	consumed += c.run(p[consumed:])
	if c.closing {
		return len(p)
	}
	if c.upgrades.fresh { // what is left is for the layer
		c.upgrades.fresh, c.partial = false, 0
		c.heard(true, false)
		return consumed
	}
	c.partial = len(p) - consumed
	if c.rules.AuthFirst && c.partial > beforeAuthInput {
		c.refuse(wire.Errorf(wire.CodeAuthFirst, "AUTH required before more input"))
		return len(p)
	}
	if !c.weigh() {
		c.refuse(noRoom(p[consumed:]))
		return len(p)
	}
	if consumed > before || c.partial > 0 || c.heartbeat.began != 0 {
		c.heard(consumed > before, c.partial > 0)
	}
	if c.expired && !c.stalled && !c.aside {
		c.giveUp(p[consumed:])
	}
	return consumed
}

// run carries out the whole commands at the beginning of p and returns their
// length.
func (c *conn) run(p []byte) (n int) {
	cmd := &c.s.cmd
	for !c.stalled && !c.closing && !c.upgrades.fresh {
		if c.spent >= turnMost && n < len(p) && c.c.Yield() {
			// Its commands make much work. Others have their turn before the next.
			c.aside = true
			return n
		}
		size, err := wire.ReadCommand(p[n:], &c.rules, cmd)
		switch {
		case err != nil:
			c.s.measures.refuse(0)
			c.refuse(err)
			return n
		case size == 0:
			return n
		case len(c.owed) > 0 && answersAtOnce(cmd.Verb):
			// It is read again when everything before it has been answered.
			c.stalled = true
			return n
		}
		if c.auth != nil {
			wait, err := c.checkGrant(cmd.Verb, cmd.Topic, cmd.Channel)
			if wait {
				return n
			}
			if err != nil {
				c.s.measures.refuse(cmd.Verb)
				c.refuse(err)
				return n
			}
		}
		if cmd.Verb == wire.Identify && c.awaitsDecoding(cmd.Body) {
			return n
		}
		if cmd.Verb == wire.MPub && c.awaitsTurn(cmd) {
			return n
		}
		n += size
		c.s.measures.commands[cmd.Verb]++
		if err := c.exec(cmd); err != nil {
			c.s.measures.refused[cmd.Verb]++
			c.refuse(err)
		}
	}
	return n
}

// greet reads the magic. It returns 0 while that is not whole.
func (c *conn) greet(p []byte) int {
	if len(p) < len(wire.MagicV2) {
		return 0
	}
	switch magic := string(p[:len(wire.MagicV2)]); {
	case magic == wire.MagicV2:
		c.greeted = true
		c.heartbeat.greeted(c.s.now())
		c.setTimer()
		return len(magic)
	case speaksHTTP(magic):
		c.c.Write([]byte(notHTTP(c.s.HTTPAddr())))
	default:
		c.c.Write(wire.AppendError(nil, &wire.Error{Code: wire.CodeBadProtocol}))
	}
	c.tell(slog.LevelWarn, "client speaks another protocol", "magic", string(p[:4]))
	c.close()
	return len(p)
}

// notHTTP is the answer to someone who took a port of one of NSQ's protocols for
// the HTTP API, which is at api, nil for nowhere.
func notHTTP(api net.Addr) string {
	where := "this server has no HTTP API"
	if api != nil {
		where = "HTTP is on " + api.String()
	}
	body := "This is the port of the NSQ protocol; " + where + ".\n"
	return fmt.Sprintf("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body)
}

// speaksHTTP says whether the first four bytes of a connection are HTTP's.
func speaksHTTP(magic string) bool {
	switch magic {
	case "GET ", "POST", "HEAD", "PUT ", "DELE", "OPTI":
		return true
	}
	return false
}

// refuse answers a command with an error, after what is owed, and closes the
// connection if the error is one that does.
func (c *conn) refuse(err *wire.Error) {
	if err.Fatal() {
		c.tell(slog.LevelInfo, "client refused", "err", printable(err.Error(), 256))
	}
	if len(c.owed) > 0 {
		c.owed = append(c.owed, debt{refusal: err})
		c.refused = err.Fatal()
		c.stalled = c.stalled || c.refused
		return
	}
	c.sayNo(err)
}

// sayNo writes an error frame now.
func (c *conn) sayNo(err *wire.Error) {
	if err.Code != "" {
		c.c.SetOutput(wire.AppendError(c.c.Output(), err))
	}
	if err.Fatal() {
		c.close()
	}
}

// reply writes a response frame. Nothing may be owed.
func (c *conn) reply(data string) {
	c.c.SetOutput(wire.AppendResponse(c.c.Output(), data))
}

// owe notes that a publish is to be answered when t's running generation is
// over.
func (c *conn) owe(t *topic, verb wire.Verb) { c.oweSince(t, t.generation, verb) }

// oweSince is owe for what a generation has that may be over.
func (c *conn) oweSince(t *topic, generation uint64, verb wire.Verb) {
	if n := len(c.owed); n > 0 {
		d := &c.owed[n-1]
		if d.t == t && d.generation == generation && d.verb == verb && d.refusal == nil {
			d.n++
			return
		}
	} else {
		c.s.turn.owe(c)
	}
	c.owed = append(c.owed, debt{t: t, generation: generation, n: 1, verb: verb})
}

// manyOKs is a run of OK frames, to be copied from.
var manyOKs = strings.Repeat(wire.OKFrame, 64)

// settle answers what can be answered by now, in order, and reports whether
// nothing is owed any more.
func (c *conn) settle() bool {
	if c.closing {
		return true
	}
	out := c.c.Output()
	paid := 0
	for ; paid < len(c.owed); paid++ {
		d := &c.owed[paid]
		if d.refusal != nil {
			out = wire.AppendError(out, d.refusal)
			if d.refusal.Fatal() {
				c.c.SetOutput(out)
				c.close()
				return true
			}
			continue
		}
		if d.generation >= d.t.durable {
			break
		}
		n := d.n * len(wire.OKFrame)
		for ; n > len(manyOKs); n -= len(manyOKs) {
			out = append(out, manyOKs...)
		}
		out = append(out, manyOKs[:n]...)
	}
	c.c.SetOutput(out)
	left := copy(c.owed, c.owed[paid:])
	clear(c.owed[left:]) // they point to topics
	c.owed = c.owed[:left]
	if left > 0 {
		return false
	}
	if c.stalled {
		c.stalled = false
		c.c.Offer()
	}
	return true
}

// close sends what has been said and closes. The client has left its channel
// when close returns.
func (c *conn) close() {
	if !c.closing {
		c.leave()
		c.c.Close()
	}
}

// OnClose is loop.Handler's.
func (c *conn) OnClose(err error) {
	c.leave()
	if err != nil && !errors.Is(err, io.EOF) {
		c.tell(slog.LevelInfo, "client lost", "err", err)
	}
}

// leave takes the connection out of everything that knows it.
func (c *conn) leave() {
	if c.closing {
		return
	}
	c.closing = true
	c.owed = nil
	c.heartbeat.stop()
	c.upgrades.stop()
	c.auth.stop()
	c.s.longIdentities.forget(c)
	c.s.larges.forget(c)
	if c.c != nil { // else it was never open
		c.weighNothing()
		c.origin.conns--
		last := len(c.s.conns) - 1
		moved := c.s.conns[last]
		c.s.conns[c.index], moved.index = moved, c.index
		c.s.conns[last] = nil
		c.s.conns = c.s.conns[:last]
	}
	if c.ch != nil {
		c.ch.unsubscribe(c)
	}
	if c.as != nil {
		c.s.publishers.leave(c, c.as)
	}
}
