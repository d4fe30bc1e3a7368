package reader

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

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

func TestReady_RetiredGetsNothingMore(t *testing.T) {
	for _, max := range []int{2, 12} { // scarce, and in plenty
		g := newRig(t, max, "a", "b", "c")
		g.warm("a", "b", "c")
		for g.conns["a"].count == 0 {
			g.pass(5 * time.Second)
		}
		g.deliver("a")
		g.b.retire(g.conns["a"], g.now)
		for range 100 {
			g.written()
			g.want("a0")
			if g.b.committed > max {
				t.Errorf("%d of %d committed", g.b.committed, max)
			}
			g.pass(5 * time.Second)
		}
		g.answer("a")
		g.written()
		g.wantSum(max) // all of it is the others'
		g.want("a0")
		if g.b.short || g.b.waiting() {
			t.Error("what is retired waits for room")
		}
		g.pass(time.Minute)
		g.want("a0")
		g.remove("a")
		g.wantSum(max)
	}
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
