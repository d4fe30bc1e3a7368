package writer_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/internal/mocknsqd"
	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/writer"
)

// once starts a world of nsqd-lites that remember publishers, and a Writer with
// RetryOnce.
func once(t *testing.T, nsqds int, o writer.Options) *given {
	t.Helper()
	g := &given{world: newWorld(t, 1), t: t, rs: newResults()}
	for i := range nsqds {
		g.s = append(g.s, g.mock(i))
		g.s[i].Token = "first"
		o.NSQDs = append(o.NSQDs, address(i))
	}
	o.Retry = writer.RetryOnce
	g.w = g.writer(o)
	g.run(time.Second)
	return g
}

// sent are the publishes that an nsqd has read.
func sent(s *mocknsqd.NSQD) (all []string) {
	for _, line := range s.Commands {
		if strings.Contains(line, "PUB ") {
			all = append(all, line)
		}
	}
	return all
}

// wantSent checks what the first nsqd has read, and stored.
func (g *given) wantSent(commands []string, bodies ...string) {
	g.t.Helper()
	if d := cmp.Diff(commands, sent(g.s[0])); d != "" {
		g.t.Errorf("sent (-want +got):\n%s", d)
	}
	if d := cmp.Diff(bodies, g.s[0].Bodies()); d != "" {
		g.t.Errorf("stored (-want +got):\n%s", d)
	}
}

// breaks has the first nsqd read what f publishes, without an answer, and the
// connection break. It may not be dialled before the returned function is called.
func (g *given) breaks(f func()) (back func()) {
	g.do(func() { g.s[0].Conns[0].Mute = true; f() })
	g.run(10 * time.Millisecond)
	g.do(func() {
		g.s[0].OnAccept = func(*mocknsqd.Conn) bool { return false }
		g.s[0].Cut()
	})
	g.run(10 * time.Millisecond)
	return func() { g.do(func() { g.s[0].OnAccept = nil }) }
}

// What nsqd has is confirmed, and what it has not is stored, each once and in
// order, before what comes later.
func TestRetryOnce_TellsWhatIsThere(t *testing.T) {
	g := once(t, 1, writer.Options{})
	g.breaks(func() { g.publish("has", "has too") })()
	g.publish("later")
	g.run(2 * time.Second)
	g.rs.want(t, "has confirmed", "has too confirmed", "later confirmed")
	g.wantSent([]string{"PUB t #1 has", "PUB t #2 has too", "PUB t #1 has", "PUB t #2 has too", "PUB t #3 later"}, "has", "has too", "later")
	if has, later := g.rs.all["has"].Tries, g.rs.all["later"].Tries; has != 2 || later != 1 {
		t.Errorf("sent %d and %d times, want 2 and 1", has, later)
	}

	g = once(t, 1, writer.Options{})
	g.do(func() { g.s[0].Conns[0].Deaf = true })
	g.publish("has not")
	g.w.DeferredPublish("t", time.Minute, []byte("deferred"), g.rs.as("deferred"))
	g.w.MultiPublish("u", [][]byte{[]byte("x"), []byte("y")}, g.rs.as("many"))
	g.run(10 * time.Millisecond)
	g.do(g.s[0].Cut)
	g.publish("later")
	g.run(2 * time.Second)
	g.rs.want(t, "has not confirmed", "deferred confirmed", "many confirmed", "later confirmed")
	g.wantSent([]string{"PUB t #1 has not", "DPUB t #2 60000 deferred", "MPUB u #3 2", "PUB t #5 later"}, "has not", "deferred", "x", "y", "later")
}

// What has left as one command is asked for one by one, because some of it may
// have ended since.
func TestRetryOnce_Batch(t *testing.T) {
	g := once(t, 1, writer.Options{Batch: 10})
	g.breaks(func() { g.publish("1", "2", "3") })()
	g.run(2 * time.Second)
	g.publish("4", "5")
	g.run(time.Second)
	g.rs.want(t, "1 confirmed", "2 confirmed", "3 confirmed", "4 confirmed", "5 confirmed")
	g.wantSent([]string{"MPUB t #1 3", "PUB t #1 1", "PUB t #2 2", "PUB t #3 3", "MPUB t #4 2"}, "1", "2", "3", "4", "5")
}

// It may take several connections.
func TestRetryOnce_BreaksAgain(t *testing.T) {
	g := once(t, 1, writer.Options{})
	g.do(func() {
		g.s[0].Script = func(c *mocknsqd.Conn, cmd *wire.Command) bool {
			c.Mute = c.Mute || cmd.Verb == wire.Pub && c.Number < 4
			return false
		}
	})
	g.publish("x")
	for range 3 {
		g.run(500 * time.Millisecond)
		g.do(g.s[0].Cut)
	}
	g.run(time.Second)
	g.rs.want(t, "x confirmed")
	if got := g.rs.all["x"].Tries; got != 4 || len(g.s[0].Published) != 1 {
		t.Errorf("sent %d times and stored %d times, want 4 and 1", got, len(g.s[0].Published))
	}
}

// Whom nsqd does not remember is told that the outcome is unknown, at once, and
// nothing is sent again.
func TestRetryOnce_Forgotten(t *testing.T) {
	for _, now := range []string{"", "second"} {
		t.Run(now, func(t *testing.T) {
			g := once(t, 1, writer.Options{})
			back := g.breaks(func() { g.publish("x") })
			g.rs.want(t)
			g.do(func() { g.s[0].Forget(now) })
			back()
			g.publish("later")
			g.run(2 * time.Second)
			g.rs.want(t, "x unknown", "later confirmed")
			number := map[string]string{"second": "#2 "}[now]
			g.wantSent([]string{"PUB t #1 x", "PUB t " + number + "later"}, "x", "later")
			r := g.rs.all["x"]
			if !errors.Is(r.Err, client.ErrUnknownOutcome) || !strings.Contains(r.Err.Error(), "does not remember") || r.Tries != 1 {
				t.Errorf("got %+v", r)
			}
		})
	}
	// The original nsqd remembers nobody.
	g := start(t, 1, writer.Options{Retry: writer.RetryOnce})
	g.breaks(func() { g.publish("x") })
	g.rs.want(t, "x unknown")
	g.wantSent([]string{"PUB t x"}, "x")
}

// Each address is a publisher of its own, as two of them may lead to one nsqd,
// and the same one on each of its connections. Without RetryOnce nobody is.
func TestRetryOnce_Identify(t *testing.T) {
	publishers := func(g *given) (ids []string) {
		g.breaks(func() { g.publish("x") })()
		g.run(time.Second)
		for _, s := range g.s {
			for _, line := range s.Commands {
				if m := regexp.MustCompile(`"lite_publisher":"([0-9a-f]{16})"`).FindStringSubmatch(line); m != nil {
					ids = append(ids, m[1])
				}
			}
		}
		return ids
	}
	ids := publishers(once(t, 2, writer.Options{Policy: writer.Sticky}))
	if len(ids) != 3 || ids[0] != ids[1] || ids[0] == ids[2] {
		t.Errorf("got %q, want the same two and another", ids)
	}
	if ids := publishers(start(t, 1, writer.Options{Client: client.Options{Publisher: "0123456789abcdef"}})); ids != nil {
		t.Errorf("got %q, want none", ids)
	}
}

// While the nsqd is away a publish waits as long as its Timeout lets it, also with
// FailFast and with another nsqd there. It is not asked for any more then.
func TestRetryOnce_Deadline(t *testing.T) {
	for _, failFast := range []bool{false, true} {
		g := once(t, 2, writer.Options{Policy: writer.Sticky, Timeout: 2 * time.Second, FailFast: failFast})
		back := g.breaks(func() { g.publish("old") })
		g.run(1900 * time.Millisecond)
		g.rs.want(t)
		if s := g.stats(); s.Pending != 1 || s.NSQDs[0].Pending != 1 {
			t.Errorf("got %+v, want one pending", s)
		}
		g.run(100 * time.Millisecond)
		g.rs.want(t, "old unknown")
		if r := g.rs.all["old"]; !errors.Is(r.Err, client.ErrTimeout) || r.Tries != 1 || r.NSQD != "a:4150" {
			t.Errorf("got %+v", r)
		}
		back()
		g.run(2 * time.Second)
		g.wantSent([]string{"PUB t #1 old"}, "old")
		if got := g.s[1].Bodies(); got != nil {
			t.Errorf("the other nsqd got %q", got)
		}
	}
}

// What has ended meanwhile leaves a gap in the numbers.
func TestRetryOnce_Gap(t *testing.T) {
	g := once(t, 1, writer.Options{Timeout: time.Second})
	g.do(func() { g.s[0].Conns[0].Mute = true })
	g.publish("old")
	g.run(900 * time.Millisecond)
	back := g.breaks(func() { g.publish("new") })
	g.run(200 * time.Millisecond)
	back()
	g.run(2 * time.Second)
	g.rs.want(t, "old unknown", "new confirmed")
	g.wantSent([]string{"PUB t #1 old", "PUB t #2 new", "PUB t #2 new"}, "old", "new")
}

// Who gives up waiting is told that the outcome is unknown, and it is not asked
// for any more.
func TestRetryOnce_Sync(t *testing.T) {
	g := once(t, 1, writer.Options{})
	g.do(func() { g.s[0].Conns[0].Mute = true })
	ctx, cancel := context.WithCancel(context.Background())
	given, waited := make(chan error, 1), make(chan error, 1)
	g.background(func() { given <- g.w.PublishSync(ctx, "t", []byte("given up")) })
	g.run(10 * time.Millisecond)
	g.background(func() { waited <- g.w.PublishSync(context.Background(), "t", []byte("waited")) })
	g.run(10 * time.Millisecond)
	g.breaks(func() {})()
	cancel()
	if err := <-given; writer.OutcomeOf(err) != writer.Unknown || !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	g.runUntil(func() bool { return len(waited) == 1 })
	if err := <-waited; err != nil {
		t.Error(err)
	}
	g.wantSent([]string{"PUB t #1 given up", "PUB t #2 waited", "PUB t #2 waited"}, "given up", "waited")
	if s := g.stats(); s.Unknown != 1 || s.Confirmed != 1 || s.Pending != 0 {
		t.Errorf("got %+v", s)
	}
}

// What is unsure when there is nothing to wait for any more ends at once.
func TestRetryOnce_Ends(t *testing.T) {
	for name, end := range map[string]func(g *given){
		"close":  func(g *given) { g.do(func() { g.w.Close() }) },
		"remove": func(g *given) { g.do(func() { _ = g.w.RemoveNSQD("a:4150") }) },
		"shutdown of the loop": func(g *given) {
			if err := g.client.Shutdown(time.Second); err != nil {
				g.t.Error(err)
			}
		},
		"refused handshake": func(g *given) {
			g.do(func() {
				g.s[0].OnAccept = nil
				g.s[0].Script = func(c *mocknsqd.Conn, cmd *wire.Command) bool {
					c.Fail(wire.CodeBadBody, "IDENTIFY msg timeout (1) is invalid")
					return true
				}
			})
			g.run(500 * time.Millisecond)
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := once(t, 1, writer.Options{ReconnectDelay: 300 * time.Millisecond})
			g.breaks(func() { g.publish("x") })
			g.rs.want(t)
			end(g)
			g.run(10 * time.Millisecond)
			g.rs.want(t, "x unknown")
		})
	}
	// The loop's shutdown waits for a dial that is on its way.
	g := once(t, 1, writer.Options{})
	back := g.breaks(func() { g.publish("x") })
	back()
	g.run(time.Second)
	if err := g.client.Shutdown(time.Second); err != nil {
		t.Error(err)
	}
	g.rs.want(t, "x confirmed")
}

// Flush and Shutdown wait for what is unsure.
func TestRetryOnce_IsWaitedFor(t *testing.T) {
	g := once(t, 1, writer.Options{})
	back := g.breaks(func() { g.publish("x") })
	over := make(chan error, 2)
	g.background(func() { over <- g.w.Flush(context.Background()) })
	g.run(10 * time.Millisecond)
	g.background(func() { over <- g.w.Shutdown(context.Background()) })
	g.run(100 * time.Millisecond)
	if len(over) != 0 {
		t.Error("it did not wait")
	}
	back()
	g.runUntil(func() bool { return len(over) == 2 })
	if err := errors.Join(<-over, <-over); err != nil {
		t.Error(err)
	}
	g.rs.want(t, "x confirmed")
}

// What is sent behind a store that failed is asked for as well. What failed goes to
// another nsqd, unless an earlier try of it may be here.
func TestRetryOnce_FullDisk(t *testing.T) {
	g := once(t, 2, writer.Options{Policy: writer.Sticky})
	g.do(func() {
		g.s[0].Script = func(c *mocknsqd.Conn, cmd *wire.Command) bool {
			return c.Number == 1 && full(c, cmd)
		}
		g.publish("moves", "behind")
	})
	g.run(2 * time.Second)
	g.rs.want(t, "moves confirmed", "behind confirmed")
	if moves, behind := g.rs.all["moves"].NSQD, g.rs.all["behind"].NSQD; moves != "b:4150" || behind != "a:4150" {
		t.Errorf("they are at %s and %s", moves, behind)
	}
	g.wantSent([]string{"PUB t #1 moves", "PUB t #2 behind"}, "behind")

	back := g.breaks(func() { g.publish("stays") })
	g.do(func() { g.s[0].Script = full })
	back()
	g.run(2 * time.Second)
	if r := g.rs.all["stays"]; r.Outcome() != writer.Unknown || r.NSQD != "a:4150" || r.Tries != 2 || !errors.Is(r.Err, client.ErrPubFailed) {
		t.Errorf("got %+v, want it unknown", r)
	}
	if d := cmp.Diff([]string{"moves"}, g.s[1].Bodies()); d != "" {
		t.Errorf("the other nsqd (-want +got):\n%s", d)
	}
}

// What is not executed behind a rejected publish may have been on an earlier
// connection: then it stays here, with its number. A publish of which only a part
// has come is asked for again, too.
func TestRetryOnce_BehindARejectedPublish(t *testing.T) {
	for _, row := range []struct {
		detail, outcome string
		want            []string
	}{
		{"PUB message too big 8 > 7", "unknown", []string{"PUB t #2 old", "PUB t #3 new"}},
		{"PUB failed to read message body", "confirmed", []string{"PUB t #1 bad", "PUB t #2 old", "PUB t #3 new"}},
	} {
		g := once(t, 1, writer.Options{})
		back := g.breaks(func() { g.publish("bad", "old") })
		times := 0
		g.do(func() {
			g.s[0].Script = func(c *mocknsqd.Conn, cmd *wire.Command) bool {
				if string(cmd.Body) != "bad" || times > 0 {
					return false
				}
				times++
				return refuse("bad", wire.CodeBadMessage, row.detail)(c, cmd)
			}
		})
		back()
		g.publish("new")
		g.run(2 * time.Second)
		g.rs.want(t, "bad "+row.outcome, "old confirmed", "new confirmed")
		want := append([]string{"PUB t #1 bad", "PUB t #2 old", "PUB t #1 bad"}, row.want...)
		g.wantSent(want, "bad", "old", "new")
	}
}

// Of what nsqd cannot tell what became of it, the outcome is unknown: of that alone,
// whatever else is on the connection, which goes on.
func TestRetryOnce_Doubtful(t *testing.T) {
	g := once(t, 1, writer.Options{})
	back := g.breaks(func() { g.publish("1", "2", "3", "4") })
	g.do(func() {
		g.s[0].Script = func(c *mocknsqd.Conn, cmd *wire.Command) bool {
			if cmd.Verb != wire.Pub || cmd.Number%2 == 0 || cmd.Number > 4 {
				return false
			}
			c.Error(wire.CodePubDoubtful, "PUB failed "+wire.MayBeKept+": published before")
			return true
		}
	})
	back()
	g.publish("5")
	g.run(2 * time.Second)
	g.rs.want(t, "1 unknown", "2 confirmed", "3 unknown", "4 confirmed", "5 confirmed")
	if r := g.rs.all["1"]; !errors.Is(r.Err, client.ErrPubDoubtful) || r.Tries != 2 {
		t.Errorf("got %+v", r)
	}
	if s := g.stats(); s.NSQDs[0].Connects != 2 || s.Pending != 0 {
		t.Errorf("%d connections, %d pending; want 2 and 0", s.NSQDs[0].Connects, s.Pending)
	}
}

// A copy stays where it may be.
func TestRetryOnce_PublishAll(t *testing.T) {
	g := once(t, 3, writer.Options{})
	var all []writer.Result
	g.breaks(func() { g.w.PublishAll("t", []byte("x"), 2, func(rs []writer.Result) { all = rs }) })()
	g.run(2 * time.Second)
	at := ""
	for _, r := range all {
		at += fmt.Sprint(r.NSQD, " ", r.Outcome(), " ", r.Tries, "; ")
	}
	if want := "a:4150 confirmed 2; b:4150 confirmed 1; "; at != want {
		t.Errorf("got %q, want %q", at, want)
	}
	for i, want := range []int{1, 1, 0} {
		if got := len(g.s[i].Published); got != want {
			t.Errorf("nsqd %d has %d copies, want %d", i, got, want)
		}
	}
}

// What such a publish ends in says once what became of the first try, and of a later
// one only why there was none or how it failed.
func TestRetryOnce_ErrorDoesNotContradictItself(t *testing.T) {
	for _, row := range []struct {
		name string
		then func(g *given, back func())
		want string
	}{
		{"forgotten", func(g *given, back func()) { g.s[0].Token = "second"; back() },
			"(tried again: this nsqd does not remember what it was sent before)"},
		{"in time", func(*given, func()) {}, "(tried again: timeout (identify a:4150: "},
		{"elsewhere", func(*given, func()) {}, "(tried again: timeout (identify a:4150: "}, // with RetryUnknown
		{"closed", func(g *given, back func()) { g.do(func() { g.w.Close() }) }, "(tried again: writer closed)"},
	} {
		g := once(t, 1, writer.Options{})
		if row.name == "elsewhere" {
			g = start(t, 1, writer.Options{Retry: writer.RetryUnknown})
		}
		row.then(g, g.breaks(func() { g.publish("x") }))
		g.run(6 * time.Second)
		g.rs.want(t, "x unknown")
		got := g.rs.all["x"].Err.Error()
		if strings.Count(got, "unknown") != 1 || !strings.HasPrefix(got, "publish to a:4150: outcome unknown: sent, but not answered: ") || !strings.Contains(got, row.want) || strings.Contains(got, "not sent") {
			t.Errorf("%s: got %q, want unknown and %q", row.name, got, row.want)
		}
	}
}
