package looptest

import (
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Options are the options of a World. The zero value of each field is its
// documented default.
type Options struct {
	// Seed decides everything that is left to chance. 0 means 1 with New;
	// with Test it means a number made from the test's name, or the one in
	// the environment variable LOOPTEST_SEED.
	Seed uint64

	// Start is the time at which the world begins. The zero value means the
	// beginning of 2026, UTC.
	Start time.Time

	// MinLatency and MaxLatency bound how long bytes travel. 0 means 50 µs
	// and 2 ms.
	MinLatency, MaxLatency time.Duration

	// Window is how many bytes a connection takes in one direction that the
	// receiver has not read, as a socket's buffers do. 0 means 256 KiB.
	Window int

	// Whole sends every write in one piece. By default some are split, and
	// some arrive together.
	Whole bool

	// Faults are what goes wrong by itself.
	Faults Faults

	// Linger, OutputLimit, OutputHigh and InputLimit are those of
	// loop.Options, with the same defaults.
	Linger                              time.Duration
	OutputLimit, OutputHigh, InputLimit int

	// OnPanic makes loops recover panics of callbacks, as an Engine does, and
	// is told of them. By default panics pass through, and fail the test.
	OnPanic func(what string, value any, stack []byte)
}

func (o Options) withDefaults() Options {
	if o.Seed == 0 {
		o.Seed = 1
	}
	if o.Start.IsZero() {
		o.Start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	fill(&o.MinLatency, 50*time.Microsecond)
	fill(&o.MaxLatency, max(2*time.Millisecond, o.MinLatency))
	fill(&o.Window, 256<<10)
	fill(&o.Linger, time.Second)
	fill(&o.OutputLimit, 64<<20)
	fill(&o.OutputHigh, 1<<20)
	fill(&o.InputLimit, 64<<20)
	return o
}

func fill[T int | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// World is a clock, a network, and the loops on it. It belongs to one
// goroutine, which moves it on with Step, Run and RunUntil; none of them may
// be called inside a callback.
type World struct {
	o      Options
	rand   *rand.Rand
	now    int64 // nanoseconds since o.Start
	events events
	trace  uint64

	loops     []*Loop // in order of creation, the crashed ones left out
	born      map[string]int
	hosts     []string // names of all loops there ever were; the index makes the address
	listeners []*listener
	links     []*Link
	linked    uint64
	port      int
	walls     [][2]string // pairs of loops that cannot reach each other

	running atomic.Pointer[Loop] // whose callback runs
	mu      sync.Mutex           // guards woken: Post may come from any goroutine
	woken   []*Loop
}

// New makes a world that follows from the seed.
func New(seed uint64, o Options) *World {
	o.Seed = seed
	o = o.withDefaults()
	return &World{o: o, rand: rand.New(rand.NewPCG(o.Seed, 0x6e73716c6f6f70)), born: map[string]int{},
		trace: offset, port: 40000}
}

// Test makes a world for a test. It is closed when the test ends; a test that
// fails logs the seed that repeats it.
func Test(tb testing.TB, o Options) *World {
	tb.Helper()
	if s := os.Getenv("LOOPTEST_SEED"); s != "" && o.Seed == 0 {
		n, err := strconv.ParseUint(s, 0, 64)
		if err != nil {
			tb.Fatalf("LOOPTEST_SEED: %v", err)
		}
		o.Seed = n
	}
	if o.Seed == 0 {
		h := fnv.New64a()
		h.Write([]byte(tb.Name()))
		o.Seed = h.Sum64()
	}
	w := New(o.Seed, o)
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("virtual time %v; to repeat: LOOPTEST_SEED=%d", time.Duration(w.now), w.o.Seed)
		}
		if w.running.Load() == nil { // otherwise a callback panicked, and nothing can be said of its loop
			w.Close()
		}
	})
	return w
}

// Now is the virtual time.
func (w *World) Now() time.Time { return w.o.Start.Add(time.Duration(w.now)) }

// Trace is a hash of everything that was delivered so far: what, when, to
// which loop, with which bytes. Two runs with the same seed have the same.
func (w *World) Trace() uint64 { return w.trace }

// Step does the next thing that is due, moving the clock to it. It reports
// false when there is nothing that could ever happen.
func (w *World) Step() bool {
	w.outside("Step")
	w.collect()
	e, ok := w.events.pop()
	if !ok {
		return false
	}
	w.now = max(w.now, e.at)
	e.do.fire()
	return true
}

// Run lets the time d pass.
func (w *World) Run(d time.Duration) {
	w.RunUntil(func() bool { return false }, d)
}

// RunUntil runs until cond is true, which it asks before each step, and
// reports whether it became true within limit. When it did not, limit has
// passed.
func (w *World) RunUntil(cond func() bool, limit time.Duration) bool {
	w.outside("RunUntil")
	end := w.now + int64(limit)
	for !cond() {
		w.collect()
		if at := w.events.next(); at > end {
			w.now = max(w.now, end)
			return false
		}
		w.Step()
	}
	return true
}

// Close ends all loops: everything open gets OnClose(loop.ErrClosed).
func (w *World) Close() {
	w.outside("Close")
	for len(w.loops) > 0 {
		_ = w.loops[0].Close()
	}
}

func (w *World) outside(what string) {
	if l := w.running.Load(); l != nil {
		panic("looptest: World." + what + " inside a callback of loop " + l.name)
	}
}

// collect turns the loops that were rung into events. A ring may come from
// another goroutine; only here does it meet the clock.
func (w *World) collect() {
	w.mu.Lock()
	woken := w.woken
	w.woken = nil
	w.mu.Unlock()
	for _, l := range woken {
		w.after(time.Duration(w.rand.Int64N(int64(wakeDelay))), (*ring)(l))
	}
}

// wakeDelay bounds how long a loop takes to wake up for posted functions.
const wakeDelay = 20 * time.Microsecond

// after lets e happen d from now.
func (w *World) after(d time.Duration, e event) { w.at(w.now+int64(d), e) }

func (w *World) at(at int64, e event) { w.events.push(at, e) }

// latency is how long something travels now.
func (w *World) latency() time.Duration {
	return w.o.MinLatency + time.Duration(w.rand.Int64N(int64(w.o.MaxLatency-w.o.MinLatency)+1))
}

// chance is true with probability p.
func (w *World) chance(p float64) bool { return p > 0 && w.rand.Float64() < p }

// FNV-1a, eight bytes at a time.
const (
	offset = 14695981039346656037
	prime  = 1099511628211
)

func (w *World) mix(x uint64) { w.trace = (w.trace ^ x) * prime }

// note adds something that happened to the trace.
func (w *World) note(what byte, l *Loop, link uint64, p []byte) {
	w.mix(uint64(what)<<56 ^ uint64(w.now))
	w.mix(uint64(l.id)<<40 ^ link)
	w.mix(uint64(len(p)))
	for len(p) >= 8 {
		w.mix(binary.LittleEndian.Uint64(p))
		p = p[8:]
	}
	for _, b := range p {
		w.mix(uint64(b))
	}
}
