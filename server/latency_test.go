package server

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestHistogram_IsWithinOnePercent(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2))
	for round := range 50 {
		var whole, a, b histogram
		var all []int64
		for range 1 + dice.IntN(3000) {
			// From microseconds to hours, every doubling as likely.
			ns := int64(math.Exp2(10 + 32*dice.Float64()))
			all = append(all, ns)
			whole.add(ns)
			if dice.IntN(2) == 0 {
				a.add(ns)
			} else {
				b.add(ns)
			}
		}
		a.merge(&b)
		slices.Sort(all)
		for _, q := range []float64{0.0001, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
			want := float64(all[max(int(math.Ceil(q*float64(len(all)))), 1)-1])
			got := whole.quantile(q)
			if math.Abs(got-want) > want/100 {
				t.Errorf("round %d: quantile %v of %d is %v, want %v", round, q, len(all), got, want)
			}
			if got != a.quantile(q) {
				t.Errorf("round %d: quantile %v of the halves is %v, of the whole %v", round, q, a.quantile(q), got)
			}
		}
	}
}

func TestHistogram_Edges(t *testing.T) {
	var h histogram
	if got := h.quantile(0.5); got != 0 {
		t.Errorf("quantile of nothing is %v", got)
	}
	for _, ns := range []int64{0, math.MaxInt64, latencyFirst - 1, latencyFirst, 1 << 40} {
		h.add(ns)
	}
	if got := h.quantile(1); got != math.MaxInt64 {
		t.Errorf("the largest is %v", got)
	}
	if got := h.quantile(0.4); got != latencyFirst/2 {
		t.Errorf("the smallest are %v", got)
	}
	for ns := int64(latencyFirst - 2); ns < 5*latencyFirst; ns++ {
		if d := latencyBucket(ns+1) - latencyBucket(ns); d != 0 && d != 1 {
			t.Fatalf("from %d to %d are %d buckets", ns, ns+1, d)
		}
	}
	if n := latencyBucket(math.MaxInt64); n > 4000 {
		t.Errorf("%d buckets", n)
	}
}

func TestLatency_OfChannelAndTopic(t *testing.T) { // 270
	w := newWorld(t, Options{E2EProcessingLatencyPercentiles: []float64{0.5, 1}, E2EProcessingLatencyWindowTime: time.Minute})
	near := func(got float64, want time.Duration) bool { return math.Abs(got-float64(want)) <= float64(want)/100 }
	c, d := w.subscribe("t", "c", 10), w.subscribe("t", "d", 10)
	w.publish("t", "x", "y")
	cs, ds := c.messages(2), d.messages(2)
	w.sleep(time.Second)
	c.fin(cs[0])
	w.sleep(time.Second)
	c.fin(cs[1])
	w.sleep(2 * time.Second)
	d.fin(ds[0])
	d.req(ds[1], 0)
	d.frames()
	st := w.topic("t")
	e := st.Channels[0].E2E
	if e.Count != 2 || len(e.Percentiles) != 2 || e.Percentiles[0].Quantile != 1 || e.Percentiles[1].Quantile != 0.5 ||
		!near(e.Percentiles[0].Value, 2*time.Second) || !near(e.Percentiles[1].Value, time.Second) {
		t.Errorf("channel c: %+v", e)
	}
	if e := st.Channels[1].E2E; e.Count != 1 || !near(e.Percentiles[1].Value, 4*time.Second) {
		t.Errorf("channel d: %+v", e)
	}
	if e := st.E2E; e.Count != 3 || !near(e.Percentiles[0].Value, 4*time.Second) || !near(e.Percentiles[1].Value, 2*time.Second) {
		t.Errorf("topic: %+v", e)
	}
	all := w.s.snapshot(StatsOptions{})
	if text := all.text(); !strings.Contains(text, "e2e%: 2s, ") {
		t.Errorf("text: %s", text)
	}
	if e := w.s.snapshot(StatsOptions{Channel: "c"}).Topics[0].E2E; e.Count != 3 {
		t.Errorf("topic, filtered for a channel: %+v", e)
	}

	// Half a window later it is still there, a whole one later it is not.
	w.sleep(29 * time.Second)
	if e := w.topic("t").E2E; e.Count != 3 {
		t.Errorf("after half a window: %+v", e)
	}
	w.sleep(31 * time.Second)
	if e := w.topic("t").E2E; e.Count != 0 || len(e.Percentiles) != 2 || e.Percentiles[0].Value != 0 {
		t.Errorf("after a window: %+v", e)
	}
}

func TestLatency_ForgetsWhatIsNotInFlight(t *testing.T) {
	w := newWorld(t, Options{E2EProcessingLatencyPercentiles: []float64{1}, MsgTimeout: time.Second, RequeueOnDisconnect: true})
	w.publish("t", "a", "b", "c")
	sent := func() int { return len(w.s.topic("t").channel("c").latencies.sent) }
	p := w.subscribe("t", "c", 3)
	p.messages(3)
	if n := sent(); n != 3 {
		t.Fatalf("%d in flight, want 3", n)
	}
	p.rdy(0)
	w.sleep(time.Second)
	if n := sent(); n != 0 {
		t.Errorf("%d in flight after the timeout", n)
	}
	p.rdy(2)
	p.messages(2)
	p.hangUp()
	if n := sent(); n != 0 {
		t.Errorf("%d in flight after the client has gone", n)
	}
	w.subscribe("t", "c", 3)
	w.do(func() { w.s.topic("t").channel("c").empty() })
	if n := sent(); n != 0 {
		t.Errorf("%d in flight in an empty channel", n)
	}
}

func TestLatency_NothingIsMeasuredUnasked(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.subscribe("t", "c", 1)
	w.publish("t", "x")
	p.fin(p.message("x", 1))
	if st := w.topic("t"); st.E2E.Percentiles != nil || st.Channels[0].E2E.Percentiles != nil || st.Channels[0].E2E.Count != 0 {
		t.Errorf("measured: %+v", st)
	}
}

func TestLatency_QuantilesAreChecked(t *testing.T) { // 219
	for _, q := range []float64{0, -1, 2, math.NaN()} {
		if _, err := New(newBareLoop(), Options{E2EProcessingLatencyPercentiles: []float64{0.9, q}}); err == nil || !strings.Contains(err.Error(), fmt.Sprint(q)) {
			t.Errorf("quantile %v: %v", q, err)
		}
	}
}
