package backoff

import (
	"math"
	"math/rand/v2"
	"time"
)

// Strategy turns the failures and successes of a handler into pauses. Level 0
// means that there is nothing to back off from.
//
// Leaving backoff is decided by the level, not by the interval: a jittered
// interval may be 0 at any level.
type Strategy interface {
	// Failure takes one step up, unless that would pass the longest interval.
	Failure()

	// Success takes one step down, if there is one to take.
	Success()

	// Interval is how long to pause at the current level. It changes only
	// with Failure and Success, so that a pause that has to be repeated has
	// the same length.
	Interval() time.Duration

	// Level is how many successes it takes to leave backoff.
	Level() int
}

// Off never backs off.
type Off struct{}

// Failure does nothing.
func (Off) Failure() {}

// Success does nothing.
func (Off) Success() {}

// Interval is always 0.
func (Off) Interval() time.Duration { return 0 }

// Level is always 0.
func (Off) Level() int { return 0 }

// Exponential doubles with each failure: unit x 2^level. The first pause is
// therefore twice the unit, as in go-nsq.
type Exponential struct {
	unit, longest time.Duration
	level         int
}

// NewExponential returns an Exponential at level 0. It stops climbing where
// the next interval would exceed longest.
func NewExponential(unit, longest time.Duration) *Exponential {
	return &Exponential{unit: unit, longest: longest}
}

// Failure takes one step up.
func (e *Exponential) Failure() {
	if e.level < maxDoublings && double(e.unit, e.level+1) <= e.longest {
		e.level++
	}
}

// Success takes one step down.
func (e *Exponential) Success() { e.level = max(e.level-1, 0) }

// Interval is unit x 2^level, and 0 at level 0.
func (e *Exponential) Interval() time.Duration {
	if e.level == 0 {
		return 0
	}
	return double(e.unit, e.level)
}

// Level is how many successes it takes to leave backoff.
func (e *Exponential) Level() int { return e.level }

// maxDoublings bounds a level that no interval bounds, as when the unit is 0.
const maxDoublings = 62

// double is unit x 2^n, or the longest duration there is when that is more.
func double(unit time.Duration, n int) time.Duration {
	if unit <= 0 {
		return 0
	}
	if n > maxDoublings || unit > math.MaxInt64>>n {
		return math.MaxInt64
	}
	return unit << n
}

// FullJitter pauses for a random part of what Exponential would, so that many
// readers that failed together do not come back together.
type FullJitter struct {
	bound    Exponential
	random   *rand.Rand
	interval time.Duration
}

// NewFullJitter returns a FullJitter at level 0, which draws from random. It
// climbs as an Exponential of the same unit and longest does.
func NewFullJitter(unit, longest time.Duration, random *rand.Rand) *FullJitter {
	return &FullJitter{bound: Exponential{unit: unit, longest: longest}, random: random}
}

// Failure takes one step up and draws a new interval.
func (f *FullJitter) Failure() {
	f.bound.Failure()
	f.draw()
}

// Success takes one step down and draws a new interval.
func (f *FullJitter) Success() {
	f.bound.Success()
	f.draw()
}

// draw chooses an interval from 0 up to, not including, that of the bound. It
// draws once per step; go-nsq draws once to decide whether to climb and again
// to sleep, so that its gate and its pause disagree.
func (f *FullJitter) draw() {
	f.interval = 0
	if bound := f.bound.Interval(); bound > 0 {
		f.interval = time.Duration(f.random.Int64N(int64(bound)))
	}
}

// Interval is what was drawn at the last step.
func (f *FullJitter) Interval() time.Duration { return f.interval }

// Level is how many successes it takes to leave backoff.
func (f *FullJitter) Level() int { return f.bound.level }
