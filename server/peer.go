package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nsqloop/nsqloop/internal/backoff"
	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
)

// Times of a conversation with an nsqlookupd.
const (
	peerDialTimeout = time.Second      // nsqd's
	peerPing        = 15 * time.Second // nsqd's; the nsqlookupd hides those it does not hear of for 5 min
	peerPatience    = 5 * time.Second  // for the next reply, while some are due
	peerRetryMax    = 5 * time.Second  // between dials; nsqd waits for its next PING but one
)

// errSilent is why a connection is given up on which no reply comes.
var errSilent = fmt.Errorf("no reply in %v", peerPatience)

// lookupPeer is one nsqlookupd. Whenever it is connected it is told everything, and
// then each change; so it does not matter what was lost before.
type lookupPeer struct {
	ps      *peers
	addr    string
	log     *slog.Logger
	conn    *peerConn // nil while there is none, not even a dial
	info    wire.LookupReply
	retry   *backoff.Reconnect
	timer   loop.Timer // for the next dial
	failing bool       // that it cannot be reached has been said
	removed bool
}

func newLookupPeer(ps *peers, addr string) *lookupPeer {
	l := ps.s.l
	return &lookupPeer{ps: ps, addr: addr, log: ps.s.log.With("lookupd", addr),
		retry: backoff.NewReconnect(backoff.ReconnectOptions{Initial: 100 * time.Millisecond, Max: peerRetryMax}, l.Now, l.Rand())}
}

// dial connects, unless that is done or on its way.
func (p *lookupPeer) dial() {
	if p.conn != nil || p.removed || p.ps.s.closed {
		return
	}
	p.conn = &peerConn{p: p}
	p.conn.cancel = p.ps.s.l.Dial(p.addr, loop.DialOptions{Timeout: peerDialTimeout}, p.conn)
}

// lost is told that a connection has ended, or never began.
func (p *lookupPeer) lost(err error) {
	p.conn, p.info = nil, wire.LookupReply{}
	if p.removed || p.ps.s.closed {
		return
	}
	if !p.failing {
		p.failing = true
		p.log.Warn("nsqlookupd is not there: dialling until it is", "err", err)
	}
	d := p.retry.Next()
	if p.timer == nil {
		p.timer = p.ps.s.l.After(d, p.dial)
	} else {
		p.timer.Reset(d)
	}
}

// close ends the conversation for good.
func (p *lookupPeer) close() {
	p.removed = true
	if p.timer != nil {
		p.timer.Stop()
	}
	if c := p.conn; c != nil {
		c.close()
	}
}

// told says whether the nsqlookupd knows the server, and is being told of changes.
func (p *lookupPeer) told() bool { return p.conn != nil && p.conn.identified && !p.conn.over }

// say sends one command, if the nsqlookupd is being told of changes. Else it
// will be told everything.
func (p *lookupPeer) say(appendTo func([]byte) []byte) {
	if p.told() {
		c := p.conn
		c.c.SetOutput(appendTo(c.c.Output()))
		c.owe(1)
	}
}

// peerConn is one connection to an nsqlookupd.
type peerConn struct {
	p          *lookupPeer
	c          loop.Conn // nil until it is open
	cancel     func()
	identified bool // it has answered IDENTIFY, and is told of changes
	over       bool
	refused    bool // that it refuses something has been said
	owed       int  // replies that are due

	ping     loop.Timer
	patience loop.Timer
}

// String names the connection in reports of the loop.
func (c *peerConn) String() string { return "nsqlookupd " + c.p.addr }

// OnOpen is loop.Handler's.
func (c *peerConn) OnOpen(lc loop.Conn) {
	c.c = lc
	if c.p.removed {
		c.close()
		return
	}
	body, err := json.Marshal(c.p.ps.identity(lc.LocalAddr(), c.p.addr))
	if err != nil {
		panic("strings and numbers do not encode as JSON: " + err.Error())
	}
	l := c.p.ps.s.l
	c.patience = l.After(peerPatience, func() { c.c.Abort(errSilent) })
	c.ping = l.After(peerPing, c.sendPing)
	lc.SetOutput(wire.AppendLookupIdentify(append(lc.Output(), wire.MagicV1...), body))
	c.owed = 1
}

// OnData is loop.Handler's.
func (c *peerConn) OnData(p []byte) (n int) {
	for !c.over {
		data, size, err := wire.ReadLookupReply(p[n:], c.p.ps.s.o.MaxBodySize)
		if err == nil && size > 0 && c.owed == 0 {
			err = errors.New("a reply to nothing")
		}
		if err != nil {
			c.c.Abort(err)
			return len(p)
		}
		if size == 0 {
			break
		}
		n += size
		c.reply(data)
	}
	return n
}

// reply takes the answer to the oldest command.
func (c *peerConn) reply(data []byte) {
	c.owed--
	if c.owed == 0 {
		c.patience.Stop()
	} else {
		c.patience.Reset(peerPatience)
	}
	switch {
	case !c.identified:
		c.welcome(data)
	case string(data) != wire.OK && !c.refused:
		c.refused = true
		c.p.log.Warn("nsqlookupd refuses a registration", "reply", printable(string(data), 256))
	}
}

// welcome takes the answer to IDENTIFY and tells the nsqlookupd everything.
func (c *peerConn) welcome(data []byte) {
	info, err := wire.DecodeLookupReply(data)
	if err != nil {
		c.c.Abort(fmt.Errorf("answer to IDENTIFY: %w", err))
		return
	}
	p := c.p
	p.info, c.identified, p.failing = info, true, false
	out, n := c.c.Output(), 0
	for _, t := range p.ps.s.topics {
		if len(t.channels) == 0 {
			out = wire.AppendRegister(out, t.name, "")
			n++
		}
		for _, ch := range t.channels {
			out = wire.AppendRegister(out, t.name, ch.name)
			n++
		}
	}
	c.c.SetOutput(out)
	c.owe(n)
	p.log.Info("registered with nsqlookupd", "registrations", n, "version", printable(info.Version, 64))
}

// owe notes that n more replies are due.
func (c *peerConn) owe(n int) {
	if n == 0 {
		return
	}
	if c.owed == 0 {
		c.patience.Reset(peerPatience)
	}
	c.owed += n
}

// sendPing says that we are alive. Only a connection that has lasted until then
// makes the delays between dials short again: one that is accepted and closed
// does not.
func (c *peerConn) sendPing() {
	if c.over {
		return
	}
	c.p.retry.Reset()
	c.p.say(wire.AppendLookupPing)
	c.ping.Reset(peerPing)
}

// close ends the connection, or the dial.
func (c *peerConn) close() {
	if c.c == nil {
		c.cancel()
		return
	}
	c.end()
	c.c.Close()
}

// OnClose is loop.Handler's.
func (c *peerConn) OnClose(err error) {
	c.end()
	if c.p.conn == c {
		c.p.lost(err)
	}
}

// end stops what runs on behalf of the connection.
func (c *peerConn) end() {
	c.over = true
	if c.ping != nil {
		c.ping.Stop()
		c.patience.Stop()
	}
}
