package writer_test

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/mocknsqd"
	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop/looptest"
	"github.com/nsqloop/nsqloop/writer"
)

var (
	simRuns = flag.Int("runs", 150, "how many seeds TestWriter_Simulation goes through")
	simSeed = flag.Uint64("seed", 0, "the only seed of TestWriter_Simulation; 0: seeds from 1 on")
)

// TestWriter_Simulation publishes through resets, silent connections, refused
// dials, partitions, slow and failing nsqds, and addresses that come and go,
// under every policy, retry and size of batch, and checks the promise: every
// done is called once, within its deadline and 10 ms, and what it says agrees
// with what the nsqds have seen. A failure names the seed.
func TestWriter_Simulation(t *testing.T) {
	first, runs := uint64(1), *simRuns
	switch {
	case *simSeed != 0:
		first, runs = *simSeed, 1
	case testing.Short():
		runs = min(runs, 30)
	}
	var sum tally
	for seed := first; seed < first+uint64(runs); seed++ {
		one := simulate(t, seed)
		if t.Failed() {
			t.Fatalf("to repeat: go test ./writer -run TestWriter_Simulation -seed %d", seed)
		}
		for i, n := range one.outcomes {
			sum.outcomes[i] += n
		}
		sum.copies += one.copies
		sum.again += one.again
		sum.twice += one.twice
		sum.batches += one.batches
		sum.repeats += one.repeats
	}
	t.Logf("%d seeds: confirmed %d, rejected %d, not sent %d, unknown %d; %d copies; %d tried again, %d messages stored more than once by RetryUnknown, %d known again; %d batches",
		runs, sum.outcomes[0], sum.outcomes[1], sum.outcomes[2], sum.outcomes[3], sum.copies, sum.again, sum.twice, sum.repeats, sum.batches)
	if *simSeed != 0 {
		return
	}
	for i, n := range sum.outcomes {
		if n == 0 {
			t.Errorf("no publish was ever %v: the simulation does not reach it", writer.Outcome(i))
		}
	}
	if sum.copies == 0 || sum.again == 0 || sum.twice == 0 || sum.repeats == 0 || sum.batches == 0 {
		t.Error("the simulation does not reach everything")
	}
}

// tally is what a run has come to.
type tally struct {
	outcomes                      [4]int
	copies, again, twice, batches int
	repeats                       int // messages that an nsqd knew again
}

const simTimeout = 5 * time.Second

// sim is one simulated run.
type sim struct {
	*given
	tally
	o         writer.Options
	published int
	issued    map[string]time.Time
	ended     map[string]int
	seen      map[string]int // executions, by any nsqd
	at        map[string]int // the same, of one nsqd: address and name
	down      [3]bool
}

func simulate(t *testing.T, seed uint64) tally {
	t.Helper()
	w := newWorldWith(t, looptest.Options{Seed: seed, Faults: looptest.Faults{
		Refuse: 0.05, Timeout: 0.05, Reset: 0.3, Vanish: 0.1,
	}})
	s := &sim{given: &given{world: w, t: t}, issued: map[string]time.Time{}, ended: map[string]int{}, seen: map[string]int{}, at: map[string]int{}}
	r := w.server.Rand()
	var nsqds []string
	for i := range 1 + r.IntN(3) {
		nsqds = append(nsqds, address(i))
		s.s = append(s.s, s.mock(i))
		s.s[i].Token = []string{"", "first"}[min(r.IntN(4), 1)] // most are nsqd-lites
		s.behave(s.s[i], address(i))
	}
	s.o = writer.Options{
		NSQDs: nsqds, Timeout: simTimeout, Window: 1 + r.IntN(50), MaxPending: 20 + r.IntN(500),
		Policy:  []writer.Policy{writer.RoundRobin, writer.Sticky, writer.Nearest}[r.IntN(3)],
		Retry:   []writer.Retry{writer.RetryUnsent, writer.RetryOnce, writer.RetryUnknown, writer.RetryNone}[r.IntN(4)],
		Batch:   r.IntN(3) * r.IntN(20),
		MaxWait: time.Duration(r.IntN(2)) * 3 * time.Second,
	}
	s.w = s.writer(s.o)
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
	return s.tally
}

// issue publishes something, and checks the result when it comes.
func (s *sim) issue() {
	s.published++
	name := fmt.Sprint("m", s.published)
	s.issued[name] = s.client.Now()
	done := func(r writer.Result) { s.onDone(name, r) }
	switch s.published % 12 {
	case 10:
		n := 1 + s.client.Rand().IntN(3)
		s.w.PublishAll("t", []byte(name), n, func(all []writer.Result) { s.onAllDone(name, n, all) })
	case 0:
		s.w.MultiPublish("t", [][]byte{[]byte(name), []byte(name + "'")}, done)
	case 1:
		s.w.DeferredPublish("t", time.Second, []byte(name), done)
	default:
		s.w.Publish([]string{"t", "u"}[s.published%2], []byte(name), done)
	}
}

// onAllDone checks what PublishAll says: each nsqd that has confirmed a copy
// has one, and no other nsqd has any, unless it may.
func (s *sim) onAllDone(name string, n int, all []writer.Result) {
	s.ended[name]++
	s.copies += len(all)
	if len(all) != n {
		s.t.Errorf("%s has %d results, want %d", name, len(all), n)
	}
	said := map[string]bool{}
	for _, r := range all {
		if took := s.client.Now().Sub(s.issued[name]); took > simTimeout+10*time.Millisecond {
			s.t.Errorf("%s took %v: %v", name, took, r.Err)
		}
		if r.Outcome() != writer.Confirmed {
			continue
		}
		if said[r.NSQD] {
			s.t.Errorf("%s has two copies on %s", name, r.NSQD)
		}
		said[r.NSQD] = true
		if s.at[r.NSQD+name] == 0 {
			s.t.Errorf("%s is confirmed by %s, which has not seen it", name, r.NSQD)
		}
	}
	if len(said) == 0 && !slices.ContainsFunc(all, func(r writer.Result) bool { return r.Outcome() == writer.Unknown }) {
		s.ended[name] += 1000 // none may arrive
	}
}

func (s *sim) onDone(name string, r writer.Result) {
	s.ended[name]++
	s.outcomes[r.Outcome()]++
	if r.Tries > 1 {
		s.again++
	}
	if took := s.client.Now().Sub(s.issued[name]); took > simTimeout+10*time.Millisecond {
		s.t.Errorf("%s took %v: %v", name, took, r.Err)
	}
	seen := s.seen[name]
	switch r.Outcome() {
	case writer.Confirmed:
		if seen == 0 || seen > 1 && s.o.Retry != writer.RetryUnknown {
			s.t.Errorf("%s is confirmed and was seen %d times", name, seen)
		}
		if s.at[r.NSQD+name] == 0 {
			s.t.Errorf("%s is confirmed by %s, which has not seen it", name, r.NSQD)
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
		switch {
		case s.seen[name] <= 1 || i%12 == 10:
		case s.o.Retry == writer.RetryUnknown:
			s.twice++
		default:
			s.t.Errorf("%s was published %d times", name, s.seen[name])
		}
	}
	for _, nsqd := range s.s {
		s.repeats += nsqd.Repeats
		for _, p := range nsqd.Published {
			if _, ok := s.issued[p.Body]; !ok && p.Body[len(p.Body)-1] != '\'' {
				s.t.Errorf("an nsqd has %q, which nobody published", p.Body)
			}
		}
	}
}

// behave makes an nsqd slow at times, and fail at times; it notes what it has
// executed.
func (s *sim) behave(nsqd *mocknsqd.NSQD, addr string) {
	nsqd.Script = func(c *mocknsqd.Conn, cmd *wire.Command) bool {
		code := wire.CodePubFailed
		switch cmd.Verb {
		case wire.Pub:
		case wire.MPub:
			code = wire.CodeMPubFailed
		case wire.DPub:
			code = wire.CodeDPubFailed
		default:
			return false
		}
		before := len(nsqd.Published)
		fate := s.server.Rand().IntN(500)
		switch fate {
		case 0:
			c.Fail(code, "failed disk full")
			return true
		case 1:
			c.Fail(wire.CodeBadMessage, "message too big")
			return true
		case 2: // some of it, or all of it, is kept
			c.Take(cmd)
			if cmd.Verb == wire.MPub && cmd.Number == 0 { // else nsqd-lite, which takes all or none
				kept := len(nsqd.Published) - before
				nsqd.Published = nsqd.Published[:before+s.server.Rand().IntN(kept+1)]
			}
			c.Fail(code, "failed "+wire.MayBeKept+": sync")
		default:
			c.Take(cmd)
			if s.server.Rand().IntN(20) == 0 {
				c.Heartbeat()
			}
			c.OK()
		}
		if len(nsqd.Published)-before > 2 {
			s.batches++
		}
		for _, p := range nsqd.Published[before:] {
			s.seen[p.Body]++
			s.at[addr+p.Body]++
		}
		return true
	}
}

// trouble is something that happens to the network or to an nsqd.
func (s *sim) trouble() {
	r := s.server.Rand()
	i := r.IntN(len(s.s))
	nsqd := s.s[i]
	switch r.IntN(9) {
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
			again.Published, again.Repeats = nsqd.Published, nsqd.Repeats
			if nsqd.Token != "" {
				again.Token = nsqd.Token + "+"
			}
			s.s[i] = again
			s.behave(again, address(i))
		})
	case 5:
		nsqd.Cut()
	case 6: // an operator
		if s.w.RemoveNSQD(address(i)) != nil {
			_ = s.w.AddNSQD(address(i)) // it was removed before
		}
	}
}
