package simulation

import (
	"flag"
	"fmt"
	"testing"
	"time"
)

var (
	seedFlag = flag.Uint64("seed", 0, "run only the schedule of this seed, and tell what happens")
	runsFlag = flag.Uint64("runs", 0, "number of schedules; 0 means 240, or 40 with -short")
	fromFlag = flag.Uint64("from", 1, "first seed")
)

func TestSimulation(t *testing.T) {
	if *seedFlag != 0 {
		if err := newSystem(t, *seedFlag, t.Logf).run(); err != nil {
			t.Fatal(err)
		}
		return
	}
	runs := *runsFlag
	switch {
	case runs == 0 && testing.Short():
		runs = 40
	case runs == 0:
		runs = 240
	}
	var sum tally
	began := time.Now()
	failures := 0
	for seed := *fromFlag; seed < *fromFlag+runs && failures < 5; seed++ {
		s := newSystem(t, seed, nil)
		if err := s.run(); err != nil {
			failures++
			t.Errorf("seed %d: %v\nto repeat: go test ./internal/simulation -run TestSimulation -seed %d", seed, err, seed)
		}
		sum.add(&s.tally)
	}
	t.Logf("seeds %d to %d in %v: %v", *fromFlag, *fromFlag+runs-1, time.Since(began).Round(time.Millisecond), &sum)
}

func TestSimulation_Replays(t *testing.T) {
	for seed := uint64(1); seed <= 5; seed++ {
		var traces [2]uint64
		for i := range traces {
			s := newSystem(t, seed, nil)
			if err := s.run(); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			traces[i] = s.trace
		}
		if traces[0] != traces[1] {
			t.Errorf("seed %d: two runs differ: traces %x and %x", seed, traces[0], traces[1])
		}
	}
}

// tally counts what the schedules went through.
type tally struct {
	schedules, publishes, confirmed, unknown, notSent int
	deliveries, redeliveries                          int
	cuts, partitions, crashes, restarts               int
	virtual                                           time.Duration
}

func (a *tally) add(b *tally) {
	a.schedules++
	a.publishes += b.publishes
	a.confirmed += b.confirmed
	a.unknown += b.unknown
	a.notSent += b.notSent
	a.deliveries += b.deliveries
	a.redeliveries += b.redeliveries
	a.cuts += b.cuts
	a.partitions += b.partitions
	a.crashes += b.crashes
	a.restarts += b.restarts
	a.virtual += b.virtual
}

func (a *tally) String() string {
	return fmt.Sprintf("%d schedules of %v: %d publishes (%d confirmed, %d unknown, %d not sent), %d deliveries (%d again), %d cuts, %d partitions, %d kills, %d restarts",
		a.schedules, (a.virtual / time.Duration(max(a.schedules, 1))).Round(time.Second), a.publishes, a.confirmed, a.unknown, a.notSent,
		a.deliveries, a.redeliveries, a.cuts, a.partitions, a.crashes, a.restarts)
}
