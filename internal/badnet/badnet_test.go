package badnet

import (
	"flag"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

var (
	seedFlag = flag.Uint64("seed", 0, "run only the schedule of this seed")
	runsFlag = flag.Uint64("runs", 0, "number of schedules; 0 means 2 on sockets and 100 on virtual time, or 1 and 20 with -short")
)

// gnet keeps one pool of workers for the process, which nothing of ours uses.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"))
}

// tally is what the schedules went through.
type tally struct {
	mu                                                sync.Mutex // schedules run side by side
	schedules, publishes, confirmed, unknown, notSent int
	handled, again, faults                            int
	slowest                                           time.Duration // from a publish to its done
}

func (a *tally) add(b *tally) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.schedules++
	a.publishes += b.publishes
	a.confirmed += b.confirmed
	a.unknown += b.unknown
	a.notSent += b.notSent
	a.handled += b.handled
	a.again += b.again
	a.faults += b.faults
	a.slowest = max(a.slowest, b.slowest)
}

func (a *tally) String() string {
	return fmt.Sprintf("%d schedules, %d faults; %d publishes: %d confirmed, %d unknown, %d not sent, the slowest after %v; %d messages handled, %d of them again",
		a.schedules, a.faults, a.publishes, a.confirmed, a.unknown, a.notSent, a.slowest.Round(time.Millisecond), a.handled, a.again)
}

func TestBadNetwork(t *testing.T) {
	from, runs := uint64(1), *runsFlag
	switch {
	case *seedFlag != 0:
		from, runs = *seedFlag, 1
	case runs == 0 && testing.Short():
		runs = 1
	case runs == 0:
		runs = 2
	}
	var sum tally
	began := time.Now()
	t.Run("seed", func(t *testing.T) { // which ends when all of them have
		for seed := from; seed < from+runs; seed++ {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				run(t, seed, &sum)
			})
		}
	})
	t.Logf("%v in %v", &sum, time.Since(began).Round(time.Millisecond))
}
