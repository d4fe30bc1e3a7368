package server

import (
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
)

// must runs an action of the HTTP API on the loop.
func (w *world) must(f func() error) {
	w.t.Helper()
	w.do(func() {
		if err := f(); err != nil {
			w.t.Error(err)
		}
	})
}

func TestPause_ChannelDeliversNothing(t *testing.T) {
	w := newWorld(t, Options{})
	w.publish("t", "in flight")
	p := w.subscribe("t", "c", 2)
	m := p.message("in flight", 1)
	ch := w.s.topic("t").channel("c")
	w.must(func() error { return ch.pause(true) })
	w.publish("t", "x")
	p.want()
	if st := w.channel("t", "c"); !st.Paused || st.Depth != 1 {
		t.Errorf("paused: %+v", st)
	}
	p.touch(m)
	p.fin(m)
	p.want()
	w.must(func() error { return ch.pause(false) })
	p.want("x/1")
}

func TestPause_TopicHoldsItsMessages(t *testing.T) {
	w := newWorld(t, Options{})
	w.publish("t", "before")
	p := w.subscribe("t", "c", 1)
	m := p.message("before", 1)
	top := w.s.topic("t")
	w.must(func() error { return top.pause(true) })
	w.publish("t", "x")
	p.req(m, 0)
	m = p.message("before", 2)
	p.fin(m)
	p.want()
	if st := w.topic("t"); !st.Paused || st.Depth != 1 || st.Channels[0].Depth != 0 {
		t.Errorf("paused: %+v", st)
	}
	w.must(func() error { return top.pause(false) })
	p.want("x/1")
	if st := w.topic("t"); st.Paused || st.Depth != 0 {
		t.Errorf("not paused: %+v", st)
	}
}

func TestPause_DeferredAndTimedOutComeBack(t *testing.T) {
	w := newWorld(t, Options{MsgTimeout: time.Second})
	w.publish("t", "a", "b")
	p := w.subscribe("t", "c", 2)
	ms := p.messages(2)
	ch := w.s.topic("t").channel("c")
	w.must(func() error { return ch.pause(true) })
	p.req(ms[0], 500*time.Millisecond)
	w.sleep(time.Second)
	p.want()
	if st := w.channel("t", "c"); st.Depth != 2 || st.InFlightCount != 0 || st.DeferredCount != 0 {
		t.Errorf("after their time: %+v", st)
	}
	w.must(func() error { return ch.pause(false) })
	p.messages(2)
}

func TestEmpty_ChannelDropsEverything(t *testing.T) {
	w := newWorld(t, Options{})
	w.publish("t", "1", "2", "3", "4")
	p := w.subscribe("t", "c", 2)
	ms := p.messages(2)
	p.req(ms[0], time.Minute)
	p.messages(1)
	ch := w.s.topic("t").channel("c")
	w.do(ch.empty)
	st := w.channel("t", "c")
	if st.Depth != 0 || st.InFlightCount != 0 || st.DeferredCount != 0 || st.MessageCount != 4 || st.Clients[0].InFlightCount != 0 {
		t.Errorf("after empty: %+v", st)
	}
	p.fin(ms[1])
	p.want("E_FIN_FAILED FIN " + ms[1].ID.String() + " failed ID not in flight")
	w.publish("t", "5", "6", "7")
	p.want("5/1", "6/1")
}

func TestEmpty_TopicLeavesItsChannelsAlone(t *testing.T) {
	w := newWorld(t, Options{})
	w.subscribe("t", "c", 0)
	w.publish("t", "given")
	top := w.s.topic("t")
	w.must(func() error { return top.pause(true) })
	w.publish("t", "held", "held too")
	w.do(top.empty)
	w.must(func() error { return top.pause(false) })
	if st := w.topic("t"); st.Depth != 0 || st.Channels[0].Depth != 1 || st.MessageCount != 3 {
		t.Errorf("after empty: %+v", st)
	}
}

func TestDelete_ChannelClosesItsSubscribers(t *testing.T) {
	w := newWorld(t, Options{})
	w.publish("t", "x")
	a, b := w.subscribe("t", "c", 1), w.subscribe("t", "c", 0)
	other := w.subscribe("t", "other", 1)
	a.message("x", 1)
	top := w.s.topic("t")
	w.do(func() { top.deleteChannel(top.channel("c")) })
	a.wantClosed()
	b.wantClosed()
	if other.closed() || w.names() != "t(other)" {
		t.Errorf("closed %v, topics %s", other.closed(), w.names())
	}
	// The last one gone, the topic keeps what comes, for the next one.
	w.do(func() { top.deleteChannel(top.channel("other")) })
	w.publish("t", "kept")
	if d := w.topic("t").Depth; d != 1 {
		t.Errorf("depth %d without channels, want 1", d)
	}
	w.subscribe("t", "c", 1).want("kept/1")
}

func TestDelete_TopicClosesSubscribersNotPublishers(t *testing.T) {
	w := newWorld(t, Options{})
	pub := w.dial()
	pub.pub("t", "x")
	pub.want("OK")
	a, b := w.subscribe("t", "a", 0), w.subscribe("t", "b", 0)
	w.must(func() error { return w.s.deleteTopic(w.s.topic("t")) })
	a.wantClosed()
	b.wantClosed()
	if w.names() != "" {
		t.Errorf("topics %s are left", w.names())
	}
	pub.pub("t", "y")
	pub.want("OK")
	if got := pub.c.stats("t").PubCounts; len(got) != 1 || got[0].Count != 2 {
		t.Errorf("pub_counts %v, want 2 for t", got)
	}
	if st := w.topic("t"); st.Depth != 1 || st.MessageCount != 1 {
		t.Errorf("the new topic: %+v", st)
	}
}

func TestEphemeral_ChannelGoesWithItsLastClient(t *testing.T) {
	w := newWorld(t, Options{})
	a, b := w.subscribe("t", "c#ephemeral", 0), w.subscribe("t", "c#ephemeral", 0)
	a.hangUp()
	if w.names() != "t(c#ephemeral)" {
		t.Errorf("with one client left: %s", w.names())
	}
	b.hangUp()
	if w.names() != "t()" {
		t.Errorf("with no client left: %s", w.names())
	}
	w.subscribe("t", "c#ephemeral", 0)
	if w.names() != "t(c#ephemeral)" {
		t.Errorf("subscribed again: %s", w.names())
	}
}

// A SUB in the turn in which the last client goes finds the channel alive.
func TestEphemeral_SubInTheTurnOfTheRemoval(t *testing.T) {
	w := newWorld(t, Options{})
	a := w.subscribe("t", "c#ephemeral", 0)
	b := w.dial()
	w.do(func() {
		a.c.OnClose(nil)
		b.c.OnData(wire.AppendSub(nil, "t", "c#ephemeral"))
	})
	b.want("OK")
	if w.names() != "t(c#ephemeral)" || len(w.s.topics[0].channels[0].subscribers) != 1 {
		t.Errorf("topics %s", w.names())
	}
}

func TestEphemeral_ChannelDropsWhatItCannotHold(t *testing.T) {
	w := newWorld(t, Options{MemQueueSize: 3})
	p := w.subscribe("t", "c#ephemeral", 0)
	w.publish("t", "1", "2", "3", "4", "5")
	if st := w.channel("t", "c#ephemeral"); st.Depth != 3 || st.BackendDepth != 0 || st.MessageCount != 5 {
		t.Errorf("depth %d, backend_depth %d, message_count %d; want 3, 0, 5", st.Depth, st.BackendDepth, st.MessageCount)
	}
	p.rdy(10)
	p.want("1/1", "2/1", "3/1")
}

func TestEphemeral_NeverSubscribedStays(t *testing.T) {
	w := newWorld(t, Options{})
	w.must(func() error {
		top, err := w.s.createTopic("t#ephemeral")
		if err == nil {
			_, err = top.createChannel("c#ephemeral")
		}
		return err
	})
	w.sleep(time.Hour)
	if w.names() != "t#ephemeral(c#ephemeral)" {
		t.Errorf("topics %s", w.names())
	}
}

func TestEphemeral_TopicGoesWithItsLastChannel(t *testing.T) {
	w := newWorld(t, Options{})
	w.publish("t#ephemeral", "x")
	w.sleep(time.Hour)
	if w.names() != "t#ephemeral()" {
		t.Errorf("without ever a channel: %s", w.names())
	}
	a := w.subscribe("t#ephemeral", "a#ephemeral", 1)
	b := w.subscribe("t#ephemeral", "b", 1)
	a.want("x/1")
	a.hangUp()
	b.hangUp()
	if w.names() != "t#ephemeral(b)" {
		t.Errorf("an ordinary channel holds it: %s", w.names())
	}
	w.do(func() { top := w.s.topics[0]; top.deleteChannel(top.channels[0]) })
	if w.names() != "" {
		t.Errorf("with no channel left: %s", w.names())
	}
}

func TestNames_InvalidOnesAreNotCreated(t *testing.T) {
	w := newWorld(t, Options{})
	w.do(func() {
		if _, err := w.s.createTopic("a b"); err == nil {
			t.Error("topic \"a b\" was created")
		}
		top, err := w.s.createTopic("t")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := top.createChannel("#ephemeral"); err == nil {
			t.Error("channel \"#ephemeral\" was created")
		}
	})
	if w.names() != "t()" {
		t.Errorf("topics %s", w.names())
	}
}
