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

// The publishes of a turn to one topic leave as one MPUB, as far as the limits
// allow; each has its own result. What is not a plain publish goes as it is,
// behind what came before it.
func TestBatch_Commands(t *testing.T) {
	g := start(t, 1, writer.Options{Batch: 3, MaxBodySize: 4 + 3*8, MaxMsgSize: 20})
	for _, row := range []struct {
		name    string
		publish func()
		want    []string
	}{
		{"one", func() { g.publish("1") }, []string{"PUB t 1"}},
		{"two", func() { g.publish("1", "2") }, []string{"MPUB t 2"}},
		{"Batch", func() { g.publish("1", "2", "3", "4") }, []string{"MPUB t 3", "PUB t 4"}},
		{"MaxBodySize", func() { g.publish("12345678", "12345678", "12345678") }, []string{"MPUB t 2", "PUB t 12345678"}},
		{"topics", func() {
			for _, topic := range []string{"x", "y", "x", "y"} {
				g.w.Publish(topic, []byte("1"), g.rs.as(topic))
			}
		}, []string{"MPUB x 2", "MPUB y 2"}},
		{"many topics", func() {
			for i := range 10 {
				g.w.Publish(fmt.Sprint(i), []byte("1"), g.rs.as(fmt.Sprint(i)))
			}
		}, []string{"PUB 0 1", "PUB 1 1", "PUB 2 1", "PUB 3 1", "PUB 4 1", "PUB 5 1", "PUB 6 1", "PUB 7 1", "PUB 8 1", "PUB 9 1"}},
		{"other kinds", func() {
			g.publish("1", "2")
			g.w.DeferredPublish("t", time.Second, []byte("3"), g.rs.as("3"))
			g.publish("4", "5")
			g.w.MultiPublish("t", [][]byte{[]byte("6"), []byte("7")}, g.rs.as("6"))
		}, []string{"MPUB t 2", "DPUB t 1000 3", "MPUB t 2", "MPUB t 2"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			g.rs = newResults()
			before, published := len(g.s[0].Commands), len(g.s[0].Published)
			g.do(row.publish)
			g.run(time.Second)
			if d := cmp.Diff(row.want, g.s[0].Commands[before:]); d != "" {
				t.Errorf("commands (-want +got):\n%s", d)
			}
			messages := 0
			for _, name := range g.rs.names {
				if r := g.rs.all[name]; r.Err != nil || r.NSQD != "a:4150" {
					t.Errorf("%s: %+v", name, r)
				}
				messages += g.rs.all[name].Messages
			}
			if got := len(g.s[0].Published) - published; messages != got {
				t.Errorf("%d messages reported, %d published", messages, got)
			}
		})
	}
}

// A batch with a bad message is split: only that one is rejected.
func TestBatch_IsSplit(t *testing.T) {
	for _, code := range []wire.Code{wire.CodeBadMessage, wire.CodeBadBody} {
		for _, retry := range []writer.Retry{writer.RetryUnsent, writer.RetryNone} {
			g := start(t, 1, writer.Options{Batch: 100, Retry: retry})
			g.do(func() {
				g.s[0].Script = func(c *mocknsqd.Conn, cmd *wire.Command) bool {
					batch := *cmd
					for cmd.Verb == wire.MPub {
						body, ok := batch.NextMessage()
						if !ok {
							return false
						}
						if string(body) == "bad" {
							c.Fail(code, "MPUB message too big")
							return true
						}
					}
					return refuse("bad", wire.CodeBadMessage, "PUB message too big")(c, cmd)
				}
			})
			g.do(func() { g.publish("1", "bad", "3", "4") })
			g.run(time.Second)
			want := []string{"1 confirmed", "bad rejected", "3 confirmed", "4 confirmed"}
			if retry == writer.RetryNone { // the message behind the bad one was sent with it
				want = []string{"1 confirmed", "bad rejected", "3 not sent", "4 not sent"}
			}
			g.rs.want(t, want...)
		}
	}
}

// What is about the topic is about all of them.
func TestBatch_Unauthorized(t *testing.T) {
	g := start(t, 1, writer.Options{Batch: 100})
	g.do(func() {
		g.s[0].Script = func(c *mocknsqd.Conn, cmd *wire.Command) bool {
			if cmd.Verb != wire.MPub {
				return false
			}
			c.Fail(wire.CodeUnauthorized, "AUTH failed for MPUB on \"t\"")
			return true
		}
	})
	g.do(func() { g.publish("1", "2") })
	g.run(time.Second)
	g.rs.want(t, "1 rejected", "2 rejected")
}

// A batch that fails midway, or is not answered, is unknown as a whole. That is
// why batches are off by default.
func TestBatch_Unknown(t *testing.T) {
	g := start(t, 2, writer.Options{Batch: 100, Policy: writer.Sticky})
	g.do(func() { g.s[0].Script = full })
	g.do(func() { g.publish("1", "2") })
	g.run(time.Second)
	g.rs.want(t, "1 unknown", "2 unknown")
	if err := g.rs.all["2"].Err; !errors.Is(err, client.ErrMPubFailed) {
		t.Errorf("got %v", err)
	}
	g = start(t, 1, writer.Options{Batch: 100})
	g.do(func() { g.s[0].Conns[0].Mute = true })
	g.do(func() { g.publish("1", "2") })
	g.run(100 * time.Millisecond)
	g.do(g.s[0].Cut)
	g.run(time.Second)
	g.rs.want(t, "1 unknown", "2 unknown")
	// Each keeps its own deadline, and the late answer its place.
	g = start(t, 1, writer.Options{Batch: 100, Timeout: time.Second, ReplyTimeout: -1})
	conn := g.s[0].Conns[0]
	g.do(func() { conn.Mute = true })
	g.do(func() { g.publish("1", "2") })
	g.run(2 * time.Second)
	g.rs.want(t, "1 unknown", "2 unknown")
	g.do(func() { conn.Mute = false; conn.OK() })
	g.publish("3")
	g.run(100 * time.Millisecond)
	g.rs.want(t, "1 unknown", "2 unknown", "3 confirmed")
}

// The window counts messages, also those of a batch.
func TestBatch_Window(t *testing.T) {
	g := start(t, 1, writer.Options{Batch: 100, Window: 3})
	g.do(func() { g.s[0].Conns[0].Mute = true })
	g.do(func() { g.publish("1", "2", "3", "4", "5") })
	g.run(100 * time.Millisecond)
	if got := strings.Join(g.s[0].Bodies(), " "); got != "1 2 3" {
		t.Errorf("sent %q", got)
	}
	g.do(func() {
		g.s[0].Conns[0].Mute = false
		g.s[0].Conns[0].OK()
	})
	g.run(100 * time.Millisecond)
	if got := g.s[0].Commands; got[len(got)-1] != "MPUB t 2" || len(g.rs.names) != 5 {
		t.Errorf("%q, %d results", got, len(g.rs.names))
	}
}

// So does the window of bytes, 4 MiB, which fills and empties.
func TestBatch_WindowOfBytes(t *testing.T) {
	g := start(t, 1, writer.Options{Batch: 100})
	conn := g.s[0].Conns[0]
	g.do(func() { conn.Mute = true })
	large := make([]byte, 1<<20)
	g.do(func() {
		for i := range 6 {
			g.w.Publish("t", large, g.rs.as(fmt.Sprint(i)))
		}
	})
	g.run(time.Second)
	if got := len(g.s[0].Published); got != 4 {
		t.Errorf("sent %d MiB, want 4", got)
	}
	g.do(func() { conn.Mute = false; conn.OK() })
	g.run(time.Second)
	g.do(func() { conn.Mute = true })
	g.do(func() { g.publish("a", "b", "c") })
	g.run(100 * time.Millisecond)
	if got := len(g.s[0].Published); got != 9 || len(g.rs.names) != 6 {
		t.Errorf("%d sent in all and %d confirmed, want 9 and 6", got, len(g.rs.names))
	}
}

// Publishes that are waited for leave together as well.
func TestBatch_Sync(t *testing.T) {
	l, s := startReal(t)
	w := mustWriter(t, l, writer.Options{NSQDs: []string{s.Addr()}, Batch: 100})
	errs := make(chan error, 64)
	for range cap(errs) {
		go func() {
			var err error
			for range 20 {
				err = errors.Join(err, w.PublishSync(context.Background(), "t", []byte("x")))
			}
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if got := w.Stats(); got.Confirmed != 64*20 {
		t.Errorf("%d are confirmed, want %d", got.Confirmed, 64*20)
	}
}
