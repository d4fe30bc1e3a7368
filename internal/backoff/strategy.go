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

// Failure takes one step up. The first is always taken: a longest interval
// below the first one shortens it, and does not turn backoff off.
func (e *Exponential) Failure() {
	if e.level == 0 || e.level < maxDoublings && double(e.unit, e.level+1) <= e.longest {
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
	return min(double(e.unit, e.level), e.longest)
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

// Jitter pauses for a random part of what Exponential would, so that many
// readers that failed together do not come back together.
type Jitter struct {
	bound    Exponential
	half     bool // the other half of the bound is certain
	random   *rand.Rand
	interval time.Duration
}

// NewFullJitter returns a Jitter at level 0 that pauses for anything from 0 to
// what an Exponential of the same unit and longest would.
func NewFullJitter(unit, longest time.Duration, random *rand.Rand) *Jitter {
	return &Jitter{bound: Exponential{unit: unit, longest: longest}, random: random}
}

// NewEqualJitter returns a Jitter whose pauses are at least half of that.
func NewEqualJitter(unit, longest time.Duration, random *rand.Rand) *Jitter {
	return &Jitter{bound: Exponential{unit: unit, longest: longest}, half: true, random: random}
}

// Failure takes one step up and draws a new interval.
func (j *Jitter) Failure() {
	j.bound.Failure()
	j.draw()
}

// Success takes one step down and draws a new interval.
func (j *Jitter) Success() {
	j.bound.Success()
	j.draw()
}

// draw chooses an interval up to, not including, that of the bound. It draws
// once per step; go-nsq draws once to decide whether to climb and again to
// sleep, so that its gate and its pause disagree.
func (j *Jitter) draw() {
	bound := j.bound.Interval()
	j.interval = 0
	if j.half {
		j.interval = bound / 2
	}
	if bound > j.interval {
		j.interval += time.Duration(j.random.Int64N(int64(bound - j.interval)))
	}
}

// Interval is what was drawn at the last step.
func (j *Jitter) Interval() time.Duration { return j.interval }

// Level is how many successes it takes to leave backoff.
func (j *Jitter) Level() int { return j.bound.level }

// Custom asks a function how long each level's pause is.
type Custom struct {
	pause    func(level int) time.Duration
	longest  time.Duration
	level    int
	interval time.Duration
}

// NewCustom returns a Custom at level 0. What pause says is taken for at least
// 0 and at most longest, where it stops climbing.
func NewCustom(pause func(level int) time.Duration, longest time.Duration) *Custom {
	return &Custom{pause: pause, longest: longest}
}

// maxCustom bounds a level that no interval bounds.
const maxCustom = 1000

// Failure takes one step up, and asks.
func (c *Custom) Failure() {
	if c.interval < c.longest && c.level < maxCustom {
		c.level++
	}
	c.ask()
}

// Success takes one step down, and asks.
func (c *Custom) Success() {
	c.level = max(c.level-1, 0)
	c.ask()
}

func (c *Custom) ask() {
	c.interval = 0
	if c.level > 0 {
		c.interval = min(max(c.pause(c.level), 0), c.longest)
	}
}

// Interval is what pause said at the last step.
func (c *Custom) Interval() time.Duration { return c.interval }

// Level is how many successes it takes to leave backoff.
func (c *Custom) Level() int { return c.level }
