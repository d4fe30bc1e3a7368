package simulation

import (
	"math/rand/v2"
	"time"

	"github.com/nsqloop/nsqloop/loop/looptest"
	"github.com/nsqloop/nsqloop/server"
)

// plan is what a seed decides before anything runs.
type plan struct {
	chaos      time.Duration // how long things break
	msgTimeout time.Duration
	sync       server.Sync
	faults     looptest.Faults
	minLatency time.Duration
	maxLatency time.Duration

	messages int
	writers  int
	readers  []readerPlan
	events   []event // in order of time

	// What happens at all, so that a schedule without it can be held to more.
	broken  bool // connections break, or fall silent
	crashes bool
}

// readerPlan is one reader.
type readerPlan struct {
	channel     string
	maxInFlight int
	fails       float64 // part of the deliveries that the handler fails
	later       float64 // part that it answers later
	forgets     float64 // part that it never answers
}

// event is something that happens to the system.
type event struct {
	at   time.Duration
	kind eventKind
	host string // of partitions and cuts
	last time.Duration
}

type eventKind int

const (
	cut       eventKind = iota // all connections of host are reset
	partition                  // host and server do not hear each other for a while
	crash                      // the server is killed, and comes back after a while
	restart                    // the server is stopped in order, and comes back after a while
)

// makePlan draws a plan. A third of them leaves connections alone, a third
// leaves the server alone.
func makePlan(r *rand.Rand) plan {
	between := func(a, b int) int { return a + r.IntN(b-a+1) }
	seconds := func(a, b float64) time.Duration {
		return time.Duration((a + (b-a)*r.Float64()) * float64(time.Second))
	}
	p := plan{
		chaos:      seconds(5, 40),
		msgTimeout: seconds(2, 20),
		sync:       []server.Sync{server.SyncInterval, server.SyncAlways, server.SyncNever}[r.IntN(3)],
		minLatency: time.Duration(between(20, 200)) * time.Microsecond,
		maxLatency: time.Duration(between(200, 20000)) * time.Microsecond,
		messages:   between(20, 200),
		writers:    between(1, 2),
	}
	kind := r.IntN(6)
	p.broken = kind == 0 || kind == 1 || kind == 2
	p.crashes = kind == 0 || kind == 3 || kind == 4
	channels := []string{"alpha", "beta"}[:between(1, 2)]
	for i := range between(len(channels), 3) {
		p.readers = append(p.readers, readerPlan{
			channel:     channels[i%len(channels)],
			maxInFlight: []int{1, 2, 3, 9, 50}[r.IntN(5)],
			fails:       []float64{0, 0.1, 0.5}[r.IntN(3)],
			later:       []float64{0, 0.3, 1}[r.IntN(3)],
			forgets:     []float64{0, 0, 0.05}[r.IntN(3)],
		})
	}
	if p.broken {
		p.faults = looptest.Faults{Refuse: r.Float64() / 3, Timeout: r.Float64() / 8, Reset: r.Float64() / 2, Vanish: r.Float64() / 6}
	}
	hosts := []string{"writer", "reader"}
	for range between(0, 8) {
		e := event{at: seconds(0, p.chaos.Seconds()), host: hosts[r.IntN(2)], last: seconds(0.1, 8)}
		switch {
		case p.broken && p.crashes:
			e.kind = eventKind(r.IntN(4))
		case p.broken:
			e.kind = eventKind(r.IntN(2))
		case p.crashes:
			e.kind = crash + eventKind(r.IntN(2))
		default:
			continue
		}
		p.events = append(p.events, e)
	}
	return p
}
