package simulation

import (
	"flag"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	seedFlag    = flag.Uint64("seed", 0, "run only the schedule of this seed, and tell what happens")
	runsFlag    = flag.Uint64("runs", 0, "number of schedules; 0 means 1500, or 200 with -short")
	fromFlag    = flag.Uint64("from", 1, "first seed")
	baseFlag    = flag.Bool("base", false, "leave out what later versions added to schedules, as the seeds of TestSimulation_Regressions do")
	briefFlag   = flag.Bool("brief", false, "end with the first schedule that goes wrong, and do not look into it")
	minutesFlag = flag.Float64("minutes", 0, "go on until this much time has passed, instead of for a number of runs")
)

// runSeed goes through the schedule of a seed.
func runSeed(t *testing.T, seed uint64, log func(string)) (*system, error) {
	s := newSystem(makePlan(seed), log)
	return s, s.runIn(t)
}

func TestSimulation(t *testing.T) {
	if *seedFlag != 0 {
		tellSeed(t, *seedFlag)
		return
	}
	runs := *runsFlag
	switch {
	case runs == 0 && testing.Short():
		runs = 200
	case runs == 0:
		runs = 1500
	}
	began := time.Now()
	over := func(seed uint64) bool {
		if *minutesFlag > 0 {
			return time.Since(began).Minutes() >= *minutesFlag
		}
		return seed >= *fromFlag+runs
	}
	most := 5
	if *briefFlag {
		most = 1
	}
	sum, failed := runMany(t, *fromFlag, over, most)
	t.Logf("seeds %d to %d in %v: %v", *fromFlag, *fromFlag+uint64(sum.schedules)-1, time.Since(began).Round(time.Millisecond), &sum)
	for i, f := range failed {
		t.Errorf("seed %d: %v\nto repeat: go test ./internal/simulation -run TestSimulation -seed %d", f.seed, f.err, f.seed)
		if i == 0 && !*briefFlag {
			explain(t, f.seed)
		}
	}
}

// failure is a seed that went wrong.
type failure struct {
	seed uint64
	err  error
}

// runMany runs seeds on all processors until over says so, or most have failed.
func runMany(t *testing.T, from uint64, over func(seed uint64) bool, most int) (sum tally, failed []failure) {
	var (
		mu   sync.Mutex
		wg   sync.WaitGroup
		next atomic.Uint64
		stop atomic.Bool
	)
	next.Store(from)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for !stop.Load() {
				seed := next.Add(1) - 1
				if over(seed) {
					return
				}
				s, err := runSeed(t, seed, nil)
				mu.Lock()
				sum.add(&s.tally)
				if err != nil {
					failed = append(failed, failure{seed, err})
					stop.Store(len(failed) >= most)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.SortFunc(failed, func(a, b failure) int { return int(a.seed) - int(b.seed) })
	return sum, failed
}

// tellSeed runs one seed and prints all that happens.
func tellSeed(t *testing.T, seed uint64) {
	var lines []string
	s, err := runSeed(t, seed, func(line string) { lines = append(lines, line) })
	t.Logf("plan of seed %d: %s\n%s", seed, describe(s.plan), strings.Join(lines, "\n"))
	t.Logf("trace %016x: %v", s.trace, &s.tally)
	if err != nil {
		t.Error(err)
		explain(t, seed)
	}
}

func TestSimulation_Replays(t *testing.T) {
	for seed := uint64(1); seed <= 60; seed++ {
		var traces [2]uint64
		for i := range traces {
			s, err := runSeed(t, seed, nil)
			if err != nil {
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
	faults                                            [stepKinds]int
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
	a.virtual += b.virtual
	for i, n := range b.faults {
		a.faults[i] += n
	}
}

func (a *tally) String() string {
	var faults []string
	for k, n := range a.faults {
		if n > 0 {
			faults = append(faults, fmt.Sprintf("%v %d", stepKind(k), n))
		}
	}
	return fmt.Sprintf("%d schedules of %v: %d publishes (%d confirmed, %d unknown, %d not sent), %d deliveries (%d again); %s",
		a.schedules, (a.virtual / time.Duration(max(a.schedules, 1))).Round(time.Second), a.publishes, a.confirmed, a.unknown, a.notSent,
		a.deliveries, a.redeliveries, strings.Join(faults, ", "))
}

// regression is a seed that once ended in a difference.
type regression struct {
	seed uint64
	what string
}

// regressions are those of plans as makeBase draws them.
var regressions = []regression{
	{560668, "a message was acknowledged for a channel that could not be written, and a kill took the channel"},
	{377300, "what was refused on a disk that fails counted as not sent, and was found by the next start"},
	{2964, "an answer that was under way when the power went counted as a promise"},
	{3099, "a stop that died half way was noticed a minute later"},
	{3615, "a channel that was being emptied when its nsqd died counted as empty"},
	{8861, "the last messages of a channel waited behind a deferred one that a power cut took before a restart"},
	{9571, "an nsqd that had died was told to die"},
	{10434, "a kill at the moment of a publish counted as before it"},
	{12622, "a depth that damage made too low for a while counted as wrong"},
	{82590, "a file whose header was cut off by a kill was set aside, with the messages stored in it since"},
	{151661, "the same"},
	{169954, "what a topic held that was being deleted came again, because what was known of it went first"},
	{165549, "what a failed fsync had dropped counted as promised"},
	{24397, "one message in flight over three nsqds was given too little time"},
	{95448, "the directory of a topic that was made before a kill was lost with the power after it"},
	{60811, "a channel that was made at the moment of a publish counted as made before it"},
	{3585490, "a fsync that took long counted as done"},
	{3621992, "what was written while a fsync waited that failed was confirmed by the next one, and dropped"},
	{3624837, "the same"},
	{3498559, "a depth that a power cut made too low for a while counted as wrong, where every message was promised"},
	{5150459, "a topic whose deletion the disk failed came back paused, with its messages, when it was made again"},
	{5166702, "the same"},
	{18045, "a cursor file whose fsync had failed was believed to be durable after the next one"},
}

// wholeRegressions are seeds whose difference needs what later versions have added to
// schedules. What is added after them may take that away.
var wholeRegressions = []regression{
	{7258337, "a new roster was written over a longer one that had not got its name, whose last records then counted"},
	{19448, "a depth counted as wrong that was too low for a while, behind a channel whose deletion could not be written"},
	{476, "a message was acknowledged for a channel that could not be written"},
	{1570, "a cursor file that could not be read for a moment counted as damaged"},
	{8215079, "a channel whose fsync had failed was believed by the next process, and lost with the power"},
	{8238515, "the same for a cursor file that was begun anew"},
	{20106804, "an old cursor file went when the new one had been synced by a process that had not written it"},
	{20286102, "what a power cut brought back of a write that had failed half way counted as not sent"},
	{20313550, "the same for a publish that was tried again"},
	{30006459, "a file went at a start whose messages had been moved, which the disk did not know yet"},
	{8007514, "a channel that damage took counted as there, before it was made again"},
}

func TestSimulation_Regressions(t *testing.T) {
	run := func(r regression, p *plan) {
		if err := newSystem(p, nil).runIn(t); err != nil {
			t.Errorf("seed %d (%s): %v", r.seed, r.what, err)
		}
	}
	for _, r := range regressions {
		run(r, makeBase(r.seed))
	}
	for _, r := range wholeRegressions {
		run(r, makePlan(r.seed))
	}
}
