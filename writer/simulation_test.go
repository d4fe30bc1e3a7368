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

// TestWriter_Simulation publishes through resets, silent connections, refused
// dials, partitions, slow and failing nsqds, and checks the promise: every
// done is called once, within its deadline and 10 ms, and what it says agrees
// with what the nsqds have seen. A failure names the seed.
func TestWriter_Simulation(t *testing.T) {
	seeds := 150
	if testing.Short() {
		seeds = 30
	}
	var sum [4]int
	for seed := 1; seed <= seeds; seed++ {
		outcomes := simulate(t, uint64(seed))
		for i, n := range outcomes {
			sum[i] += n
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("confirmed %d, rejected %d, not sent %d, unknown %d", sum[0], sum[1], sum[2], sum[3])
	for i, n := range sum {
		if n == 0 {
			t.Errorf("no publish was ever %v: the simulation does not reach it", writer.Outcome(i))
		}
	}
}

const simTimeout = 5 * time.Second

// sim is one simulated run.
type sim struct {
	*given
	published int
	issued    map[string]time.Time
	ended     map[string]int
	counts    [4]int
	seen      map[string]int // executions, by any nsqd
	down      [3]bool
}

func simulate(t *testing.T, seed uint64) [4]int {
	t.Helper()
	w := newWorldWith(t, looptest.Options{Seed: seed, Faults: looptest.Faults{
		Refuse: 0.05, Timeout: 0.05, Reset: 0.3, Vanish: 0.1,
	}})
	s := &sim{given: &given{world: w, t: t}, issued: map[string]time.Time{}, ended: map[string]int{}, seen: map[string]int{}}
	r := w.server.Rand()
	var nsqds []string
	for i := range 1 + r.IntN(3) {
		nsqds = append(nsqds, address(i))
		s.s = append(s.s, s.mock(i))
		s.behave(s.s[i])
	}
	o := writer.Options{NSQDs: nsqds, Timeout: simTimeout, Window: 1 + r.IntN(50), MaxPending: 20 + r.IntN(500)}
	s.w = s.writer(o)
	ticker := w.client.Every(time.Duration(1+r.IntN(20))*time.Millisecond, func() {
		for range w.client.Rand().IntN(8) {
			s.issue()
		}
	})
	for range 20 {
		s.trouble()
		w.Run(time.Duration(r.IntN(1000)) * time.Millisecond)
	}
	// The end is one of three: everything heals, the writer closes, the loop
	// shuts down.
	closing := r.IntN(3)
	switch closing {
	case 0:
		w.SetFaults(looptest.Faults{})
		w.Run(simTimeout + time.Second)
		s.do(func() { s.w.Close() })
		w.Run(time.Second)
	case 1:
		s.do(func() { s.w.Close() })
		w.Run(time.Second)
	case 2:
		if err := w.client.Shutdown(10 * time.Second); err != nil {
			t.Errorf("loop shutdown: %v", err)
		}
	}
	if closing < 2 {
		ticker.Stop()
		w.Run(time.Second)
	}
	s.check()
	w.Close()
	return s.counts
}

// issue publishes something, and checks the result when it comes.
func (s *sim) issue() {
	s.published++
	name := fmt.Sprint("m", s.published)
	s.issued[name] = s.client.Now()
	done := func(r writer.Result) { s.onDone(name, r) }
	switch s.published % 10 {
	case 0:
		s.w.MultiPublish("t", [][]byte{[]byte(name), []byte(name + "'")}, done)
	case 1:
		s.w.DeferredPublish("t", time.Second, []byte(name), done)
	default:
		s.w.Publish("t", []byte(name), done)
	}
}

func (s *sim) onDone(name string, r writer.Result) {
	s.ended[name]++
	s.counts[r.Outcome()]++
	if took := s.client.Now().Sub(s.issued[name]); took > simTimeout+10*time.Millisecond {
		s.t.Errorf("%s took %v: %v", name, took, r.Err)
	}
	seen := s.seen[name]
	switch r.Outcome() {
	case writer.Confirmed:
		if seen != 1 {
			s.t.Errorf("%s is confirmed and was seen %d times", name, seen)
		}
	case writer.NotSent, writer.Rejected:
		// It must not arrive later either: see check.
		s.ended[name] += 1000
	}
}

// check is the end of the run.
func (s *sim) check() {
	s.t.Helper()
	for i := 1; i <= s.published; i++ {
		name := fmt.Sprint("m", i)
		switch n := s.ended[name]; {
		case n%1000 != 1:
			s.t.Errorf("%s was reported %d times", name, n%1000)
		case n > 1000 && s.seen[name] > 0:
			s.t.Errorf("%s was reported as not sent or rejected, and an nsqd has it", name)
		}
		if s.seen[name] > 1 {
			s.t.Errorf("%s was published %d times", name, s.seen[name])
		}
	}
	for _, nsqd := range s.s {
		for _, p := range nsqd.Published {
			if _, ok := s.issued[p.Body]; !ok && p.Body[len(p.Body)-1] != '\'' {
				s.t.Errorf("an nsqd has %q, which nobody published", p.Body)
			}
		}
	}
}

// behave makes an nsqd slow at times, and fail at times; it notes what it has
// executed.
func (s *sim) behave(nsqd *mocknsqd.NSQD) {
	nsqd.Script = func(c *mocknsqd.Conn, cmd *wire.Command) bool {
		if cmd.Verb != wire.Pub && cmd.Verb != wire.MPub && cmd.Verb != wire.DPub {
			return false
		}
		switch s.server.Rand().IntN(500) {
		case 0:
			c.Fail(wire.CodePubFailed, "PUB failed disk full")
			return true
		case 1:
			c.Fail(wire.CodeBadMessage, "PUB message too big")
			return true
		}
		before := len(nsqd.Published)
		c.Take(cmd)
		s.seen[nsqd.Published[before].Body]++
		if s.server.Rand().IntN(20) == 0 {
			c.Heartbeat()
		}
		c.OK()
		return true
	}
}

// trouble is something that happens to the network or to an nsqd.
func (s *sim) trouble() {
	r := s.server.Rand()
	i := r.IntN(len(s.s))
	nsqd := s.s[i]
	switch r.IntN(7) {
	case 0:
		for _, k := range s.Links("client", "server") {
			k.Reset()
		}
	case 1:
		if links := s.Links("client", "server"); len(links) > 0 {
			links[r.IntN(len(links))].Vanish()
		}
	case 2:
		s.Partition("client", "server")
		s.server.After(time.Duration(r.IntN(4000))*time.Millisecond, func() { s.Heal("client", "server") })
	case 3:
		if len(nsqd.Conns) > 0 {
			c := nsqd.Conns[0]
			c.Deaf = true
			s.server.After(time.Duration(r.IntN(4000))*time.Millisecond, func() {
				if !c.Closed {
					c.Hear()
				}
			})
		}
	case 4:
		if s.down[i] {
			return
		}
		s.down[i] = true
		nsqd.Stop()
		s.server.After(time.Duration(r.IntN(4000))*time.Millisecond, func() {
			s.down[i] = false
			again := s.mock(i)
			again.Published = nsqd.Published
			s.s[i] = again
			s.behave(again)
		})
	case 5:
		nsqd.Cut()
	}
}
