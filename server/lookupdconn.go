package server

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strconv"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/server/lookup"
)

// lookupdPatience is how long a connection may take to say its first command,
// or the rest of one that it has begun. Between commands it may be silent for
// ever, as with the original.
const lookupdPatience = 10 * time.Second

// lookupdConn is the connection of one nsqd.
type lookupdConn struct {
	d       *Lookupd
	c       loop.Conn
	index   int // in Lookupd.conns
	origin  *origin
	timer   loop.Timer
	armed   bool // timer waits
	greeted bool // the magic has come
	closing bool
	partial bool  // there are bytes of an unfinished command
	held    int64 // in the budget
	expired bool  // the time for an unfinished command is over
	full    bool  // it has been told that there are too many names

	producer *lookup.Producer // nil until IDENTIFY
}

// newLookupdConn makes the handler of a connection that is being accepted.
func newLookupdConn(d *Lookupd) loop.Handler {
	if !d.life.begin() || !d.begun || d.closed || len(d.conns) >= d.o.MaxConns || !d.budget.has(connCost) {
		return nil
	}
	return &lookupdConn{d: d}
}

// String names the connection in reports of the loop.
func (c *lookupdConn) String() string { return "nsqlookupd client " + c.remote() }

// remote is the address of the nsqd.
func (c *lookupdConn) remote() string {
	if c.c == nil || c.c.RemoteAddr() == nil || c.c.RemoteAddr().String() == "" {
		return "@"
	}
	return c.c.RemoteAddr().String()
}

// OnOpen is loop.Handler's.
func (c *lookupdConn) OnOpen(lc loop.Conn) {
	c.c = lc
	c.index = len(c.d.conns)
	c.d.conns = append(c.d.conns, c)
	c.origin = c.d.origins.of(c.remote())
	c.origin.conns++
	c.hold(connCost)
	c.timer = c.d.l.After(lookupdPatience, c.expire)
	c.armed = true
}

// OnData is loop.Handler's: it carries out the commands in p.
func (c *lookupdConn) OnData(p []byte) (consumed int) {
	if c.closing {
		return len(p)
	}
	if !c.greeted {
		if len(p) < len(wire.MagicV1) {
			return 0
		}
		if magic := p[:len(wire.MagicV1)]; string(magic) != wire.MagicV1 {
			c.tell(slog.LevelWarn, "client speaks another protocol", "magic", strconv.Quote(string(magic)))
			if speaksHTTP(string(magic)) {
				c.c.Write([]byte(notHTTP(c.d.HTTPAddr())))
				c.close()
			} else {
				c.refuse(&wire.Error{Code: wire.CodeBadProtocol})
			}
			return len(p)
		}
		c.greeted = true
		consumed = len(wire.MagicV1)
	}
	n, whole := c.run(p[consumed:])
	consumed += n
	if c.closing {
		return len(p)
	}
	c.partial = consumed < len(p)
	if !c.weigh(len(p) - consumed) {
		c.refuse(wire.Errorf(wire.CodeBadBody, "%s", errNoMemory))
		return len(p)
	}
	if c.expired {
		c.giveUp(p[consumed:])
		return len(p)
	}
	c.wait(whole)
	return consumed
}

// hold changes what the connection has of the budget.
func (c *lookupdConn) hold(n int64) {
	c.d.budget.add(n - c.held)
	c.held = n
}

// weigh counts n bytes of an unfinished command, and says whether there is room
// for them.
func (c *lookupdConn) weigh(n int) bool {
	held := connCost + inputCost(n)
	if c.producer != nil {
		held += producerCost
	}
	more := held > c.held
	c.hold(held)
	return !more || c.d.budget.has(0)
}

// tell writes a line of log about the client, unless there are too many of its
// address.
func (c *lookupdConn) tell(level slog.Level, msg string, args ...any) {
	c.d.origins.tell(c.origin, c.d.log, level, msg, append([]any{"client", c.remote()}, args...)...)
}

// run carries out the whole commands at the beginning of p and returns their
// length. whole says that there was one.
func (c *lookupdConn) run(p []byte) (n int, whole bool) {
	var cmd wire.LookupCommand
	for !c.closing {
		size, err := wire.ReadLookupCommand(p[n:], c.producer != nil, &cmd)
		if err != nil {
			c.refuse(err)
			return n, true
		}
		if size == 0 {
			return n, whole
		}
		n += size
		whole = true
		c.exec(&cmd)
		if len(c.c.Output())+c.c.Buffered() > lookupdOutputMost {
			c.tell(slog.LevelWarn, "nsqd does not read its replies")
			c.close()
		}
	}
	return n, whole
}

// wait sets the timer: it runs while a first command, or the rest of one, is
// due.
func (c *lookupdConn) wait(whole bool) {
	switch {
	case whole && !c.partial:
		c.timer.Stop()
		c.armed = false
	case c.partial && (whole || !c.armed):
		c.timer.Reset(lookupdPatience)
		c.armed = true
	}
}

// exec carries out one command.
func (c *lookupdConn) exec(cmd *wire.LookupCommand) {
	d := c.d
	switch cmd.Verb {
	case wire.LookupPing:
		if c.producer != nil {
			d.reg.Seen(c.producer, d.l.Now())
		}
	case wire.LookupIdentify:
		c.identify(&cmd.Peer)
		return
	case wire.LookupRegister:
		if !d.budget.has(2 * (knownCost + registeredCost)) {
			c.refuseName(cmd)
			return
		}
		if err := d.reg.Register(c.producer, string(cmd.Topic), string(cmd.Channel)); err != nil {
			c.refuseName(cmd)
			return
		}
	case wire.LookupUnregister:
		d.reg.Unregister(c.producer, string(cmd.Topic), string(cmd.Channel))
	}
	d.weigh()
	c.reply(wire.OK)
}

// identify makes the connection a producer and tells it who we are.
func (c *lookupdConn) identify(p *wire.LookupIdentity) {
	d := c.d
	info := lookup.Info{
		RemoteAddress: c.remote(), Hostname: p.Hostname, BroadcastAddress: p.BroadcastAddress,
		TCPPort: p.TCPPort, HTTPPort: p.HTTPPort, Version: p.Version,
		TopologyZone: p.TopologyZone, TopologyRegion: p.TopologyRegion,
	}
	if err := c.mayJoin(&info); err != nil {
		c.refuse(err)
		return
	}
	c.producer = d.reg.Join(info, d.l.Now())
	c.tell(slog.LevelInfo, "nsqd registers", "address", printable(c.producer.Info.Node(), 256), "version", printable(p.Version, 64))
	addr, _ := advertised(d.o.BroadcastAddress, d.host, c.c.LocalAddr())
	body, err := json.Marshal(wire.LookupReply{
		BroadcastAddress: addr, Hostname: d.hostname,
		HTTPPort: portOf(d.HTTPAddr()), TCPPort: portOf(d.TCPAddr()), Version: Version,
	})
	if err != nil {
		panic("strings and numbers do not encode as JSON: " + err.Error())
	}
	c.c.SetOutput(wire.AppendLookupReply(c.c.Output(), body))
}

// refuseName says that a limit is reached. The connection stays: what it has
// registered so far is worth having.
func (c *lookupdConn) refuseName(cmd *wire.LookupCommand) {
	if !c.full {
		c.full = true
		c.tell(slog.LevelError, "nsqd registers more topics and channels than allowed",
			"of_one", c.d.o.MaxNames, "of_all", c.d.o.MaxRegistrations)
	}
	c.reply(wire.Errorf(wire.CodeInvalid, "%s too many topics and channels", cmd.Verb).Error())
}

func (c *lookupdConn) reply(data string) {
	c.c.SetOutput(wire.AppendLookupReply(c.c.Output(), data))
}

// refuse says why the conversation ends, and ends it.
func (c *lookupdConn) refuse(err *wire.Error) {
	c.tell(slog.LevelInfo, "client refused", "err", printable(err.Error(), 256))
	c.reply(err.Error())
	c.close()
}

// expire runs when a command has not come in time.
func (c *lookupdConn) expire() {
	c.armed = false
	if c.closing {
		return
	}
	if !c.greeted || !c.partial {
		c.giveUp(nil)
		return
	}
	c.expired = true
	c.c.Offer()
}

// giveUp closes, after saying what the unfinished command p lacks.
func (c *lookupdConn) giveUp(p []byte) {
	if c.closing {
		return
	}
	if err := wire.LookupTruncated(p); err != nil {
		c.refuse(err)
		return
	}
	c.tell(slog.LevelInfo, "client did not finish a command in time")
	c.close()
}

// close sends what has been said and closes.
func (c *lookupdConn) close() {
	if !c.closing {
		c.leave()
		c.c.Close()
	}
}

// OnClose is loop.Handler's.
func (c *lookupdConn) OnClose(err error) {
	c.leave()
	if err != nil && !errors.Is(err, io.EOF) {
		c.tell(slog.LevelInfo, "nsqd lost", "err", err)
	}
}

// leave takes the connection out of everything that knows it.
func (c *lookupdConn) leave() {
	if c.closing {
		return
	}
	c.closing = true
	if c.c == nil {
		return // it was never open
	}
	c.timer.Stop()
	c.hold(0)
	c.origin.conns--
	last := len(c.d.conns) - 1
	moved := c.d.conns[last]
	c.d.conns[c.index], moved.index = moved, c.index
	c.d.conns[last] = nil
	c.d.conns = c.d.conns[:last]
	if c.producer != nil {
		c.d.reg.Leave(c.producer)
		c.d.weigh()
		c.tell(slog.LevelInfo, "nsqd has left", "address", printable(c.producer.Info.Node(), 256))
	}
}
