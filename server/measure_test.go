package server

import (
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
)

// measured is a snapshot of what is counted.
func (w *world) measured() *measures { return w.s.measures.copy() }

func TestMeasure_LatencyIsFromPublishToFinish(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.subscribe("t", "c", 10)
	w.publish("t", "a", "b", "c")
	ms := p.messages(3)
	w.sleep(20 * time.Millisecond)
	p.fin(ms[0])
	p.req(ms[1], 0)
	again := p.message("b", 2)
	w.sleep(2 * time.Second)
	p.fin(again)
	p.sendString("NOP\n")
	got := w.measured()
	if got.e2e.n != 2 || got.e2e.sum < 2.04 || got.e2e.sum > 2.1 {
		t.Errorf("%d latencies, in all %v s; want 2, 2.04", got.e2e.n, got.e2e.sum)
	}
	for i, bound := range got.e2e.bounds {
		want := uint64(0)
		if bound == .025 || bound == 2.5 {
			want = 1
		}
		if got.e2e.counts[i] != want {
			t.Errorf("%d up to %v s, want %d", got.e2e.counts[i], bound, want)
		}
	}
}

// What leaves the air in another way is not measured, and holds no place.
func TestMeasure_FlightsAreForgotten(t *testing.T) {
	free := func(w *world) {
		t.Helper()
		for _, f := range w.s.measures.flights {
			if f.ch != nil {
				t.Errorf("message %d holds a place", f.seq)
			}
		}
	}
	w := newWorld(t, Options{MsgTimeout: time.Second, RequeueOnDisconnect: true})
	w.publish("t", "a", "b")
	p := w.subscribe("t", "c", 2)
	p.messages(2)
	p.rdy(0)
	w.sleep(2 * time.Second) // both time out
	free(w)

	p.rdy(2)
	p.messages(2)
	p.hangUp()
	w.sleep(time.Millisecond)
	free(w)

	q := w.subscribe("t", "c", 2)
	q.messages(2)
	w.do(func() { w.s.topic("t").channel("c").empty() })
	free(w)

	w.publish("t", "d")
	q.messages(1)
	w.do(func() { top := w.s.topic("t"); top.deleteChannel(top.channel("c")) })
	free(w)
}

// More messages in flight than places: the oldest keep theirs, and finishing
// the others is no error.
func TestMeasure_MoreFlightsThanPlaces(t *testing.T) {
	w := newWorld(t, Options{MaxRdyCount: 3 << flightBits})
	n := 2 << flightBits
	pub := w.dial()
	pub.send(pubs("t", n, 10))
	p := w.subscribe("t", "c", n)
	ms := p.messages(n)
	for _, m := range ms {
		p.fin(m)
	}
	p.sendString("NOP\n")
	got := w.measured().e2e.n
	if got < 1<<(flightBits-1) || got > 1<<flightBits {
		t.Errorf("%d of %d measured with %d places", got, n, 1<<flightBits)
	}
}

func TestMeasure_CommandsByHowTheyEnded(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.subscribe("t", "c", 1)
	p.sendString("FIN " + noID + "\n")
	p.frames()
	p.sendString("WHAT\n")
	p.frames()
	got := w.measured()
	for _, row := range []struct {
		verb             wire.Verb
		commands, failed uint64
	}{{wire.Sub, 1, 0}, {wire.Rdy, 1, 0}, {wire.Fin, 1, 1}, {0, 1, 1}} {
		if got.commands[row.verb] != row.commands || got.refused[row.verb] != row.failed {
			t.Errorf("%v: %d, of these refused %d; want %d, %d", row.verb, got.commands[row.verb], got.refused[row.verb], row.commands, row.failed)
		}
	}
}
