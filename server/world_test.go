package server

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/server/journal"
)

// world is a server and its clients, without sockets and without real time.
type world struct {
	t    testing.TB
	l    *bareLoop
	s    *Server
	disk journal.Disk // the data path; nil: as Options say
}

func newWorld(t testing.TB, o Options) *world {
	t.Helper()
	return newWorldOn(t, o, nil)
}

// newWorldOn is newWorld with a disk that has the data path itself; nil for none.
func newWorldOn(t testing.TB, o Options, d journal.Disk) *world {
	t.Helper()
	w := &world{t: t, l: newBareLoop(), disk: d}
	w.start(o)
	t.Cleanup(func() { w.stop() })
	return w
}

// start starts the server, once more after stop.
func (w *world) start(o Options) {
	w.t.Helper()
	var err error
	if w.disk != nil {
		w.s, err = NewOnDisk(w.l, o, w.disk)
	} else {
		w.s, err = New(w.l, o)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.l.turn(func() {})
}

// stop checks what must always hold and closes the server.
func (w *world) stop() {
	w.t.Helper()
	w.check()
	w.l.turn(func() {
		if err := w.s.Close(); err != nil {
			w.t.Error(err)
		}
	})
}

// check compares what is counted twice.
func (w *world) check() {
	w.t.Helper()
	if w.s.closed {
		return
	}
	for _, t := range w.s.topics {
		if ck, ok := any(t.j).(interface{ Check() error }); !ok {
		} else if err := ck.Check(); err != nil {
			w.t.Errorf("journal of %s: %v", t.name, err)
		}
		for _, ch := range t.channels {
			ready := 0
			for _, c := range ch.subscribers {
				if c.inFlight < 0 || c.inFlight > ch.cur.InFlight() {
					w.t.Errorf("%s/%s: a subscriber has %d in flight, the channel %d", t.name, ch.name, c.inFlight, ch.cur.InFlight())
				}
				if c.ready != c.canTake() {
					w.t.Errorf("%s/%s: ready is %v, want %v", t.name, ch.name, c.ready, c.canTake())
				}
				if c.ready {
					ready++
				}
			}
			if ready != ch.ready.n {
				w.t.Errorf("%s/%s: %d subscribers are ready, the list has %d", t.name, ch.name, ready, ch.ready.n)
			}
			if ch.ready.n > 0 && ch.cur.Depth() > 0 && !ch.cur.Paused() && !ch.passing {
				w.t.Errorf("%s/%s: %d messages wait though %d subscribers are ready", t.name, ch.name, ch.cur.Depth(), ch.ready.n)
			}
		}
	}
}

// do runs f in a turn of the server's loop.
func (w *world) do(f func()) {
	w.l.turn(f)
	w.offer()
	w.sleep(0)
}

// offer does what Conn.Offer asked for.
func (w *world) offer() {
	for again := true; again; {
		again = false
		for _, c := range slices.Clone(w.s.conns) {
			if bc := c.c.(*bareConn); bc.offered {
				again, bc.offered = true, false
				w.l.turn(func() { bc.in = bc.in[c.OnData(bc.in):] })
			}
		}
	}
}

// sleep lets time pass.
func (w *world) sleep(d time.Duration) {
	w.l.sleep(d)
	w.offer()
}

// snapshot is Stats, without the memory figures, of one moment.
func (s *Server) snapshot(o StatsOptions) Stats {
	v := s.newInventory(o)
	for last := false; !last; {
		_, last = v.piece()
	}
	return v.st
}

// topic is what /stats says of a topic.
func (w *world) topic(name string) TopicStats {
	w.t.Helper()
	st := w.s.snapshot(StatsOptions{Topic: name})
	if len(st.Topics) != 1 {
		w.t.Fatalf("there is no topic %s", name)
	}
	return st.Topics[0]
}

// channel is what /stats says of a channel.
func (w *world) channel(topic, name string) ChannelStats {
	w.t.Helper()
	for _, ch := range w.topic(topic).Channels {
		if ch.ChannelName == name {
			return ch
		}
	}
	w.t.Fatalf("topic %s has no channel %s", topic, name)
	return ChannelStats{}
}

// names lists the topics and channels: "t(a b) u()".
func (w *world) names() string {
	var all []string
	for _, t := range w.s.topics {
		var chs []string
		for _, ch := range t.channels {
			chs = append(chs, ch.name)
		}
		all = append(all, t.name+"("+strings.Join(chs, " ")+")")
	}
	return strings.Join(all, " ")
}

// publish publishes bodies, each with its own PUB, on a connection of its own.
func (w *world) publish(topic string, bodies ...string) {
	w.t.Helper()
	p := w.dial()
	for _, b := range bodies {
		p.send(wire.AppendPub(nil, topic, []byte(b)))
		p.want("OK")
	}
	p.hangUp()
}

// peer is a client that speaks the protocol in the raw.
type peer struct {
	w  *world
	c  *conn
	bc *bareConn
}

// dial connects and says the magic.
func (w *world) dial() *peer {
	p := w.dialSilent()
	p.sendString(wire.MagicV2)
	return p
}

// dialSilent connects.
func (w *world) dialSilent() *peer {
	p := &peer{w: w, c: newConn(w.s).(*conn), bc: &bareConn{}}
	w.do(func() { p.c.OnOpen(p.bc) })
	return p
}

// subscribe connects, subscribes and sets the ready count.
func (w *world) subscribe(topic, channel string, rdy int) *peer {
	w.t.Helper()
	p := w.dial()
	p.send(wire.AppendSub(nil, topic, channel))
	p.want("OK")
	p.send(wire.AppendRdy(nil, rdy))
	return p
}

// send sends bytes.
func (p *peer) send(b []byte) {
	p.bc.in = append(p.bc.in, b...)
	p.w.do(func() {
		if !p.bc.closed {
			p.bc.in = p.bc.in[p.c.OnData(p.bc.in):]
		}
	})
}

func (p *peer) sendString(s string) { p.send([]byte(s)) }

func (p *peer) pub(topic, body string)              { p.send(wire.AppendPub(nil, topic, []byte(body))) }
func (p *peer) fin(m wire.Message)                  { p.send(wire.AppendFin(nil, m.ID)) }
func (p *peer) touch(m wire.Message)                { p.send(wire.AppendTouch(nil, m.ID)) }
func (p *peer) req(m wire.Message, d time.Duration) { p.send(wire.AppendReq(nil, m.ID, d)) }
func (p *peer) rdy(n int)                           { p.send(wire.AppendRdy(nil, n)) }

// identify sends IDENTIFY with a JSON body.
func (p *peer) identify(body string) { p.send(wire.AppendIdentify(nil, []byte(body))) }

// hangUp closes the client's side.
func (p *peer) hangUp() {
	p.w.do(func() { p.c.OnClose(nil) })
}

// closed says whether the server has closed the connection.
func (p *peer) closed() bool { return p.bc.closed }

// frames returns what has been received and not looked at yet, one string for
// each frame; a message is "body/attempts".
func (p *peer) frames() (frames []string) {
	p.w.t.Helper()
	for len(p.bc.out) > 0 {
		t, data, n, err := wire.ReadFrame(p.bc.out, 0)
		if err != nil || n == 0 {
			p.w.t.Fatalf("the server sent what is no frame: %q: %v", p.bc.out, err)
		}
		s := string(data)
		if t == wire.FrameMessage {
			m, err := wire.ReadMessage(data)
			if err != nil {
				p.w.t.Fatal(err)
			}
			s = fmt.Sprintf("%s/%d", m.Body, m.Attempts)
		}
		frames = append(frames, s)
		p.bc.out = p.bc.out[n:]
	}
	p.bc.out = nil
	return frames
}

// want checks that exactly these frames have been received.
func (p *peer) want(want ...string) {
	p.w.t.Helper()
	if got := p.frames(); !slices.Equal(got, want) {
		p.w.t.Fatalf("received %q, want %q", got, want)
	}
}

// wantClosed checks that exactly these frames have been received, and then the
// end.
func (p *peer) wantClosed(want ...string) {
	p.w.t.Helper()
	p.want(want...)
	if !p.closed() {
		p.w.t.Fatalf("the connection is open after %q", want)
	}
}

// message returns the next message, which must have this body and number of
// attempts; what comes before it is skipped.
func (p *peer) message(body string, attempts uint16) wire.Message {
	p.w.t.Helper()
	all := p.messages(1)
	if m := all[0]; string(m.Body) != body || m.Attempts != attempts {
		p.w.t.Fatalf("received %s/%d, want %s/%d", m.Body, m.Attempts, body, attempts)
	}
	return all[0]
}

// messages returns the next n messages; what comes between them is skipped.
func (p *peer) messages(n int) (all []wire.Message) {
	p.w.t.Helper()
	for len(all) < n {
		t, data, size, err := wire.ReadFrame(p.bc.out, 0)
		if err != nil || size == 0 {
			p.w.t.Fatalf("received %d messages, want %d", len(all), n)
		}
		p.bc.out = p.bc.out[size:]
		if t == wire.FrameMessage {
			m, err := wire.ReadMessage(data)
			if err != nil {
				p.w.t.Fatal(err)
			}
			all = append(all, m)
		}
	}
	return all
}
