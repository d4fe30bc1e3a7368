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

// The numbers in the names below are those of the statements about NSQ clients
// that the project is held to.

func TestReady_FirstConnectionGetsOneThenItsShare_31_32(t *testing.T) {
	g := newRig(t, 5, "a")
	g.want("a1")
	g.deliver("a")
	g.want("a5")
}

func TestReady_NewConnectionThrottlesOthers_33(t *testing.T) {
	g := newRig(t, 5, "a")
	g.warm("a")
	g.want("a5")
	g.add("b")
	g.want("a3 b1")
	g.deliver("b")
	g.want("a3 b2")
}

func TestReady_NewConnectionRespectsMaxInFlight_34(t *testing.T) {
	g := newRig(t, 1, "a", "b")
	g.want("a1 b0")
	g.warm("a")
	g.want("a1 b0")
}

func TestReady_SharesAreEqualAndUseTheRemainder_35_36(t *testing.T) {
	for _, tt := range []struct {
		max   int
		conns string
		want  string
	}{
		{100, "a b", "a50 b50"},
		{9, "a b c d e f", "a2 b2 c2 d1 e1 f1"},
		{5, "a b c", "a2 b2 c1"},
		{3, "a b c", "a1 b1 c1"},
	} {
		names := strings.Fields(tt.conns)
		g := newRig(t, tt.max, names...)
		g.warm(names...)
		g.want(tt.want)
		g.wantSum(tt.max)
	}
}

func TestReady_RemainderIsRotated_36(t *testing.T) {
	g := newRig(t, 4, "a", "b", "c")
	g.warm("a", "b", "c")
	g.want("a2 b1 c1")
	g.pass(5 * time.Second)
	g.want("a1 b2 c1")
	g.pass(35 * time.Second)
	g.want("a1 b1 c2")
}

func TestReady_CountNeverExceedsWhatNSQDAccepts_38(t *testing.T) {
	g := newRig(t, 100)
	g.conns["a"] = g.b.add(nil, 10, g.now)
	g.add("b")
	g.warm("a", "b")
	g.want("a10 b90")
}

func TestReady_UnchangedCountIsNotWritten_40_41(t *testing.T) {
	g := newRig(t, 5)
	g.b.add(nil, 2500, g.now)
	g.conns["a"] = g.b.slots[0]
	if got := fmt.Sprint(g.written()); got != "[1]" {
		t.Errorf("first ready count written: %s, want [1]", got)
	}
	g.b.message(g.conns["a"], g.now)
	if got := fmt.Sprint(g.written()); got != "[5]" {
		t.Errorf("after the first message: %s, want [5]", got)
	}
	for range 100 {
		g.b.answered(g.conns["a"], g.now)
		g.b.message(g.conns["a"], g.now)
		g.b.tick(g.now)
		if got := g.written(); len(got) > 0 {
			t.Fatalf("wrote %v though nothing changed", got)
		}
	}
}

func TestReady_SetMaxInFlight_42(t *testing.T) {
	for _, tt := range []struct{ from, to int }{{8, 12}, {3, 12}, {2, 3}, {12, 8}, {12, 3}, {3, 2}} {
		g := newRig(t, tt.from, "a", "b", "c", "d")
		for _, s := range g.b.slots { // as many in flight as may be
			s.warm = true
			g.b.adjust(g.now)
			for range s.count {
				g.b.message(s, g.now)
			}
		}
		g.b.setMax(tt.to, g.now)
		g.written()
		for _, s := range g.b.slots {
			for s.inFlight > 0 {
				g.b.answered(s, g.now)
				g.written()
			}
		}
		g.wantSum(tt.to)
	}
}

func TestReady_ZeroMaxStopsEverything_43(t *testing.T) {
	g := newRig(t, 10, "a", "b")
	g.warm("a")
	g.deliver("a")
	g.b.setMax(0, g.now)
	g.written()
	g.want("a0 b0")
	g.add("c")
	g.want("a0 b0 c0")
	g.answer("a")
	g.pass(time.Minute)
	g.want("a0 b0 c0")
}

func TestReady_BackFromZeroStartsWithOne_44(t *testing.T) {
	g := newRig(t, 10, "a", "b", "c")
	g.warm("a", "b", "c")
	g.b.setMax(0, g.now)
	g.written()
	g.b.setMax(10, g.now)
	g.want("a1 b1 c1")
	g.deliver("b")
	g.want("a1 b3 c1")
}

func TestReady_ResumeKeepsWhatWasEarned_45(t *testing.T) {
	g := newRig(t, 5, "a")
	g.warm("a")
	g.b.pause(true, g.now)
	g.want("a0")
	g.b.pause(false, g.now)
	g.want("a5")
}

func TestReady_RaiseWaitsForRoom_49(t *testing.T) {
	g := newRig(t, 4, "a")
	g.deliver("a", "a", "a", "a")
	g.add("b")
	g.want("a2 b0") // a's four messages fill the budget
	g.pass(15 * time.Second)
	g.want("a2 b0")
	g.answer("a")
	g.want("a2 b1")
	g.deliver("b")
	g.want("a2 b1")
	g.answer("a")
	g.want("a2 b2")
}

func TestReady_IdleConnectionLosesItsSlot_50(t *testing.T) {
	g := newRig(t, 2, "a", "b", "c")
	g.want("a1 b1 c0")
	g.now += int64(10 * time.Second)
	g.pass(0)
	g.want("a1 b1 c0")
	g.now++
	g.pass(0)
	g.want("c1")
	g.wantSum(2)
}

func TestReady_LivelyConnectionKeepsItsSlot_50(t *testing.T) {
	for seed := range uint64(10) { // else chance could give it back
		g := newRig(t, 2, "a", "b", "c")
		g.b.rand = rand.New(rand.NewPCG(seed, 0))
		g.now += int64(8 * time.Second)
		g.warm("a")
		g.now += int64(4 * time.Second)
		g.pass(0)
		g.want("a1 b0 c1")
	}
}

func TestReady_SlotWithMessageInFlightIsNotGivenAway_51(t *testing.T) {
	g := newRig(t, 2, "a", "b", "c")
	g.deliver("a", "b")
	g.now += int64(11 * time.Second)
	g.b.message(g.conns["b"], g.now) // b is lively
	g.b.answered(g.conns["b"], g.now)
	g.pass(0)
	g.want("a0 b0 c0") // a was idle; b had to let go as c waits
	g.answer("b")
	g.want("c1")
	g.wantSum(1) // a's message still takes its place
	g.answer("a")
	g.wantSum(2)
}

func TestReady_SlotsAreNotPinnedToBusyConnections_52(t *testing.T) {
	g := newRig(t, 2, "a", "b", "c")
	g.deliver("a")
	g.pass(0)
	g.want("a0 b1 c0")
	g.answer("a")
	g.want("a0 b1 c1")
}

func TestReady_TwoSlowNodesShareOneSlot_53_54(t *testing.T) {
	g := newRig(t, 1, "a", "b")
	served := map[string]int{}
	for range 100 { // each node has a message every three seconds
		g.now += int64(3 * time.Second)
		for _, name := range []string{"a", "b"} {
			if g.conns[name].count > 0 {
				g.warm(name)
				served[name]++
			}
		}
		g.pass(0)
	}
	if served["a"] < 25 || served["b"] < 25 {
		t.Errorf("served %v, want at least a quarter of 100 for each", served)
	}
}

func TestReady_ScarceSlotsAlternate_55(t *testing.T) {
	g := newRig(t, 1, "a", "b")
	var got []string
	for range 4 {
		got = append(got, fmt.Sprintf("%d/%d", g.conns["a"].count, g.conns["b"].count))
		g.now += int64(31 * time.Second)
		g.pass(0)
	}
	if s := strings.Join(got, " "); s != "1/0 0/1 1/0 0/1" {
		t.Errorf("slots went %s", s)
	}
}

func TestReady_FromOneConnectionToTwoAndBack_56(t *testing.T) {
	g := newRig(t, 1, "a")
	g.warm("a")
	g.add("b")
	g.now += int64(31 * time.Second)
	g.pass(0)
	g.want("a0 b1")
	g.remove("b")
	g.want("a1")
}

func TestReady_LongMessageKeepsEveryCountAtZero_57(t *testing.T) {
	g := newRig(t, 1, "a", "b")
	g.deliver("a")
	g.pass(5 * time.Minute)
	g.want("a0 b0")
	g.answer("a")
	g.want("a0 b1")
}

func TestReady_LostConnectionFreesItsSlot_58(t *testing.T) {
	g := newRig(t, 1, "a", "b", "c")
	g.deliver("a")
	g.remove("a")
	g.wantSum(1)
}

func TestReady_OthersGrowWhenOneIsLost_59(t *testing.T) {
	g := newRig(t, 9, "a", "b", "c")
	g.warm("a", "b", "c")
	g.want("a3 b3 c3")
	g.remove("b")
	g.want("a5 c4")
	g.remove("a")
	g.want("c9")
}

func TestReady_Starved_60(t *testing.T) {
	for _, tt := range []struct {
		inFlight, count int
		want            bool
	}{{0, 20, false}, {16, 20, false}, {17, 20, true}, {1, 0, true}, {0, 0, false}, {1, 1, true}} {
		g := newRig(t, 20, "a")
		g.warm("a")
		for range tt.inFlight {
			g.deliver("a")
		}
		g.b.setMax(tt.count, g.now)
		if got := g.b.starving > 0; got != tt.want {
			t.Errorf("starved with %d of %d in flight: %v, want %v", tt.inFlight, tt.count, got, tt.want)
		}
	}
}

func TestReady_CollectingHandlersAreStarvedBeforeTheyStall_61(t *testing.T) {
	g := newRig(t, 7, "a", "b", "c")
	g.warm("a", "b", "c")
	for _, name := range []string{"a", "b", "c"} {
		for g.conns[name].inFlight < g.conns[name].count {
			g.deliver(name)
		}
	}
	if g.b.starving != 3 {
		t.Error("not starved though nsqd can send nothing more")
	}
}

func TestReady_LeavingBackoffGivesEverybodyTheirShare_223_224_226_227(t *testing.T) {
	for _, max := range []int{10, 4} {
		g := newRig(t, max, "a", "b", "c", "d", "e")
		g.warm("a", "b", "c", "d", "e")
		g.b.halt(g.now)
		g.written()
		g.wantSum(0)
		g.b.probe(g.now)
		g.written()
		g.wantSum(1)
		g.b.leave(g.now)
		g.written()
		g.wantSum(max)
	}
}

func TestReady_NewConnectionWaitsWhileAnotherProbes_219(t *testing.T) {
	g := newRig(t, 5, "a", "b")
	g.b.halt(g.now)
	g.add("c")
	g.wantSum(0)
	g.b.probe(g.now)
	g.add("d")
	g.want("d0")
	g.wantSum(1)
}

func TestReady_ProbeOfALostConnectionPassesOn_219(t *testing.T) {
	g := newRig(t, 5, "a", "b", "c")
	g.b.halt(g.now)
	g.b.probe(g.now)
	for name, s := range g.conns {
		if s.count == 1 {
			g.remove(name)
			break
		}
	}
	g.wantSum(1)
}

func TestReady_PauseEndsWithoutBudget_228(t *testing.T) {
	g := newRig(t, 5, "a", "b")
	g.b.halt(g.now)
	g.b.setMax(0, g.now)
	g.b.probe(g.now)
	g.wantSum(0)
	g.b.setMax(5, g.now)
	g.wantSum(1)
}

func TestReady_PauseEndsWithoutConnections_229(t *testing.T) {
	g := newRig(t, 5)
	g.b.halt(g.now)
	g.b.probe(g.now)
	g.add("a", "b")
	g.want("a1 b0")
}

func TestReady_LeavingBackoffGivesNewConnectionsTheirShareToo(t *testing.T) {
	g := newRig(t, 10, "a")
	g.b.halt(g.now)
	g.add("b")
	g.b.probe(g.now)
	g.b.leave(g.now)
	g.want("a5 b5")
}

func TestReady_ProbeFollowsTheLastMessageInFlight(t *testing.T) {
	g := newRig(t, 1, "a")
	g.deliver("a")
	g.b.halt(g.now)
	g.b.setMax(0, g.now)
	g.b.probe(g.now)
	g.b.setMax(1, g.now)
	g.want("a0")
	g.answer("a") // it expired, say, and says nothing
	g.want("a1")
}

func TestReady_IdleProbeMoves_218_230(t *testing.T) {
	g := newRig(t, 5, "a", "b")
	g.b.halt(g.now)
	g.b.probe(g.now)
	before := g.conns["a"].count
	g.now += int64(10*time.Second) + 1
	g.pass(0)
	g.wantSum(1)
	if g.conns["a"].count == before {
		t.Error("the probe stayed on an idle connection")
	}
}

func TestReady_MovedProbeWaitsForMessagesInFlight_231(t *testing.T) {
	g := newRig(t, 5, "a", "b", "c")
	g.deliver("a")
	g.b.halt(g.now)
	g.b.probe(g.now)
	g.wantSum(1)
	g.want("a0")
	g.now += int64(10*time.Second) + 1
	g.pass(0)
	g.wantSum(0)
	g.answer("a")
	g.wantSum(1)
}

func TestReady_ProbeGoesToABusyConnectionWhenAllAre(t *testing.T) {
	g := newRig(t, 2, "a", "b")
	g.deliver("a", "b")
	g.b.halt(g.now)
	g.b.probe(g.now)
	g.written()
	g.wantSum(1)
}

// TestReady_Properties_37 plays random events against a model of nsqd: nodes
// send while they have messages and room. It checks the sums after each event,
// and that once events stop every node that has messages is served.
func TestReady_Properties_37(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := newRig(rt, rapid.IntRange(1, 12).Draw(rt, "max"))
		g.b.rand = rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
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
		names := []string{"add", "remove", "deliver", "deliver", "deliver", "late", "answer", "answer", "max", "pause", "resume", "fail", "pauseOver", "leave", "tick"}
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

func BenchmarkReady_MessageAndAnswer(b *testing.B) {
	g := newRig(b, 250, "a", "b", "c")
	g.warm("a", "b", "c")
	s := g.conns["b"]
	b.ReportAllocs()
	for b.Loop() {
		g.b.message(s, g.now)
		g.b.answered(s, g.now)
	}
}
