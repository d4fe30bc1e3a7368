package server

import (
	cmdline "flag"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/server/journal"
	"github.com/nsqloop/nsqloop/server/journal/journaltest"
)

var powerCuts = cmdline.Int("power.cuts", 200, "how many power cuts TestPowerCut tries; the figure in docs/trust.md is of 10000")

// outage is a server that forces everything to the disk, and its publishers, up
// to a power cut.
type outage struct {
	w     *world
	d     *journaltest.Disk
	dice  *rand.Rand
	o     Options
	pubs  []*peer
	owed  map[*peer][][]string // for each OK to come, what it is for
	acked map[string]bool
	due   map[string]int64
	next  int
}

func newOutage(t *testing.T, seed uint64) *outage {
	dice := rand.New(rand.NewPCG(seed, 8))
	m := &outage{
		d: journaltest.New(dice), dice: dice, o: Options{Sync: SyncAlways, MaxBytesPerFile: 2 << 10},
		owed: map[*peer][][]string{}, acked: map[string]bool{}, due: map[string]int64{},
	}
	m.start(t)
	return m
}

// start starts a server on the disk, on a new loop, whose fsyncs take a while.
func (m *outage) start(t *testing.T) {
	t.Helper()
	at := time.Unix(1_800_000_000, 0)
	if m.w != nil {
		at = m.w.l.at
	}
	m.w = &world{t: t, l: newBareLoop()}
	m.w.l.at = at
	s, err := NewOnDisk(m.w.l, m.o, m.d)
	if err != nil {
		t.Fatal(err)
	}
	m.w.s = s
	m.w.l.turn(func() {})
}

// publish sends one command of some kind.
func (m *outage) publish() {
	p := m.pubs[m.dice.IntN(len(m.pubs))]
	topic := string(rune('t' + m.dice.IntN(2)))
	var bodies []string
	var all [][]byte
	for range 1 + m.dice.IntN(4) {
		m.next++
		b := fmt.Sprintf("%s %d %s", topic, m.next, strings.Repeat("x", m.dice.IntN(200)))
		bodies, all = append(bodies, b), append(all, []byte(b))
	}
	switch m.dice.IntN(3) {
	case 0:
		p.send(wire.AppendMPub(nil, topic, all))
	case 1:
		bodies = bodies[:1]
		p.send(wire.AppendPub(nil, topic, all[0]))
	default:
		bodies = bodies[:1]
		m.due[bodies[0]] = m.w.l.at.Add(time.Minute).UnixNano()
		p.send(wire.AppendDPub(nil, topic, time.Minute, all[0]))
	}
	m.owed[p] = append(m.owed[p], bodies)
}

// hear notes the OKs that have come.
func (m *outage) hear() {
	for _, p := range m.pubs {
		for _, f := range p.frames() {
			if f == wire.OK {
				for _, b := range m.owed[p][0] {
					m.acked[b] = true
				}
			}
			m.owed[p] = m.owed[p][1:]
		}
	}
}

// run lets the server work until the disk stops, at some operation.
func (m *outage) run() {
	for _, topic := range []string{"t", "u"} {
		m.w.subscribe(topic, "c", 0).hangUp()
	}
	q := m.w.subscribe("t", "done", 5)
	for range 3 {
		m.pubs = append(m.pubs, m.w.dial())
	}
	m.w.l.slow = true
	m.d.CrashAt(m.d.Ops() + 1 + m.dice.IntN(150))
	for range 80 {
		switch m.dice.IntN(6) {
		case 0:
			m.w.l.work()
		case 1:
			m.w.sleep(time.Duration(m.dice.IntN(5)) * time.Millisecond)
		case 2: // another channel goes on meanwhile, so that segments go
			for len(q.bc.out) > 0 && !q.closed() {
				kind, data, n, err := wire.ReadFrame(q.bc.out, 0)
				if err != nil || n == 0 {
					break
				}
				q.bc.out = q.bc.out[n:]
				if kind != wire.FrameMessage {
					continue
				}
				if msg, err := wire.ReadMessage(data); err == nil {
					q.fin(msg)
				}
			}
		default:
			m.publish()
		}
		m.hear()
	}
}

// check takes what there is, first what is due now.
func (m *outage) check(seed uint64) {
	t := m.w.t
	t.Helper()
	got := map[string]bool{}
	now := m.w.l.at.UnixNano()
	for _, at := range []int64{now, math.MaxInt64 / 2} {
		for _, tp := range m.w.s.topics {
			ch := tp.channel("c")
			if ch == nil {
				continue
			}
			ch.cur.Expire(at, func(uint64, uint32) {})
			var d journal.Delivery
			for {
				ok, err := ch.cur.Next(at, math.MaxInt64, 1, &d)
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					break
				}
				body := string(d.Body)
				if got[body] {
					t.Fatalf("seed %d: %.10s twice", seed, body)
				}
				if m.due[body] > at {
					t.Fatalf("seed %d: %.10s is %v early", seed, body, time.Duration(m.due[body]-at))
				}
				got[body] = true
			}
		}
	}
	for body := range m.acked {
		if !got[body] {
			t.Fatalf("seed %d: %.10s was acknowledged and is lost", seed, body)
		}
	}
}

// With Sync always no acknowledged message is lost when the power goes at any
// moment and takes what was not forced to the disk: all of it, none, or any part.
func TestPowerCut_SyncAlwaysLosesNothing(t *testing.T) {
	acked, unanswered := 0, 0
	for seed := range uint64(*powerCuts) {
		m := newOutage(t, seed)
		m.run()
		if seed%3 == 0 {
			m.d.CutKeeping(1<<30, 0) // nothing stays that was not synced
		} else {
			m.d.PowerCut(m.dice)
		}
		m.w.kill()
		m.start(t)
		m.check(seed)
		acked += len(m.acked)
		unanswered += m.next - len(m.acked)
		m.w.kill()
	}
	t.Logf("%d power cuts: %d acknowledged, all there; %d others", *powerCuts, acked, unanswered)
	if acked == 0 || unanswered == 0 {
		t.Error("nothing was tried")
	}
}
