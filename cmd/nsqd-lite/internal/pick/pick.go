// Package pick chooses one of several places to send something to. It does not
// know what they are.
package pick

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Mode names how to choose.
type Mode string

// The modes, by NSQ's names.
const (
	// RoundRobin takes turns, whatever happens.
	RoundRobin Mode = "round-robin"

	// HostPool takes turns among those that work. One that failed is left
	// out for 30 s, and longer each time until it works again, up to 15 m.
	HostPool Mode = "hostpool"

	// EpsilonGreedy is HostPool with a liking for those that answer fast: the
	// choice is by chance, in proportion to speed, but for a share of tries
	// that is blind and shrinks from 30 % to 1 %.
	EpsilonGreedy Mode = "epsilon-greedy"

	// All is no choice: whoever sends sends to each.
	All Mode = "all"
)

// ParseMode returns the mode of that name, of those allowed.
func ParseMode(name string, allowed ...Mode) (Mode, error) {
	for _, m := range allowed {
		if string(m) == name {
			return m, nil
		}
	}
	return "", fmt.Errorf("mode %q: want one of %v", name, allowed)
}

// Pauses of a place that fails, in HostPool and EpsilonGreedy.
const (
	firstPause = 30 * time.Second
	longest    = 15 * time.Minute
)

// The blind share of EpsilonGreedy, and what it shrinks by with each choice.
const (
	firstShare = 0.3
	lastShare  = 0.01
	shrink     = 0.99
)

// place is what is known about one of them.
type place struct {
	until time.Time     // left out until then
	pause time.Duration // the last one; 0 when it works
	took  float64       // seconds, on average, recent ones more; 0 when unknown
}

// Picker chooses. It belongs to one goroutine.
type Picker struct {
	mode   Mode
	places []place
	next   int
	share  float64
	rand   *rand.Rand
}

// New makes a Picker of n places. Only EpsilonGreedy takes chances.
func New(mode Mode, n int, r *rand.Rand) *Picker {
	return &Picker{mode: mode, places: make([]place, n), share: firstShare, rand: r}
}

// Next is the place for the next try.
func (p *Picker) Next(now time.Time) int {
	if p.mode == RoundRobin {
		return p.turn(func(int) bool { return true })
	}
	works := func(i int) bool { return !now.Before(p.places[i].until) }
	any := false
	for i := range p.places {
		any = any || works(i)
	}
	if !any { // then one is as good as another, and they are all new
		for i := range p.places {
			p.places[i].until, p.places[i].pause = time.Time{}, 0
		}
	}
	if p.mode == EpsilonGreedy && !p.blind() {
		if i, ok := p.fast(works); ok {
			return i
		}
	}
	return p.turn(works)
}

// turn is the next one in turn that is allowed; one is.
func (p *Picker) turn(allowed func(int) bool) int {
	for {
		i := p.next
		p.next = (p.next + 1) % len(p.places)
		if allowed(i) {
			return i
		}
	}
}

// blind says whether this try looks at no speeds.
func (p *Picker) blind() bool {
	blind := p.rand.Float64() < p.share
	p.share = max(lastShare, p.share*shrink)
	return blind
}

// fast is one by chance, in proportion to speed. It is not ok while a speed is
// unknown.
func (p *Picker) fast(works func(int) bool) (i int, ok bool) {
	sum := 0.0
	for i := range p.places {
		if !works(i) {
			continue
		}
		if p.places[i].took == 0 {
			return 0, false
		}
		sum += 1 / p.places[i].took
	}
	at := p.rand.Float64() * sum
	last := 0
	for i := range p.places {
		if !works(i) {
			continue
		}
		last = i
		if at -= 1 / p.places[i].took; at < 0 {
			break
		}
	}
	return last, true
}

// Worked notes a try of place i that took so long.
func (p *Picker) Worked(i int, took time.Duration) {
	at := &p.places[i]
	at.until, at.pause = time.Time{}, 0
	seconds := max(took, time.Microsecond).Seconds()
	if at.took == 0 {
		at.took = seconds
	}
	at.took += (seconds - at.took) / 10
}

// Failed notes a try of place i that came to nothing.
func (p *Picker) Failed(i int, now time.Time) {
	at := &p.places[i]
	if now.Before(at.until) {
		return // a try from before it was left out
	}
	at.pause = min(max(firstPause, 2*at.pause), longest)
	at.until = now.Add(at.pause)
}
