package reader

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nsqloop/nsqloop/loop/looptest"
)

func TestMeter_Properties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var m meter
		rate := rapid.Float64Range(0.01, 100_000).Draw(rt, "rate")
		now := int64(time.Hour)
		m.set(rate, now)
		start, taken := now, 0.0
		for range rapid.IntRange(1, 200).Draw(rt, "n") {
			if rapid.Bool().Draw(rt, "wait") {
				d := m.wait(now)
				now += int64(d)
				if m.wait(now) != 0 {
					rt.Fatalf("not full after %v", d)
				}
				continue
			}
			now += int64(rapid.IntRange(0, int(time.Second)).Draw(rt, "passed"))
			dry := m.take(now)
			taken++
			if !dry { // then everything so far was within the rate
				if most := m.most() + rate*time.Duration(now-start).Seconds(); taken > most+1e-6 {
					rt.Fatalf("%v came within %v at %v a second", taken, time.Duration(now-start), rate)
				}
			}
		}
	})
}

// rated runs a reader at a rate and returns when messages came.
func rated(t *testing.T, nsqds, maxInFlight int, rate float64, run time.Duration) (*world, *Reader, *[]time.Duration) {
	t.Helper()
	w := newWorld(t, looptest.Options{})
	for i := range nsqds {
		b := w.broker(fmt.Sprintf("nsqd%d", i))
		b.send(make([]string, int(rate*2*run.Seconds())+100)...)
	}
	at := new([]time.Duration)
	start := w.Now()
	r := w.reader(Options{MaxInFlight: maxInFlight, MaxRate: rate, Handler: func(m *Message) error {
		*at = append(*at, w.Now().Sub(start))
		return nil
	}})
	w.Run(run)
	return w, r, at
}

func TestReader_MaxRate(t *testing.T) {
	for _, tt := range []struct {
		nsqds, maxInFlight int
		rate               float64
		run                time.Duration
	}{
		{1, 1, 1, time.Minute},
		{1, 1, 0.1, 5 * time.Minute},
		{1, 100, 50, 30 * time.Second},
		{3, 9, 200, 10 * time.Second},
		{3, 2, 20, 30 * time.Second},
	} {
		w, r, at := rated(t, tt.nsqds, tt.maxInFlight, tt.rate, tt.run)
		got, want := float64(len(*at)), tt.rate*tt.run.Seconds()
		slack := max(1, tt.rate/10) + float64(tt.maxInFlight)
		if got > want+slack || got < 0.9*want-slack {
			t.Errorf("%+v: %v messages in %v, want %v", tt, got, tt.run, want)
		}
		for i := range *at { // in any time
			for j := i; j < len(*at); j += 7 {
				if n, d := float64(j-i+1), ((*at)[j] - (*at)[i]).Seconds(); n > tt.rate*d+slack+1 {
					t.Fatalf("%+v: %v messages within %v s", tt, n, d)
				}
			}
		}
		if r.snapshot().Expired != 0 {
			t.Error("messages waited here")
		}
		w.l.Do(func() { r.Close() })
	}
}

func TestReader_MaxRateIsKeptByReadyCounts(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	r := w.reader(Options{MaxRate: 1})
	b.send("x", "y", "z")
	w.Run(2500 * time.Millisecond)
	b.wantTrace("SUB, RDY 1, RDY 0, FIN, RDY 1, RDY 0, FIN, RDY 1, RDY 0, FIN")
	w.l.Do(func() { r.SetMaxRate(0) })
	w.Run(10 * time.Millisecond)
	b.send("1", "2", "3")
	w.Run(100 * time.Millisecond)
	b.wantTrace("RDY 1, FIN, FIN, FIN")
	w.l.Do(func() { r.SetMaxRate(0.01); r.Pause() })
	w.Run(time.Second)
	b.send("4", "5")
	w.Run(time.Minute)
	b.wantTrace("RDY 0")
	w.l.Do(func() { r.Resume() })
	w.Run(time.Minute)
	b.wantTrace("RDY 1, RDY 0, FIN")
	for _, rate := range []float64{-1, math.NaN()} {
		if err := r.SetMaxRate(rate); err == nil || !strings.HasPrefix(err.Error(), "max rate") {
			t.Errorf("a rate of %v gave %v", rate, err)
		}
	}
	w.l.Do(r.leave)
	w.until("the end", func() bool { return r.final.Load() != nil })
	w.l.Do(func() {
		if err := r.SetMaxRate(1); err != ErrClosed {
			t.Errorf("after the end: %v", err)
		}
	})
	w.Run(10 * time.Minute) // and no timer runs on
}
