package writer_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/writer"
)

// A JSON publishes what it can encode, in every way that a Writer can.
func TestJSON_Publishes(t *testing.T) {
	type order struct {
		ID int `json:"id"`
	}
	g := start(t, 1, writer.Options{MaxMsgSize: 20})
	j := writer.JSON[*order]{Writer: g.w, Topic: "orders"}
	o := &order{1}
	j.Publish(o, g.rs.as("pub"))
	o.ID = 2
	j.DeferredPublish(1500*time.Millisecond, o, g.rs.as("dpub"))
	j.MultiPublish([]*order{{3}, {4}}, g.rs.as("mpub"))
	g.run(time.Second)
	g.rs.want(t, "pub confirmed", "dpub confirmed", "mpub confirmed")
	want := []string{`PUB orders {"id":1}`, `DPUB orders 1500 {"id":2}`, `MPUB orders 2`}
	if d := cmp.Diff(want, g.s[0].Commands[1:]); d != "" {
		t.Errorf("commands (-want +got):\n%s", d)
	}
	if r := g.rs.all["mpub"]; r.Messages != 2 || r.Topic != "orders" {
		t.Errorf("got %+v", r)
	}
	g.rs = newResults()
	j.Publish(&order{1_000_000_000_000_000_000}, g.rs.as("large"))
	j.DeferredPublish(-1, o, g.rs.as("negative"))
	j.MultiPublish(nil, g.rs.as("none"))
	g.run(time.Second)
	g.rs.want(t, "large rejected", "negative rejected", "none rejected")
}

func TestJSON_Sync(t *testing.T) {
	l, s := startReal(t)
	w := mustRealWriter(t, l, s)
	j := writer.JSON[any]{Writer: w, Topic: "t"}
	ctx := t.Context()
	bad := func() {}
	for name, row := range map[string]struct{ got, want error }{
		"one":            {j.PublishSync(ctx, 1), nil},
		"later":          {j.DeferredPublishSync(ctx, time.Second, "x"), nil},
		"several":        {j.MultiPublishSync(ctx, []any{1, "x"}), nil},
		"bad one":        {j.PublishSync(ctx, bad), writer.ErrEncoding},
		"bad later":      {j.DeferredPublishSync(ctx, 0, bad), writer.ErrEncoding},
		"bad in several": {j.MultiPublishSync(ctx, []any{1, bad}), writer.ErrEncoding},
	} {
		if !errors.Is(row.got, row.want) {
			t.Errorf("%s: got %v, want %v", name, row.got, row.want)
		}
		if row.want != nil && writer.OutcomeOf(row.got) != writer.Rejected {
			t.Errorf("%s: outcome %v", name, writer.OutcomeOf(row.got))
		}
	}
	if s := w.Stats(); s.Confirmed != 3 || s.Rejected != 3 {
		t.Errorf("got %+v", s)
	}
}

// PublishWait waits for room, in turn with PublishSync, and for nothing else.
func TestWriter_PublishWait(t *testing.T) {
	g := start(t, 1, writer.Options{MaxPending: 1, Timeout: -1, ReplyTimeout: -1, Client: silent})
	conn := g.s[0].Conns[0]
	g.do(func() { conn.Mute = true })
	publish := func(ctx context.Context, name string) error {
		return g.w.PublishWait(ctx, "t", []byte(name), g.rs.as(name))
	}
	if err := publish(t.Context(), "room"); err != nil {
		t.Fatal(err)
	}
	if err := g.w.PublishWait(t.Context(), "t", nil, g.rs.as("empty")); err != nil {
		t.Fatal(err)
	}
	g.run(100 * time.Millisecond)
	g.rs.want(t, "empty rejected")
	g.do(func() {
		if err := publish(context.Background(), "on the loop"); !errors.Is(err, client.ErrWouldBlock) {
			t.Errorf("got %v, want %v", err, client.ErrWouldBlock)
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	errs := make(chan error, 2)
	blocked := func(n int) {
		t.Helper()
		g.runUntil(func() bool { have, _ := writer.Blocked(g.w); return have == n })
	}
	go func() { errs <- publish(ctx, "given up") }()
	blocked(1)
	cancel()
	if err := <-errs; !errors.Is(err, context.Canceled) || writer.OutcomeOf(err) != writer.NotSent {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	blocked(0)
	go func() { errs <- publish(t.Context(), "waits") }()
	blocked(1)
	g.do(func() {
		conn.Mute = false
		conn.OK()
		conn.Mute = true
	})
	g.runUntil(func() bool { return len(errs) == 1 })
	if err := <-errs; err != nil {
		t.Error(err)
	}
	g.run(100 * time.Millisecond)
	g.rs.want(t, "empty rejected", "room confirmed")
	go func() { errs <- publish(t.Context(), "closed") }()
	blocked(1)
	g.do(func() { g.w.Close() })
	g.runUntil(func() bool { return len(errs) == 1 })
	if err := <-errs; err != nil {
		t.Error(err)
	}
	g.run(100 * time.Millisecond)
	for name, want := range map[string]int{"room": 1, "waits": 1, "closed": 1, "given up": 0, "on the loop": 0} {
		if got := g.rs.times[name]; got != want {
			t.Errorf("%s: done was called %d times, want %d", name, got, want)
		}
	}
}
