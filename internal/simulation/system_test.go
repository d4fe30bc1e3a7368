package simulation

import (
	"cmp"
	"fmt"
	"net/http"
	"time"

	"github.com/nsqloop/nsqloop/loop/looptest"
)

// system is a cluster and the programs that use it, in a world.
type system struct {
	plan  *plan
	model *model
	tally tally
	log   func(line string) // nil: nobody listens

	world   *looptest.World
	begin   time.Time
	nodes   []*node
	lookups []*lookupd
	apps    []*app
	http    *http.Client
	fate    *looptest.Loop // carries the plan's timers; nothing happens to it
	todo    []func() error // what the driver has to do, because callbacks cannot

	questions []*question
	calm      bool // no more faults

	deadened int    // steps that keep the nsqlookupds' HTTP from answering
	trace    uint64 // of the world when it came to rest
}

func newSystem(p *plan, log func(line string)) *system {
	s := &system{plan: p, log: log}
	s.world = looptest.New(p.seed, looptest.Options{MinLatency: p.minLatency, MaxLatency: p.maxLatency})
	s.begin = s.world.Now()
	s.fate = s.world.Loop("fate")
	s.http = &http.Client{Transport: s}
	s.model = newModel(s)
	for i := range p.nsqds {
		s.nodes = append(s.nodes, newNode(s, i))
	}
	for i := range p.lookupds {
		s.lookups = append(s.lookups, &lookupd{s: s, name: fmt.Sprint("nsqlookupd", i)})
	}
	for i := range p.apps {
		s.apps = append(s.apps, &app{s: s, index: i, name: fmt.Sprint("app", i)})
	}
	return s
}

// say tells what happens, when somebody listens.
func (s *system) say(format string, args ...any) {
	if s.log != nil {
		s.log(fmt.Sprintf("%9.4f  ", s.world.Now().Sub(s.begin).Seconds()) + fmt.Sprintf(format, args...))
	}
}

func (s *system) after(d time.Duration, f func()) { s.fate.After(d, f) }

// soon has the driver do something after a while.
func (s *system) soon(d time.Duration, f func() error) {
	s.fate.After(d, func() { s.todo = append(s.todo, f) })
}

func (s *system) lookupdAddrs() (addrs []string) {
	for _, l := range s.lookups {
		addrs = append(addrs, l.name+":4160")
	}
	return addrs
}

// patience is how long it may take until all is at rest after the last fault: a
// connection that fell silent is noticed after two heartbeats of 30 s, and the
// messages that went down with it wait for their timeout; nsqlookupds are asked
// each minute.
const patience = 6 * time.Minute

// work is how much longer that may take with all that is published: a Reader that
// may have one message in flight goes from nsqd to nsqd, and stays a while where
// nothing waits.
func (p *plan) work() time.Duration {
	n := 0
	for _, st := range p.steps {
		n += st.messages
	}
	return time.Duration(n*p.nsqds) * 2 * time.Second
}

// run goes through the plan and returns the first thing that is wrong.
func (s *system) run() (err error) {
	defer s.world.Close()
	defer func() {
		if v := recover(); v != nil { // a broken invariant
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	if err := s.startAll(); err != nil {
		return err
	}
	if err := s.play(); err != nil {
		return err
	}
	s.tally.virtual, s.trace = s.world.Now().Sub(s.begin), s.world.Trace()
	return nil
}

// checkEvery is how often what the nsqds say is looked at, while things happen.
const checkEvery = 3 * time.Second

// play lets the steps of the plan happen, and what is left drain.
func (s *system) play() error {
	s.world.SetFaults(s.plan.faults)
	for _, st := range s.plan.steps {
		s.soon(st.at, func() error { return s.meet(st) })
	}
	for at := time.Second; at < s.plan.chaos; at += cmp.Or(s.plan.checks, checkEvery) {
		s.soon(at, s.model.checkStats)
	}
	s.soon(s.plan.chaos, s.calmDown)
	if err := s.drive(s.plan.chaos + patience + s.plan.work()); err != nil {
		return err
	}
	return s.rest()
}

// startAll starts everything, while all is well, and waits until each Reader
// has its connections.
func (s *system) startAll() error {
	for _, l := range s.lookups {
		if err := l.start(); err != nil {
			return err
		}
	}
	for _, n := range s.nodes {
		if err := n.start(); err != nil {
			return err
		}
	}
	s.world.Run(100 * time.Millisecond)
	for _, n := range s.nodes {
		for _, t := range s.plan.topics {
			if err := s.createTopic(n, t); err != nil {
				return err
			}
		}
	}
	s.world.Run(500 * time.Millisecond) // nsqlookupds hear of it
	for _, a := range s.apps {
		if err := a.start(); err != nil {
			return err
		}
	}
	ready := func() bool {
		for _, a := range s.apps {
			for _, r := range a.readers {
				if len(r.connected) < len(s.nodes) {
					return false
				}
			}
		}
		return true
	}
	if !s.world.RunUntil(ready, 2*time.Minute) {
		return fmt.Errorf("the readers did not connect to a healthy cluster within two minutes")
	}
	return nil
}

// drive lets time pass and does what cannot be done inside a callback, until
// all is at rest.
func (s *system) drive(limit time.Duration) error {
	end := s.world.Now().Add(limit)
	for {
		s.world.RunUntil(func() bool { return len(s.todo) > 0 || s.model.err != nil || s.answers() || s.quiet() }, end.Sub(s.world.Now()))
		switch {
		case s.model.err != nil:
			return s.model.err
		case s.answers():
			if err := s.hear(); err != nil {
				return err
			}
		case len(s.todo) > 0:
			do := s.todo[0]
			s.todo = s.todo[1:]
			if err := do(); err != nil {
				return err
			}
		case s.quiet():
			return nil
		default:
			return fmt.Errorf("not at rest in time after the last fault: %s (%v)", s.model.missing(), s.model.checkEmpty())
		}
	}
}

// quiet says whether everything that must happen has happened.
func (s *system) quiet() bool {
	if !s.calm {
		return false
	}
	for _, n := range s.nodes {
		if n.server == nil {
			return false
		}
	}
	for _, a := range s.apps {
		for _, r := range a.readers {
			if r.held > 0 {
				return false
			}
		}
	}
	return s.model.missing() == ""
}

// calmDown ends all faults and all that an operator holds up.
func (s *system) calmDown() error {
	s.world.SetFaults(looptest.Faults{})
	s.calm = true
	s.model.calmAt = s.world.Now()
	s.say("no more faults")
	for _, n := range s.nodes {
		n.left = 0
		n.disk.SetCapacity(0)
		n.disk.FailEvery(0)
		n.flaw.reads, n.flaw.op = 0, ""
		for _, a := range s.apps {
			s.world.Heal(a.name, n.name)
		}
		for _, l := range s.lookups {
			s.world.Heal(n.name, l.name)
		}
		if n.loop != nil {
			n.loop.slow = time.Time{}
		}
		if n.server != nil {
			if err := s.unpauseAll(n); err != nil {
				return err
			}
		}
	}
	for _, a := range s.apps {
		for _, r := range a.readers {
			r.calm()
		}
	}
	return nil
}

// rest waits until the nsqds say that nothing is left, and compares what they
// say with what is known.
func (s *system) rest() error {
	var last error
	for end := s.world.Now().Add(patience); s.world.Now().Before(end); {
		if last = s.model.checkEmpty(); last == nil {
			return cmp.Or(s.model.err, s.model.checkReaders())
		}
		s.world.Run(time.Second)
		for len(s.todo) > 0 { // nodes that come back
			do := s.todo[0]
			s.todo = s.todo[1:]
			if err := do(); err != nil {
				return err
			}
		}
		if s.model.err != nil {
			return s.model.err
		}
	}
	return fmt.Errorf("all is finished, and yet: %w", last)
}
