package writer_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/internal/mocknsqd"
	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/writer"
)

// publishAll calls PublishAll and returns where the results go.
func (g *given) publishAll(body string, n int) *[]string {
	var got []string
	g.w.PublishAll("t", []byte(body), n, func(all []writer.Result) {
		for _, r := range all {
			got = append(got, fmt.Sprint(r.NSQD, " ", r.Outcome()))
		}
		slices.Sort(got)
	})
	return &got
}

func wantCopies(t *testing.T, got *[]string, want ...string) {
	t.Helper()
	if !slices.Equal(*got, want) {
		t.Errorf("got %q, want %q", *got, want)
	}
}

// PublishAll reaches n different nsqds, whatever the policy, and reports all at
// once, as one pending publish.
func TestWriter_PublishAll(t *testing.T) {
	for _, policy := range []writer.Policy{writer.RoundRobin, writer.Sticky, writer.Nearest} {
		g := start(t, 3, writer.Options{Policy: policy, MaxPending: 1, Batch: 10})
		got := g.publishAll("x", 3)
		if len(*got) > 0 {
			t.Error("done was called before PublishAll had returned")
		}
		g.run(time.Second)
		wantCopies(t, got, "a:4150 confirmed", "b:4150 confirmed", "c:4150 confirmed")
		g.wantCounts(1, 1, 1)
		if s := g.stats(); s.Confirmed != 3 || s.Pending != 0 || s.PendingBytes != 0 {
			t.Errorf("got %+v", s)
		}
		got = g.publishAll("x", 2)
		g.run(time.Second)
		if n := g.counts(); len(*got) != 2 || slices.Max(n) != 1 || n[0]+n[1]+n[2] != 2 {
			t.Errorf("got %q, %v", *got, n)
		}
	}
}

// A copy waits for an nsqd that has no other one, within the timeout.
func TestWriter_PublishAllWaits(t *testing.T) {
	g := start(t, 2, writer.Options{NSQDs: []string{"c:4150"}})
	got := g.publishAll("x", 3)
	late := g.publishAll("y", 3)
	g.run(3 * time.Second)
	wantCopies(t, got)
	g.wantCounts(2, 2)
	g.s = append(g.s, g.mock(2))
	g.run(1500 * time.Millisecond)
	wantCopies(t, got, "a:4150 confirmed", "b:4150 confirmed", "c:4150 confirmed")
	wantCopies(t, late, "a:4150 confirmed", "b:4150 confirmed", "c:4150 confirmed")
	g.wantCounts(0, 0, 2)
	g.do(g.s[2].Stop)
	g.run(time.Second)
	got = g.publishAll("z", 3)
	g.run(6 * time.Second)
	wantCopies(t, got, " not sent", "a:4150 confirmed", "b:4150 confirmed")
}

// A copy that moves never joins another one.
func TestWriter_PublishAllMoves(t *testing.T) {
	g := start(t, 3, writer.Options{Policy: writer.Sticky})
	g.do(func() { g.s[0].Script = full })
	got := g.publishAll("x", 2)
	g.run(time.Second)
	wantCopies(t, got, "b:4150 confirmed", "c:4150 confirmed")
	g.wantCounts(0, 1, 1)
	// One that is lost is unknown, and the others are what they are.
	g.do(func() {
		g.s[0].Script = nil
		g.s[1].Conns[0].Mute = true
	})
	g.run(time.Second)
	got = g.publishAll("y", 3)
	g.run(100 * time.Millisecond)
	wantCopies(t, got)
	g.do(g.s[1].Cut)
	g.run(time.Second)
	wantCopies(t, got, "a:4150 confirmed", "b:4150 unknown", "c:4150 confirmed")
}

// Copies that move away from where they were make room for each other there.
func TestWriter_PublishAllSwaps(t *testing.T) {
	g := start(t, 2, writer.Options{Policy: writer.Sticky})
	for i, s := range g.s {
		g.do(func() {
			s.Script = func(c *mocknsqd.Conn, cmd *wire.Command) bool {
				if cmd.Verb != wire.Pub || c.Number > 1 {
					return false // only the first connection fails
				}
				g.server.After(time.Duration(i)*500*time.Millisecond, func() { c.Fail(wire.CodePubFailed, "PUB failed disk full") })
				return true
			}
		})
	}
	got := g.publishAll("x", 2)
	g.run(2 * time.Second)
	wantCopies(t, got, "a:4150 confirmed", "b:4150 confirmed")
}

// What is refused is refused n times, at once.
func TestWriter_PublishAllRefused(t *testing.T) {
	g := start(t, 2, writer.Options{FailFast: true})
	var all []writer.Result
	keep := func(rs []writer.Result) { all = rs }
	for _, row := range []struct {
		name    string
		publish func()
		want    []error
	}{
		{"empty", func() { g.w.PublishAll("t", nil, 2, keep) }, []error{client.ErrBadMessage, client.ErrBadMessage}},
		{"topic", func() { g.w.PublishAll("", []byte("x"), 1, keep) }, []error{client.ErrBadTopic}},
		{"none", func() { g.w.PublishAll("t", []byte("x"), 0, keep) }, []error{client.ErrInvalid}},
		{"too many", func() { g.w.PublishAll("t", []byte("x"), 3, keep) }, []error{nil, nil, writer.ErrTooFewNSQDs}},
		{"one is away", func() { g.do(g.s[1].Stop); g.run(time.Second); g.w.PublishAll("t", []byte("x"), 2, keep) }, []error{nil, client.ErrNotConnected}},
		{"closed", func() { g.do(func() { g.w.Close(); g.w.PublishAll("t", []byte("x"), 2, keep) }) }, []error{writer.ErrClosed, writer.ErrClosed}},
	} {
		all = nil
		row.publish()
		g.run(100 * time.Millisecond)
		if len(all) != len(row.want) {
			t.Fatalf("%s: %d results, want %d", row.name, len(all), len(row.want))
		}
		for i, r := range all {
			if !errors.Is(r.Err, row.want[i]) || r.Topic == "" && row.name != "topic" || r.Messages != 1 {
				t.Errorf("%s: result %d is %+v, want %v", row.name, i, r, row.want[i])
			}
		}
	}
	g.w.PublishAll("t", []byte("x"), 2, nil) // nobody looks, and nothing breaks
	g.run(time.Second)
}

// Copies that wait end with the Writer.
func TestWriter_PublishAllEndsAtClose(t *testing.T) {
	g := start(t, 1, writer.Options{NSQDs: []string{"b:4150"}})
	g.do(func() { g.s[0].Conns[0].Mute = true })
	got := g.publishAll("x", 2)
	g.run(100 * time.Millisecond)
	g.do(func() { g.w.Close() })
	g.run(100 * time.Millisecond)
	wantCopies(t, got, " not sent", "a:4150 unknown")
}

// Behind a rejected publish a copy may be tried on the same nsqd again.
func TestWriter_PublishAllBehindARejectedPublish(t *testing.T) {
	g := start(t, 1, writer.Options{})
	g.do(func() { g.s[0].Script = refuse("bad", wire.CodeBadMessage, "no") })
	var got *[]string
	g.do(func() {
		g.publish("bad")
		got = g.publishAll("x", 1)
	})
	g.run(time.Second)
	wantCopies(t, got, "a:4150 confirmed")
}
