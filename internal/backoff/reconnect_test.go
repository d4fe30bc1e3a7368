package backoff

import (
	"math/rand/v2"
	"testing"
	"time"
)

// The limit is varied downwards, what an attempt has taken counts, and the first
// delay is left in any case.
func TestReconnect_NextWithin(t *testing.T) {
	fresh := func(o ReconnectOptions) *Reconnect {
		return NewReconnect(o, func() time.Time { return time.Unix(0, 0) }, rand.New(rand.NewPCG(5, 6)))
	}
	const limit = 600 * time.Millisecond
	r := fresh(ReconnectOptions{})
	least, most := limit, time.Duration(0)
	for i := range 1000 {
		if d := r.NextWithin(limit, 0); i >= 10 {
			least, most = min(least, d), max(most, d)
		}
	}
	if least < 350*time.Millisecond || least > 370*time.Millisecond || most < 590*time.Millisecond || most > limit {
		t.Errorf("delays of %v to %v, want 360 to 600 ms", least, most)
	}
	if r.Attempts() != 1000 {
		t.Errorf("%d attempts, want 1000", r.Attempts())
	}
	for _, row := range []struct{ limit, took, want time.Duration }{
		{time.Hour, 0, 6400 * time.Millisecond},
		{time.Second, 0, time.Second},
		{time.Second, 300 * time.Millisecond, 700 * time.Millisecond},
		{time.Second, time.Second, 50 * time.Millisecond},
		{time.Second, time.Minute, 50 * time.Millisecond},
		{20 * time.Millisecond, time.Minute, 20 * time.Millisecond},
	} {
		r := fresh(ReconnectOptions{Jitter: -1})
		for range 7 {
			r.Next()
		}
		if got := r.NextWithin(row.limit, row.took); got != row.want {
			t.Errorf("limit %v, took %v: got %v, want %v", row.limit, row.took, got, row.want)
		}
	}
	r = fresh(ReconnectOptions{Max: 200 * time.Millisecond})
	for range 100 {
		if d := r.NextWithin(time.Hour, 0); d > 200*time.Millisecond {
			t.Fatalf("a delay of %v is above the maximum", d)
		}
	}
}

func TestOutage(t *testing.T) {
	for _, row := range []struct{ lasts, want time.Duration }{
		{0, 600 * time.Millisecond}, {time.Minute, 600 * time.Millisecond}, {100 * time.Second, time.Second}, {time.Hour, 36 * time.Second},
	} {
		if got := Outage(row.lasts); got != row.want {
			t.Errorf("after %v: got %v, want %v", row.lasts, got, row.want)
		}
	}
}
