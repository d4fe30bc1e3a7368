package server

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/loop/looptest"
)

// simulated is a server and clients on a network in memory that splits, delays
// and resets.
type simulated struct {
	t        *testing.T
	l        *looptest.Loop // of the clients
	dice     *rand.Rand
	next     int
	acked    map[string]bool
	finished map[string]int
	done     bool // no more publishes
}

// delivered says whether every acknowledged message has been finished. Others
// may have been, too: those whose publisher lost the OK.
func (m *simulated) delivered() bool {
	for body := range m.acked {
		if m.finished[body] == 0 {
			return false
		}
	}
	return true
}

// simPublisher publishes until the simulation is done, and dials again when it
// loses its connection.
type simPublisher struct {
	m    *simulated
	c    loop.Conn
	owed []string
}

func (p *simPublisher) OnOpen(c loop.Conn) {
	p.c = c
	c.Write([]byte(wire.MagicV2))
	p.publish()
}

// publish sends a batch; the next follows when all of it is answered.
func (p *simPublisher) publish() {
	if p.m.done {
		p.c.Close()
		return
	}
	for range 1 + p.m.dice.IntN(5) {
		body := fmt.Sprint(p.m.next)
		p.m.next++
		p.owed = append(p.owed, body)
		switch p.m.dice.IntN(4) {
		case 0:
			p.c.SetOutput(wire.AppendDPub(p.c.Output(), "t", time.Duration(p.m.dice.IntN(3000))*time.Millisecond, []byte(body)))
		default:
			p.c.SetOutput(wire.AppendPub(p.c.Output(), "t", []byte(body)))
		}
	}
}

func (p *simPublisher) OnData(b []byte) (n int) {
	for {
		t, data, size, err := wire.ReadFrame(b[n:], 0)
		if err != nil {
			p.m.t.Errorf("publisher: %v", err)
		}
		if size == 0 || err != nil {
			break
		}
		n += size
		if string(data) == wire.Heartbeat {
			p.c.SetOutput(wire.AppendNop(p.c.Output()))
			continue
		}
		if t != wire.FrameResponse || string(data) != wire.OK {
			p.m.t.Errorf("publisher received %q", data)
			continue
		}
		p.m.acked[p.owed[0]] = true
		if p.owed = p.owed[1:]; len(p.owed) == 0 {
			p.m.l.After(time.Duration(p.m.dice.IntN(50))*time.Millisecond, p.publish)
		}
	}
	return n
}

func (p *simPublisher) OnClose(error) {
	if !p.m.done {
		p.m.l.Dial("server:4150", loop.DialOptions{}, &simPublisher{m: p.m})
	}
}

// simConsumer takes messages, with all the answers there are.
type simConsumer struct {
	m *simulated
	c loop.Conn
}

func (p *simConsumer) OnOpen(c loop.Conn) {
	p.c = c
	out := wire.AppendIdentify([]byte(wire.MagicV2), []byte(`{"msg_timeout":1000,"heartbeat_interval":1000}`))
	c.Write(wire.AppendRdy(wire.AppendSub(out, "t", "c"), 1+p.m.dice.IntN(10)))
}

func (p *simConsumer) OnData(b []byte) (n int) {
	for {
		t, data, size, err := wire.ReadFrame(b[n:], 0)
		if err != nil {
			p.m.t.Errorf("consumer: %v", err)
		}
		if size == 0 || err != nil {
			return n
		}
		n += size
		switch {
		case t == wire.FrameMessage:
			m, err := wire.ReadMessage(data)
			if err != nil {
				p.m.t.Errorf("consumer: %v", err)
			}
			p.take(m)
		case t == wire.FrameError:
			if wire.ParseError(data).Fatal() {
				p.m.t.Errorf("consumer received %q", data)
			}
		case string(data) == wire.Heartbeat:
			p.c.SetOutput(wire.AppendNop(p.c.Output()))
		}
	}
}

func (p *simConsumer) take(m wire.Message) {
	out := p.c.Output()
	switch p.m.dice.IntN(12) {
	case 0:
		out = wire.AppendReq(out, m.ID, 0)
	case 1:
		out = wire.AppendReq(out, m.ID, time.Duration(p.m.dice.IntN(2000))*time.Millisecond)
	case 2: // its time passes
	case 3:
		out = wire.AppendTouch(out, m.ID)
	default:
		out = wire.AppendFin(out, m.ID)
		p.m.finished[string(m.Body)]++
	}
	p.c.SetOutput(out)
}

func (p *simConsumer) OnClose(error) {
	if !p.m.done || !p.m.delivered() {
		p.m.l.Dial("server:4150", loop.DialOptions{}, &simConsumer{m: p.m})
	}
}

// simulate runs a server that is restarted twice, under clients whose
// connections break, and returns the trace of the world.
func simulate(t *testing.T, seed uint64) uint64 {
	o := Options{TCPAddress: ":4150", DataPath: t.TempDir()}
	w := looptest.New(seed, looptest.Options{})
	m := &simulated{t: t, l: w.Loop("clients"), dice: rand.New(rand.NewPCG(seed, 7)),
		acked: map[string]bool{}, finished: map[string]int{}}
	start := func() *looptest.Loop {
		l := w.Loop("server")
		if _, err := New(l, o); err != nil {
			t.Fatal(err)
		}
		return l
	}
	server := start()
	m.l.Do(func() {
		for range 3 {
			m.l.Dial("server:4150", loop.DialOptions{}, &simConsumer{m: m})
			m.l.Dial("server:4150", loop.DialOptions{}, &simPublisher{m: m})
		}
	})
	for range 2 {
		w.Run(2 * time.Second)
		for _, k := range w.Links("clients", "server") {
			if m.dice.IntN(2) == 0 {
				k.Reset()
			}
		}
		w.Run(500 * time.Millisecond)
		if err := server.Shutdown(time.Second); err != nil {
			t.Errorf("seed %d: shutdown: %v", seed, err)
		}
		server = start()
	}
	w.Run(time.Second)
	m.done = true
	if !w.RunUntil(m.delivered, 5*time.Minute) {
		lost := 0
		for body := range m.acked {
			if m.finished[body] == 0 {
				lost++
			}
		}
		t.Errorf("seed %d: %d of %d acknowledged messages were not delivered", seed, lost, len(m.acked))
	}
	if len(m.acked) < 200 {
		t.Errorf("seed %d: only %d messages were published", seed, len(m.acked))
	}
	w.Close()
	return w.Trace()
}

// On a simulated network the server loses nothing, and the same seed does the
// same again, to the byte.
func TestSimulated_NothingIsLostAndSeedsReplay(t *testing.T) {
	for seed := range uint64(5) {
		first := simulate(t, seed+1)
		if second := simulate(t, seed+1); second != first {
			t.Errorf("seed %d: two runs differ", seed+1)
		}
	}
}
