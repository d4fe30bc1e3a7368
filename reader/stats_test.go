package reader

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop/looptest"
)

// TestStats_WhyNothingComes makes every reason for a ready count of 0.
func TestStats_WhyNothingComes(t *testing.T) {
	var handler Handler
	var w *world
	var r *Reader
	var kept []*Message
	hold := func(m *Message) error { kept = append(kept, m); return Pending }
	setup := func(nsqds int, o Options) {
		w = newWorld(t, looptest.Options{Seed: 1})
		for i := range nsqds {
			w.broker(fmt.Sprintf("nsqd%d", i))
		}
		kept, handler = nil, hold
		o.Handler = func(m *Message) error { return handler(m) }
		r = w.reader(o)
		w.connected(r, nsqds)
	}
	want := func(what string, want ...Reason) {
		t.Helper()
		var got []Reason
		s := r.snapshot()
		for _, n := range s.NSQDs {
			got = append(got, n.Why)
			if (n.Ready > 0) != (n.Why == "") {
				t.Errorf("%s: a ready count of %d because %q", what, n.Ready, n.Why)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}

	setup(1, Options{MaxInFlight: 5})
	want("at first", "")
	w.l.Do(func() { r.Pause() })
	want("paused", ReasonPaused)
	w.l.Do(func() { r.Resume(); r.SetMaxInFlight(0) })
	want("without budget", ReasonNoBudget)
	w.l.Do(func() { r.SetMaxInFlight(5) })
	want("with one", "")
	w.brokers[0].send("x")
	w.Run(10 * time.Millisecond)
	w.l.Do(r.leave)
	want("leaving", ReasonLeaving)

	setup(1, Options{MaxRate: 1})
	handler = func(*Message) error { return nil }
	w.brokers[0].send("x")
	w.Run(100 * time.Millisecond)
	want("too fast", ReasonRate)
	if !r.snapshot().Held {
		t.Error("not held")
	}

	setup(2, Options{MaxInFlight: 5})
	handler = func(*Message) error { return errBoom }
	w.brokers[0].send("x")
	w.Run(100 * time.Millisecond)
	want("in a pause", ReasonBackoff, ReasonBackoff)
	if s := r.snapshot(); !s.Backoff || s.Level != 1 || !s.PauseEnds.After(w.Now()) || s.PauseEnds.After(w.Now().Add(4*time.Second)) {
		t.Errorf("%+v", s)
	}
	w.Run(4 * time.Second)
	s := r.snapshot()
	probe := s.NSQDs[0].Why + s.NSQDs[1].Why
	if probe != ReasonProbe || !s.PauseEnds.IsZero() {
		t.Errorf("after the pause: %+v", s)
	}

	setup(3, Options{MaxInFlight: 2})
	n := 0
	for _, ns := range r.snapshot().NSQDs {
		if ns.Why == ReasonTurn {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d connections wait for their turn, want 1: %+v", n, r.snapshot())
	}

	setup(2, Options{MaxInFlight: 2})
	w.l.Do(func() { r.SetMaxInFlight(4) })
	w.brokers[0].send("a")
	w.Run(time.Second)
	w.brokers[0].send("b", "c")
	w.Run(time.Second)
	w.l.Do(func() { r.SetMaxInFlight(2) })
	w.brokers[1].on(w.brokers[1].mock.Cut)
	w.Run(time.Second)
	w.connected(r, 2)
	want("others have it all", "", ReasonInFlight)
	w.l.Do(func() { kept[0].Finish() })
	w.Run(time.Second)
	want("one of them is answered", "", "")
}

func TestStats_WhyThereIsNoConnection(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	r := w.reader(Options{MaxInFlight: 3})
	w.connected(r, 1)
	ns := r.snapshot().NSQDs[0]
	if ns.State != "subscribed" || ns.Err != nil || ns.Share != 3 || ns.Limit != 2500 || ns.Ready != 1 {
		t.Errorf("%+v", ns)
	}
	b.on(b.mock.Stop)
	w.Run(time.Second)
	ns = r.snapshot().NSQDs[0]
	if ns.Why != ReasonNotSubscribed || ns.Err == nil || ns.Ready != 0 {
		t.Errorf("%+v", ns)
	}
	b.on(b.start)
	w.connected(r, 1)
	if ns = r.snapshot().NSQDs[0]; ns.Err != nil || ns.Why != "" {
		t.Errorf("%+v", ns)
	}
}
