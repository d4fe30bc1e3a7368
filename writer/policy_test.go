package writer_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/mocknsqd"
	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop/looptest"
	"github.com/nsqloop/nsqloop/writer"
)

// counts is how many messages each nsqd got since the last call.
func (g *given) counts() (n []int) {
	for i, s := range g.s {
		for len(g.before) <= i {
			g.before = append(g.before, 0)
		}
		n = append(n, len(s.Published)-g.before[i])
		g.before[i] = len(s.Published)
	}
	return n
}

func (g *given) wantCounts(want ...int) {
	g.t.Helper()
	if got := g.counts(); fmt.Sprint(got) != fmt.Sprint(want) {
		g.t.Errorf("the nsqds got %v, want %v", got, want)
	}
}

func (g *given) publishMany(n int) {
	g.do(func() {
		for i := range n {
			g.w.Publish("t", []byte("x"), g.rs.as(fmt.Sprint(i)))
		}
	})
	g.run(time.Second)
}

// Sticky stays with the first one, fails over in the order of the options, and
// comes back.
func TestPolicy_Sticky(t *testing.T) {
	g := start(t, 3, writer.Options{Policy: writer.Sticky})
	g.publishMany(200)
	g.wantCounts(200, 0, 0)
	g.do(g.s[0].Stop)
	g.run(time.Second)
	g.publishMany(200)
	g.wantCounts(0, 200, 0)
	g.do(g.s[1].Stop)
	g.run(time.Second)
	g.publishMany(200)
	g.wantCounts(0, 0, 200)
	g.do(func() {
		again := g.mock(0)
		again.Published = g.s[0].Published
		g.s[0] = again
	})
	g.run(5 * time.Second)
	g.publishMany(200)
	g.wantCounts(200, 0, 0)
}

// With a full window publishes wait for the sticky one.
func TestPolicy_StickyWaitsForRoom(t *testing.T) {
	g := start(t, 2, writer.Options{Policy: writer.Sticky, Window: 10})
	g.publishMany(100)
	g.wantCounts(100, 0)
}

// Nearest finds out which nsqd answers soonest, publishes there, and notices
// when that changes.
func TestPolicy_Nearest(t *testing.T) {
	g := start(t, 3, writer.Options{Policy: writer.Nearest})
	delay := []time.Duration{20 * time.Millisecond, 2 * time.Millisecond, 50 * time.Millisecond}
	for i, s := range g.s {
		g.do(func() {
			s.Script = func(c *mocknsqd.Conn, cmd *wire.Command) bool {
				if cmd.Verb != wire.Pub {
					return false
				}
				c.Take(cmd)
				g.server.After(delay[i], c.OK)
				return true
			}
		})
	}
	g.publishMany(3) // each is measured
	g.wantCounts(1, 1, 1)
	g.publishMany(100)
	g.wantCounts(0, 100, 0)
	g.run(10 * time.Second)
	g.publishMany(100)
	g.wantCounts(1, 98, 1)
	if s := g.stats().NSQDs; s[1].Fastest > 10*time.Millisecond || s[2].Fastest < 40*time.Millisecond {
		t.Errorf("measured %v, %v and %v", s[0].Fastest, s[1].Fastest, s[2].Fastest)
	}
	delay[1] = 100 * time.Millisecond
	for range 30 {
		g.publishMany(5)
	}
	g.counts()
	g.publishMany(4)
	if got := g.counts(); got[0] < 3 {
		t.Errorf("the nsqds got %v, want the first one to be the nearest now", got)
	}
}

// What goes beyond the window of the nearest goes to the next one.
func TestPolicy_NearestOverflows(t *testing.T) {
	g := start(t, 2, writer.Options{Policy: writer.Nearest, Window: 10})
	g.publishMany(2)
	g.counts()
	g.do(func() { g.s[0].Conns[0].Mute, g.s[1].Conns[0].Mute = true, true })
	g.publishMany(15)
	if got := g.counts(); got[0]+got[1] != 15 || min(got[0], got[1]) != 5 {
		t.Errorf("the nsqds got %v, want 10 and 5", got)
	}
}

// While nothing is confirmed anywhere, the policies still find who works.
func TestPolicy_DeadOnesCostNothing(t *testing.T) {
	for _, policy := range []writer.Policy{writer.RoundRobin, writer.Sticky, writer.Nearest} {
		t.Run(string(policy), func(t *testing.T) {
			g := &given{world: newWorldWith(t, looptest.Options{Seed: 1}), t: t, rs: newResults()}
			g.s = append(g.s, g.mock(2))
			g.w = g.writer(writer.Options{NSQDs: []string{"a:4150", "b:4150", "c:4150"}, Policy: policy})
			g.run(time.Second)
			g.publishMany(300)
			g.wantCounts(300)
			for name, r := range g.rs.all {
				if r.Err != nil {
					t.Fatalf("%s: %v", name, r.Err)
				}
			}
		})
	}
}
