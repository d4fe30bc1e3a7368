package reader

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/internal/mocklookupd"
	"github.com/nsqloop/nsqloop/loop/looptest"
)

// sim is one run of the simulation: a reader, three nsqd, two nsqlookupd that
// answer now and then, a network that breaks, and a handler that does
// everything a handler may do.
type sim struct {
	*world
	r         *Reader
	held      []*Message
	published int
	effective int // answers that had an effect
	calls     int
}

// TestSimulation plays seeds. LOOPTEST_SEED in the environment replays the one
// that a failure has logged.
func TestSimulation(t *testing.T) {
	seeds := uint64(300)
	if testing.Short() {
		seeds = 20
	}
	for seed := uint64(1); seed <= seeds; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := newSim(t, seed)
			for range 40 {
				s.disturb()
				s.Run(time.Duration(s.l.Rand().IntN(1500)) * time.Millisecond)
				s.check()
			}
			s.calm()
		})
	}
}

// TestSimulation_Replays shows that a seed is a run.
func TestSimulation_Replays(t *testing.T) {
	run := func() (uint64, int) {
		s := newSim(t, 7)
		for range 20 {
			s.disturb()
			s.Run(time.Second)
		}
		return s.Trace(), s.calls
	}
	trace, calls := run()
	if again, callsAgain := run(); again != trace || callsAgain != calls {
		t.Errorf("the same seed gave %x with %d calls and %x with %d", trace, calls, again, callsAgain)
	}
}

func newSim(t *testing.T, seed uint64) *sim {
	s := &sim{world: newWorld(t, looptest.Options{Seed: seed, Faults: looptest.Faults{
		Refuse: 0.2, Timeout: 0.05, Reset: 0.4, Vanish: 0.2,
	}})}
	var addrs []string
	for i := range 3 {
		b := s.broker(fmt.Sprintf("nsqd%d", i))
		b.setMsgTimeout(5 * time.Second)
		b.beat(2 * time.Second)
		addrs = append(addrs, b.addr)
	}
	for _, host := range []string{"l1:4161", "l2:4161"} {
		s.lookups.Answers[host] = func() (int, string) {
			switch s.l.Rand().IntN(4) {
			case 0:
				return 500, "oops"
			case 1:
				return 200, mocklookupd.Producers(addrs[1:]...)
			}
			return 200, mocklookupd.Producers(addrs[1:2]...)
		}
	}
	o := Options{
		NSQDs:               addrs[:1],
		Lookupds:            []string{"l1:4161", "l2:4161"},
		LookupdPollInterval: 5 * time.Second,
		MaxInFlight:         1 + s.l.Rand().IntN(8),
		MaxAttempts:         -1,
		RequeueDelay:        20 * time.Millisecond,
		MaxRequeueDelay:     time.Second,
		MaxBackoff:          2 * time.Second,
		Handler:             s.handle,
		Client:              client.Options{HeartbeatInterval: 2 * time.Second},
		AdaptiveShare:       seed%2 == 0,
		ResumeAtOnce:        seed%3 == 0,
	}
	if seed%4 == 0 {
		o.MaxRate = 1 + 50*s.l.Rand().Float64()
	}
	if seed%5 == 0 {
		o.SerialBy = func(m *Message) string { return string(m.Body[len(m.Body)-1:]) }
	}
	s.r = s.reader(o)
	return s
}

// handle is the handler.
func (s *sim) handle(m *Message) error {
	s.calls++
	s.held = slices.DeleteFunc(s.held, (*Message).Responded)
	s.held = append(s.held, m)
	if len(s.held) > s.r.bound {
		s.t.Errorf("the handler has %d messages, max in flight is %d", len(s.held), s.r.bound)
	}
	if by := s.r.o.SerialBy; by != nil {
		for _, other := range s.held {
			if other != m && by(other) == by(m) {
				s.t.Errorf("the handler has %s and %s at once", other.Body, m.Body)
			}
		}
	}
	s.check()
	body := string(m.Body)
	random := s.l.Rand()
	switch random.IntN(12) {
	case 0:
		return errBoom
	case 1:
		return WithoutBackoff(nil)
	case 2:
		s.answered(m.RequeueWithoutBackoff(0))
		return nil
	case 3:
		s.answered(m.Finish())
		return errBoom
	case 4, 5, 6:
		s.l.After(time.Duration(random.IntN(3000))*time.Millisecond, func() {
			if body != string(m.Body) {
				s.t.Errorf("a kept body changed from %q to %q", body, m.Body)
			}
			m.Touch()
			s.answered(m.Finish())
			s.answered(m.Finish())
		})
		return Pending
	case 7:
		if random.IntN(4) == 0 {
			return Pending // forgotten
		}
	}
	return nil
}

func (s *sim) answered(effective bool) {
	if effective {
		s.effective++
	}
}

// disturb does one thing that may happen to a reader.
func (s *sim) disturb() {
	random := s.l.Rand()
	b := s.brokers[random.IntN(len(s.brokers))]
	switch random.IntN(10) {
	case 0:
		b.on(b.mock.Cut)
	case 1:
		if b.mock != nil {
			b.on(b.mock.Stop)
			s.Run(time.Duration(random.IntN(2000)) * time.Millisecond)
			b.on(b.start)
		}
	case 2:
		s.l.Do(func() { s.r.SetMaxInFlight(random.IntN(9)) })
	case 3:
		s.l.Do(func() { s.r.Pause() })
	case 4, 5:
		s.l.Do(func() { s.r.Resume() })
	default:
		n := random.IntN(12)
		b.on(func() {
			for i := range n {
				b.publish(fmt.Sprintf("%s-%d", b.addr, s.published+i))
			}
		})
		s.published += n
	}
}

// check asserts what holds at any time.
func (s *sim) check() {
	r := s.r
	if sum := r.ready.sum(); sum > r.ready.max {
		s.t.Errorf("the ready counts add up to %d, max in flight is %d", sum, r.ready.max)
	}
	inFlight, given := 0, 0
	for _, n := range r.nodes {
		if n.conn == nil {
			continue
		}
		listed := 0
		for m := n.conn.head; m != nil; m = m.next {
			listed++
			if m.given {
				given++
			}
			if m.next != nil && m.next.deadline.Load() < m.deadline.Load() {
				s.t.Error("the deadlines are out of order")
			}
		}
		if listed != n.conn.inFlight {
			s.t.Errorf("%s: %d listed in flight, %d counted", n.addr, listed, n.conn.inFlight)
		}
		if slot := n.conn.slot; slot != nil && slot.inFlight != listed {
			s.t.Errorf("%s: the budget counts %d in flight, want %d", n.addr, slot.inFlight, listed)
		}
		inFlight += listed
	}
	if given != r.given || given > inFlight {
		s.t.Errorf("%d messages given, counted %d", given, r.given)
	}
}

// calm ends the disturbances. All messages must then be finished in a bounded
// time, over one connection per nsqd, and the reader must end.
func (s *sim) calm() {
	s.SetFaults(looptest.Faults{})
	for _, host := range []string{"l1:4161", "l2:4161"} {
		s.lookups.Name(host, s.brokers[1].addr, s.brokers[2].addr)
	}
	s.l.Do(func() { s.r.SetMaxInFlight(4); s.r.Resume() })
	// Connections that fell silent are noticed after five seconds, a poll
	// comes every five, a forgotten message comes back after five.
	s.within(10*time.Minute, "all messages finished", func() bool {
		n := 0
		for _, b := range s.brokers {
			n += b.finished()
		}
		return n == s.published && len(s.r.ready.slots) == 3
	})
	s.Run(20 * time.Second)
	s.check()
	st := s.r.snapshot()
	if st.InFlight != 0 || st.Unanswered != 0 || len(s.r.waiting) != 0 {
		s.t.Errorf("left over: %+v", st)
	}
	if st.Handled != uint64(s.calls) {
		s.t.Errorf("handled %d, counted %d", s.calls, st.Handled)
	}
	for _, b := range s.brokers {
		if b.open() != 1 {
			s.t.Errorf("%s has %d connections", b.addr, b.open())
		}
	}
	if err := s.l.Shutdown(time.Minute); err != nil {
		s.t.Error(err)
	}
	if s.r.final.Load() == nil {
		s.t.Error("the reader did not end")
	}
}
