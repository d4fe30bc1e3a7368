package pick

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var start = time.Unix(1_000_000, 0)

func newPicker(mode Mode, n int) *Picker { return New(mode, n, rand.New(rand.NewPCG(1, 2))) }

func (p *Picker) take(n int, now time.Time) []int {
	var got []int
	for range n {
		got = append(got, p.Next(now))
	}
	return got
}

func TestPicker_RoundRobin(t *testing.T) {
	p := newPicker(RoundRobin, 3)
	p.Failed(1, start)
	if got := p.take(5, start); !slices.Equal(got, []int{0, 1, 2, 0, 1}) {
		t.Errorf("turns %v", got)
	}
}

func TestPicker_HostPool(t *testing.T) {
	p := newPicker(HostPool, 3)
	p.Failed(1, start)
	if got := p.take(4, start); !slices.Equal(got, []int{0, 2, 0, 2}) {
		t.Errorf("turns without one that failed: %v", got)
	}
	p.Failed(1, start.Add(time.Second)) // a try that was under way
	if got := p.take(3, start.Add(firstPause)); !slices.Equal(got, []int{0, 1, 2}) {
		t.Errorf("turns after its pause: %v", got)
	}
	now := start.Add(firstPause)
	for _, want := range []time.Duration{60 * time.Second, 120 * time.Second, 240 * time.Second, 480 * time.Second, longest, longest} {
		p.Failed(1, now)
		if got := p.places[1].until.Sub(now); got != want {
			t.Errorf("pause %v, want %v", got, want)
		}
		now = p.places[1].until
	}
	p.Worked(1, time.Millisecond)
	p.Failed(1, now)
	if got := p.places[1].until.Sub(now); got != firstPause {
		t.Errorf("pause after it has worked: %v", got)
	}
	p.Failed(0, now)
	p.Failed(2, now)
	if got := p.take(3, now); len(got) != 3 || !slices.Contains(got, 0) || !slices.Contains(got, 1) || !slices.Contains(got, 2) {
		t.Errorf("turns when all have failed: %v", got)
	}
}

// TestPicker_EpsilonGreedy: three times as fast is chosen about three times as
// often, and none is forgotten.
func TestPicker_EpsilonGreedy(t *testing.T) {
	p := newPicker(EpsilonGreedy, 2)
	counts := [2]int{}
	for range 10_000 {
		i := p.Next(start)
		p.Worked(i, []time.Duration{10 * time.Millisecond, 30 * time.Millisecond}[i])
		counts[i]++
	}
	if share := float64(counts[0]) / 10_000; share < 0.70 || share > 0.78 {
		t.Errorf("the fast one has %.2f, want about 0.75", share)
	}
	p.Failed(0, start)
	if got := p.take(5, start); slices.Contains(got, 0) {
		t.Errorf("one that failed is chosen: %v", got)
	}
}

func TestParseMode_Names(t *testing.T) {
	if m, err := ParseMode("hostpool", RoundRobin, HostPool); err != nil || m != HostPool {
		t.Errorf("%q %v", m, err)
	}
	if _, err := ParseMode("host-pool", RoundRobin, HostPool); err == nil {
		t.Error("a mode that does not exist")
	}
}
