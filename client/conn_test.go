package client_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/internal/mocknsqd"
	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
)

// recorder is a client.Handler that writes down what it hears.
type recorder struct {
	conn    *client.Conn
	events  []string
	closed  int
	err     error // of OnClose
	errs    []*client.Error
	onReady func(*client.Conn)
	onMsg   func(wire.Message)
}

func (r *recorder) note(format string, args ...any) {
	r.events = append(r.events, fmt.Sprintf(format, args...))
}

func (r *recorder) OnReady(c *client.Conn) {
	r.note("ready %v", c.State())
	if r.onReady != nil {
		r.onReady(c)
	}
}

func (r *recorder) OnMessage(m wire.Message) {
	r.note("message %s %d %s", m.ID, m.Attempts, m.Body)
	if r.onMsg != nil {
		r.onMsg(m)
	}
}

func (r *recorder) OnResponse(data []byte) { r.note("response %s", data) }

func (r *recorder) OnError(e *client.Error) {
	r.note("error %s", e.Code)
	r.errs = append(r.errs, e)
}

func (r *recorder) OnClose(err error) {
	r.note("close")
	r.closed++
	r.err = err
}

// dial connects to addr in w and lets a second pass.
func dial(t *testing.T, w *world, addr string, o client.Options) *recorder {
	t.Helper()
	r := &recorder{}
	dialWith(t, w, addr, o, r)
	return r
}

func dialWith(t *testing.T, w *world, addr string, o client.Options, r *recorder) {
	t.Helper()
	o, err := o.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	w.do(func() {
		r.conn = client.Dial(w.client, addr, o, r)
		if r.conn.State() != client.StateDialing || len(r.events) > 0 {
			t.Errorf("after Dial: state %v, events %q", r.conn.State(), r.events)
		}
	})
	w.run(time.Second)
}

// mock starts a mock nsqd in w.
func mock(t *testing.T, w *world) *mocknsqd.NSQD {
	t.Helper()
	s, err := mocknsqd.Listen(w.server, "nsqd:4150")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// raw is a peer that keeps the bytes it gets and says nothing by itself.
type raw struct {
	conn   loop.Conn
	got    []byte
	closed bool
}

func (r *raw) OnOpen(c loop.Conn) { r.conn = c }
func (r *raw) OnClose(error)      { r.closed = true }
func (r *raw) OnData(p []byte) int {
	r.got = append(r.got, p...)
	return len(p)
}

func listenRaw(t *testing.T, w *world) *raw {
	t.Helper()
	r := &raw{}
	if _, err := w.server.Listen("nsqd:4150", func(loop.Conn) loop.Handler { return r }); err != nil {
		t.Fatal(err)
	}
	return r
}

// Statements 123, 124, 128, 131, 132, 133, 137, 169 and 170: a life in order.
func TestConn_Life(t *testing.T) {
	w := newWorld(t, 1)
	s := mock(t, w)
	r := &recorder{}
	r.onReady = func(c *client.Conn) { c.Subscribe("orders", "billing") }
	dialWith(t, w, "nsqd:4150", client.Options{}, r)
	if got := r.conn.Info(); got.Version != "1.3.0" || got.MaxRdyCount != 2500 || !got.Negotiated {
		t.Errorf("info: got %+v", got)
	}
	w.do(func() { s.Conns[0].Message("a", 1, time.Unix(1, 0), "hello") })
	w.run(time.Second)
	if r.conn.State() != client.StateReady {
		t.Errorf("state after a message: got %v, want ready", r.conn.State())
	}
	w.do(func() {
		r.conn.Finish(mocknsqd.ID("a"))
		r.conn.Close()
		r.conn.Close()
		r.conn.Finish(mocknsqd.ID("b")) // has no effect any more
	})
	w.run(time.Second)
	want := []string{"ready ready", "response OK", "message a000000000000000 1 hello", "close"}
	if d := cmp.Diff(want, r.events); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	if r.err != nil {
		t.Errorf("OnClose after Close: got %v, want nil", r.err)
	}
	if len(s.Conns) != 0 {
		t.Error("the connection is still open at the peer")
	}
	commands := s.Commands
	if len(commands) != 3 || !strings.HasPrefix(commands[0], "IDENTIFY {") {
		t.Fatalf("commands: got %q, want IDENTIFY, SUB and FIN", commands)
	}
	if d := cmp.Diff([]string{"SUB orders billing", "FIN a000000000000000"}, commands[1:]); d != "" {
		t.Errorf("commands (-want +got):\n%s", d)
	}
}

// Statements 124 and 128: the very bytes; 171: msg_timeout is in them.
func TestConn_OpensWithMagicAndIdentify(t *testing.T) {
	w := newWorld(t, 1)
	p := listenRaw(t, w)
	dial(t, w, "nsqd:4150", client.Options{
		ClientID: "me", Hostname: "me.example", UserAgent: "test/1",
		HeartbeatInterval: 1500 * time.Millisecond, MsgTimeout: 90 * time.Second,
		OutputBufferSize: -7, OutputBufferTimeout: -time.Second, SampleRate: 12,
	})
	body := `{"client_id":"me","hostname":"me.example","user_agent":"test/1","feature_negotiation":true,` +
		`"heartbeat_interval":1500,"output_buffer_size":-1,"output_buffer_timeout":-1,"msg_timeout":90000,"sample_rate":12}`
	want := "  V2IDENTIFY\n" + string(binary.BigEndian.AppendUint32(nil, uint32(len(body)))) + body
	if got := string(p.got); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// Statement 129: an old server's OK means the old defaults. Statement 130: a
// JSON reply's values are taken over.
func TestConn_IdentifyReply(t *testing.T) {
	for _, row := range []struct {
		reply string
		want  client.Info
	}{
		{"OK", client.Info{MaxRdyCount: 2500, MsgTimeout: time.Minute, MaxMsgTimeout: 15 * time.Minute, HeartbeatInterval: 30 * time.Second}},
		{`{"max_rdy_count":7,"max_msg_timeout":5000,"msg_timeout":3000,"version":"0.9","sample_rate":3}`, client.Info{
			Negotiated: true, Version: "0.9", MaxRdyCount: 7, MsgTimeout: 3 * time.Second, MaxMsgTimeout: 5 * time.Second,
			HeartbeatInterval: 30 * time.Second, SampleRate: 3,
		}},
		{`{"lite_publisher":"token"}`, client.Info{Negotiated: true, MaxRdyCount: 2500, MsgTimeout: time.Minute, MaxMsgTimeout: 15 * time.Minute,
			HeartbeatInterval: 30 * time.Second, Publisher: "token"}},
		{`{}`, client.Info{Negotiated: true, MaxRdyCount: 2500, MsgTimeout: time.Minute, MaxMsgTimeout: 15 * time.Minute, HeartbeatInterval: 30 * time.Second}},
	} {
		w := newWorld(t, 1)
		s := mock(t, w)
		s.Identify = row.reply
		r := dial(t, w, "nsqd:4150", client.Options{})
		if r.conn.State() != client.StateReady {
			t.Errorf("%s: state %v, events %q", row.reply, r.conn.State(), r.events)
		}
		if d := cmp.Diff(row.want, r.conn.Info()); d != "" {
			t.Errorf("%s: info (-want +got):\n%s", row.reply, d)
		}
	}
}

// What can go wrong in the handshake ends the connection with an error that
// tells what to do. Statements 108, 110, 145, 146, 147, 148.
func TestConn_RefusesBadPeers(t *testing.T) {
	frame := func(typ uint32, data string) string {
		b := binary.BigEndian.AppendUint32(nil, uint32(4+len(data)))
		return string(binary.BigEndian.AppendUint32(b, typ)) + data
	}
	ready := frame(0, "OK")
	for _, row := range []struct {
		name string
		says string
		max  int
		want error
		text string
	}{
		{"HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", 0, client.ErrHTTPEndpoint, "4150"},
		{"HTTP, no cap", "HTTP/1.1 400 Bad Request\r\n\r\n", -1, client.ErrHTTPEndpoint, "4150"},
		{"not JSON", frame(0, "hello"), 0, client.ErrProtocol, "identify nsqd:4150"},
		{"refused", frame(1, "E_BAD_BODY IDENTIFY heartbeat interval (100) is invalid"), 0, client.ErrBadBody, "heartbeat interval (100) is invalid"},
		{"message first", frame(2, strings.Repeat("m", 26)), 0, client.ErrProtocol, "identify"},
		{"size below 4", ready + "\x00\x00\x00\x03abc", 0, client.ErrProtocol, "connection to nsqd:4150"},
		{"negative size", ready + "\xff\xff\xff\xff", 0, client.ErrProtocol, "size"},
		{"above the cap", ready + frame(0, strings.Repeat("x", 61)), 64, client.ErrProtocol, "size"},
		{"unknown type", ready + frame(3, "x"), 0, client.ErrProtocol, "type"},
		{"short message", ready + frame(2, strings.Repeat("m", 25)), 0, client.ErrProtocol, "message"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t, 1)
			p := listenRaw(t, w)
			r := &recorder{}
			dialWith(t, w, "nsqd:4150", client.Options{MaxFrameSize: row.max}, r)
			w.do(func() { p.conn.Write([]byte(row.says)) })
			w.run(time.Second)
			if r.closed != 1 || !errors.Is(r.err, row.want) || !strings.Contains(r.err.Error(), row.text) {
				t.Errorf("got %v (%d times), want it to match %v and to contain %q", r.err, r.closed, row.want, row.text)
			}
			if r.conn.State() != client.StateClosed {
				t.Errorf("state: got %v, want closed", r.conn.State())
			}
			if !p.closed {
				t.Error("the peer's side is still open")
			}
		})
	}
}

// A frame at the cap is received; 26 bytes are a message without body.
func TestConn_TakesFramesAtTheLimits(t *testing.T) {
	w := newWorld(t, 1)
	s := mock(t, w)
	s.Identify = "OK"
	r := dial(t, w, "nsqd:4150", client.Options{MaxFrameSize: 64})
	w.do(func() {
		s.Conns[0].Respond(strings.Repeat("x", 60))
		s.Conns[0].Message("a", 65535, time.Unix(0, 0), "")
	})
	w.run(time.Second)
	want := []string{"ready ready", "response " + strings.Repeat("x", 60), "message a000000000000000 65535 "}
	if d := cmp.Diff(want, r.events); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
}

// Statement 149: what is packed is unpacked; attempts are unsigned.
func TestConn_DecodesMessages(t *testing.T) {
	w := newWorld(t, 1)
	s := mock(t, w)
	var got wire.Message
	r := &recorder{onMsg: func(m wire.Message) {
		got = m
		got.Body = append([]byte(nil), m.Body...)
	}}
	dialWith(t, w, "nsqd:4150", client.Options{}, r)
	at := time.Unix(1700000000, 123456789)
	w.do(func() { s.Conns[0].Message("0123456789abcdef", 40000, at, "grüße") })
	w.run(time.Second)
	want := wire.Message{Timestamp: at.UnixNano(), Attempts: 40000, ID: wire.ID([]byte("0123456789abcdef")), Body: []byte("grüße")}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("message (-want +got):\n%s", d)
	}
}

// Statements 143 and 144: however the bytes are cut, the events are the same.
func TestConn_AnySplitGivesTheSameEvents(t *testing.T) {
	b := wire.AppendResponse(nil, mocknsqd.IdentifyReply)
	b = append(b, wire.HeartbeatFrame...)
	b = wire.AppendMessage(b, 1, 2, mocknsqd.ID("a"), []byte("body"))
	b = append(b, wire.OKFrame...)
	b = wire.AppendError(b, &wire.Error{Code: wire.CodeFinFailed, Detail: "FIN x failed"})
	want := []string{"ready ready", "message a000000000000000 2 body", "response OK", "error E_FIN_FAILED"}
	for cut := range len(b) + 1 {
		w := newWorld(t, 1)
		p := listenRaw(t, w)
		r := &recorder{}
		dialWith(t, w, "nsqd:4150", client.Options{}, r)
		w.do(func() { p.conn.Write(b[:cut]) })
		w.run(time.Second)
		w.do(func() { p.conn.Write(b[cut:]) })
		w.run(time.Second)
		if d := cmp.Diff(want, r.events); d != "" {
			t.Fatalf("cut at %d: events (-want +got):\n%s", cut, d)
		}
		if got, want := r.conn.Received(), uint64(5); got != want {
			t.Fatalf("cut at %d: %d frames received, want %d", cut, got, want)
		}
	}
}

// Statements 150, 151 and 154: the bytes of every command.
func TestConn_CommandBytes(t *testing.T) {
	w := newWorld(t, 1)
	p := listenRaw(t, w)
	r := dial(t, w, "nsqd:4150", client.Options{})
	w.do(func() {
		p.got = nil
		p.conn.Write([]byte(wire.OKFrame))
	})
	w.run(time.Second)
	id := mocknsqd.ID("m")
	w.do(func() {
		c := r.conn
		c.Subscribe("t", "c")
		c.Ready(5)
		c.Finish(id)
		c.Requeue(id, 0)
		c.Requeue(id, 60*time.Millisecond)
		c.Touch(id)
		c.Nop()
		c.Publish("t", []byte("ü"))
		c.MultiPublish("t", [][]byte{[]byte("a"), []byte("bc")})
		c.DeferredPublish("t", time.Second, []byte("d"))
		c.Number(7)
		c.Publish("t", []byte("e"))
		c.Number(8)
		c.MultiPublish("t", [][]byte{[]byte("f")})
		c.Number(9)
		c.DeferredPublish("t", time.Second, []byte("g"))
		c.Publish("t", []byte("h")) // without one
		c.StartClose()
		c.StartClose()
	})
	w.run(time.Second)
	const m = "m000000000000000"
	want := "SUB t c\nRDY 5\nFIN " + m + "\nREQ " + m + " 0\nREQ " + m + " 60\nTOUCH " + m + "\nNOP\n" +
		"PUB t\n\x00\x00\x00\x02ü" +
		"MPUB t\n\x00\x00\x00\x0f\x00\x00\x00\x02\x00\x00\x00\x01a\x00\x00\x00\x02bc" +
		"DPUB t 1000\n\x00\x00\x00\x01d" +
		"PUB t 7\n\x00\x00\x00\x01e" +
		"MPUB t 8\n\x00\x00\x00\x09\x00\x00\x00\x01\x00\x00\x00\x01f" +
		"DPUB t 1000 9\n\x00\x00\x00\x01g" +
		"PUB t\n\x00\x00\x00\x01h" +
		"CLS\n"
	if got := string(p.got); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("Ready(-1) did not panic")
			}
		}()
		r.conn.Ready(-1)
	}()
}

// Commands before the connection is ready do nothing.
func TestConn_IgnoresCommandsBeforeReady(t *testing.T) {
	w := newWorld(t, 1)
	p := listenRaw(t, w)
	r := dial(t, w, "nsqd:4150", client.Options{})
	if r.conn.State() != client.StateIdentifying {
		t.Fatalf("state: got %v, want identifying", r.conn.State())
	}
	before := len(p.got)
	w.do(func() {
		r.conn.Nop()
		r.conn.Publish("t", []byte("x"))
		r.conn.StartClose()
	})
	w.run(time.Second)
	if got := string(p.got[before:]); got != "" {
		t.Errorf("sent %q", got)
	}
}

// Statement 155: a heartbeat is answered at once, and is nobody's event.
func TestConn_AnswersHeartbeats(t *testing.T) {
	w := newWorld(t, 1)
	s := mock(t, w)
	r := dial(t, w, "nsqd:4150", client.Options{})
	w.do(func() { s.Conns[0].Heartbeat() })
	w.run(10 * time.Millisecond)
	if got, want := s.Commands[len(s.Commands)-1], "NOP"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if d := cmp.Diff([]string{"ready ready"}, r.events); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
}

// Statement 156: silence of more than two intervals closes the connection, and
// not much more; any byte counts as a sign of life.
func TestConn_ClosesWhenSilent(t *testing.T) {
	w := newWorld(t, 1)
	s := mock(t, w)
	r := dial(t, w, "nsqd:4150", client.Options{HeartbeatInterval: 2 * time.Second})
	for range 5 {
		w.run(3 * time.Second)
		w.do(func() { s.Conns[0].Heartbeat() })
	}
	w.run(4 * time.Second)
	if r.closed != 0 {
		t.Fatalf("closed before two intervals had passed: %v", r.err)
	}
	w.run(1100 * time.Millisecond)
	if r.closed != 1 || !errors.Is(r.err, client.ErrStale) {
		t.Errorf("after 2.5 intervals: got %v, want %v", r.err, client.ErrStale)
	}
}

func TestConn_WithoutHeartbeatsNeverStale(t *testing.T) {
	w := newWorld(t, 1)
	s := mock(t, w)
	r := dial(t, w, "nsqd:4150", client.Options{HeartbeatInterval: -1})
	w.run(time.Hour)
	if r.closed != 0 {
		t.Errorf("closed: %v", r.err)
	}
	if !strings.Contains(s.Commands[0], `"heartbeat_interval":-1`) {
		t.Errorf("got %q, want the interval to be -1", s.Commands[0])
	}
}

// Statement 157: a handshake without a reply ends at its deadline.
func TestConn_HandshakeDeadline(t *testing.T) {
	w := newWorld(t, 1)
	listenRaw(t, w)
	r := dial(t, w, "nsqd:4150", client.Options{})
	w.run(3900 * time.Millisecond)
	if r.closed != 0 {
		t.Fatalf("closed early: %v", r.err)
	}
	w.run(200 * time.Millisecond)
	if r.closed != 1 || !errors.Is(r.err, client.ErrTimeout) || !strings.HasPrefix(r.err.Error(), "identify nsqd:4150: ") {
		t.Errorf("got %v, want a timeout of identify", r.err)
	}
}

// Statements 82, 165 and 167: three errors leave the connection open.
func TestConn_SurvivesErrorsThatAreNotFatal(t *testing.T) {
	w := newWorld(t, 1)
	s := mock(t, w)
	r := dial(t, w, "nsqd:4150", client.Options{})
	w.do(func() {
		for _, code := range []wire.Code{wire.CodeFinFailed, wire.CodeReqFailed, wire.CodeTouchFailed} {
			s.Conns[0].Error(code, "x failed")
		}
	})
	w.run(time.Second)
	if r.conn.State() != client.StateReady || len(r.errs) != 3 || !errors.Is(r.errs[0], client.ErrFinFailed) || r.errs[0].Detail != "x failed" {
		t.Errorf("state %v, errors %v", r.conn.State(), r.errs)
	}
}

// All others close it, with the error as the reason, even when the peer does
// not.
func TestConn_ClosesAfterFatalError(t *testing.T) {
	for _, peerCloses := range []bool{true, false} {
		w := newWorld(t, 1)
		s := mock(t, w)
		r := dial(t, w, "nsqd:4150", client.Options{})
		w.do(func() {
			if peerCloses {
				s.Conns[0].Fail(wire.CodePubFailed, "disk")
			} else {
				s.Conns[0].Error(wire.CodePubFailed, "disk")
			}
		})
		w.run(time.Second)
		if d := cmp.Diff([]string{"ready ready", "error E_PUB_FAILED", "close"}, r.events); d != "" {
			t.Errorf("events (-want +got):\n%s", d)
		}
		if !errors.Is(r.err, client.ErrPubFailed) {
			t.Errorf("got %v, want %v", r.err, client.ErrPubFailed)
		}
	}
}

// Statement 166: after CLS, answers still go out.
func TestConn_AnswersAfterStartClose(t *testing.T) {
	w := newWorld(t, 1)
	s := mock(t, w)
	r := &recorder{}
	r.onReady = func(c *client.Conn) { c.Subscribe("t", "c") }
	dialWith(t, w, "nsqd:4150", client.Options{}, r)
	w.do(func() {
		r.conn.StartClose()
		if r.conn.State() != client.StateClosing {
			t.Errorf("state: got %v, want closing", r.conn.State())
		}
		r.conn.Finish(mocknsqd.ID("a"))
		r.conn.Touch(mocknsqd.ID("b"))
		r.conn.Requeue(mocknsqd.ID("c"), time.Second)
	})
	w.run(time.Second)
	want := []string{"SUB t c", "CLS", "FIN a000000000000000", "TOUCH b000000000000000", "REQ c000000000000000 1000"}
	if d := cmp.Diff(want, s.Commands[1:]); d != "" {
		t.Errorf("commands (-want +got):\n%s", d)
	}
	if got, want := r.events[len(r.events)-1], "response CLOSE_WAIT"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Statement 170, and the reason: a lost, an aborted, a refused and a
// cancelled connection are each closed once.
func TestConn_ClosesOnceWithTheReason(t *testing.T) {
	mine := errors.New("mine")
	for _, row := range []struct {
		name string
		do   func(s *mocknsqd.NSQD, c *client.Conn)
		want error
	}{
		{"peer hangs up", func(s *mocknsqd.NSQD, c *client.Conn) { s.Conns[0].Close() }, io.EOF},
		{"abort", func(s *mocknsqd.NSQD, c *client.Conn) { c.Abort(mine); c.Abort(io.EOF); c.Close() }, mine},
		{"close", func(s *mocknsqd.NSQD, c *client.Conn) { c.Close(); c.Abort(mine) }, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t, 1)
			s := mock(t, w)
			r := dial(t, w, "nsqd:4150", client.Options{})
			w.do(func() { row.do(s, r.conn) })
			w.run(time.Minute)
			if r.closed != 1 || !is(r.err, row.want) {
				t.Errorf("got %v, %d times; want %v, once", r.err, r.closed, row.want)
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		w := newWorld(t, 1)
		r := dial(t, w, "nobody:4150", client.Options{})
		w.run(time.Minute)
		if r.closed != 1 || r.err == nil || !strings.HasPrefix(r.err.Error(), "dial nobody:4150: ") {
			t.Errorf("got %v, %d times", r.err, r.closed)
		}
		if strings.Count(r.err.Error(), "dial") != 1 {
			t.Errorf("got %q, want each clause once", r.err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		w := newWorld(t, 1)
		mock(t, w)
		o, _ := client.Options{}.WithDefaults()
		r := &recorder{}
		w.do(func() {
			c := client.Dial(w.client, "nsqd:4150", o, r)
			c.Close()
		})
		w.run(time.Minute)
		if r.closed != 1 || r.err != nil {
			t.Errorf("got %v, %d times; want nil, once", r.err, r.closed)
		}
	})
}

// Neither a frame nor a command allocates.
func TestConn_AllocatesNothing(t *testing.T) {
	w := newWorld(t, 1)
	p := listenRaw(t, w)
	r := &quiet{}
	o, _ := client.Options{}.WithDefaults()
	var c *client.Conn
	w.do(func() { c = client.Dial(w.client, "nsqd:4150", o, r) })
	w.run(time.Second)
	w.do(func() { p.conn.Write([]byte(wire.OKFrame)) })
	w.run(time.Second)
	if c.State() != client.StateReady {
		t.Fatal("not ready")
	}
	in := wire.AppendMessage(nil, 1, 2, mocknsqd.ID("a"), make([]byte, 200))
	in = append(in, wire.OKFrame...)
	body := make([]byte, 200)
	id := mocknsqd.ID("a")
	w.do(func() {
		h := client.AsLoopHandler(c)
		// The output buffer grows during the first round.
		client.ConnOf(c).SetOutput(make([]byte, 0, 1<<20))
		got := testing.AllocsPerRun(100, func() {
			if n := h.OnData(in); n != len(in) {
				t.Fatalf("consumed %d of %d bytes", n, len(in))
			}
			c.Publish("topic", body)
			c.Ready(7)
			c.Finish(id)
			c.Requeue(id, time.Second)
			c.Touch(id)
		})
		if got != 0 {
			t.Errorf("%v allocations per round, want 0", got)
		}
	})
	if r.messages == 0 || r.responses == 0 {
		t.Error("nothing was received")
	}
}

// quiet counts.
type quiet struct{ messages, responses int }

func (q *quiet) OnReady(*client.Conn)   {}
func (q *quiet) OnMessage(wire.Message) { q.messages++ }
func (q *quiet) OnResponse([]byte)      { q.responses++ }
func (q *quiet) OnError(*client.Error)  {}
func (q *quiet) OnClose(error)          {}
