package backoff

import (
	"math/rand/v2"
	"time"

	cenkalti "github.com/cenkalti/backoff/v4"
)

// ReconnectOptions are the options of a Reconnect. The zero value of a field
// is its default.
type ReconnectOptions struct {
	Initial    time.Duration // the first delay before jitter; 0 means 50 ms
	Max        time.Duration // no delay is longer; 0 means 30 s
	Multiplier float64       // how each delay follows from the one before; 0 means 2
	Jitter     float64       // each delay varies by this share, up or down; 0 means 0.25, negative means none
}

// Reconnect spaces the attempts at something: each delay is a multiple of the
// one before, up to a maximum, with jitter so that many clients of a server
// that went away do not come back as one. It never gives up.
type Reconnect struct {
	curve    cenkalti.ExponentialBackOff
	jitter   float64
	random   *rand.Rand
	attempts int
}

// NewReconnect returns a Reconnect that reads the time from now and draws its
// jitter from random.
func NewReconnect(o ReconnectOptions, now func() time.Time, random *rand.Rand) *Reconnect {
	if o.Initial == 0 {
		o.Initial = 50 * time.Millisecond
	}
	if o.Max == 0 {
		o.Max = 30 * time.Second
	}
	if o.Multiplier == 0 {
		o.Multiplier = 2
	}
	switch {
	case o.Jitter == 0:
		o.Jitter = 0.25
	case o.Jitter < 0:
		o.Jitter = 0
	}
	r := &Reconnect{
		curve: cenkalti.ExponentialBackOff{
			InitialInterval: min(o.Initial, o.Max),
			// The curve's own jitter comes from the global source, which no
			// seed reaches. It is added in Next instead.
			RandomizationFactor: 0,
			Multiplier:          o.Multiplier,
			MaxInterval:         o.Max,
			MaxElapsedTime:      0,
			Stop:                cenkalti.Stop,
			Clock:               clock(now),
		},
		jitter: min(o.Jitter, 1),
		random: random,
	}
	r.curve.Reset()
	return r
}

// Next is how long to wait before the next attempt.
func (r *Reconnect) Next() time.Duration {
	r.attempts++
	return min(r.vary(r.curve.NextBackOff()), r.curve.MaxInterval)
}

// NextWithin is Next with a limit of its own, which is varied too, downwards,
// and less what the last attempt has taken: one that had to wait for its end
// has spaced the attempts already. The first delay, or what there is of it, is
// left in any case.
func (r *Reconnect) NextWithin(limit, took time.Duration) time.Duration {
	r.attempts++
	limit = min(limit, r.curve.MaxInterval)
	d := min(r.curve.NextBackOff(), time.Duration(float64(limit)/(1+r.jitter)))
	d = min(r.vary(d), limit)
	return max(d-took, min(d, r.curve.InitialInterval))
}

// vary is d with jitter.
func (r *Reconnect) vary(d time.Duration) time.Duration {
	if r.jitter > 0 {
		d = time.Duration(float64(d) * (1 + r.jitter*(2*r.random.Float64()-1)))
	}
	return d
}

// Outage is the longest delay that is due while what is to be reached has been
// away for a while. An attempt costs little and coming back late costs much: with
// jitter there are two a second for the first minute, one a second is left after
// two minutes, and one in half a minute after an hour.
func Outage(lasts time.Duration) time.Duration { return max(lasts/100, 600*time.Millisecond) }

// Reset starts again with the first delay. It is for when an attempt has
// succeeded, and lasted.
func (r *Reconnect) Reset() {
	r.attempts = 0
	r.curve.Reset()
}

// Attempts is how often Next was called since the last Reset.
func (r *Reconnect) Attempts() int { return r.attempts }

// clock is a function as the curve wants its clock.
type clock func() time.Time

// Now is the time.
func (c clock) Now() time.Time { return c() }
