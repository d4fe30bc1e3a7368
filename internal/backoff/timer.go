package backoff

import "time"

// TimerOptions are the options of a Timer. The zero value of a field is its
// default, which is pynsq's.
type TimerOptions struct {
	Min         time.Duration // the interval at level 0
	Max         time.Duration // the interval is never longer; 0 means 128 s
	ShortShare  float64       // the share of Max-Min that the short part takes; 0 means 0.25
	ShortLength int           // failures until the short part is full; 0 means 10
	LongLength  int           // failures until the long part is full; 0 means 250
}

// Timer is pynsq's strategy: linear, in two parts. The short part is full
// after a few failures and makes the first ones felt; the long part goes on
// growing under it.
//
//	interval = Min + short steps x short unit + long steps x long unit
//
// The steps are counted as integers and the interval is derived from them. Had
// the interval itself been added to and subtracted from, rounding would leave
// a residue, and leaving backoff would take one success too many.
type Timer struct {
	min                     time.Duration
	shortMax, longMax       time.Duration // what the parts amount to when full
	shortLength, longLength int
	short, long             int // steps taken
}

// NewTimer returns a Timer at level 0.
func NewTimer(o TimerOptions) *Timer {
	if o.Max == 0 {
		o.Max = 128 * time.Second
	}
	if o.ShortShare == 0 {
		o.ShortShare = 0.25
	}
	if o.ShortLength == 0 {
		o.ShortLength = 10
	}
	if o.LongLength == 0 {
		o.LongLength = 250
	}
	span := max(o.Max-o.Min, 0)
	shortMax := time.Duration(float64(span) * o.ShortShare)
	return &Timer{
		min:         o.Min,
		shortMax:    shortMax,
		longMax:     span - shortMax,
		shortLength: o.ShortLength,
		longLength:  o.LongLength,
	}
}

// Failure adds a step to each part that is not full.
func (t *Timer) Failure() {
	t.short = min(t.short+1, t.shortLength)
	t.long = min(t.long+1, t.longLength)
}

// Success takes a step off each part that has one.
func (t *Timer) Success() {
	t.short = max(t.short-1, 0)
	t.long = max(t.long-1, 0)
}

// Interval is how long to pause now.
func (t *Timer) Interval() time.Duration {
	return t.min + part(t.shortMax, t.short, t.shortLength) + part(t.longMax, t.long, t.longLength)
}

// part is full x n / of, without overflow for any full.
func part(full time.Duration, n, of int) time.Duration {
	steps, length := time.Duration(n), time.Duration(of)
	return full/length*steps + full%length*steps/length
}

// Level is how many successes it takes to leave backoff.
func (t *Timer) Level() int { return max(t.short, t.long) }
