package reader

import (
	"testing"
	"time"
)

// A share goes to where it is used, nobody has less than 1, all of max in
// flight is given out, and what fills its count has its equal share at once.
func TestReady_AdaptiveShareFollowsDemand(t *testing.T) {
	g := newRig(t, 30, "a", "b", "c")
	g.b.adaptive = true
	busy := func() { // a is full, b has at most two in flight, c nothing
		for range 2 {
			g.deliver("b")
		}
		for g.conns["a"].inFlight < g.conns["a"].count {
			g.deliver("a")
		}
	}
	done := func() {
		for _, name := range []string{"a", "b"} {
			for g.conns[name].inFlight > 0 {
				g.answer(name)
			}
		}
	}
	g.warm("a", "b", "c")
	g.want("a10 b10 c10")
	for range 3 {
		busy()
		g.pass(0)
		done()
		g.pass(0)
	}
	g.now += int64(5 * time.Second)
	busy()
	g.pass(0)
	done()
	g.want("a25 b4 c1")
	g.wantSum(30)

	g.deliver("c") // it has come alive, and there is room
	g.want("a13 b4 c13")
	g.wantSum(30)
	g.answer("c")
	for range 4 {
		g.deliver("b")
	}
	g.want("a10 b10 c10")

	// While others' messages take the room, it waits for it.
	g = newRig(t, 20, "a", "b")
	g.b.adaptive = true
	g.warm("a", "b")
	for range 10 {
		g.deliver("a")
	}
	g.pass(0)
	g.pass(0)
	g.want("a19 b1")
	for range 9 {
		g.deliver("a")
	}
	g.deliver("b")
	g.want("a10 b1")
	for range 15 {
		g.answer("a")
	}
	g.want("a10 b10")
}

// Without the option shares stay equal, whatever comes.
func TestReady_SharesStayEqualWithoutTheOption(t *testing.T) {
	g := newRig(t, 20, "a", "b")
	g.warm("a", "b")
	for range 10 {
		g.deliver("a")
	}
	g.pass(time.Minute)
	g.want("a10 b10")
}
