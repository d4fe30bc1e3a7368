package server

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
)

func TestPublish_CountsAndKeepsDepthOnTheTopic(t *testing.T) {
	w := newWorld(t, Options{MemQueueSize: 2})
	p := w.dial()
	p.pub("t", "one")
	p.want("OK")
	p.send(wire.AppendMPub(nil, "t", [][]byte{[]byte("two"), []byte("three")}))
	p.want("OK")
	p.send(wire.AppendDPub(nil, "t", 0, []byte("four")))
	p.want("OK")
	st := w.topic("t")
	if st.MessageCount != 4 || st.MessageBytes != 15 || st.Depth != 4 || st.BackendDepth != 2 {
		t.Errorf("message_count %d, message_bytes %d, depth %d, backend_depth %d; want 4, 15, 4, 2", st.MessageCount, st.MessageBytes, st.Depth, st.BackendDepth)
	}
	all := w.s.snapshot(StatsOptions{})
	if len(all.Producers) != 1 || len(all.Producers[0].PubCounts) != 1 || all.Producers[0].PubCounts[0] != (PubCount{"t", 4}) {
		t.Errorf("producers are %+v", all.Producers)
	}
	if all.Connections != 1 {
		t.Errorf("%d connections, want 1", all.Connections)
	}
}

func TestPublish_ManyTopicsOnOneConnection(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dial()
	var in []byte
	for range 3 {
		for _, topic := range []string{"a", "b", "c"} {
			in = wire.AppendPub(in, topic, []byte(topic))
		}
	}
	p.send(in)
	p.want(strings.Split(strings.Repeat("OK ", 9), " ")[:9]...)
	for _, topic := range []string{"a", "b", "c"} {
		if n := w.topic(topic).MessageCount; n != 3 {
			t.Errorf("topic %s has %d messages, want 3", topic, n)
		}
		if got := p.c.stats(topic).PubCounts; len(got) != 1 || got[0] != (PubCount{topic, 3}) {
			t.Errorf("pub_counts for %s are %v", topic, got)
		}
	}
}

func TestPublish_AnyByteSurvives(t *testing.T) {
	w := newWorld(t, Options{})
	body := make([]byte, 512)
	for i := range body {
		body[i] = byte(i)
	}
	w.publish("t", string(body))
	w.subscribe("t", "c", 1).message(string(body), 1)
}

func TestPublish_LimitsAreExact(t *testing.T) {
	w := newWorld(t, Options{MaxMsgSize: 100})
	p := w.dial()
	p.pub("t", strings.Repeat("x", 100))
	p.want("OK")
	p.pub("t", strings.Repeat("x", 101))
	p.wantClosed("E_BAD_MESSAGE PUB message too big 101 > 100")
}

// A refused MPUB leaves nothing behind.
func TestPublish_MultiPublishIsAllOrNothing(t *testing.T) {
	w := newWorld(t, Options{MaxMsgSize: 5})
	w.subscribe("t", "c", 10)
	p := w.dial()
	p.send(wire.AppendMPub(nil, "t", [][]byte{[]byte("ok"), []byte("too big")}))
	p.wantClosed("E_BAD_MESSAGE MPUB message too big 7 > 5")
	if n := w.topic("t").MessageCount; n != 0 {
		t.Errorf("%d messages are left of a refused MPUB", n)
	}
}

func TestPublish_DeferredIsDeliveredWhenDue(t *testing.T) {
	w := newWorld(t, Options{})
	s := w.subscribe("t", "c", 10)
	p := w.dial()
	p.send(wire.AppendDPub(nil, "t", time.Second, []byte("later")))
	p.want("OK")
	s.want()
	st := w.channel("t", "c")
	if st.DeferredCount != 1 || st.Depth != 0 || st.RequeueCount != 0 || st.MessageCount != 1 {
		t.Errorf("deferred_count %d, depth %d, requeue_count %d, message_count %d; want 1, 0, 0, 1", st.DeferredCount, st.Depth, st.RequeueCount, st.MessageCount)
	}
	w.sleep(999 * time.Millisecond)
	s.want()
	w.sleep(time.Millisecond)
	s.want("later/1")
}

// The delay counts from the publish, also when no channel is there yet.
func TestPublish_DelayCountsFromThePublish(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dial()
	p.send(wire.AppendDPub(nil, "t", 3*time.Second, []byte("late")))
	p.send(wire.AppendDPub(nil, "t", time.Second, []byte("soon")))
	p.want("OK", "OK")
	w.sleep(2 * time.Second)
	s := w.subscribe("t", "c", 10)
	s.want("soon/1")
	w.sleep(999 * time.Millisecond)
	s.want()
	w.sleep(time.Millisecond)
	s.want("late/1")
}

func TestPublish_DelayBeyondTheMaximumIsRefused(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dial()
	p.send(wire.AppendDPub(nil, "t", time.Hour, []byte("x")))
	p.want("OK")
	p.send(wire.AppendDPub(nil, "t", time.Hour+time.Millisecond, []byte("x")))
	p.wantClosed("E_INVALID DPUB timeout 3600001 out of range 0-3600000")
}

// publish is what HTTP uses.
func TestTopic_PublishTellsOnceAndLater(t *testing.T) {
	w := newWorld(t, Options{})
	var told []error
	w.do(func() {
		top, err := w.s.createTopic("t")
		if err != nil {
			t.Fatal(err)
		}
		body := []byte("mine")
		top.publish([][]byte{body, []byte("b")}, 0, func(err error) { told = append(told, err) })
		copy(body, "XXXX") // it was copied
		top.publish(nil, 0, func(err error) { told = append(told, err) })
		if len(told) != 0 {
			t.Error("done ran before publish returned")
		}
	})
	if len(told) != 2 || told[0] != nil || told[1] != nil {
		t.Fatalf("told %v, want twice nil", told)
	}
	w.subscribe("t", "c", 2).want("mine/1", "b/1")
}

func TestTopic_PublishRacingWithDeleteIsRefused(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dial()
	p.pub("t", "before")
	p.want("OK")
	var told error
	w.l.turn(func() {
		p.bc.in = nil
		p.c.OnData(pubs("t", 1, 1))
		top := w.s.topic("t")
		top.publish([][]byte{[]byte("x")}, 0, func(err error) { told = err })
		if err := w.s.deleteTopic(top); err != nil {
			t.Error(err)
		}
	})
	p.wantClosed("E_PUB_FAILED PUB failed exiting")
	if !errors.Is(told, errGone) {
		t.Errorf("told %v, want %v", told, errGone)
	}
	if got := w.names(); got != "" {
		t.Errorf("topics %q are left", got)
	}
	w.publish("t", "again")
	if n := w.topic("t").Depth; n != 1 {
		t.Errorf("the new topic has depth %d, want 1", n)
	}
}
