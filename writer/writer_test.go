package writer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/internal/mocknsqd"
	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/writer"
)

// silent is for tests that last longer than the mock's silence is borne: it
// sends no heartbeats by itself.
var silent = client.Options{HeartbeatInterval: -1}

// results collects what done functions are called with.
type results struct {
	names []string // in order
	all   map[string]writer.Result
	times map[string]int
}

func newResults() *results {
	return &results{all: map[string]writer.Result{}, times: map[string]int{}}
}

// as is a done function that files its result under name.
func (r *results) as(name string) func(writer.Result) {
	return func(res writer.Result) {
		r.names = append(r.names, name)
		r.all[name] = res
		r.times[name]++
	}
}

// want checks that exactly these have ended, in this order, with these
// outcomes: "name outcome".
func (r *results) want(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, name := range r.names {
		got = append(got, name+" "+r.all[name].Outcome().String())
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("results (-want +got):\n%s", d)
	}
}

// given is a world with mock nsqds at a:4150, b:4150, ... and a writer for
// them that had a second to connect.
type given struct {
	*world
	t  *testing.T
	s  []*mocknsqd.NSQD
	w  *writer.Writer
	rs *results

	before []int // see counts
}

func start(t *testing.T, nsqds int, o writer.Options) *given {
	t.Helper()
	g := &given{world: newWorld(t, 1), t: t, rs: newResults()}
	for i := range nsqds {
		g.s = append(g.s, g.mock(i))
		o.NSQDs = append(o.NSQDs, address(i))
	}
	g.w = g.writer(o)
	g.run(time.Second)
	return g
}

func address(i int) string { return string(rune('a'+i)) + ":4150" }

func (g *given) mock(i int) *mocknsqd.NSQD {
	g.t.Helper()
	s, err := mocknsqd.Listen(g.server, address(i))
	if err != nil {
		g.t.Fatal(err)
	}
	return s
}

func (g *given) writer(o writer.Options) *writer.Writer {
	g.t.Helper()
	w, err := writer.New(g.client, o)
	if err != nil {
		g.t.Fatal(err)
	}
	return w
}

func (g *given) stats() (s writer.Stats) {
	g.do(func() { s = g.w.Stats() })
	return s
}

// publish publishes each name as a body to topic "t".
func (g *given) publish(names ...string) {
	for _, name := range names {
		g.w.Publish("t", []byte(name), g.rs.as(name))
	}
}

// refuse is a script of an nsqd that refuses the message with that body.
func refuse(body string, code wire.Code, detail string) func(*mocknsqd.Conn, *wire.Command) bool {
	return func(c *mocknsqd.Conn, cmd *wire.Command) bool {
		if string(cmd.Body) != body {
			return false
		}
		c.Fail(code, detail)
		return true
	}
}

// full is a script of an nsqd whose disk is full.
func full(c *mocknsqd.Conn, cmd *wire.Command) bool {
	switch cmd.Verb {
	case wire.Pub:
		c.Fail(wire.CodePubFailed, "PUB failed disk full")
	case wire.MPub:
		c.Fail(wire.CodeMPubFailed, "MPUB failed disk full")
	case wire.DPub:
		c.Fail(wire.CodeDPubFailed, "DPUB failed disk full")
	default:
		return false
	}
	return true
}

// Statements 90, 92, 104 and 106: every publish is called back once, in order,
// not before Publish has returned, with what it was about.
// OnResult hears of each publish once, also of those that nobody else hears of,
// and before their done.
func TestWriter_OnResult(t *testing.T) {
	var heard []string
	g := start(t, 1, writer.Options{OnResult: func(r writer.Result) {
		heard = append(heard, fmt.Sprint(r.Topic, " ", r.Outcome()))
	}})
	g.do(func() {
		g.w.Publish("a", []byte("x"), func(writer.Result) { heard = append(heard, "done") })
		g.w.Publish("b", nil, nil)
	})
	g.run(time.Second)
	if d := cmp.Diff([]string{"b rejected", "a confirmed", "done"}, heard); d != "" {
		t.Errorf("heard (-want +got):\n%s", d)
	}
}

func TestWriter_ReportsEachPublish(t *testing.T) {
	g := start(t, 1, writer.Options{})
	g.do(func() {
		for i := range 10 {
			g.publish(fmt.Sprint(i))
		}
		if len(g.rs.names) > 0 {
			t.Error("done was called before Publish had returned")
		}
	})
	g.run(time.Second)
	var want []string
	for i := range 10 {
		want = append(want, fmt.Sprint(i, " confirmed"))
	}
	g.rs.want(t, want...)
	if d := cmp.Diff(strings.Split("0123456789", ""), g.s[0].Bodies()); d != "" {
		t.Errorf("published (-want +got):\n%s", d)
	}
	r := g.rs.all["3"]
	if r.Topic != "t" || r.Messages != 1 || r.NSQD != "a:4150" || r.Latency <= 0 || r.Err != nil {
		t.Errorf("got %+v", r)
	}
}

// Statements 91, 105, 107, 111: the commands that go out.
func TestWriter_Commands(t *testing.T) {
	g := start(t, 1, writer.Options{})
	g.do(func() {
		g.w.Publish("one", []byte("x"), g.rs.as("pub"))
		g.w.MultiPublish("several", [][]byte{[]byte("y"), []byte("z")}, g.rs.as("mpub"))
		g.w.DeferredPublish("later", 1500*time.Millisecond, []byte("w"), g.rs.as("dpub"))
	})
	g.run(time.Second)
	if d := cmp.Diff([]string{"PUB one x", "MPUB several 2", "DPUB later 1500 w"}, g.s[0].Commands[1:]); d != "" {
		t.Errorf("commands (-want +got):\n%s", d)
	}
	g.rs.want(t, "pub confirmed", "mpub confirmed", "dpub confirmed")
	if got := g.rs.all["mpub"].Messages; got != 2 {
		t.Errorf("mpub: got %d messages, want 2", got)
	}
	want := []mocknsqd.Published{{Topic: "one", Body: "x"}, {Topic: "several", Body: "y"}, {Topic: "several", Body: "z"}, {Topic: "later", Body: "w", Delay: 1500 * time.Millisecond}}
	if d := cmp.Diff(want, g.s[0].Published); d != "" {
		t.Errorf("published (-want +got):\n%s", d)
	}
}

// Statement 93: done may be nil, and the one that is not is called for its own.
func TestWriter_NilDone(t *testing.T) {
	g := start(t, 1, writer.Options{})
	g.do(func() {
		g.w.Publish("t", []byte("1"), nil)
		g.publish("2")
	})
	g.run(time.Second)
	g.rs.want(t, "2 confirmed")
	if got := g.stats(); got.Confirmed != 2 || got.Pending != 0 {
		t.Errorf("got %+v, want 2 confirmed and none pending", got)
	}
}

// Statements 97, 99, 100, 101, 111 and 117: what nsqd would close the
// connection over is rejected without a byte, once, and harms nothing else.
func TestWriter_RejectsBeforeWriting(t *testing.T) {
	g := start(t, 1, writer.Options{MaxMsgSize: 100, MaxBodySize: 120, MaxDelay: time.Minute})
	x, big := []byte("x"), make([]byte, 101)
	for _, row := range []struct {
		name    string
		publish func(done func(writer.Result))
		want    error
	}{
		{"nil body", func(d func(writer.Result)) { g.w.Publish("t", nil, d) }, client.ErrBadMessage},
		{"empty body", func(d func(writer.Result)) { g.w.Publish("t", []byte{}, d) }, client.ErrBadMessage},
		{"large body", func(d func(writer.Result)) { g.w.Publish("t", big, d) }, client.ErrBadMessage},
		{"no topic", func(d func(writer.Result)) { g.w.Publish("", x, d) }, client.ErrBadTopic},
		{"topic with space", func(d func(writer.Result)) { g.w.Publish("a b", x, d) }, client.ErrBadTopic},
		{"topic with dollar", func(d func(writer.Result)) { g.w.Publish("a$", x, d) }, client.ErrBadTopic},
		{"long topic", func(d func(writer.Result)) { g.w.Publish(strings.Repeat("t", 65), x, d) }, client.ErrBadTopic},
		{"nil bodies", func(d func(writer.Result)) { g.w.MultiPublish("t", nil, d) }, client.ErrBadBody},
		{"no bodies", func(d func(writer.Result)) { g.w.MultiPublish("t", [][]byte{}, d) }, client.ErrBadBody},
		{"empty among bodies", func(d func(writer.Result)) { g.w.MultiPublish("t", [][]byte{x, nil}, d) }, client.ErrBadMessage},
		{"large among bodies", func(d func(writer.Result)) { g.w.MultiPublish("t", [][]byte{big}, d) }, client.ErrBadMessage},
		{"large together", func(d func(writer.Result)) { g.w.MultiPublish("t", [][]byte{big[:60], big[:60]}, d) }, client.ErrBadBody},
		{"negative delay", func(d func(writer.Result)) { g.w.DeferredPublish("t", -1, x, d) }, client.ErrInvalid},
		{"long delay", func(d func(writer.Result)) { g.w.DeferredPublish("t", time.Hour, x, d) }, client.ErrInvalid},
		{"empty deferred", func(d func(writer.Result)) { g.w.DeferredPublish("t", 0, nil, d) }, client.ErrBadMessage},
	} {
		g.rs = newResults()
		before := len(g.s[0].Published)
		g.do(func() {
			row.publish(g.rs.as("bad"))
			g.publish("good")
		})
		g.run(time.Second)
		g.rs.want(t, "bad rejected", "good confirmed")
		if err := g.rs.all["bad"].Err; !errors.Is(err, row.want) {
			t.Errorf("%s: got %v, want %v", row.name, err, row.want)
		}
		if got := len(g.s[0].Published) - before; got != 1 {
			t.Errorf("%s: %d messages arrived, want 1", row.name, got)
		}
	}
	if g.s[0].Accepted != 1 {
		t.Errorf("%d connections were made, want 1", g.s[0].Accepted)
	}
}

// Statement 96, and 102: publishing needs no connection yet.
func TestWriter_PublishesWaitForTheConnection(t *testing.T) {
	g := &given{world: newWorld(t, 1), t: t, rs: newResults()}
	g.w = g.writer(writer.Options{NSQDs: []string{"a:4150"}})
	g.publish("early")
	g.run(2 * time.Second)
	g.rs.want(t)
	g.s = append(g.s, g.mock(0))
	g.run(2 * time.Second)
	g.rs.want(t, "early confirmed")
}

// Statements 88 and 95: with FailFast they don't wait.
func TestWriter_FailFast(t *testing.T) {
	g := &given{world: newWorld(t, 1), t: t, rs: newResults()}
	g.w = g.writer(writer.Options{NSQDs: []string{"a:4150"}, FailFast: true})
	g.publish("early")
	g.run(10 * time.Millisecond)
	g.rs.want(t, "early not sent")
	if err := g.rs.all["early"].Err; !errors.Is(err, client.ErrNotConnected) {
		t.Errorf("got %v, want %v", err, client.ErrNotConnected)
	}
	s := g.mock(0)
	g.run(time.Second)
	g.publish("connected")
	g.run(100 * time.Millisecond)
	g.do(s.Stop)
	g.run(100 * time.Millisecond)
	g.publish("late")
	g.run(100 * time.Millisecond)
	g.rs.want(t, "early not sent", "connected confirmed", "late not sent")
}

// Statements 94 and 115: when the connection breaks, what was sent is unknown.
func TestWriter_UnknownWhenTheConnectionBreaks(t *testing.T) {
	g := start(t, 1, writer.Options{})
	g.do(func() { g.s[0].Conns[0].Mute = true })
	g.publish("1", "2")
	g.run(100 * time.Millisecond)
	g.do(func() { g.s[0].Cut() })
	g.run(time.Second)
	g.rs.want(t, "1 unknown", "2 unknown")
	err := g.rs.all["1"].Err
	if !errors.Is(err, client.ErrUnknownOutcome) || !strings.Contains(err.Error(), "a:4150") {
		t.Errorf("got %v", err)
	}
	// Statement 118: and it connects again.
	g.publish("3")
	g.run(time.Second)
	g.rs.want(t, "1 unknown", "2 unknown", "3 confirmed")
}

// Statement 116: a fatal error in the middle of a pipeline.
func TestWriter_FatalErrorInAPipeline(t *testing.T) {
	g := start(t, 1, writer.Options{Retry: writer.RetryNone})
	g.do(func() {
		g.s[0].Script = refuse("bad", wire.CodeBadMessage, "PUB message too big 8 > 7")
	})
	g.do(func() { g.publish("first", "bad", "third", "fourth") })
	g.run(time.Second)
	g.rs.want(t, "first confirmed", "bad rejected", "third not sent", "fourth not sent")
	if err := g.rs.all["bad"].Err; !errors.Is(err, client.ErrBadMessage) || !strings.Contains(err.Error(), "too big") {
		t.Errorf("bad: got %v", err)
	}
	if err := g.rs.all["third"].Err; !errors.Is(err, writer.ErrNotExecuted) {
		t.Errorf("third: got %v, want %v", err, writer.ErrNotExecuted)
	}
	if d := cmp.Diff([]string{"first"}, g.s[0].Bodies()); d != "" {
		t.Errorf("published (-want +got):\n%s", d)
	}
}

// Once nsqd has said that it closes, nothing more is sent on that connection,
// though its close comes in a later turn.
func TestWriter_FatalErrorEndsTheConnectionAtOnce(t *testing.T) {
	for _, nsqds := range []int{1, 2} {
		g := start(t, nsqds, writer.Options{})
		g.do(func() {
			for _, s := range g.s {
				s.Script = refuse("bad", wire.CodeBadMessage, "PUB message too big 8 > 7")
			}
			g.w.Publish("t", []byte("bad"), func(r writer.Result) {
				g.rs.as("bad")(r)
				g.publish("1", "2", "3", "4")
			})
		})
		g.run(time.Second)
		g.rs.want(t, "bad rejected", "1 confirmed", "2 confirmed", "3 confirmed", "4 confirmed")
	}
}

// A server whose disk fails may have stored what came behind the publish that
// it refuses, and even that one when it says so.
func TestWriter_FailedStoreInAPipeline(t *testing.T) {
	for detail, bad := range map[string]string{
		"PUB failed disk full": "not sent",
		"PUB failed " + wire.MayBeKept + ": sync: input/output error": "unknown",
	} {
		g := start(t, 1, writer.Options{})
		g.do(func() {
			g.s[0].Script = refuse("bad", wire.CodePubFailed, detail)
		})
		g.do(func() { g.publish("first", "bad", "third") })
		g.run(time.Second)
		g.rs.want(t, "first confirmed", "bad "+bad, "third unknown")
	}
}

// Statement 109: heartbeats are not answers.
func TestWriter_HeartbeatsConsumeNoCallback(t *testing.T) {
	g := start(t, 1, writer.Options{})
	g.do(func() {
		g.s[0].Script = func(c *mocknsqd.Conn, cmd *wire.Command) bool {
			if cmd.Verb == wire.Pub {
				c.Heartbeat()
			}
			return false
		}
	})
	g.publish("1", "2")
	g.run(time.Second)
	g.rs.want(t, "1 confirmed", "2 confirmed")
}

// A response that nobody waits for means that the count is off: nothing that
// follows could be matched.
func TestWriter_ResponseWithNothingPending(t *testing.T) {
	var lost []string
	g := start(t, 1, writer.Options{OnDisconnect: func(_ string, err error) { lost = append(lost, fmt.Sprint(err)) }})
	g.do(func() { g.s[0].Conns[0].OK() })
	g.run(10 * time.Millisecond)
	if len(lost) != 1 || !strings.Contains(lost[0], "nothing pending") {
		t.Errorf("got %q, want one disconnect that says so", lost)
	}
	g.do(func() {
		g.s[0].Script = func(c *mocknsqd.Conn, cmd *wire.Command) bool {
			if cmd.Verb == wire.Pub {
				c.Respond("MAYBE")
				return true
			}
			return false
		}
	})
	g.publish("1")
	g.run(time.Second)
	g.rs.want(t, "1 unknown")
}

// Statement 108: what the server says about our IDENTIFY reaches the caller,
// at once, because waiting would not help. Statement 110: so does the HTTP port.
func TestWriter_HopelessAddresses(t *testing.T) {
	for _, row := range []struct {
		name  string
		reply func(c *mocknsqd.Conn)
		want  error
		text  string
	}{
		{"refused", func(c *mocknsqd.Conn) {
			c.Fail(wire.CodeBadBody, "IDENTIFY heartbeat interval (100) is invalid")
		}, client.ErrBadBody, "heartbeat interval (100) is invalid"},
		{"HTTP", func(c *mocknsqd.Conn) { c.Raw([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }, client.ErrHTTPEndpoint, "HTTP endpoint"},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := &given{world: newWorld(t, 1), t: t, rs: newResults()}
			s := g.mock(0)
			s.Script = func(c *mocknsqd.Conn, cmd *wire.Command) bool {
				row.reply(c)
				return true
			}
			g.w = g.writer(writer.Options{NSQDs: []string{"a:4150"}, Client: silent})
			g.publish("waiting")
			g.run(200 * time.Millisecond)
			g.publish("later")
			g.run(200 * time.Millisecond)
			g.rs.want(t, "waiting not sent", "later not sent")
			for _, name := range []string{"waiting", "later"} {
				if err := g.rs.all[name].Err; !errors.Is(err, row.want) || !errors.Is(err, client.ErrNotConnected) || !strings.Contains(err.Error(), row.text) {
					t.Errorf("%s: got %v", name, err)
				}
			}
			// It does not give up for good.
			s.Script = nil
			g.run(time.Minute)
			g.publish("mended")
			g.run(time.Second)
			g.rs.want(t, "waiting not sent", "later not sent", "mended confirmed")
		})
	}
}

// Deadlines: what was not sent timed out, what was is unknown; the late answer
// is not taken for another's.
func TestWriter_Deadlines(t *testing.T) {
	g := start(t, 1, writer.Options{Timeout: 2 * time.Second, Window: 1, ReplyTimeout: -1})
	conn := g.s[0].Conns[0]
	g.do(func() { conn.Mute = true })
	g.publish("sent", "waiting")
	g.run(1990 * time.Millisecond)
	g.rs.want(t)
	g.run(20 * time.Millisecond)
	if len(g.rs.names) != 2 {
		t.Fatalf("at the deadline: got %q", g.rs.names)
	}
	if r := g.rs.all["sent"]; r.Outcome() != writer.Unknown || !errors.Is(r.Err, client.ErrTimeout) || r.NSQD != "a:4150" {
		t.Errorf("sent: got %+v", r)
	}
	if r := g.rs.all["waiting"]; r.Outcome() != writer.NotSent || !errors.Is(r.Err, client.ErrTimeout) || r.NSQD != "" {
		t.Errorf("waiting: got %+v", r)
	}
	if got := g.stats(); got.Pending != 0 {
		t.Errorf("%d pending, want 0", got.Pending)
	}
	// The place in the order is still taken, so this one waits for it.
	g.do(func() { conn.Mute = false })
	g.publish("next")
	g.run(100 * time.Millisecond)
	g.do(conn.OK) // the late answer
	g.run(100 * time.Millisecond)
	if r := g.rs.all["next"]; g.rs.times["next"] != 1 || r.Outcome() != writer.Confirmed {
		t.Errorf("next: got %+v", r)
	}
	if got := g.rs.times["sent"]; got != 1 {
		t.Errorf("sent was reported %d times", got)
	}
	if d := cmp.Diff([]string{"sent", "next"}, g.s[0].Bodies()); d != "" {
		t.Errorf("published (-want +got):\n%s", d)
	}
}

func TestWriter_WithoutDeadline(t *testing.T) {
	g := &given{world: newWorld(t, 1), t: t, rs: newResults()}
	g.w = g.writer(writer.Options{NSQDs: []string{"a:4150"}, Timeout: -1})
	g.publish("patient")
	g.run(time.Hour)
	g.rs.want(t)
	g.mock(0)
	g.run(time.Minute)
	g.rs.want(t, "patient confirmed")
}

// A peer that owes an answer and says nothing is given up within 3 s.
func TestWriter_NoticesADeadPeer(t *testing.T) {
	var lost error
	g := start(t, 1, writer.Options{Timeout: time.Minute, OnDisconnect: func(_ string, err error) { lost = err }})
	g.run(time.Minute) // the look must not count from some earlier time
	g.do(func() { g.s[0].Conns[0].Deaf = true })
	g.publish("1")
	g.run(2400 * time.Millisecond)
	if lost != nil {
		t.Fatalf("given up early: %v", lost)
	}
	g.run(600 * time.Millisecond)
	if !errors.Is(lost, client.ErrStale) {
		t.Errorf("got %v, want %v", lost, client.ErrStale)
	}
	g.rs.want(t, "1 unknown")
}

// One that is slow but alive is not.
func TestWriter_KeepsASlowPeer(t *testing.T) {
	g := start(t, 1, writer.Options{Timeout: time.Minute})
	conn := g.s[0].Conns[0]
	g.do(func() { conn.Mute = true })
	g.publish("1")
	for range 10 {
		g.run(2 * time.Second)
		g.do(func() {
			conn.Mute = false
			conn.Heartbeat()
			conn.Mute = true
		})
	}
	g.rs.want(t)
	g.do(func() {
		conn.Mute = false
		conn.OK()
	})
	g.run(time.Second)
	g.rs.want(t, "1 confirmed")
}

// Statement 121: at the limit the next one fails at once, and when something
// has ended there is room again.
func TestWriter_Full(t *testing.T) {
	for _, row := range []struct {
		name string
		o    writer.Options
	}{
		{"publishes", writer.Options{MaxPending: 2}},
		{"bytes", writer.Options{MaxPendingBytes: 2}},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := start(t, 1, row.o)
			conn := g.s[0].Conns[0]
			g.do(func() { conn.Mute = true })
			g.do(func() { g.publish("1", "2", "3") })
			g.run(100 * time.Millisecond)
			g.rs.want(t, "3 not sent")
			if err := g.rs.all["3"].Err; !errors.Is(err, writer.ErrFull) {
				t.Errorf("got %v, want %v", err, writer.ErrFull)
			}
			g.do(func() {
				conn.Mute = false
				conn.OK()
				conn.Mute = true
			})
			g.run(100 * time.Millisecond)
			g.do(func() { g.publish("4", "5") })
			g.run(100 * time.Millisecond)
			g.rs.want(t, "3 not sent", "1 confirmed", "5 not sent")
		})
	}
}

// What is larger than the limit by itself is taken alone.
func TestWriter_LargerThanMaxPendingBytes(t *testing.T) {
	g := start(t, 1, writer.Options{MaxPendingBytes: 5})
	g.do(func() { g.publish("larger than five", "x") })
	g.run(time.Second)
	g.rs.want(t, "x not sent", "larger than five confirmed")
}

// A done function finds the room that its own publish has left.
func TestWriter_DoneFindsRoom(t *testing.T) {
	g := start(t, 1, writer.Options{MaxPending: 1})
	n := 0
	var done func(writer.Result)
	done = func(r writer.Result) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		if n++; n < 100 {
			g.w.Publish("t", []byte("again"), done)
		}
	}
	g.w.Publish("t", []byte("first"), done)
	g.run(time.Minute)
	if n != 100 {
		t.Errorf("%d publishes ended, want 100", n)
	}
}

// A callback that publishes what fails at once, for ever, does not keep the
// loop from turning.
func TestWriter_FailingInACircle(t *testing.T) {
	g := start(t, 1, writer.Options{})
	n, stop := 0, false
	var done func(writer.Result)
	done = func(writer.Result) {
		n++
		if !stop {
			g.w.Publish("", nil, done)
		}
	}
	g.do(func() { g.client.After(time.Millisecond, func() { stop = true }) })
	g.w.Publish("", nil, done)
	g.runUntil(func() bool { return n > 1000 || stop })
	stop = true
	g.run(time.Second)
	if n < 2 {
		t.Errorf("%d results", n)
	}
}

// Sent and unanswered publishes are bounded by the window; the rest waits and
// can still go elsewhere.
func TestWriter_Window(t *testing.T) {
	g := start(t, 1, writer.Options{Window: 2})
	conn := g.s[0].Conns[0]
	g.do(func() { conn.Mute = true })
	g.do(func() { g.publish("1", "2", "3", "4") })
	g.run(100 * time.Millisecond)
	if d := cmp.Diff([]string{"1", "2"}, g.s[0].Bodies()); d != "" {
		t.Errorf("sent (-want +got):\n%s", d)
	}
	g.do(func() { g.s[0].Cut() })
	g.run(time.Second)
	g.rs.want(t, "1 unknown", "2 unknown", "3 confirmed", "4 confirmed")
}

// Statement 113: each publish goes to one nsqd, all of them get some, a dead
// one gets none.
func TestWriter_SharesOverNSQDs(t *testing.T) {
	g := start(t, 3, writer.Options{})
	publish := func() {
		g.do(func() {
			for range 600 {
				g.w.Publish("t", []byte("x"), g.rs.as("x"))
			}
		})
		g.run(time.Second)
	}
	publish()
	total := 0
	for i, s := range g.s {
		n := len(s.Published)
		if n < 150 || n > 250 {
			t.Errorf("nsqd %d got %d of 600", i, n)
		}
		total += n
	}
	if total != 600 || g.rs.times["x"] != 600 {
		t.Errorf("%d published, %d reported, want 600", total, g.rs.times["x"])
	}
	// One publish at a time goes around as well.
	for range 9 {
		g.do(func() { g.publish("single") })
		g.run(10 * time.Millisecond)
	}
	for i, s := range g.s {
		if n := strings.Count(strings.Join(s.Bodies(), " "), "single"); n != 3 {
			t.Errorf("nsqd %d got %d of 9 single ones", i, n)
		}
	}
	g.do(g.s[1].Stop)
	g.run(time.Second)
	before := len(g.s[1].Published)
	g.rs = newResults()
	publish()
	if g.rs.times["x"] != 600 || g.rs.all["x"].Err != nil || len(g.s[1].Published) != before {
		t.Errorf("with one down: %d ended, last %v", g.rs.times["x"], g.rs.all["x"].Err)
	}
}

// Statement 114: when a node dies under load, nothing that was acknowledged is
// missing, what was not sent goes elsewhere, and only what was sent to the dead
// one is unknown.
func TestWriter_Failover(t *testing.T) {
	g := start(t, 2, writer.Options{Window: 10})
	g.do(func() {
		g.s[0].Conns[0].Mute = true
		for i := range 500 {
			g.publish(fmt.Sprint(i))
		}
	})
	g.run(500 * time.Millisecond)
	g.do(g.s[0].Stop)
	g.run(time.Second)
	seen := map[string]bool{}
	for _, b := range g.s[1].Bodies() {
		seen[b] = true
	}
	unknown := 0
	for name, r := range g.rs.all {
		switch r.Outcome() {
		case writer.Confirmed:
			if !seen[name] {
				t.Errorf("%s is confirmed and missing", name)
			}
		case writer.Unknown:
			unknown++
		default:
			t.Errorf("%s: %v", name, r.Err)
		}
	}
	if len(g.rs.all) != 500 || unknown != 10 {
		t.Errorf("%d ended, %d unknown; want 500 and the window of 10", len(g.rs.all), unknown)
	}
}

// Statement 118: redials go on for ever, with growing pauses.
func TestWriter_Redials(t *testing.T) {
	g := &given{world: newWorld(t, 1), t: t, rs: newResults()}
	s := g.mock(0)
	var dials []time.Time
	s.OnAccept = func(*mocknsqd.Conn) bool {
		dials = append(dials, g.server.Now())
		return false
	}
	connects, failures := 0, 0
	g.w = g.writer(writer.Options{
		NSQDs: []string{"a:4150"}, Client: silent,
		OnConnect: func(string) { connects++ },
		OnError:   func(error) { failures++ },
	})
	g.run(time.Hour)
	if n := len(dials); n < 550 || n > 800 {
		t.Fatalf("%d dials in an hour, want about 650", n)
	}
	if first := dials[1].Sub(dials[0]); first > 200*time.Millisecond {
		t.Errorf("the first pause was %v", first)
	}
	if last := dials[len(dials)-1].Sub(dials[len(dials)-2]); last < 15*time.Second || last > 31*time.Second {
		t.Errorf("the last pause was %v", last)
	}
	s.OnAccept = nil
	g.run(40 * time.Second)
	if connects != 1 || failures != len(dials) {
		t.Fatalf("%d connects and %d failures reported, want 1 and %d", connects, failures, len(dials))
	}
	// A connection that has lasted is dialled again soon.
	g.run(time.Minute)
	g.do(s.Cut)
	g.run(time.Second)
	if connects != 2 {
		t.Errorf("%d connects a second after the loss, want 2", connects)
	}
}

// Statement 119: Shutdown waits for answers.
func TestWriter_ShutdownDrains(t *testing.T) {
	g := start(t, 1, writer.Options{})
	conn := g.s[0].Conns[0]
	g.do(func() { conn.Mute = true })
	g.do(func() { g.publish("1", "2") })
	g.run(100 * time.Millisecond)
	err := make(chan error, 1)
	g.background(func() { err <- g.w.Shutdown(context.Background()) })
	g.run(100 * time.Millisecond)
	g.publish("3")
	g.run(100 * time.Millisecond)
	g.rs.want(t, "3 not sent")
	if e := g.rs.all["3"].Err; !errors.Is(e, writer.ErrClosed) || !errors.Is(e, client.ErrClosed) {
		t.Errorf("got %v, want %v", e, writer.ErrClosed)
	}
	g.do(func() {
		conn.Mute = false
		conn.OK()
		conn.OK()
	})
	g.runUntil(func() bool { return len(err) == 1 })
	if e := <-err; e != nil {
		t.Errorf("Shutdown: got %v, want nil", e)
	}
	g.rs.want(t, "3 not sent", "1 confirmed", "2 confirmed")
	if len(g.s[0].Conns) != 0 {
		t.Error("the connection is still open")
	}
}

// ... but not longer than it is told to.
func TestWriter_ShutdownIsCutOff(t *testing.T) {
	g := start(t, 1, writer.Options{Window: 1, Timeout: -1, ReplyTimeout: -1, Client: silent})
	g.do(func() { g.s[0].Conns[0].Mute = true })
	g.do(func() { g.publish("sent", "waiting") })
	g.run(100 * time.Millisecond)
	ctx, cancel := context.WithCancel(context.Background())
	err := make(chan error, 1)
	g.background(func() { err <- g.w.Shutdown(ctx) })
	g.run(time.Hour)
	g.rs.want(t)
	cancel()
	g.runUntil(func() bool { return len(err) == 1 })
	if e := <-err; !errors.Is(e, context.Canceled) {
		t.Errorf("Shutdown: got %v, want %v", e, context.Canceled)
	}
	g.rs.want(t, "waiting not sent", "sent unknown")
	if e := g.rs.all["sent"].Err; !errors.Is(e, writer.ErrClosed) {
		t.Errorf("sent: got %v, want it to wrap %v", e, writer.ErrClosed)
	}
}

// Close ends everything at once, once, and everything after it.
func TestWriter_Close(t *testing.T) {
	g := start(t, 1, writer.Options{Window: 1})
	g.do(func() { g.s[0].Conns[0].Mute = true })
	g.do(func() {
		g.publish("sent", "waiting")
	})
	g.run(10 * time.Millisecond)
	g.do(func() {
		g.publish("in the mailbox")
		g.w.Close()
		g.w.Close()
		g.publish("after")
		if len(g.rs.names) > 0 {
			t.Error("done was called inside Close")
		}
	})
	g.run(time.Second)
	want := map[string]writer.Outcome{"sent": writer.Unknown, "waiting": writer.NotSent, "in the mailbox": writer.NotSent, "after": writer.NotSent}
	for name, outcome := range want {
		if r := g.rs.all[name]; g.rs.times[name] != 1 || r.Outcome() != outcome || !errors.Is(r.Err, writer.ErrClosed) {
			t.Errorf("%s: %d times, %+v; want %v", name, g.rs.times[name], r, outcome)
		}
	}
	if len(g.s[0].Conns) != 0 {
		t.Error("the connection is still open")
	}
}

// Statement 120: a callback that panics harms neither the connection nor the
// other callbacks.
func TestWriter_SurvivesPanickingCallbacks(t *testing.T) {
	l, s := startReal(t)
	w := mustRealWriter(t, l, s)
	ended := make(chan int, 100)
	for i := range 100 {
		w.Publish("t", []byte("x"), func(r writer.Result) {
			if r.Err != nil {
				t.Error(r.Err)
			}
			ended <- i
			if i%3 == 0 {
				panic("on purpose")
			}
		})
	}
	for i := range 100 {
		if got := <-ended; got != i {
			t.Fatalf("got %d, want %d", got, i)
		}
	}
	if got := w.Stats(); got.NSQDs[0].Connects != 1 || got.Confirmed != 100 {
		t.Errorf("got %+v, want the first connection and 100 confirmed", got)
	}
	if err := w.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// Failed publishes without a done function are in the log, once per burst.
func TestWriter_LogsWhatNobodyLooksAt(t *testing.T) {
	var log bytes.Buffer
	g := start(t, 1, writer.Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))})
	errors := func() int { return strings.Count(log.String(), "level=ERROR") }
	g.do(func() {
		for range 50 {
			g.w.Publish("t", nil, nil)
		}
	})
	g.run(100 * time.Millisecond)
	if errors() != 1 || !strings.Contains(log.String(), "topic=t") {
		t.Errorf("at once: got\n%s", log.String())
	}
	g.run(5 * time.Second)
	if errors() != 2 || !strings.Contains(log.String(), "publishes=50") {
		t.Errorf("later: got\n%s", log.String())
	}
	g.w.Publish("t", nil, nil)
	g.run(5 * time.Second)
	if errors() != 3 {
		t.Errorf("a second burst of one: got\n%s", log.String())
	}
}

// Statements 86 and 87: options.
func TestNew_ChecksOptions(t *testing.T) {
	g := &given{world: newWorld(t, 1), t: t}
	ok := []string{"a:4150"}
	for _, row := range []struct {
		o    writer.Options
		want string
	}{
		{writer.Options{}, "NSQDs"},
		{writer.Options{NSQDs: []string{"a"}}, "NSQDs"},
		{writer.Options{NSQDs: []string{"a:nsq"}}, "NSQDs"},
		{writer.Options{NSQDs: []string{"a:1", "a:1"}}, "a:1: the address is there already"},
		{writer.Options{NSQDs: ok, MaxPending: -1}, "MaxPending"},
		{writer.Options{NSQDs: ok, MaxPendingBytes: -1}, "MaxPendingBytes"},
		{writer.Options{NSQDs: ok, Window: -1}, "Window"},
		{writer.Options{NSQDs: ok, MaxMsgSize: -1}, "MaxMsgSize"},
		{writer.Options{NSQDs: ok, MaxBodySize: -1}, "MaxBodySize"},
		{writer.Options{NSQDs: ok, MaxDelay: -1}, "MaxDelay"},
		{writer.Options{NSQDs: ok, MaxWait: -1}, "MaxWait"},
		{writer.Options{NSQDs: ok, MaxWait: 5}, "MaxWait"},
		{writer.Options{NSQDs: ok, MaxWait: 6 * time.Second}, "MaxWait 6s: want at most Timeout, 5s"},
		{writer.Options{NSQDs: ok, Timeout: 5}, "Timeout 5ns"},
		{writer.Options{NSQDs: ok, ReplyTimeout: 5}, "ReplyTimeout 5ns"},
		{writer.Options{NSQDs: ok, Batch: -1}, "Batch"},
		{writer.Options{NSQDs: ok, Policy: "random"}, "Policy"},
		{writer.Options{NSQDs: ok, Retry: "always"}, "Retry"},
		{writer.Options{Lookupds: []string{"ftp://l:4161"}}, "Lookupds"},
		{writer.Options{NSQDs: ok, LookupdPollInterval: time.Microsecond}, "LookupdPollInterval"},
		{writer.Options{NSQDs: ok, LookupdPollJitter: 1.5}, "LookupdPollJitter"},
		{writer.Options{NSQDs: ok, ReconnectDelay: -1}, "ReconnectDelay"},
		{writer.Options{NSQDs: ok, ReconnectDelay: time.Minute}, "MaxReconnectDelay"},
		{writer.Options{NSQDs: ok, Client: client.Options{SampleRate: 100}}, "Client.SampleRate"},
	} {
		if _, err := writer.New(g.client, row.o); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%+v: got %v, want an error that names %s", row.o, err, row.want)
		}
	}
	if w, err := writer.New(g.client, writer.Options{NSQDs: ok}); err != nil {
		t.Error(err)
	} else {
		w.Close()
	}
	g.run(time.Second)
}

// The events of connections.
func TestWriter_Events(t *testing.T) {
	var events []string
	g := start(t, 1, writer.Options{
		OnConnect: func(nsqd string) { events = append(events, "connect "+nsqd) },
		OnDisconnect: func(nsqd string, err error) {
			events = append(events, fmt.Sprint("disconnect ", nsqd, " ", err != nil))
		},
	})
	g.do(g.s[0].Cut)
	g.run(time.Second)
	g.do(func() { g.w.Close() })
	g.run(time.Second)
	want := []string{"connect a:4150", "disconnect a:4150 true", "connect a:4150", "disconnect a:4150 false"}
	if d := cmp.Diff(want, events); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
}

// Calls that wait for the loop say so on the loop, instead of waiting for
// themselves.
func TestWriter_WouldBlock(t *testing.T) {
	g := start(t, 1, writer.Options{})
	g.do(func() {
		ctx := context.Background()
		for name, err := range map[string]error{
			"PublishSync":         g.w.PublishSync(ctx, "t", []byte("x")),
			"MultiPublishSync":    g.w.MultiPublishSync(ctx, "t", [][]byte{[]byte("x")}),
			"DeferredPublishSync": g.w.DeferredPublishSync(ctx, "t", 0, []byte("x")),
			"WaitReady":           g.w.WaitReady(ctx),
			"Shutdown":            g.w.Shutdown(ctx),
			"Flush":               g.w.Flush(ctx),
		} {
			if !errors.Is(err, client.ErrWouldBlock) || !strings.Contains(err.Error(), "use Publish with done, or Options.Workers") {
				t.Errorf("%s: got %v, want %v", name, err, client.ErrWouldBlock)
			}
		}
		if got := g.w.Stats(); !got.NSQDs[0].Ready {
			t.Errorf("Stats: got %+v, want a ready nsqd", got)
		}
	})
	g.run(time.Second)
	if len(g.s[0].Published) != 0 {
		t.Errorf("published: %v", g.s[0].Published)
	}
}

// A loop that is closed without a drain, in the pause before the next dial,
// still calls back about what waits for that nsqd.
func TestWriter_LoopClosedWhileNoNSQDIsThere(t *testing.T) {
	g := start(t, 0, writer.Options{NSQDs: []string{"nowhere:4150"}, ReconnectDelay: time.Hour, MaxReconnectDelay: time.Hour})
	g.do(func() { g.publish("a", "b") })
	g.run(time.Millisecond)
	if len(g.rs.names) > 0 {
		t.Fatalf("%v ended too early", g.rs.names)
	}
	if err := g.client.Close(); err != nil {
		t.Fatal(err)
	}
	g.rs.want(t, "a not sent", "b not sent")
	if err := g.rs.all["a"].Err; !errors.Is(err, writer.ErrClosed) {
		t.Errorf("got %v, want %v", err, writer.ErrClosed)
	}
}
