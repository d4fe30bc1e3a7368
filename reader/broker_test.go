package reader

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/mocknsqd"
	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
)

// broker is an nsqd with one channel, on a mocknsqd: it sends as many messages
// as the ready counts allow, and takes those back whose time is over.
type broker struct {
	t          testing.TB
	l          loop.Loop
	addr       string
	mock       *mocknsqd.NSQD
	msgTimeout time.Duration
	waiting    []*stored
	all        []*stored
	peers      []*peer
	heart      loop.Timer
	next       int
	trace      []string // commands without ids, but for IDENTIFY and NOP
	subReply   func(c *mocknsqd.Conn) bool
}

// stored is a message at rest.
type stored struct {
	id       string
	body     string
	attempts uint16
	finished int
}

// peer is a connection as the broker sees it.
type peer struct {
	conn     *mocknsqd.Conn
	ready    int
	closing  bool
	heard    time.Time // when the last command came
	inFlight []*delivery
}

// delivery is a message in flight.
type delivery struct {
	*stored
	peer  *peer
	timer loop.Timer
}

// newBroker starts a broker on addr of l.
func newBroker(t testing.TB, l loop.Loop, addr string) *broker {
	b := &broker{t: t, l: l, addr: addr, msgTimeout: time.Minute}
	b.start()
	b.beat(15 * time.Second)
	return b
}

// beat sends heartbeats, and cuts who does not answer, as nsqd does.
func (b *broker) beat(interval time.Duration) {
	if b.heart != nil {
		b.heart.Stop()
	}
	b.heart = b.l.Every(interval, func() {
		for _, c := range slices.Clone(b.mock.Conns) {
			if b.l.Now().Sub(b.peer(c).heard) > 2*interval {
				c.Abort()
			}
			c.Heartbeat()
		}
	})
}

// start listens, at first and after mock.Stop. What was stored is kept.
func (b *broker) start() {
	mock, err := mocknsqd.Listen(b.l, b.addr)
	if err != nil {
		b.t.Fatal(err)
	}
	mock.Script = b.script
	b.mock = mock
	b.setMsgTimeout(b.msgTimeout)
}

// setMsgTimeout changes what connections from now on are told.
func (b *broker) setMsgTimeout(d time.Duration) {
	b.msgTimeout = d
	b.mock.Identify = strings.Replace(mocknsqd.IdentifyReply, `"msg_timeout":60000`, fmt.Sprintf(`"msg_timeout":%d`, d.Milliseconds()), 1)
}

// publish stores messages and sends what may be sent. It belongs to the loop.
func (b *broker) publish(bodies ...string) {
	for _, body := range bodies {
		b.next++
		m := &stored{id: fmt.Sprintf("%s%07d", b.addr[strings.LastIndexAny(b.addr, ":.")+1:], b.next), body: body}
		b.all = append(b.all, m)
		b.waiting = append(b.waiting, m)
	}
	b.dispatch()
}

// dispatch sends what the ready counts allow.
func (b *broker) dispatch() {
	for sent := true; sent; {
		sent = false
		for _, p := range b.peers {
			if len(b.waiting) == 0 {
				return
			}
			if p.closing || p.conn.Closed || len(p.inFlight) >= p.ready {
				continue
			}
			m := b.waiting[0]
			b.waiting = b.waiting[1:]
			m.attempts++
			d := &delivery{stored: m, peer: p}
			d.timer = b.l.After(b.msgTimeout, func() { b.back(d) })
			p.inFlight = append(p.inFlight, d)
			p.conn.Message(m.id, m.attempts, b.l.Now(), m.body)
			sent = true
		}
	}
}

// back puts a delivery's message where it waits.
func (b *broker) back(d *delivery) {
	if b.take(d) {
		b.waiting = append(b.waiting, d.stored)
		b.dispatch()
	}
}

// take ends a delivery; false when it has ended already.
func (b *broker) take(d *delivery) bool {
	i := slices.Index(d.peer.inFlight, d)
	if i < 0 {
		return false
	}
	d.timer.Stop()
	d.peer.inFlight = slices.Delete(d.peer.inFlight, i, i+1)
	return true
}

func (b *broker) peer(c *mocknsqd.Conn) *peer {
	for _, p := range b.peers {
		if p.conn == c {
			return p
		}
	}
	p := &peer{conn: c, heard: b.l.Now()}
	b.peers = append(b.peers, p)
	return p
}

// find is the delivery that an answer is about.
func (p *peer) find(id wire.ID) *delivery {
	for _, d := range p.inFlight {
		if mocknsqd.ID(d.id) == id {
			return d
		}
	}
	return nil
}

func (b *broker) script(c *mocknsqd.Conn, cmd *wire.Command) bool {
	p := b.peer(c)
	p.heard = b.l.Now()
	b.note(cmd)
	switch cmd.Verb {
	case wire.Sub:
		if b.subReply != nil {
			return b.subReply(c)
		}
	case wire.Rdy:
		p.ready = cmd.Count
		b.dispatch()
	case wire.Fin:
		d := p.find(cmd.ID)
		if d == nil {
			c.Error(wire.CodeFinFailed, "FIN "+cmd.ID.String()+" failed ID not in flight")
			return true
		}
		b.take(d)
		d.finished++
		b.dispatch()
	case wire.Req:
		d := p.find(cmd.ID)
		if d == nil {
			c.Error(wire.CodeReqFailed, "REQ "+cmd.ID.String()+" failed ID not in flight")
			return true
		}
		b.take(d)
		b.l.After(cmd.Delay, func() {
			b.waiting = append(b.waiting, d.stored)
			b.dispatch()
		})
	case wire.Touch:
		d := p.find(cmd.ID)
		if d == nil {
			c.Error(wire.CodeTouchFailed, "TOUCH "+cmd.ID.String()+" failed ID not in flight")
			return true
		}
		d.timer.Reset(b.msgTimeout)
	case wire.Cls:
		p.closing = true
	}
	return false
}

// note writes the trace.
func (b *broker) note(cmd *wire.Command) {
	switch cmd.Verb {
	case wire.Identify, wire.Nop:
		return
	case wire.Rdy:
		b.trace = append(b.trace, fmt.Sprintf("RDY %d", cmd.Count))
	case wire.Req:
		b.trace = append(b.trace, fmt.Sprintf("REQ %d", cmd.Delay.Milliseconds()))
	default:
		b.trace = append(b.trace, cmd.Verb.String())
	}
}

// wantTrace compares what has come since the last call: "SUB, RDY 1".
func (b *broker) wantTrace(want string) {
	b.t.Helper()
	if got := strings.Join(b.trace, ", "); got != want {
		b.t.Errorf("the wire shows\n %s, want\n %s", got, want)
	}
	b.trace = nil
}

// open is the number of connections that live.
func (b *broker) open() int { return len(b.mock.Conns) }

// finished is the number of messages that were finished, each once.
func (b *broker) finished() (n int) {
	b.t.Helper()
	for _, m := range b.all {
		if m.finished > 1 {
			b.t.Errorf("message %s was finished %d times", m.id, m.finished)
		}
		if m.finished > 0 {
			n++
		}
	}
	return n
}
