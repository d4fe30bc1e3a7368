package writer_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/internal/mocknsqd"
	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop/looptest"
	"github.com/nsqloop/nsqloop/server/nsqtest"
	"github.com/nsqloop/nsqloop/writer"
)

// Statement 86: the log says which writer it is about: its name, or its first
// address.
func TestNew_Names(t *testing.T) {
	for _, row := range []struct {
		o    writer.Options
		want string
	}{
		{writer.Options{NSQDs: []string{"a:4150", "b:4150"}}, "writer=a:4150"},
		{writer.Options{Lookupds: []string{"l:4161"}}, "writer=l:4161"},
		{writer.Options{NSQDs: []string{"a:4150"}, Name: "shop"}, "writer=shop"},
	} {
		var log bytes.Buffer
		g := &given{world: newWorld(t, 1), t: t}
		row.o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		g.w = g.writer(row.o)
		g.w.Publish("", nil, nil)
		g.run(100 * time.Millisecond)
		if !strings.Contains(log.String(), row.want) {
			t.Errorf("got\n%s\nwant %s", log.String(), row.want)
		}
		g.do(func() { g.w.Close() })
	}
}

// After an outage that is not long the writer is back within a second, however
// often it was refused: a publisher that waits costs more than a dial.
func TestWriter_RedialsSoonWhileTheOutageIsYoung(t *testing.T) {
	for seed := range uint64(20) {
		g := &given{world: newWorld(t, seed+1), t: t, rs: newResults()}
		g.s = append(g.s, g.mock(0))
		connects := 0
		g.w = g.writer(writer.Options{NSQDs: []string{"a:4150"}, OnConnect: func(string) { connects++ }})
		g.run(time.Minute) // it has lasted
		g.do(func() {
			g.s[0].OnAccept = func(*mocknsqd.Conn) bool { return false }
			g.s[0].Cut()
		})
		g.run(75 * time.Second)
		before := connects
		g.do(func() { g.s[0].OnAccept = nil })
		g.run(time.Second)
		if connects != before+1 {
			t.Errorf("seed %d: not back 1 s after an outage of 75 s", seed+1)
		}
	}
}

// The same while nobody answers dials: a second one is made beside the first.
func TestWriter_RedialsSoonWhileNobodyAnswers(t *testing.T) {
	for seed := range uint64(20) {
		for _, outage := range []time.Duration{time.Second, 5 * time.Second, 75 * time.Second} {
			g := &given{world: newWorld(t, seed+1), t: t, rs: newResults()}
			g.s = append(g.s, g.mock(0))
			connects := 0
			g.w = g.writer(writer.Options{NSQDs: []string{"a:4150"}, OnConnect: func(string) { connects++ }})
			g.run(time.Minute)
			g.SetFaults(looptest.Faults{Timeout: 1})
			g.do(g.s[0].Cut)
			g.run(outage + time.Duration(seed)*37*time.Millisecond)
			g.SetFaults(looptest.Faults{})
			g.run(time.Second)
			if connects != 2 {
				t.Errorf("seed %d: %d connects 1 s after an outage of %v, want 2", seed+1, connects, outage)
			}
		}
	}
}

// Close, whenever it comes, is the end: nothing is dialled any more, and no
// connection is left.
func TestWriter_NoDialAfterClose(t *testing.T) {
	for after := range 60 {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			g := &given{world: newWorld(t, uint64(after)+1), t: t, rs: newResults()}
			s := g.mock(0)
			g.s = append(g.s, s)
			s.OnAccept = func(c *mocknsqd.Conn) bool { return c.Number%3 == 0 }
			g.w = g.writer(writer.Options{NSQDs: []string{"a:4150", "nowhere:4150"}})
			ticker := g.server.Every(30*time.Millisecond, s.Cut)
			g.run(time.Duration(after) * 5 * time.Millisecond)
			g.do(func() { g.w.Close() })
			g.run(50 * time.Millisecond) // a dial that was under way may arrive
			accepted := s.Accepted
			ticker.Stop()
			g.run(2 * time.Minute)
			if s.Accepted != accepted || len(s.Conns) != 0 {
				t.Errorf("%d dials after Close, %d connections left", s.Accepted-accepted, len(s.Conns))
			}
		})
	}
}

// Statement 180, with real servers: a writer that knows nothing but an
// nsqlookupd publishes to all that register, also to one that comes later, and
// goes on when nsqlookupd is gone.
func TestWriter_FindsServersThroughLookupd(t *testing.T) {
	d := nsqtest.StartLookupd(t)
	one := nsqtest.Start(t, nsqtest.Registered(d))
	l, _ := startReal(t)
	w := mustWriter(t, l, writer.Options{Lookupds: []string{d.HTTPAddr()}, LookupdPollInterval: 50 * time.Millisecond})
	if err := w.PublishSync(t.Context(), "t", []byte("x")); err != nil {
		t.Fatal(err)
	}
	two := nsqtest.Start(t, nsqtest.Registered(d))
	all := func() bool {
		n := 0
		for _, nsqd := range w.Stats().NSQDs {
			if nsqd.Ready && (nsqd.Addr == one.TCPAddr() || nsqd.Addr == two.TCPAddr()) {
				n++
			}
		}
		return n == 2
	}
	for deadline := time.Now().Add(30 * time.Second); !all(); {
		if time.Now().After(deadline) {
			t.Fatalf("knows %+v", w.Stats().NSQDs)
		}
		if err := w.PublishSync(t.Context(), "t", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	d.Close()
	before := w.Stats().NSQDs
	for range 10 {
		if err := w.PublishSync(t.Context(), "t", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	for i, nsqd := range w.Stats().NSQDs {
		if nsqd.Confirmed != before[i].Confirmed+5 {
			t.Errorf("%s confirmed %d of 10", nsqd.Addr, nsqd.Confirmed-before[i].Confirmed)
		}
	}
}

// An nsqd whose auth server is away cannot judge the secret: publishes wait for it,
// and the writer is back within a second. One that has decided against the secret, or
// against what it is told, has nothing to wait for.
func TestWriter_WaitsForTheAuthServer(t *testing.T) {
	for _, row := range []struct {
		code  wire.Code
		waits bool
	}{
		{wire.CodeAuthFailed, true},
		{wire.CodeAuthError, true},
		{wire.CodeUnauthorized, false},
		{wire.CodeAuthDisabled, false},
	} {
		g := &given{world: newWorld(t, 1), t: t, rs: newResults()}
		g.s = append(g.s, g.mock(0))
		away := true
		g.s[0].Script = func(c *mocknsqd.Conn, cmd *wire.Command) bool {
			switch {
			case cmd.Verb == wire.Identify:
				c.Respond(`{"auth_required":true}`)
			case cmd.Verb == wire.Auth && away:
				c.Fail(row.code, "AUTH failed")
			case cmd.Verb == wire.Auth:
				c.Respond(`{"identity":"somebody"}`)
			default:
				return false
			}
			return true
		}
		g.w = g.writer(writer.Options{NSQDs: []string{"a:4150"}, Client: client.Options{AuthSecret: func() string { return "secret" }}})
		g.publish("x")
		g.run(4 * time.Second)
		if !row.waits {
			g.rs.want(t, "x not sent")
			if err := g.rs.all["x"].Err; !errors.Is(err, client.ErrNotConnected) {
				t.Errorf("%s: got %v, want %v", row.code, err, client.ErrNotConnected)
			}
			continue
		}
		g.rs.want(t)
		g.do(func() { away = false })
		g.run(time.Second)
		g.rs.want(t, "x confirmed")
		g.do(func() { away = true; g.s[0].Accepted = 0; g.s[0].Cut() })
		g.run(10 * time.Minute)
		if n := g.s[0].Accepted; n < 20 || n > 120 {
			t.Errorf("%s: %d connections in ten minutes, want one each tenth of the time", row.code, n)
		}
	}
}
