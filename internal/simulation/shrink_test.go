package simulation

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// shrinkTime bounds how long a failing plan is made smaller.
const shrinkTime = 10 * time.Second

// timelineLines is how much of the end of a failing run is printed.
const timelineLines = 120

// explain makes the plan of a failing seed as small as it can, and prints what is
// left of it and what happens then.
func explain(t *testing.T, seed uint64) {
	p := makePlan(seed)
	tried := 0
	fails := func(steps []step) error {
		tried++
		q := *p
		q.steps = steps
		return newSystem(&q, nil).runIn(t)
	}
	steps := shrink(p.steps, func(steps []step) bool { return fails(steps) != nil }, time.Now().Add(shrinkTime))
	var lines []string
	q := *p
	q.steps = steps
	err := newSystem(&q, func(line string) { lines = append(lines, line) }).runIn(t)
	if len(lines) > timelineLines {
		lines = append([]string{fmt.Sprintf("(%d lines before)", len(lines)-timelineLines)}, lines[len(lines)-timelineLines:]...)
	}
	t.Logf("after %d tries %d of %d steps are left, and still: %v\n%s\nwhat happens:\n%s",
		tried, len(steps), len(p.steps), err, describe(&q), strings.Join(lines, "\n"))
}

// shrink returns a part of the steps, in their order, for which fails still holds,
// and from which little can be taken without losing that. It takes away large
// runs first.
func shrink(steps []step, fails func([]step) bool, until time.Time) []step {
	for size := len(steps) / 2; size > 0; {
		smaller := false
		for at := 0; at < len(steps) && time.Now().Before(until); {
			less := slices.Concat(steps[:at], steps[min(at+size, len(steps)):])
			if fails(less) {
				steps, smaller = less, true
			} else {
				at += size
			}
		}
		if !smaller || size > 1 {
			size /= 2
		}
		if !time.Now().Before(until) {
			break
		}
	}
	return steps
}

// describe prints a plan.
func describe(p *plan) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d nsqds, %d nsqlookupds, topics %q, channels %q, sync %s, message timeout %v, files of %d bytes, latency %v to %v, faults %+v, chaos %v\n",
		p.nsqds, p.lookupds, p.topics, p.channels, p.sync, p.msgTimeout, p.segment, p.minLatency, p.maxLatency, p.faults, p.chaos)
	for i, a := range p.apps {
		fmt.Fprintf(&b, "app%d: %+v\n", i, a)
	}
	for _, st := range p.steps {
		fmt.Fprintln(&b, st)
	}
	return b.String()
}

func TestShrink_KeepsWhatMatters(t *testing.T) {
	var steps []step
	for i := range 100 {
		steps = append(steps, step{n: i})
	}
	has := func(steps []step, n int) bool {
		return slices.ContainsFunc(steps, func(s step) bool { return s.n == n })
	}
	got := shrink(steps, func(s []step) bool { return has(s, 17) && has(s, 80) }, time.Now().Add(time.Minute))
	if len(got) != 2 || got[0].n != 17 || got[1].n != 80 {
		t.Errorf("left are %v, want the steps 17 and 80", got)
	}
}
