package reader

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// rig drives a ready budget by hand: a clock, connections that have names, and
// the counts as nsqd would know them.
type rig struct {
	t     reporter
	b     *ready
	now   int64
	conns map[string]*slot
}

// reporter is what testing.TB and rapid.T have in common.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
}

func newRig(t reporter, max int, names ...string) *rig {
	g := &rig{
		t: t,
		b: &ready{
			max:         max,
			idleTimeout: int64(10 * time.Second),
			holdTimeout: int64(30 * time.Second),
			rand:        rand.New(rand.NewPCG(1, 2)),
		},
		now:   int64(time.Hour),
		conns: map[string]*slot{},
	}
	g.add(names...)
	return g
}

// add lets connections become ready, one after the other.
func (g *rig) add(names ...string) {
	for _, name := range names {
		g.conns[name] = g.b.add(nil, 2500, g.now)
		g.written()
	}
}

func (g *rig) remove(name string) {
	g.b.remove(g.conns[name], g.now)
	delete(g.conns, name)
	g.written()
}

// deliver lets a message come on each of the connections.
func (g *rig) deliver(names ...string) {
	for _, name := range names {
		g.b.message(g.conns[name], g.now)
		g.written()
	}
}

func (g *rig) answer(names ...string) {
	for _, name := range names {
		g.b.answered(g.conns[name], g.now)
		g.written()
	}
}

// warm delivers and answers one message on each connection.
func (g *rig) warm(names ...string) {
	for _, name := range names {
		g.deliver(name)
		g.answer(name)
	}
}

// pass lets time go by with a tick every five seconds, starting at once.
func (g *rig) pass(d time.Duration) {
	for end := g.now + int64(d); ; g.now += int64(5 * time.Second) {
		g.b.tick(g.now)
		g.written()
		if g.now+int64(5*time.Second) > end {
			g.now = end
			return
		}
	}
}

// written takes the decisions as the reader does and checks what always holds.
// It returns the counts that go to the wire.
func (g *rig) written() (counts []int) {
	g.t.Helper()
	for _, s := range g.b.changed {
		s.changed = false
		if s.count != s.sent {
			s.sent = s.count
			counts = append(counts, s.count)
		}
	}
	g.b.changed = g.b.changed[:0]
	sum, used, starving := 0, 0, 0
	for _, s := range g.b.slots {
		sum += s.count
		used += s.use()
		if s.inFlight > 0 && float64(s.inFlight) >= 0.85*float64(s.count) {
			starving++
		}
		if (g.b.why(s) == "") != (s.count > 0) {
			g.t.Errorf("a count of %d because %q", s.count, g.b.why(s))
		}
		if s.count > s.limit || s.count < 0 {
			g.t.Errorf("count %d on a connection that takes 0 to %d", s.count, s.limit)
		}
	}
	if sum > g.b.max {
		g.t.Errorf("the counts add up to %d, more than max in flight %d", sum, g.b.max)
	}
	if used != g.b.committed {
		g.t.Errorf("committed is %d, want %d", g.b.committed, used)
	}
	if starving != g.b.starving {
		g.t.Errorf("starving is %d, want %d", g.b.starving, starving)
	}
	return counts
}

// want compares counts, written as "a1 b0".
func (g *rig) want(want string) {
	g.t.Helper()
	var got []string
	for _, w := range strings.Fields(want) {
		got = append(got, fmt.Sprintf("%s%d", w[:1], g.conns[w[:1]].count))
	}
	if s := strings.Join(got, " "); s != want {
		g.t.Errorf("counts are %q, want %q", s, want)
	}
}

func (g *rig) wantSum(want int) {
	g.t.Helper()
	if got := g.b.sum(); got != want {
		g.t.Errorf("the counts add up to %d, want %d", got, want)
	}
}

// TestReady_Properties_37 plays random events against a model of nsqd: nodes
// send while they have messages and room. It checks the sums after each event,
// and that once events stop every node that has messages is served.
func TestReady_Properties_37(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := newRig(rt, rapid.IntRange(1, 12).Draw(rt, "max"))
		g.b.rand = rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
		g.b.adaptive = rapid.Bool().Draw(rt, "adaptive")
		drawConn := func() *slot {
			if len(g.b.slots) == 0 {
				return nil
			}
			return g.b.slots[rapid.IntRange(0, len(g.b.slots)-1).Draw(rt, "conn")]
		}
		steps := map[string]func(){
			"add": func() {
				if len(g.b.slots) < 8 {
					g.b.add(nil, rapid.SampledFrom([]int{2500, 2500, 3}).Draw(rt, "limit"), g.now)
				}
			},
			"remove": func() {
				if s := drawConn(); s != nil {
					g.b.remove(s, g.now)
				}
			},
			"deliver": func() { // nsqd sends while in flight is below the count
				if s := drawConn(); s != nil && s.inFlight < s.count {
					g.b.message(s, g.now)
				}
			},
			"late": func() { // a message that was on its way when the count was lowered
				if s := drawConn(); s != nil && rapid.IntRange(0, 9).Draw(rt, "late") == 0 {
					g.b.message(s, g.now)
				}
			},
			"answer": func() {
				if s := drawConn(); s != nil && s.inFlight > 0 {
					g.b.answered(s, g.now)
				}
			},
			"max": func() {
				g.b.setMax(rapid.IntRange(0, 12).Draw(rt, "newMax"), g.now)
			},
			"pause":  func() { g.b.pause(true, g.now) },
			"resume": func() { g.b.pause(false, g.now) },
			"hold":   func() { g.b.hold(!g.b.held, g.now) },
			"fail": func() {
				if g.b.phase != halted {
					g.b.halt(g.now)
				}
			},
			"pauseOver": func() {
				if g.b.phase == halted {
					g.b.probe(g.now)
				}
			},
			"leave": func() {
				if g.b.phase == probing {
					g.b.leave(g.now)
				}
			},
			"tick": func() {
				g.now += int64(rapid.IntRange(0, 12).Draw(rt, "seconds")) * int64(time.Second)
				g.b.tick(g.now)
			},
		}
		names := []string{"add", "remove", "deliver", "deliver", "deliver", "late", "answer", "answer", "max", "pause", "resume", "hold", "fail", "pauseOver", "leave", "tick"}
		for range rapid.IntRange(1, 60).Draw(rt, "events") {
			before, room := g.b.sum(), g.b.committed
			steps[rapid.SampledFrom(names).Draw(rt, "event")]()
			g.written()
			if g.b.sum() > before && g.b.committed > max(room, g.b.max) {
				rt.Fatalf("raised counts to %d while %d of %d were committed", g.b.sum(), g.b.committed, g.b.max)
			}
		}
		g.settle(rt)
	})
}

// settle ends all interference and checks liveness: within a bounded time each
// connection has a count above 0, and in plenty the whole budget is given out.
func (g *rig) settle(rt *rapid.T) {
	g.b.pause(false, g.now)
	g.b.hold(false, g.now)
	if g.b.max == 0 {
		g.b.setMax(1+rapid.IntRange(0, 5).Draw(rt, "endMax"), g.now)
	}
	if len(g.b.slots) == 0 {
		g.b.add(nil, 2500, g.now)
	}
	if g.b.phase == halted {
		g.b.probe(g.now)
	}
	for _, s := range g.b.slots {
		for s.inFlight > 0 {
			g.b.answered(s, g.now)
		}
	}
	if g.b.sum() == 0 {
		rt.Fatalf("no connection may receive: %d connections, max in flight %d, phase %d", len(g.b.slots), g.b.max, g.b.phase)
	}
	served := map[*slot]bool{}
	for range 12 * len(g.b.slots) { // a slot is idle after ten seconds, a tick comes every five
		for _, s := range g.b.slots {
			served[s] = served[s] || s.count > 0
		}
		g.now += int64(5 * time.Second)
		g.b.tick(g.now)
		g.written()
	}
	for i, s := range g.b.slots {
		if !served[s] {
			rt.Fatalf("connection %d of %d never had its turn", i, len(g.b.slots))
		}
	}
	if g.b.phase == probing {
		g.b.leave(g.now)
	}
	capacity := 0
	for _, s := range g.b.slots {
		g.b.message(s, g.now)
		g.b.answered(s, g.now)
		capacity += s.limit
	}
	if got, want := g.b.sum(), min(g.b.max, capacity); got != want {
		rt.Fatalf("counts add up to %d, want %d", got, want)
	}
	g.written()
}
