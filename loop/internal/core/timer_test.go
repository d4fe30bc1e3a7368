package core

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestTimer_EveryKeepsItsGridAndSkipsWhatItMissed(t *testing.T) {
	c, h := newCore(nil)
	began := h.since
	var runs []int64
	c.Every(10, func() { runs = append(runs, c.since-began) })
	for _, at := range []int64{9, 10, 14, 25, 29, 30, 77, 80} {
		h.since = began + at
		turn(c, func() {})
	}
	if want := []int64{10, 25, 30, 77, 80}; !slices.Equal(runs, want) {
		t.Errorf("runs at %v, want %v", runs, want)
	}
}

func TestTimer_SetInATurnWaitsForTheNext(t *testing.T) {
	c, h := newCore(nil)
	runs := 0
	var again func()
	again = func() { runs++; c.After(0, again) }
	turn(c, func() { again() })
	check(t, "runs in the first turn", runs, 2) // again itself, and the timer that it set before the timers' phase
	wakes := h.wakes
	h.advance(c, 0)
	check(t, "runs in the second", runs, 3)
	check(t, "a turn is asked for", h.wakes, wakes+1)
}

func TestTimer_PanicsForAnImpossibleInterval(t *testing.T) {
	c, _ := newCore(nil)
	every := c.Every(1, func() {})
	for _, f := range []func(){func() { c.Every(0, func() {}) }, func() { every.Reset(-1) }} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		}()
	}
}

func TestTimer_FarFutureDoesNotOverflow(t *testing.T) {
	c, h := newCore(nil)
	timer := c.After(1<<63-1, func() { t.Error("it ran") })
	h.advance(c, 100*365*24*time.Hour)
	check(t, "still waiting", timer.Stop(), true)
}

// The heap against a sorted list: every operation in a random order.
func TestTimer_HeapAgreesWithASortedList(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		c, h := newCore(nil)
		var timers []*Timer
		var ran, want []*Timer
		for range 300 {
			switch n := r.IntN(10); {
			case n < 4:
				var timer *Timer
				timer = c.After(time.Duration(r.IntN(100)), func() { ran = append(ran, timer) })
				timers = append(timers, timer)
			case n < 6 && len(timers) > 0:
				timers[r.IntN(len(timers))].Reset(time.Duration(r.IntN(100)))
			case n < 8 && len(timers) > 0:
				timer := timers[r.IntN(len(timers))]
				waits := timer.index > 0
				check(t, "Stop", timer.Stop(), waits)
				check(t, "waiting after Stop", timer.index, 0)
			default:
				h.since += int64(r.IntN(30))
				want = want[:0]
				for _, timer := range inHeap(timers) {
					if timer.at <= h.since {
						want = append(want, timer)
					}
				}
				slices.SortFunc(want, func(a, b *Timer) int {
					if before(a, b) {
						return -1
					}
					return 1
				})
				ran = ran[:0]
				turn(c, func() {})
				if !slices.Equal(ran, want) {
					t.Fatalf("seed %d: %d timers ran, %d were due, or in another order", seed, len(ran), len(want))
				}
			}
			checkHeap(t, &c.timers)
		}
	}
}

func inHeap(timers []*Timer) (w []*Timer) {
	for _, timer := range timers {
		if timer.index > 0 {
			w = append(w, timer)
		}
	}
	return w
}

func checkHeap(t *testing.T, h *heap) {
	t.Helper()
	for i, timer := range h.all {
		if timer.index != i+1 {
			t.Fatalf("timer %d thinks it is %d", i, timer.index-1)
		}
		if parent := (i - 1) / 4; i > 0 && before(timer, h.all[parent]) {
			t.Fatalf("timer %d is before its parent", i)
		}
	}
}

func BenchmarkTimer_Reset(b *testing.B) {
	c, _ := newCore(nil)
	timers := make([]*Timer, 1000)
	for i := range timers {
		timers[i] = c.After(time.Duration(i)*time.Millisecond, func() {})
	}
	c.Begin()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		timers[i*7919%len(timers)].Reset(time.Second)
	}
}
