package writer_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/internal/mocknsqd"
	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop/looptest"
	"github.com/nsqloop/nsqloop/writer"
)

// surviving starts a world whose loops recover panics, as an Engine does, with mock
// nsqds and a writer for them.
func surviving(t *testing.T, nsqds int, o writer.Options) (g *given, panics *int) {
	t.Helper()
	panics = new(int)
	g = &given{t: t, rs: newResults()}
	g.world = newWorldWith(t, looptest.Options{Seed: 1, OnPanic: func(string, any, []byte) { *panics++ }})
	for i := range nsqds {
		g.s = append(g.s, g.mock(i))
		o.NSQDs = append(o.NSQDs, address(i))
	}
	g.w = g.writer(o)
	g.run(time.Second)
	return g, panics
}

// An OnResult that always panics is told of each publish once, and changes nothing
// about it: not its outcome, its done, its Timeout, or the end of the Writer.
func TestWriter_SurvivesPanickingOnResult(t *testing.T) {
	heard := 0
	g, panics := surviving(t, 2, writer.Options{Timeout: time.Second, ReplyTimeout: -1, OnResult: func(writer.Result) {
		heard++
		panic("on purpose")
	}})
	g.do(func() { g.publish("1", "2", "3", "4") })
	g.w.Publish("t", nil, g.rs.as("empty"))
	g.run(100 * time.Millisecond)
	g.rs.want(t, "empty rejected", "1 confirmed", "2 confirmed", "3 confirmed", "4 confirmed")
	g.w.PublishAll("t", []byte("all"), 2, func(all []writer.Result) {
		for i, r := range all {
			g.rs.as(fmt.Sprint("copy ", i))(r)
		}
	})
	g.run(100 * time.Millisecond)
	synced := make(chan error, 1)
	g.background(func() { synced <- g.w.PublishSync(context.Background(), "t", []byte("sync")) })
	g.runUntil(func() bool { return len(synced) == 1 })
	if err := <-synced; err != nil {
		t.Errorf("PublishSync: %v", err)
	}
	g.do(func() { g.s[0].Conns[0].Mute, g.s[1].Conns[0].Mute = true, true })
	g.publish("late")
	g.run(2 * time.Second)
	g.publish("cut off")
	g.run(10 * time.Millisecond)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	g.background(func() { ended <- g.w.Shutdown(ctx) })
	g.run(10 * time.Millisecond)
	cancel()
	g.runUntil(func() bool { return len(ended) == 1 })
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: got %v, want %v", err, context.Canceled)
	}
	g.rs.want(t, "empty rejected", "1 confirmed", "2 confirmed", "3 confirmed", "4 confirmed",
		"copy 0 confirmed", "copy 1 confirmed", "late unknown", "cut off unknown")
	s := g.stats()
	if s.Pending != 0 || s.Confirmed != 7 || s.NSQDs[0].Connects != 1 || s.NSQDs[1].Connects != 1 {
		t.Errorf("got %+v, want nothing pending, 7 confirmed and no connection lost", s)
	}
	if heard != 10 || *panics != 10 {
		t.Errorf("heard of %d publishes, and %d panics were reported, want 10 and 10", heard, *panics)
	}
}

// OnConnect and OnDisconnect that panic cost neither the connection nor a publish.
func TestWriter_SurvivesPanickingEvents(t *testing.T) {
	var heard []string
	tell := func(text string) {
		heard = append(heard, text)
		panic("on purpose")
	}
	g, panics := surviving(t, 1, writer.Options{
		OnConnect:    func(nsqd string) { tell("connect " + nsqd) },
		OnDisconnect: func(nsqd string, err error) { tell("disconnect " + nsqd) },
	})
	g.publish("before")
	g.run(100 * time.Millisecond)
	g.do(g.s[0].Cut)
	g.run(10 * time.Millisecond)
	g.publish("behind")
	g.run(time.Second)
	g.rs.want(t, "before confirmed", "behind confirmed")
	g.do(func() { g.w.Close() })
	g.run(time.Second)
	want := "[connect a:4150 disconnect a:4150 connect a:4150 disconnect a:4150]"
	if fmt.Sprint(heard) != want || *panics != 4 {
		t.Errorf("heard %v and %d panics, want %s and 4", heard, *panics, want)
	}
	if s := g.stats(); s.NSQDs[0].Connects != 2 {
		t.Errorf("%d connects, want 2", s.NSQDs[0].Connects)
	}
}

// What has to follow a dial that nobody need repeat follows also when OnError panics:
// publishes and WaitReady end.
func TestWriter_SurvivesPanickingOnError(t *testing.T) {
	g, panics := surviving(t, 0, writer.Options{NSQDs: []string{"a:4150"}, OnError: func(error) { panic("on purpose") }})
	waited := make(chan error, 1)
	g.background(func() { waited <- g.w.WaitReady(context.Background()) })
	s := g.mock(0)
	s.Script = func(c *mocknsqd.Conn, cmd *wire.Command) bool {
		c.Fail(wire.CodeBadBody, "IDENTIFY no")
		return true
	}
	before := *panics
	g.publish("x")
	g.run(time.Second)
	g.rs.want(t, "x not sent")
	if err := g.rs.all["x"].Err; !errors.Is(err, client.ErrNotConnected) || !errors.Is(err, client.ErrBadBody) {
		t.Errorf("got %v, want %v because of %v", err, client.ErrNotConnected, client.ErrBadBody)
	}
	g.runUntil(func() bool { return len(waited) == 1 })
	if err := <-waited; !errors.Is(err, client.ErrNotConnected) {
		t.Errorf("WaitReady: got %v, want %v", err, client.ErrNotConnected)
	}
	if *panics == before {
		t.Error("OnError was not called")
	}
}
