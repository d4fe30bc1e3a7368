package reader

import (
	"flag"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/loop/looptest"
	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/writer"
)

var outageSeeds = flag.Int("outages", 3, "how many seeds TestReader_IsBackAfterEachFault goes through for each fault")

// outage is one run: a server, somebody who publishes all the time and whom no
// fault concerns unless the server itself goes, and a reader.
type outage struct {
	*world
	nsqd *looptest.Loop
	r    *Reader
	last time.Time // when the reader's handler had a message last
}

const (
	every = 20 * time.Millisecond // a message is published
	calm  = 5 * time.Second       // before a fault begins
)

func newOutage(t *testing.T, seed uint64, discovered bool, heartbeat time.Duration) *outage {
	t.Helper()
	w := &outage{world: newWorld(t, looptest.Options{Seed: seed})}
	w.serve()
	pub := w.Loop("publisher")
	p, err := writer.New(pub, writer.Options{NSQDs: []string{"nsqd:4150"}})
	if err != nil {
		t.Fatal(err)
	}
	pub.Every(every, func() { p.Publish("t", []byte("x"), nil) })
	o := Options{
		Topic: "t", Channel: "c", MaxInFlight: 10,
		Client:     client.Options{HeartbeatInterval: heartbeat},
		HTTPClient: &http.Client{Transport: w.lookups},
		Handler:    func(*Message) error { w.last = w.Now(); return nil },
	}
	if discovered {
		w.lookups.Name("l:4161", "nsqd:4150")
		o.Lookupds = []string{"l:4161"}
	} else {
		o.NSQDs = []string{"nsqd:4150"}
	}
	if w.r, err = New(w.l, o); err != nil {
		t.Fatal(err)
	}
	w.Run(calm + time.Duration(w.l.Rand().IntN(1000))*time.Millisecond)
	return w
}

// serve starts the server, at first and after it has gone.
func (w *outage) serve() {
	w.nsqd = w.Loop("nsqd")
	if _, err := server.New(w.nsqd, server.Options{TCPAddress: ":4150"}); err != nil {
		w.t.Fatal(err)
	}
}

// each does f to the reader's connections again and again for d.
func (w *outage) each(d time.Duration, f func(k *looptest.Link)) {
	for end := w.Now().Add(d); w.Now().Before(end); {
		for _, k := range w.Links("reader", "nsqd") {
			f(k)
		}
		w.Run(time.Duration(100+w.l.Rand().IntN(200)) * time.Millisecond)
	}
}

// faults are those that the reader is measured against. Each returns when it
// has ended. most is within what time the reader is back.
var faults = []struct {
	name      string
	heartbeat time.Duration // 0: the default
	most      time.Duration
	do        func(w *outage)
}{
	{"none", 0, time.Second, func(w *outage) {}},
	{"resets for 5 s", 0, time.Second, func(w *outage) { w.each(5*time.Second, (*looptest.Link).Reset) }},
	{"cut within frames for 5 s", 0, time.Second, func(w *outage) {
		w.each(5*time.Second, func(k *looptest.Link) { k.ResetAfter(1 + w.l.Rand().IntN(100)) })
	}},
	{"refused for 5 s", 0, time.Second, func(w *outage) {
		w.SetFaults(looptest.Faults{Refuse: 1})
		w.each(5*time.Second, (*looptest.Link).Reset)
		w.SetFaults(looptest.Faults{})
	}},
	{"refused for 9 s", 0, time.Second, func(w *outage) {
		w.SetFaults(looptest.Faults{Refuse: 1})
		w.each(9*time.Second, (*looptest.Link).Reset)
		w.SetFaults(looptest.Faults{})
	}},
	{"refused for 75 s", 0, time.Second, func(w *outage) {
		w.SetFaults(looptest.Faults{Refuse: 1})
		w.each(75*time.Second, (*looptest.Link).Reset)
		w.SetFaults(looptest.Faults{})
	}},
	{"dials without answer for 5 s", 0, time.Second, func(w *outage) {
		w.SetFaults(looptest.Faults{Timeout: 1})
		w.each(5*time.Second, (*looptest.Link).Reset)
		w.SetFaults(looptest.Faults{})
	}},
	{"dials without answer for 75 s", 0, time.Second, func(w *outage) {
		w.SetFaults(looptest.Faults{Timeout: 1})
		w.each(75*time.Second, (*looptest.Link).Reset)
		w.SetFaults(looptest.Faults{})
	}},
	{"no route for 10 s", 0, time.Second, func(w *outage) { w.apart(10 * time.Second) }},
	{"no route for 75 s", 0, time.Second, func(w *outage) { w.apart(75 * time.Second) }},
	{"no route for 10 s, heartbeats of 1 s", time.Second, time.Second, func(w *outage) { w.apart(10 * time.Second) }},
	{"no route for 75 s, heartbeats of 1 s", time.Second, time.Second, func(w *outage) { w.apart(75 * time.Second) }},
	{"answers lost for 8 s", 0, time.Second, func(w *outage) { w.deaf("nsqd", 8*time.Second) }},
	{"messages lost for 8 s", 0, time.Second, func(w *outage) { w.deaf("reader", 8*time.Second) }},
	{"server stopped, 2 s gap", 0, time.Second, func(w *outage) {
		if err := w.nsqd.Shutdown(time.Minute); err != nil {
			w.t.Fatal(err)
		}
		w.Run(2 * time.Second)
		w.serve()
	}},
	{"server killed, 2 s gap", 0, time.Second, func(w *outage) {
		w.Crash(w.nsqd)
		w.Run(2 * time.Second)
		w.serve()
	}},
	// The time counts from the fault itself: nobody is told of it.
	{"connection dead, heartbeats of 1 s", time.Second, 3200 * time.Millisecond, func(w *outage) {
		for _, k := range w.Links("reader", "nsqd") {
			k.Vanish()
		}
	}},
}

func (w *outage) apart(d time.Duration) {
	w.Partition("reader", "nsqd")
	w.Run(d)
	w.Heal("reader", "nsqd")
}

func (w *outage) deaf(name string, d time.Duration) {
	links := w.Links("reader", "nsqd")
	for _, k := range links {
		k.Deaf(name, true)
	}
	w.Run(d)
	for _, k := range links {
		k.Deaf(name, false)
	}
}

// TestReader_IsBackAfterEachFault measures from the end of a fault to the next
// message, for an nsqd that was configured and for one that was discovered.
func TestReader_IsBackAfterEachFault(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			var back []time.Duration
			for i := range *outageSeeds * 2 {
				w := newOutage(t, uint64(1+i/2), i%2 == 1, f.heartbeat)
				f.do(w)
				end := w.Now()
				if !w.RunUntil(func() bool { return w.last.After(end) }, time.Minute) {
					t.Fatalf("seed %d: nothing for a minute", 1+i/2)
				}
				back = append(back, w.last.Sub(end))
			}
			slices.Sort(back)
			at := func(percent int) time.Duration { return back[(len(back)-1)*percent/100].Round(time.Millisecond) }
			t.Logf("back after %v (median), %v (99 of 100), %v (worst of %d)", at(50), at(99), at(100), len(back))
			if at(100) > f.most {
				t.Errorf("back after %v, want %v: %s", at(100), f.most, fmt.Sprint(back))
			}
		})
	}
}

// TestReader_NoticesASilentNSQD: one that hangs, and whose system goes on for it, is
// noticed by heartbeats alone, after two to two and a half intervals without a
// byte. Messages come until it hangs here; without them the last byte may have been
// a heartbeat, up to an interval before that.
func TestReader_NoticesASilentNSQD(t *testing.T) {
	for _, row := range []struct{ heartbeat, least, most time.Duration }{
		{time.Second, 2 * time.Second, 2500 * time.Millisecond},
		{0, 60 * time.Second, 75 * time.Second}, // by default
	} {
		for seed := range uint64(10) {
			w := newOutage(t, seed+1, false, row.heartbeat)
			for _, k := range w.Links("reader", "nsqd") {
				k.Vanish()
			}
			began := w.Now()
			w.within(2*time.Minute, "that it is gone", func() bool { return len(w.r.ready.slots) == 0 })
			if d := w.Now().Sub(began); d < row.least-every || d > row.most {
				t.Errorf("seed %d, heartbeat %v: noticed after %v, want %v to %v", seed+1, row.heartbeat, d, row.least, row.most)
			}
		}
	}
}
