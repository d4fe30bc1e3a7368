package backoff

import (
	"math/rand/v2"
	"testing"
	"time"
)

func seconds(s float64) time.Duration { return time.Duration(s*1e6+0.5) * time.Microsecond }

func fail(s Strategy, n int) {
	for range n {
		s.Failure()
	}
}

func succeed(s Strategy, n int) {
	for range n {
		s.Success()
	}
}

func TestTimer_Parts(t *testing.T) { // 205
	timer := NewTimer(TimerOptions{Max: 128 * time.Second})
	if timer.shortMax != 32*time.Second || timer.longMax != 96*time.Second {
		t.Errorf("parts %v and %v, want 32s and 96s", timer.shortMax, timer.longMax)
	}
	if got := part(timer.shortMax, 1, timer.shortLength); got != seconds(3.2) {
		t.Errorf("short unit %v, want 3.2s", got)
	}
	if got := part(timer.longMax, 1, timer.longLength); got != seconds(0.384) {
		t.Errorf("long unit %v, want 384ms", got)
	}
}

func TestTimer_DefaultsArePynsqs(t *testing.T) {
	a, b := NewTimer(TimerOptions{}), NewTimer(TimerOptions{Max: 128 * time.Second, ShortShare: 0.25, ShortLength: 10, LongLength: 250})
	if *a != *b {
		t.Errorf("defaults %+v, want %+v", *a, *b)
	}
}

func TestTimer_SuccessAtZeroStaysThere(t *testing.T) { // 206
	timer := NewTimer(TimerOptions{Max: 128 * time.Second})
	for range 2 {
		timer.Success()
		if timer.Interval() != 0 || timer.Level() != 0 {
			t.Fatalf("interval %v, level %d", timer.Interval(), timer.Level())
		}
	}
}

func TestTimer_Vectors(t *testing.T) { // 207 and the table of failures
	for _, tt := range []struct {
		failures int
		want     float64
	}{
		{1, 3.584}, {2, 7.168}, {3, 10.752}, {5, 17.92}, {9, 32.256}, {10, 35.84},
		{11, 36.224}, {20, 39.68}, {50, 51.2}, {100, 70.4}, {249, 127.616}, {250, 128}, {251, 128}, {1000, 128},
	} {
		timer := NewTimer(TimerOptions{Max: 128 * time.Second})
		fail(timer, tt.failures)
		if got := timer.Interval(); got != seconds(tt.want) {
			t.Errorf("after %d failures %v, want %vs", tt.failures, got, tt.want)
		}
		if got, want := timer.Level(), min(tt.failures, 250); got != want {
			t.Errorf("after %d failures level %d, want %d", tt.failures, got, want)
		}
	}
}

func TestTimer_PynsqVector(t *testing.T) { // 208
	timer := NewTimer(TimerOptions{Min: 100 * time.Millisecond, Max: 120 * time.Second, LongLength: 1000})
	check := func(want float64) {
		t.Helper()
		if got := timer.Interval(); got != seconds(want) {
			t.Errorf("%v, want %vs", got, want)
		}
	}
	check(0.1)
	timer.Success()
	check(0.1)
	timer.Failure()
	check(3.187425)
	timer.Failure()
	check(6.27485)
	timer.Success()
	check(3.187425)
	fail(timer, 25)
	check(32.41305)
}

func TestTimer_LeavesAfterAsManySuccesses(t *testing.T) { // 209
	for maxSeconds := 1; maxSeconds <= 300; maxSeconds++ {
		timer := NewTimer(TimerOptions{Max: time.Duration(maxSeconds) * time.Second})
		for k := 1; k <= 250; k++ {
			fail(timer, k)
			succeed(timer, k-1)
			if timer.Level() != 1 || timer.Interval() == 0 {
				t.Fatalf("max %ds: out of backoff one success before %d", maxSeconds, k)
			}
			timer.Success()
			if timer.Level() != 0 || timer.Interval() != 0 {
				t.Fatalf("max %ds: %v left after %d failures and as many successes", maxSeconds, timer.Interval(), k)
			}
		}
	}
}

func TestTimer_NeverAboveTheMaximum(t *testing.T) { // 210
	for _, longest := range []time.Duration{1, 7, time.Millisecond, 128 * time.Second, 5000 * time.Hour, 1<<63 - 1} {
		timer := NewTimer(TimerOptions{Max: longest})
		last := time.Duration(0)
		for range 300 {
			timer.Failure()
			got := timer.Interval()
			if got > longest || got < last {
				t.Fatalf("max %v: interval %v after %v", longest, got, last)
			}
			last = got
		}
		if diff := longest - last; diff != 0 {
			t.Errorf("max %v: %v missing when full", longest, diff)
		}
	}
}

func TestTimer_NoSpan(t *testing.T) { // 213
	timer := NewTimer(TimerOptions{Min: time.Second, Max: time.Millisecond})
	fail(timer, 3)
	if got := timer.Interval(); got != time.Second {
		t.Errorf("interval %v, want the minimum", got)
	}
}

func TestExponential_Doubles(t *testing.T) { // 211
	for n, want := range map[int]time.Duration{0: 1, 1: 2, 3: 8, 5: 32} {
		if got := double(time.Second, n); got != want*time.Second {
			t.Errorf("level %d: %v, want %vs", n, got, int(want))
		}
	}
	if got := double(time.Hour, 60); got != 1<<63-1 {
		t.Errorf("overflow: %v", got)
	}
}

func TestExponential_StopsBelowTheMaximum(t *testing.T) {
	e := NewExponential(time.Second, 2*time.Minute)
	if e.Interval() != 0 {
		t.Errorf("interval %v at level 0", e.Interval())
	}
	e.Failure()
	if e.Interval() != 2*time.Second {
		t.Errorf("first pause %v, want 2s", e.Interval())
	}
	fail(e, 20)
	if e.Level() != 6 || e.Interval() != 64*time.Second {
		t.Errorf("level %d, interval %v; want 6, 64s because 128s is more than 2m", e.Level(), e.Interval())
	}
	succeed(e, 6)
	if e.Level() != 0 || e.Interval() != 0 {
		t.Errorf("level %d, interval %v after six successes", e.Level(), e.Interval())
	}
	e.Success()
	if e.Level() != 0 {
		t.Errorf("level %d below the lowest", e.Level())
	}
}

func TestExponential_FirstStepIsAlwaysTaken(t *testing.T) {
	e := NewExponential(time.Second, 500*time.Millisecond)
	fail(e, 3)
	if e.Level() != 1 || e.Interval() != 500*time.Millisecond {
		t.Errorf("level %d, interval %v; want 1, 500ms", e.Level(), e.Interval())
	}
}

func TestJitter_StaysInItsBoundAndRepeats(t *testing.T) { // 212
	for name, make := range map[string]func(random *rand.Rand) *Jitter{
		"full":  func(random *rand.Rand) *Jitter { return NewFullJitter(time.Second, 2*time.Minute, random) },
		"equal": func(random *rand.Rand) *Jitter { return NewEqualJitter(time.Second, 2*time.Minute, random) },
	} {
		run := func() (all []time.Duration) {
			random := rand.New(rand.NewPCG(1, 2))
			f := make(random)
			for range 1000 {
				if random.IntN(3) == 0 {
					f.Success()
				} else {
					f.Failure()
				}
				got, bound, least := f.Interval(), f.bound.Interval(), time.Duration(0)
				if name == "equal" {
					least = bound / 2
				}
				if got < least || got > 0 && got >= bound {
					t.Fatalf("%s: level %d: interval %v, bound %v", name, f.Level(), got, bound)
				}
				if f.Interval() != got {
					t.Fatalf("%s: the interval changed without a step", name)
				}
				all = append(all, got)
			}
			return all
		}
		a, b := run(), run()
		distinct := map[time.Duration]bool{}
		for i := range a {
			if a[i] != b[i] {
				t.Fatalf("%s: step %d: %v and %v from one seed", name, i, a[i], b[i])
			}
			distinct[a[i]] = true
		}
		if len(distinct) < 500 {
			t.Errorf("%s: only %d distinct intervals in 1000 steps", name, len(distinct))
		}
	}
}

func TestCustom_AsksOncePerStep(t *testing.T) {
	asked := 0
	c := NewCustom(func(level int) time.Duration {
		asked++
		return time.Duration(level-2) * time.Second // negative, 0, 1 s ...
	}, 3*time.Second)
	for i, want := range []time.Duration{0, 0, 1, 2, 3, 3, 3} {
		c.Failure()
		if got, again := c.Interval(), c.Interval(); got != want*time.Second || got != again || asked != i+1 {
			t.Errorf("failure %d: interval %v, want %vs; asked %d times", i+1, c.Interval(), int(want), asked)
		}
	}
	if c.Level() != 5 {
		t.Errorf("level %d, want 5: it stops where the longest interval is reached", c.Level())
	}
	succeed(c, 7)
	if c.Level() != 0 || c.Interval() != 0 {
		t.Errorf("level %d, interval %v after as many successes", c.Level(), c.Interval())
	}
	short := NewCustom(func(int) time.Duration { return 0 }, time.Second)
	fail(short, 2000)
	if short.Level() != maxCustom {
		t.Errorf("level %d is not bounded", short.Level())
	}
}

func TestStrategy_UnitZeroYieldsZero(t *testing.T) { // 213
	for _, s := range []Strategy{
		NewExponential(0, time.Minute),
		NewFullJitter(0, time.Minute, rand.New(rand.NewPCG(1, 2))),
		NewEqualJitter(0, time.Minute, rand.New(rand.NewPCG(1, 2))),
		NewTimer(TimerOptions{Max: 1}),
		Off{},
	} {
		fail(s, 100)
		if _, ok := s.(*Timer); !ok && s.Interval() != 0 {
			t.Errorf("%T: interval %v", s, s.Interval())
		}
		succeed(s, 300)
		if s.Level() != 0 || s.Interval() != 0 {
			t.Errorf("%T: level %d, interval %v in the end", s, s.Level(), s.Interval())
		}
	}
}

func TestOff_NeverBacksOff(t *testing.T) {
	var o Off
	o.Failure()
	if o.Level() != 0 || o.Interval() != 0 {
		t.Errorf("level %d, interval %v", o.Level(), o.Interval())
	}
}

func TestReconnect_GrowsToItsMaximumAndStartsAgain(t *testing.T) {
	now := time.Unix(0, 0)
	r := NewReconnect(ReconnectOptions{Jitter: -1}, func() time.Time { return now }, nil)
	want := 50 * time.Millisecond
	for i := range 20 {
		if got := r.Next(); got != want {
			t.Fatalf("delay %d is %v, want %v", i, got, want)
		}
		want = min(2*want, 30*time.Second)
		now = now.Add(time.Hour) // it never gives up, however long it takes
	}
	if r.Attempts() != 20 {
		t.Errorf("%d attempts, want 20", r.Attempts())
	}
	r.Reset()
	if got := r.Next(); got != 50*time.Millisecond || r.Attempts() != 1 {
		t.Errorf("after a reset %v, attempts %d", got, r.Attempts())
	}
}

func TestReconnect_JitterRepeatsWithItsSeed(t *testing.T) {
	run := func() (all []time.Duration) {
		r := NewReconnect(ReconnectOptions{Initial: time.Second, Max: 8 * time.Second, Multiplier: 2, Jitter: 0.5},
			func() time.Time { return time.Unix(0, 0) }, rand.New(rand.NewPCG(3, 4)))
		for i := range 100 {
			middle := min(time.Second<<min(i, 3), 8*time.Second)
			got := r.Next()
			if got < middle/2 || got > min(middle*3/2, 8*time.Second) {
				t.Fatalf("delay %d is %v, more than half away from %v", i, got, middle)
			}
			all = append(all, got)
		}
		return all
	}
	a, b := run(), run()
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("delay %d: %v and %v from one seed", i, a[i], b[i])
		}
	}
	if a[0] == time.Second && a[1] == 2*time.Second {
		t.Error("no jitter")
	}
}

func TestReconnect_InitialAboveTheMaximum(t *testing.T) {
	r := NewReconnect(ReconnectOptions{Initial: time.Minute, Max: time.Second, Jitter: -1}, func() time.Time { return time.Unix(0, 0) }, nil)
	if got := r.Next(); got != time.Second {
		t.Errorf("delay %v, want the maximum", got)
	}
}
