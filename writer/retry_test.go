package writer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/internal/mocknsqd"
	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/writer"
)

// Statements 114 and 116: what was sent behind a publish that nsqd rejects is
// provably nowhere, and is tried again, in order, before what came later.
func TestRetry_BehindARejectedPublish(t *testing.T) {
	g := start(t, 1, writer.Options{})
	g.do(func() { g.s[0].Script = refuse("bad", wire.CodeBadMessage, "PUB message too big 8 > 7") })
	g.do(func() { g.publish("first", "bad", "third", "fourth") })
	g.run(20 * time.Millisecond)
	g.publish("later")
	g.run(time.Second)
	g.rs.want(t, "first confirmed", "bad rejected", "third confirmed", "fourth confirmed", "later confirmed")
	if first, third := g.rs.all["first"].Tries, g.rs.all["third"].Tries; first != 1 || third != 2 {
		t.Errorf("first was sent %d times and third %d times, want 1 and 2", first, third)
	}
	if d := cmp.Diff([]string{"first", "third", "fourth", "later"}, g.s[0].Bodies()); d != "" {
		t.Errorf("published (-want +got):\n%s", d)
	}
}

// A publish of which a part has come is refused for that, not for what it is: it
// is nowhere, and is tried again.
func TestRetry_CutShort(t *testing.T) {
	g := start(t, 1, writer.Options{})
	cut := refuse("cut", wire.CodeBadMessage, "PUB failed to read message body")
	times := 0
	g.do(func() {
		g.s[0].Script = func(c *mocknsqd.Conn, cmd *wire.Command) bool {
			if string(cmd.Body) != "cut" || times > 0 {
				return false
			}
			times++
			return cut(c, cmd)
		}
	})
	g.publish("cut")
	g.run(time.Second)
	g.rs.want(t, "cut confirmed")
	if r := g.rs.all["cut"]; r.Tries != 2 {
		t.Errorf("got %+v, want it sent twice", r)
	}
	g = start(t, 1, writer.Options{Retry: writer.RetryNone})
	g.do(func() { g.s[0].Script = cut })
	g.publish("cut")
	g.run(time.Second)
	g.rs.want(t, "cut not sent")
}

// A full disk moves a publish to another nsqd; when none can store it, it ends
// at once and says why.
func TestRetry_FullDisk(t *testing.T) {
	g := start(t, 3, writer.Options{Policy: writer.Sticky})
	g.do(func() { g.s[0].Script, g.s[1].Script = full, full })
	g.publish("moves")
	g.run(time.Second)
	g.rs.want(t, "moves confirmed")
	if r := g.rs.all["moves"]; r.NSQD != "c:4150" || r.Tries != 3 {
		t.Errorf("got %+v, want it on the third nsqd", r)
	}
	g.do(func() { g.s[2].Script = full })
	g.w.DeferredPublish("t", time.Second, []byte("x"), g.rs.as("nowhere"))
	g.run(time.Second)
	g.rs.want(t, "moves confirmed", "nowhere not sent")
	r := g.rs.all["nowhere"]
	if !errors.Is(r.Err, client.ErrDPubFailed) || r.Latency > time.Second || r.Tries > 3 {
		t.Errorf("got %+v, want nsqd's own error, and soon", r)
	}
	// Publishing resumes by itself.
	g.do(func() { g.s[0].Script = nil })
	g.run(5 * time.Second)
	g.publish("room again")
	g.run(time.Second)
	if r := g.rs.all["room again"]; r.Err != nil || r.NSQD != "a:4150" {
		t.Errorf("got %+v, want it on the first nsqd", r)
	}
}

// A publish that no nsqd can store goes to each of them once, also when the
// first one is connected again by the time the last one refuses.
func TestRetry_FullDiskEverywhere(t *testing.T) {
	g := start(t, 2, writer.Options{Policy: writer.Sticky})
	g.do(func() {
		g.s[0].Script = full
		g.s[1].Script = func(c *mocknsqd.Conn, cmd *wire.Command) bool {
			if cmd.Verb != wire.Pub {
				return false
			}
			g.server.After(500*time.Millisecond, func() { c.Fail(wire.CodePubFailed, "PUB failed disk full") })
			return true
		}
	})
	g.publish("x")
	g.run(time.Second)
	g.rs.want(t, "x not sent")
	if r := g.rs.all["x"]; r.Tries != 2 || r.NSQD != "b:4150" || !errors.Is(r.Err, client.ErrPubFailed) {
		t.Errorf("got %+v, want two tries, the last one on b", r)
	}
}

// With one nsqd there is nowhere to go.
func TestRetry_FullDiskOfTheOnlyOne(t *testing.T) {
	g := start(t, 1, writer.Options{})
	g.do(func() { g.s[0].Script = full })
	g.publish("x")
	g.run(100 * time.Millisecond)
	g.rs.want(t, "x not sent")
	if r := g.rs.all["x"]; !errors.Is(r.Err, client.ErrPubFailed) || r.Tries != 1 {
		t.Errorf("got %+v", r)
	}
}

// What may be stored never moves by itself: multi-publishes that failed, what
// was sent behind a failed store, what was stored and not made durable, what
// was not answered.
func TestRetry_UnknownStaysWhereItIs(t *testing.T) {
	g := start(t, 2, writer.Options{Policy: writer.Sticky})
	g.do(func() { g.s[0].Script = full })
	g.do(func() {
		g.w.MultiPublish("t", [][]byte{[]byte("x"), []byte("y")}, g.rs.as("mpub"))
		g.w.Publish("t", []byte("behind"), g.rs.as("behind"))
	})
	g.run(time.Second)
	// The nsqd is suspect now: it gets one, and what comes meanwhile goes on.
	g.do(func() { g.s[0].Script = refuse("kept", wire.CodePubFailed, "PUB failed "+wire.MayBeKept+": sync") })
	g.publish("kept", "free")
	g.run(time.Second)
	g.rs.want(t, "mpub unknown", "behind unknown", "free confirmed", "kept unknown")
	if got := g.s[1].Bodies(); len(got) > 1 {
		t.Errorf("the second nsqd got %q", got)
	}
}

// RetryUnknown moves those, too. What one of the tries may have stored is never
// said to be nowhere.
func TestRetry_Unknown(t *testing.T) {
	g := start(t, 2, writer.Options{Policy: writer.Sticky, Retry: writer.RetryUnknown})
	g.do(func() { g.s[0].Conns[0].Mute = true })
	g.do(func() { g.publish("1", "bad") })
	g.run(10 * time.Millisecond)
	g.do(func() {
		g.s[1].Script = refuse("bad", wire.CodeBadMessage, "no")
		g.s[0].Stop()
	})
	g.run(time.Second)
	g.rs.want(t, "1 confirmed", "bad unknown")
	r := g.rs.all["bad"]
	if !errors.Is(r.Err, client.ErrUnknownOutcome) || !strings.Contains(r.Err.Error(), "tried again") || r.Tries != 2 {
		t.Errorf("got %+v", r)
	}
	if d := cmp.Diff([]string{"1", "bad"}, g.s[0].Bodies()); d != "" {
		t.Errorf("the first nsqd (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"1"}, g.s[1].Bodies()); d != "" {
		t.Errorf("the second nsqd (-want +got):\n%s", d)
	}
	// Nobody is left: the deadline ends it.
	g.do(func() { g.s[1].Conns[0].Mute = true })
	g.publish("2")
	g.run(10 * time.Millisecond)
	g.do(g.s[1].Stop)
	g.run(4900 * time.Millisecond)
	if g.rs.times["2"] > 0 {
		t.Errorf("ended early: %+v", g.rs.all["2"])
	}
	g.run(200 * time.Millisecond)
	if r := g.rs.all["2"]; r.Outcome() != writer.Unknown || r.NSQD != "b:4150" || !errors.Is(r.Err, client.ErrTimeout) {
		t.Errorf("got %+v, want unknown at the deadline", r)
	}
}

// A deadline counts from the call, however often a publish is tried: those that
// are tried again are older than their neighbours.
func TestRetry_Deadline(t *testing.T) {
	g := start(t, 1, writer.Options{Timeout: 2 * time.Second, ReplyTimeout: -1})
	g.do(func() {
		g.s[0].Conns[0].Mute = true
		g.s[0].Script = refuse("bad", wire.CodeBadMessage, "no")
	})
	g.publish("first")
	g.run(time.Second)
	g.publish("old")
	g.run(500 * time.Millisecond)
	g.do(func() {
		g.publish("new")
		g.s[0].Conns[0].Mute = false
		g.s[0].Conns[0].Fail(wire.CodeBadMessage, "the first one")
		g.s[0].OnAccept = func(c *mocknsqd.Conn) bool { return true }
		g.s[0].Script = func(c *mocknsqd.Conn, cmd *wire.Command) bool {
			c.Mute = cmd.Verb != wire.Identify
			return false
		}
	})
	g.run(400 * time.Millisecond)
	g.publish("newest")
	g.run(1090 * time.Millisecond)
	g.rs.want(t, "first rejected")
	g.run(20 * time.Millisecond)
	g.rs.want(t, "first rejected", "old unknown")
	g.run(480 * time.Millisecond)
	g.rs.want(t, "first rejected", "old unknown")
	g.run(20 * time.Millisecond)
	g.rs.want(t, "first rejected", "old unknown", "new unknown")
	g.run(400 * time.Millisecond)
	g.rs.want(t, "first rejected", "old unknown", "new unknown", "newest unknown")
	if old, newest := g.rs.all["old"].Tries, g.rs.all["newest"].Tries; old != 2 || newest != 1 {
		t.Errorf("old was sent %d times and newest %d times, want 2 and 1", old, newest)
	}
}

// What waits to be tried again when its time is over ends as what it is, and
// says why it waited.
func TestRetry_DeadlineWhileWaiting(t *testing.T) {
	g := start(t, 1, writer.Options{})
	conn := g.s[0].Conns[0]
	g.do(func() { conn.Mute = true })
	g.publish("bad", "behind")
	g.run(10 * time.Millisecond)
	g.do(func() {
		conn.Mute = false
		conn.Fail(wire.CodeBadMessage, "no")
		g.s[0].OnAccept = func(*mocknsqd.Conn) bool { return false }
	})
	g.run(4950 * time.Millisecond)
	g.rs.want(t, "bad rejected")
	g.run(100 * time.Millisecond)
	g.rs.want(t, "bad rejected", "behind not sent")
	if err := g.rs.all["behind"].Err; !errors.Is(err, client.ErrTimeout) || !errors.Is(err, writer.ErrNotExecuted) {
		t.Errorf("got %v, want the timeout and why it waited", err)
	}
}

// Who waits for an outcome, and gives up while it is tried again, is told what
// is known, and it is not sent any more.
func TestRetry_Sync(t *testing.T) {
	for _, row := range []struct {
		retry writer.Retry
		want  writer.Outcome
	}{{writer.RetryUnsent, writer.NotSent}, {writer.RetryUnknown, writer.Unknown}} {
		t.Run(string(row.retry), func(t *testing.T) {
			g := start(t, 1, writer.Options{Retry: row.retry})
			conn := g.s[0].Conns[0]
			g.do(func() { conn.Mute = true })
			g.publish("head")
			g.run(10 * time.Millisecond)
			ctx, cancel := context.WithCancel(context.Background())
			errs := make(chan error, 2)
			for _, c := range []context.Context{ctx, context.Background()} {
				g.background(func() { errs <- g.w.PublishSync(c, "t", []byte("x")) })
				g.run(10 * time.Millisecond)
			}
			g.do(func() {
				conn.Mute = false
				if row.retry == writer.RetryUnsent {
					conn.Fail(wire.CodeBadMessage, "no")
				} else {
					conn.Abort()
				}
			})
			before := len(g.s[0].Bodies())
			g.run(10 * time.Millisecond)
			cancel() // who gives up needs no loop: time stands still meanwhile
			if err := <-errs; writer.OutcomeOf(err) != row.want || !errors.Is(err, context.Canceled) {
				t.Errorf("given up: got %v (%v), want %v", err, writer.OutcomeOf(err), row.want)
			}
			g.runUntil(func() bool { return len(errs) == 1 })
			if err := <-errs; err != nil {
				t.Error(err)
			}
			want := "x" // of the one who still waits
			if row.retry == writer.RetryUnknown {
				want = "head x"
			}
			if got := strings.Join(g.s[0].Bodies()[before:], " "); got != want {
				t.Errorf("tried again: got %q, want %q", got, want)
			}
		})
	}
}

// An nsqd that has failed gets one publish at a time until it confirms one; the
// others get the rest.
func TestWriter_SuspectNSQD(t *testing.T) {
	g := start(t, 2, writer.Options{})
	g.do(func() { g.s[0].Conns[0].Mute = true })
	g.do(func() {
		for i := range 128 {
			g.publish(fmt.Sprint(i))
		}
	})
	g.run(10 * time.Millisecond)
	g.do(g.s[0].Cut)
	g.run(time.Second)
	if s := g.stats().NSQDs; !s[0].Suspect || !s[0].Ready || s[1].Suspect {
		t.Errorf("got %+v, want the first one suspect", s)
	}
	g.do(func() {
		g.s[0].Conns[0].Mute = true
		g.rs = newResults()
		for i := range 200 {
			g.publish(fmt.Sprint(i))
		}
	})
	before := len(g.s[0].Published)
	g.run(100 * time.Millisecond)
	if got := len(g.s[0].Published) - before; got != 1 || len(g.rs.names) != 199 {
		t.Errorf("the suspect one got %d, and %d are confirmed; want 1 and 199", got, len(g.rs.names))
	}
	g.do(func() {
		g.s[0].Conns[0].Mute = false
		g.s[0].Conns[0].OK()
	})
	g.run(100 * time.Millisecond)
	if s := g.stats().NSQDs; s[0].Suspect {
		t.Error("still suspect after a confirmation")
	}
}

// An answer that does not come in time makes an nsqd suspect as well.
func TestWriter_SuspectAfterTimeout(t *testing.T) {
	g := start(t, 1, writer.Options{Timeout: time.Second, ReplyTimeout: -1})
	g.do(func() { g.s[0].Conns[0].Mute = true })
	g.publish("1")
	g.run(2 * time.Second)
	g.rs.want(t, "1 unknown")
	if !g.stats().NSQDs[0].Suspect {
		t.Error("not suspect")
	}
}
