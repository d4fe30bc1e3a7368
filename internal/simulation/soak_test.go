package simulation

import (
	"cmp"
	"flag"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/server"
)

var soakFlag = flag.Float64("soak", 0, "days that TestSoak lasts, of virtual time; 0 means two hours, as parts of four days")

// A day of the soak has so many publishes, a third of them of several messages or
// for later, and so many faults; every one of them begins and ends in a system that
// is at rest, which then must hold no more than it did.
const (
	soakPublishes = 3000
	soakFaults    = 250
)

// What a system at rest may hold on its disks: of each topic the segments that are
// not finished and one more, and a cursor file, which is written anew when it has
// come to 1 MiB.
const (
	soakFiles = 6
	soakBytes = 1<<20 + 64<<10
)

// soakPlan is a system in which everything happens but damage, whose remains are
// kept for whoever wants to look at them.
func soakPlan(seed uint64) *plan {
	c := chance{rand.New(rand.NewPCG(seed, 0x736f616b))}
	p := &plan{
		seed: seed, nsqds: 2, lookupds: 1, topics: []string{"orders", "Clicks."}, channels: []string{"alpha", "beta"},
		sync: pick(c, server.SyncInterval, server.SyncAlways), msgTimeout: 5 * time.Second, segment: 4 << 10, memQueue: 10_000,
		minLatency: 50 * time.Microsecond, maxLatency: 5 * time.Millisecond,
		broken: true, crashes: true, disks: true, admin: true,
	}
	p.makeApps(c, 1)
	return p
}

// soakDay gives the plan the steps of one more day, or of part of one.
func (p *plan) soakDay(day uint64, part float64) {
	c := chance{rand.New(rand.NewPCG(p.seed, day))}
	p.chaos, p.checks, p.steps = time.Duration(part*float64(24*time.Hour)), time.Hour, nil
	for range int(part * soakPublishes) {
		p.steps = append(p.steps, p.publish(c))
	}
	kinds := slices.DeleteFunc(p.kinds(), func(k stepKind) bool { return k == rot })
	for range int(part * soakFaults) {
		p.steps = append(p.steps, p.fault(c, kinds))
	}
	slices.SortStableFunc(p.steps, func(a, b step) int { return cmp.Compare(a.at, b.at) })
}

// TestSoak lets one system live for long, and looks for what it does not give back.
func TestSoak(t *testing.T) {
	days, part := int(*soakFlag), 1.0
	if days == 0 {
		days, part = 4, 1.0/48
	}
	p := soakPlan(1)
	s := newSystem(p, nil)
	defer s.world.Close()
	if err := s.startAll(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var first uint64
	for day := 1; day <= days; day++ {
		p.soakDay(uint64(day), part)
		s.begin, s.calm, s.model = s.world.Now(), false, newModel(s)
		for _, n := range s.nodes {
			for _, topic := range p.topics {
				if err := s.createTopic(n, topic); err != nil {
					t.Fatalf("day %d: %v", day, err)
				}
			}
		}
		if err := s.play(); err != nil {
			t.Fatalf("day %d: %v", day, err)
		}
		heap := s.checkSoak(t, day)
		if day == 1 {
			first = heap
		}
		if day == days {
			t.Logf("%d days of %v in %v: %v\nheap after the first day %d KiB, after the last %d KiB; %d goroutines",
				days, p.chaos, time.Since(began).Round(time.Millisecond), &s.tally, first>>10, heap>>10, runtime.NumGoroutine())
			if heap > first+first/2+1<<20 {
				t.Errorf("the heap has grown from %d KiB to %d KiB", first>>10, heap>>10)
			}
		}
	}
}

// checkSoak looks at what a system at rest holds, and returns the size of the heap.
func (s *system) checkSoak(t *testing.T, day int) (heap uint64) {
	t.Helper()
	s.world.Run(5 * time.Minute) // until every connection that fell silent was noticed
	for _, n := range s.nodes {
		for _, a := range s.apps {
			// Those with nsqlookupds are left to the kernel's keepalives, which
			// this network has not.
			if got, most := len(s.world.Links(a.name, n.name)), len(a.readers)+len(a.writers); got > most {
				t.Errorf("day %d: %d connections between %s and %s at rest, want at most %d", day, got, a.name, n.name, most)
			}
		}
	}
	for _, n := range s.nodes {
		files := n.disk.Files()
		if most := len(s.plan.topics); len(files) > soakFiles*most || n.disk.Bytes() > int64(soakBytes*most) {
			t.Errorf("day %d: %s holds %d bytes in %d files at rest, want at most %d in %d: %v",
				day, n.name, n.disk.Bytes(), len(files), soakBytes*most, soakFiles*most, files)
		}
	}
	s.model = newModel(s) // what it knows is not the system's
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
