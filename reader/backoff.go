package reader

import (
	"math/rand/v2"
	"time"

	"github.com/nsqloop/nsqloop/internal/backoff"
)

// outcome is what the answer to a message says about the work behind the
// handler.
type outcome uint8

const (
	success outcome = iota // finished
	failure                // requeued with backoff
	neutral                // requeued without, discarded or given up: says nothing
)

// verdict is what follows from an outcome.
type verdict uint8

const (
	carryOn verdict = iota // nothing changes
	halt                   // begin a pause of throttle.pause
	resume                 // leave backoff
)

// throttle decides, from the outcomes of messages, when the reader pauses and
// when it may go on. It is pure; the pauses are timed by its user, who calls
// over at the end of each.
//
// It is in one of three states. Every event in every state:
//
//	           success             failure          neutral          over
//	flowing    -                   up, halt         -                (cannot be)
//	halted     ignored             ignored          ignored          probing
//	probing    down; at level 0    up, halt         halt, the level  (cannot be)
//	           resume, else halt                    stays
//
// Outcomes are ignored inside a pause because they belong to messages that
// were under way when it began: a burst of failures is one failure. A neutral
// outcome while probing starts the pause again, for the probe is used up and
// has proved nothing. With atOnce a success goes down to level 0.
type throttle struct {
	strategy backoff.Strategy
	atOnce   bool // one success is enough
	phase    phase
}

// newThrottle makes the throttle for the options o.
func newThrottle(o *Options, random *rand.Rand) throttle {
	return throttle{strategy: newStrategy(o, random), atOnce: o.ResumeAtOnce}
}

func newStrategy(o *Options, random *rand.Rand) backoff.Strategy {
	switch {
	case o.MaxBackoff < 0, o.Backoff == NoBackoff:
		return backoff.Off{}
	case o.BackoffFunc != nil:
		return backoff.NewCustom(o.BackoffFunc, o.MaxBackoff)
	case o.Backoff == Exponential:
		return backoff.NewExponential(backoffUnit, o.MaxBackoff)
	case o.Backoff == FullJitter:
		return backoff.NewFullJitter(backoffUnit, o.MaxBackoff, random)
	case o.Backoff == EqualJitter:
		return backoff.NewEqualJitter(backoffUnit, o.MaxBackoff, random)
	}
	return backoff.NewTimer(backoff.TimerOptions{Max: o.MaxBackoff})
}

// result takes the outcome of one message.
func (t *throttle) result(o outcome) verdict {
	if t.phase == halted || (t.phase == flowing && o != failure) {
		return carryOn
	}
	switch o {
	case success:
		t.strategy.Success()
		for t.atOnce && t.strategy.Level() > 0 {
			t.strategy.Success()
		}
	case failure:
		t.strategy.Failure()
	}
	if t.strategy.Level() > 0 {
		t.phase = halted
		return halt
	}
	if t.phase == flowing {
		return carryOn // backoff is off
	}
	t.phase = flowing
	return resume
}

// pause is how long the pause lasts that result asked for.
func (t *throttle) pause() time.Duration { return t.strategy.Interval() }

// level is how many successes it takes to leave backoff; 0 outside of it.
func (t *throttle) level() int { return t.strategy.Level() }

// over ends the pause.
func (t *throttle) over() { t.phase = probing }
