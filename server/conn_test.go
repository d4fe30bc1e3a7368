package server

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
)

func TestConn_WrongMagicIsRefused(t *testing.T) {
	w := newWorld(t, Options{})
	for _, magic := range []string{wire.MagicV1, "XXXX", "\x00\x00\x00\x00"} {
		p := w.dialSilent()
		p.sendString(magic[:3])
		p.want()
		p.sendString(magic[3:])
		p.wantClosed("E_BAD_PROTOCOL")
	}
	if n := len(w.s.conns); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

func TestConn_HTTPIsToldWhereHTTPIs(t *testing.T) {
	w := newWorld(t, Options{})
	for _, request := range []string{"GET /stats HTTP/1.1\r\n\r\n", "POST /pub?topic=t HTTP/1.1\r\n", "HEAD / HTTP/1.1", "PUT /", "DELETE /", "OPTIONS /"} {
		p := w.dialSilent()
		p.sendString(request)
		got := string(p.bc.out)
		if !strings.HasPrefix(got, "HTTP/1.1 400 Bad Request\r\n") || !strings.Contains(got, "HTTP API") {
			t.Errorf("%q was answered %q", request, got)
		}
		if !p.closed() {
			t.Errorf("%q left the connection open", request)
		}
	}
}

func TestConn_WithoutMagicIsClosedAfterTenSeconds(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dialSilent()
	p.sendString("  V")
	w.sleep(9999 * time.Millisecond)
	if p.closed() {
		t.Fatal("closed too early")
	}
	w.sleep(time.Millisecond)
	p.wantClosed()
}

func TestConn_CommandsMayArriveByteByByte(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dialSilent()
	in := []byte(wire.MagicV2)
	in = wire.AppendSub(in, "t", "c")
	in = wire.AppendRdy(in, 1)
	in = wire.AppendPub(in, "t", []byte("hello"))
	for _, b := range in {
		p.send([]byte{b})
	}
	p.want("OK", "OK", "hello/1")
}

func TestConn_PipelinedCommandsRunInOrder(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dial()
	in := wire.AppendNop(nil)
	in = append(in, pubs("t", 10, 1)...)
	in = wire.AppendIdentify(in, []byte("{}"))
	in = append(in, pubs("t", 1, 1)...)
	in = wire.AppendSub(in, "t", "c")
	in = wire.AppendRdy(in, 2)
	in = wire.AppendNop(in)
	p.send(in)
	ok := strings.Split(strings.Repeat("OK ", 13), " ")[:13]
	p.want(append(ok, "x/1", "x/1")...)
}

func TestConn_RefusalFollowsWhatIsOwed(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dial()
	p.send(append(pubs("t", 2, 1), "WHAT\n"...))
	p.wantClosed("OK", "OK", "E_INVALID invalid command WHAT")

	s := w.subscribe("t", "c", 0)
	in := append(pubs("t", 1, 1), "FIN 0123456789abcdef\n"...)
	in = append(in, pubs("t", 1, 1)...)
	in = wire.AppendCls(in)
	s.send(in)
	s.want("OK", "E_FIN_FAILED FIN 0123456789abcdef failed ID not in flight", "OK", "CLOSE_WAIT")
}

// Whatever a client sends, others are served, and what is kept of an unfinished
// command is bounded by the limits of that command.
func TestConn_BadInputHarmsNobody(t *testing.T) {
	w := newWorld(t, Options{MaxMsgSize: 1000, MaxBodySize: 2000})
	size := func(n int32) string { return string(binary.BigEndian.AppendUint32(nil, uint32(n))) }
	for _, tc := range []struct{ in, want string }{
		{"\n\n", "E_INVALID invalid command "},
		{strings.Repeat("x", wire.MaxLine+1), ""},
		{"PUB t\n" + size(-1), "E_BAD_MESSAGE PUB invalid message body size -1"},
		{"PUB t\n" + size(1<<30), "E_BAD_MESSAGE PUB message too big 1073741824 > 1000"},
		{"PUB t$\n" + size(1) + "x", `E_BAD_TOPIC PUB topic name "t$" is not valid`},
		{"MPUB t\n" + size(2001), "E_BAD_BODY MPUB body too big 2001 > 2000"},
		{"MPUB t\n" + size(8) + size(1<<30), "E_BAD_BODY MPUB invalid message count 1073741824"},
		{"IDENTIFY\n" + size(2) + "[]", "E_BAD_BODY IDENTIFY failed to decode JSON body"},
		{"AUTH\n" + size(1) + "s", "E_AUTH_DISABLED AUTH disabled"},
		{"FIN 0123456789abcdef\n", "E_INVALID cannot FIN in current state"},
		{"SUB t  c\n", `E_BAD_CHANNEL SUB channel name "" is not valid`},
	} {
		p := w.dial()
		p.sendString(tc.in)
		if tc.want == "" {
			p.wantClosed()
		} else {
			p.wantClosed(tc.want)
		}
	}
	w.publish("t", "still here")
	if n := len(w.s.conns); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

func TestConn_NamesItselfByItsAddress(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dial()
	if got, want := p.c.String(), "nsqd client 10.0.0.1:4000"; got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
}

func TestConn_HeartbeatsComeWithoutIdentify(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dial()
	p.sendString("NOP\n")
	w.sleep(29 * time.Second)
	p.want()
	w.sleep(time.Second)
	p.want(wire.Heartbeat)
	p.sendString("NOP\n")
	w.sleep(30 * time.Second)
	p.want(wire.Heartbeat)
}

func TestConn_SilentClientIsClosedAfterTwoIntervals(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dial()
	p.identify(`{"heartbeat_interval":1000}`)
	p.want("OK")
	w.sleep(1990 * time.Millisecond)
	p.want(wire.Heartbeat)
	if p.closed() {
		t.Fatal("closed too early")
	}
	w.sleep(20 * time.Millisecond)
	if !p.closed() {
		t.Fatal("still open after two intervals of silence")
	}
}

func TestConn_AnyCommandKeepsTheConnection(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dial()
	p.identify(`{"heartbeat_interval":1000}`)
	for i := range 10 {
		w.sleep(1500 * time.Millisecond)
		if i%2 == 0 {
			p.sendString("NOP\n")
		} else {
			p.pub("t", "x")
		}
	}
	if p.closed() {
		t.Fatal("closed though it sent commands")
	}
	beats := 0
	for _, f := range p.frames() {
		if f == wire.Heartbeat {
			beats++
		}
	}
	if beats != 15 {
		t.Errorf("%d heartbeats in 15 s, want 15", beats)
	}
}

func TestConn_HalfACommandDoesNotKeepTheConnection(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dial()
	p.identify(`{"heartbeat_interval":1000}`)
	p.want("OK")
	for range 20 {
		p.sendString("N")
		w.sleep(100 * time.Millisecond)
	}
	w.sleep(100 * time.Millisecond)
	if !p.closed() {
		t.Fatal("dripping bytes kept the connection")
	}
}

func TestConn_LateBodyIsNamed(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dial()
	p.identify(`{"heartbeat_interval":1000}`)
	w.sleep(10 * time.Millisecond)
	p.frames()
	p.sendString("PUB t\n\x00\x00\x00\x05ab")
	w.sleep(2100 * time.Millisecond)
	got := p.frames()
	if want := "E_BAD_MESSAGE PUB failed to read message body"; len(got) == 0 || got[len(got)-1] != want || !p.closed() {
		t.Errorf("received %q, closed %v; want %q at the end, and the end", got, p.closed(), want)
	}
}

func TestConn_NoHeartbeatsMeansNoDeadlineAndNoSub(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dial()
	p.identify(`{"heartbeat_interval":-1}`)
	p.want("OK")
	w.sleep(time.Hour)
	p.want()
	p.pub("t", "x")
	p.want("OK")
	p.send(wire.AppendSub(nil, "t", "c"))
	p.wantClosed("E_INVALID cannot SUB with heartbeats disabled")
}

func TestConn_HeartbeatsContinueAfterCLS(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.subscribe("t", "c", 1)
	p.send(wire.AppendCls(nil))
	p.want("CLOSE_WAIT")
	w.sleep(30 * time.Second)
	p.want(wire.Heartbeat)
}

// A client that does not read gets no more messages than its share of memory
// allows, and the rest when it reads again.
func TestConn_SlowReaderIsHeldBack(t *testing.T) {
	w := newWorld(t, Options{})
	body := string(bytes.Repeat([]byte("x"), 100<<10))
	pub := w.dial()
	for range 40 {
		pub.pub("t", body)
	}
	p := w.subscribe("t", "c", 0)
	p.bc.stuck = true
	p.rdy(100)
	w.sleep(time.Second)
	if n := len(p.bc.out); n < outputMost || n > outputMost+2*shareBytes {
		t.Errorf("%d bytes wait for a client that does not read, want about %d", n, outputMost)
	}
	p.bc.stuck = false
	w.sleep(100 * time.Millisecond)
	p.messages(40)
}
