package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
)

func TestDelivery_NothingBeforeRDY(t *testing.T) {
	w := newWorld(t, Options{})
	w.publish("t", "x")
	p := w.dial()
	p.send(wire.AppendSub(nil, "t", "c"))
	p.want("OK")
	p.sendString("RDY\n") // no parameter means 1
	p.want("x/1")
	if p.c.rdy != 1 {
		t.Errorf("ready count %d, want 1", p.c.rdy)
	}
	p.sendString("RDY \n") // an empty one means 0
	if p.c.rdy != 0 {
		t.Errorf("ready count %d, want 0", p.c.rdy)
	}
}

// RDY is a ceiling on what is in flight, not a credit.
func TestDelivery_ReadyCountIsACeiling(t *testing.T) {
	w := newWorld(t, Options{})
	w.publish("t", "1", "2", "3", "4", "5", "6")
	p := w.subscribe("t", "c", 2)
	ms := p.messages(2)
	p.want()
	p.fin(ms[0])
	p.want("3/1")
	p.req(ms[1], time.Minute)
	p.want("4/1")
	st := w.channel("t", "c")
	if st.InFlightCount != 2 || st.Depth != 2 || st.DeferredCount != 1 {
		t.Errorf("in flight %d, depth %d, deferred %d; want 2, 2, 1", st.InFlightCount, st.Depth, st.DeferredCount)
	}
	p.rdy(0)
	p.fin(ms[0])
	p.want("E_FIN_FAILED FIN " + ms[0].ID.String() + " failed ID not in flight")
	p.rdy(3)
	p.want("5/1")
}

func TestDelivery_LoweringReadyCountStopsDeliveries(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.subscribe("t", "c", 3)
	w.publish("t", "1", "2", "3", "4")
	ms := p.messages(3)
	p.rdy(1)
	p.fin(ms[0])
	p.fin(ms[1])
	p.want()
	p.fin(ms[2])
	p.want("4/1")
}

func TestDelivery_EveryChannelGetsEveryMessage(t *testing.T) {
	w := newWorld(t, Options{})
	a, b := w.subscribe("t", "a", 10), w.subscribe("t", "b", 10)
	w.publish("t", "x")
	ma, mb := a.message("x", 1), b.message("x", 1)
	if ma.ID != mb.ID || ma.Timestamp != mb.Timestamp {
		t.Errorf("channels see ids %s and %s", ma.ID, mb.ID)
	}
	if ma.Timestamp != w.l.at.UnixNano() {
		t.Errorf("timestamp %d, want that of the publish, %d", ma.Timestamp, w.l.at.UnixNano())
	}
	if s := ma.ID.String(); len(s) != 16 || strings.Trim(s, hexDigits) != "" {
		t.Errorf("id %q is not 16 lower-case hex digits", s)
	}
	a.fin(ma)
	if st := w.channel("t", "b"); st.InFlightCount != 1 {
		t.Errorf("a FIN in one channel reached the other")
	}
}

func TestDelivery_IDsAreUniqueAcrossTopics(t *testing.T) {
	w := newWorld(t, Options{})
	seen := map[wire.ID]bool{}
	for _, topic := range []string{"a", "b", "c"} {
		w.publish(topic, "1", "2", "3")
		for _, m := range w.subscribe(topic, "c", 10).messages(3) {
			if seen[m.ID] {
				t.Errorf("id %s twice", m.ID)
			}
			seen[m.ID] = true
		}
	}
}

// The first channel gets the backlog, later ones only what comes later.
func TestDelivery_FirstChannelGetsTheBacklog(t *testing.T) {
	w := newWorld(t, Options{})
	w.publish("t", "old")
	a := w.subscribe("t", "a", 10)
	b := w.subscribe("t", "b", 10)
	a.want("old/1")
	b.want()
	w.publish("t", "new")
	a.want("new/1")
	b.want("new/1")
	if d := w.topic("t").Depth; d != 0 {
		t.Errorf("topic depth %d, want 0", d)
	}
}

// What was published in the same turn, before the channel was made, belongs to
// the channels that were there.
func TestDelivery_LaterChannelDoesNotGetTheSameTurn(t *testing.T) {
	w := newWorld(t, Options{})
	w.subscribe("t", "a", 0)
	w.do(func() {
		top := w.s.topic("t")
		top.publish([][]byte{[]byte("x")}, 0, func(error) {})
		if _, err := top.createChannel("b"); err != nil {
			t.Error(err)
		}
	})
	if a, b := w.channel("t", "a").Depth, w.channel("t", "b").Depth; a != 1 || b != 0 {
		t.Errorf("depths %d and %d, want 1 and 0", a, b)
	}
}

// What is fresh behind very many messages that were published for later is
// found in several turns, so that nobody is held up.
func TestDelivery_PassesOverDeferredInSeveralTurns(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.subscribe("t", "c", 0)
	const most = 3*passBytes/(64<<10) + 1
	for range most {
		w.do(func() {
			w.s.topic("t").publish([][]byte{make([]byte, 64<<10)}, w.l.at.Add(time.Hour).UnixNano(), func(error) {})
		})
	}
	w.publish("t", "fresh")
	before := w.l.turns
	p.rdy(1)
	p.want("fresh/1")
	if n := w.l.turns - before; n < 4 {
		t.Errorf("%d messages of 64 KiB were passed over in %d turns, want 4 at least", most, n)
	}
}

func TestDelivery_SubscribersShareAChannel(t *testing.T) {
	w := newWorld(t, Options{})
	var ps []*peer
	for range 4 {
		ps = append(ps, w.subscribe("t", "c", 100))
	}
	var bodies []string
	for i := range 100 {
		bodies = append(bodies, fmt.Sprint(i))
	}
	pub := w.dial()
	var all [][]byte
	for _, b := range bodies {
		all = append(all, []byte(b))
	}
	pub.send(wire.AppendMPub(nil, "t", all))
	seen := map[string]bool{}
	for i, p := range ps {
		got := p.frames()
		if len(got) < 20 || len(got) > 30 {
			t.Errorf("subscriber %d got %d of 100 messages", i, len(got))
		}
		for _, m := range got {
			if seen[m] {
				t.Errorf("%s was delivered twice", m)
			}
			seen[m] = true
		}
	}
	if len(seen) != 100 {
		t.Errorf("%d of 100 messages were delivered", len(seen))
	}
	// One at a time, they take turns.
	for i := range 8 {
		w.publish("t", "single")
		if got := ps[i%4].frames(); len(got) != 1 {
			t.Errorf("message %d: subscriber %d got %d messages", i, i%4, len(got))
		}
	}
}

// nsqd keeps one percent more than was asked for, and what it drops is gone for
// the whole channel (341).
func TestDelivery_SampleRateDropsTheRest(t *testing.T) {
	w := newWorld(t, Options{MaxRdyCount: 10000})
	p := w.dial()
	p.identify(`{"sample_rate":42}`)
	p.send(wire.AppendRdy(wire.AppendSub(nil, "t", "c"), 10000))
	p.want("OK", "OK")
	pub := w.dial()
	for range 100 {
		pub.send(pubs("t", 100, 1))
	}
	n := len(p.frames())
	if n < 10000*41/100 || n > 10000*45/100 {
		t.Errorf("%d of 10000 messages at a sample rate of 42", n)
	}
	st := w.channel("t", "c")
	if st.Depth != 0 || st.InFlightCount != n || st.MessageCount != 10000 || st.RequeueCount != 0 {
		t.Errorf("after sampling: %+v", st)
	}
}

func TestDelivery_SampleRateOfOneKeepsTwoPercent(t *testing.T) {
	w := newWorld(t, Options{MaxRdyCount: 20000})
	p := w.dial()
	p.identify(`{"sample_rate":1}`)
	p.send(wire.AppendRdy(wire.AppendSub(nil, "t", "c"), 20000))
	p.want("OK", "OK")
	pub := w.dial()
	for range 200 {
		pub.send(pubs("t", 100, 1))
	}
	if n := len(p.frames()); n < 300 || n > 500 {
		t.Errorf("%d of 20000 messages at a sample rate of 1, want about 400", n)
	}
}

func TestDelivery_MaxChannelConsumersRefusesMore(t *testing.T) {
	w := newWorld(t, Options{MaxChannelConsumers: 2})
	a := w.subscribe("t", "c", 1)
	w.subscribe("t", "c", 1)
	p := w.dial()
	p.send(wire.AppendSub(nil, "t", "c"))
	p.wantClosed("E_SUB_FAILED SUB failed consumers for t:c exceeds limit of 2")
	a.hangUp()
	w.subscribe("t", "c", 1)
	w.subscribe("t", "other", 1)
}

func TestDelivery_SecondSubIsRefused(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.subscribe("t", "c", 1)
	p.send(wire.AppendSub(nil, "t", "d"))
	p.wantClosed("E_INVALID cannot SUB in current state")
}

func TestDelivery_SubscriberMayPublish(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.subscribe("t", "c", 1)
	p.pub("t", "to myself")
	p.want("OK", "to myself/1")
}

func TestDelivery_StatesAreNSQs(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dial()
	for _, step := range []struct {
		in    string
		state int
	}{{"NOP\n", 0}, {"SUB t c\n", 3}, {"CLS\n", 4}} {
		p.sendString(step.in)
		if got := p.c.stats("").State; got != step.state {
			t.Errorf("after %q the state is %d, want %d", step.in, got, step.state)
		}
	}
}
