package server

import (
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
)

const noID = "0123456789abcdef"

func TestAnswer_FinishRemovesAndSaysNothing(t *testing.T) {
	w := newWorld(t, Options{})
	w.publish("t", "x")
	p := w.subscribe("t", "c", 1)
	m := p.message("x", 1)
	p.fin(m)
	p.want()
	st := w.channel("t", "c")
	if st.InFlightCount != 0 || st.Depth != 0 || st.FinishCount != 1 || st.Clients[0].FinishCount != 1 || st.Clients[0].MessageCount != 1 {
		t.Errorf("after FIN: %+v", st)
	}
	p.fin(m)
	p.want("E_FIN_FAILED FIN " + m.ID.String() + " failed ID not in flight")
	p.sendString("NOP\n")
	if p.closed() {
		t.Error("a second FIN closed the connection")
	}
}

func TestAnswer_UnknownIDIsNotFatal(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.subscribe("t", "c", 1)
	for _, id := range []string{noID, "0000000000000001", "not-hexadecimal!", "FFFFFFFFFFFFFFFF", "ffffffffffffffff"} {
		p.sendString("FIN " + id + "\nREQ " + id + " 0\nTOUCH " + id + "\n")
		p.want("E_FIN_FAILED FIN "+id+" failed ID not in flight",
			"E_REQ_FAILED REQ "+id+" failed ID not in flight",
			"E_TOUCH_FAILED TOUCH "+id+" failed ID not in flight")
	}
	if p.closed() {
		t.Error("the connection was closed")
	}
}

func TestAnswer_OnlyTheOwnerMayAnswer(t *testing.T) {
	w := newWorld(t, Options{})
	w.publish("t", "x")
	a := w.subscribe("t", "c", 1)
	b := w.subscribe("t", "c", 1)
	m := a.message("x", 1)
	b.fin(m)
	b.req(m, 0)
	b.touch(m)
	id := m.ID.String()
	b.want("E_FIN_FAILED FIN "+id+" failed client does not own message",
		"E_REQ_FAILED REQ "+id+" failed client does not own message",
		"E_TOUCH_FAILED TOUCH "+id+" failed client does not own message")
	a.fin(m)
	a.want()
	if st := w.channel("t", "c"); st.InFlightCount != 0 || st.Clients[0].FinishCount != 1 {
		t.Errorf("the owner's FIN was lost: %+v", st)
	}
}

func TestAnswer_RequeueAtOnceRaisesAttempts(t *testing.T) {
	w := newWorld(t, Options{})
	w.publish("t", "x")
	p := w.subscribe("t", "c", 1)
	first := p.message("x", 1)
	p.req(first, 0)
	again := p.message("x", 2)
	if again.ID != first.ID || again.Timestamp != first.Timestamp {
		t.Error("id or timestamp changed with the requeue")
	}
	st := w.channel("t", "c")
	if st.RequeueCount != 1 || st.Clients[0].RequeueCount != 1 || st.TimeoutCount != 0 || st.MessageCount != 1 {
		t.Errorf("after REQ: %+v", st)
	}
}

func TestAnswer_RequeueWithDelayDefers(t *testing.T) {
	w := newWorld(t, Options{MaxReqTimeout: time.Minute})
	w.publish("t", "x")
	p := w.subscribe("t", "c", 5)
	m := p.message("x", 1)
	p.req(m, 500*time.Millisecond)
	if st := w.channel("t", "c"); st.DeferredCount != 1 || st.InFlightCount != 0 || st.Depth != 0 {
		t.Errorf("after REQ 500: %+v", st)
	}
	p.fin(m)
	p.want("E_FIN_FAILED FIN " + m.ID.String() + " failed ID not in flight")
	w.sleep(499 * time.Millisecond)
	p.want()
	w.sleep(time.Millisecond)
	m = p.message("x", 2)

	p.req(m, time.Hour) // cut to the maximum
	w.sleep(59 * time.Second)
	p.sendString("NOP\n")
	p.frames()
	w.sleep(time.Second)
	p.message("x", 3)
}

func TestAnswer_TouchPutsTheDeadlineOff(t *testing.T) {
	w := newWorld(t, Options{MsgTimeout: time.Second, MaxMsgTimeout: 3 * time.Second})
	w.publish("t", "x")
	p := w.subscribe("t", "c", 1)
	m := p.message("x", 1)
	for range 5 {
		w.sleep(500 * time.Millisecond)
		p.touch(m)
		p.want()
	}
	// 2.5 s after the delivery. Touching goes on, but not beyond the limit.
	w.sleep(400 * time.Millisecond)
	p.touch(m)
	p.want()
	w.sleep(99 * time.Millisecond)
	p.want()
	w.sleep(2 * time.Millisecond)
	p.message("x", 2)
}

func TestAnswer_CLSEndsDeliveriesOnly(t *testing.T) {
	w := newWorld(t, Options{})
	w.publish("t", "1", "2", "3", "4")
	p := w.subscribe("t", "c", 2)
	ms := p.messages(2)
	p.send(wire.AppendCls(nil))
	p.want("CLOSE_WAIT")
	p.fin(ms[0])
	p.req(ms[1], 0)
	p.rdy(5)
	p.pub("t", "5")
	p.want("OK")
	if st := w.channel("t", "c"); st.Depth != 4 || st.InFlightCount != 0 || p.closed() {
		t.Errorf("after CLS: depth %d, in flight %d, closed %v; want 4, 0, false", st.Depth, st.InFlightCount, p.closed())
	}
	p.send(wire.AppendCls(nil))
	p.wantClosed("E_INVALID cannot CLS in current state")
}

func TestAnswer_WrongStatesAreRefused(t *testing.T) {
	w := newWorld(t, Options{MaxRdyCount: 50})
	for _, tc := range []struct{ in, want string }{
		{"RDY 1\n", "E_INVALID cannot RDY in current state"},
		{"CLS\n", "E_INVALID cannot CLS in current state"},
		{"REQ " + noID + " 0\n", "E_INVALID cannot REQ in current state"},
		{"TOUCH " + noID + "\n", "E_INVALID cannot TOUCH in current state"},
		{"SUB t c\nRDY 51\n", "E_INVALID RDY count 51 out of range 0-50"},
		{"SUB t c\nFIN short\n", "E_INVALID invalid message ID"},
		{"SUB t c\nREQ " + noID + " -1\n", "E_INVALID REQ could not parse timeout -1"},
		{"SUB t c\nIDENTIFY\n", "E_INVALID cannot IDENTIFY in current state"},
	} {
		p := w.dial()
		p.sendString(tc.in)
		got := p.frames()
		if len(got) == 0 || got[len(got)-1] != tc.want || !p.closed() {
			t.Errorf("%q was answered %q, closed %v; want %q", tc.in, got, p.closed(), tc.want)
		}
	}
}

func TestTimeout_MessageIsDeliveredAgain(t *testing.T) {
	w := newWorld(t, Options{})
	w.publish("t", "x", "y")
	p := w.dial()
	p.identify(`{"msg_timeout":1000}`)
	p.send(wire.AppendRdy(wire.AppendSub(nil, "t", "c"), 1))
	p.want("OK", "OK", "x/1")
	w.sleep(999 * time.Millisecond)
	p.want()
	w.sleep(time.Millisecond)
	got := p.messages(1)[0] // x again, or y: there is no order
	st := w.channel("t", "c")
	if st.TimeoutCount != 1 || st.RequeueCount != 0 || st.InFlightCount != 1 || st.Clients[0].InFlightCount != 1 {
		t.Errorf("after the timeout: %+v", st)
	}
	p.fin(got)
	p.messages(1)
}

func TestTimeout_LateFinishIsRefused(t *testing.T) {
	w := newWorld(t, Options{MsgTimeout: time.Second})
	w.publish("t", "x")
	p := w.subscribe("t", "c", 1)
	m := p.message("x", 1)
	p.rdy(0)
	w.sleep(1150 * time.Millisecond)
	p.fin(m)
	p.want("E_FIN_FAILED FIN " + m.ID.String() + " failed ID not in flight")
	p.rdy(1)
	p.message("x", 2)
	w.sleep(time.Second)
	p.message("x", 3)
}

func TestTimeout_ManyAtOnce(t *testing.T) {
	w := newWorld(t, Options{MsgTimeout: 100 * time.Millisecond})
	pub := w.dial()
	pub.send(pubs("t", 250, 10))
	p := w.subscribe("t", "c", 250)
	p.messages(250)
	p.rdy(0)
	w.sleep(101 * time.Millisecond)
	if st := w.channel("t", "c"); st.InFlightCount != 0 || st.TimeoutCount != 250 || st.Depth != 250 || st.Clients[0].InFlightCount != 0 {
		t.Errorf("after the timeout: %+v", st)
	}
}

// What a client had in flight when it went waits for its deadline, and counts
// until then.
func TestDisconnect_MessagesWaitForTheirTimeout(t *testing.T) {
	w := newWorld(t, Options{MsgTimeout: time.Second})
	w.publish("t", "x")
	a := w.subscribe("t", "c", 1)
	a.message("x", 1)
	a.hangUp()
	b := w.subscribe("t", "c", 1)
	if st := w.channel("t", "c"); st.InFlightCount != 1 || st.ClientCount != 1 {
		t.Errorf("after the disconnect: %+v", st)
	}
	w.sleep(999 * time.Millisecond)
	b.want()
	w.sleep(time.Millisecond)
	b.message("x", 2)
}

func TestDisconnect_OptionGivesMessagesBackAtOnce(t *testing.T) {
	w := newWorld(t, Options{RequeueOnDisconnect: true})
	w.publish("t", "x")
	a := w.subscribe("t", "c", 1)
	b := w.subscribe("t", "c", 1)
	a.message("x", 1)
	a.hangUp()
	b.message("x", 2)
	if st := w.channel("t", "c"); st.TimeoutCount != 0 || st.RequeueCount != 0 {
		t.Errorf("a disconnect counts as timeout or requeue: %+v", st)
	}
}
