package client_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/internal/mocknsqd"
)

// heard lets o note the kinds of its events.
func heard(o *client.Options) *[]string {
	var kinds []string
	o.OnEvent = func(e client.Event) {
		kinds = append(kinds, e.Kind.String())
	}
	return &kinds
}

// Statements 124, 155, 169 and 170: each step is told once, in order, with
// heartbeats as they come and the close last.
func TestEvents_InOrder(t *testing.T) {
	for _, row := range []struct {
		name string
		auth bool
		want string
	}{
		{"with AUTH", true, "connect identify identified auth authorized ready heartbeat close"},
		{"without", false, "connect identify identified ready heartbeat close"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t, 1)
			u := newUpgrading(t, w)
			u.auth = row.auth
			o := client.Options{AuthSecret: func() string { return "s3cret" }, Snappy: true}
			kinds := heard(&o)
			r := dial(t, w, "nsqd:4150", o)
			w.do(func() { u.Conns[0].Heartbeat() })
			w.run(time.Second)
			w.do(r.conn.Close)
			w.run(time.Second)
			if got := strings.Join(*kinds, " "); got != row.want {
				t.Errorf("events %s, want %s", got, row.want)
			}
		})
	}
}

// Statement 133: the answer to IDENTIFY comes with the address and what is agreed.
func TestEvents_Carry(t *testing.T) {
	w := newWorld(t, 1)
	u := newUpgrading(t, w)
	u.auth = true
	var got []string
	dial(t, w, "nsqd:4150", client.Options{
		Snappy: true, AuthSecret: func() string { return "s3cret" },
		OnEvent: func(e client.Event) {
			got = append(got, fmt.Sprintf("%v %s version=%s snappy=%t identity=%s err=%v", e.Kind, e.NSQD, e.Info.Version, e.Info.Snappy, e.Info.Identity, e.Err))
		},
	})
	w.do(u.Stop)
	w.run(time.Second)
	want := []string{
		"connect nsqd:4150 version= snappy=false identity= err=<nil>",
		"identify nsqd:4150 version= snappy=false identity= err=<nil>",
		"identified nsqd:4150 version=1.3.0 snappy=true identity= err=<nil>",
		"auth nsqd:4150 version=1.3.0 snappy=true identity= err=<nil>",
		"authorized nsqd:4150 version=1.3.0 snappy=true identity=somebody err=<nil>",
		"ready nsqd:4150 version=1.3.0 snappy=true identity=somebody err=<nil>",
	}
	if len(got) != 7 || !strings.HasPrefix(got[6], "close nsqd:4150") || strings.HasSuffix(got[6], "err=<nil>") {
		t.Fatalf("events %q", got)
	}
	if d := cmp.Diff(want, got[:6]); d != "" {
		t.Error(d)
	}
}

// A dial that fails is a close, with its reason, and nothing else.
func TestEvents_OfAFailedDial(t *testing.T) {
	w := newWorld(t, 1)
	o := client.Options{}
	kinds := heard(&o)
	r := dial(t, w, "nobody:4150", o)
	if r.closed != 1 || r.err == nil || !slices.Equal(*kinds, []string{"close"}) {
		t.Errorf("closed %d (%v), events %q", r.closed, r.err, *kinds)
	}
}

// Statement 63: a heartbeat is told each time; before the handshake is over too.
func TestEvents_Heartbeats(t *testing.T) {
	w := newWorld(t, 1)
	s := mock(t, w)
	s.OnAccept = func(c *mocknsqd.Conn) bool {
		w.server.After(500*time.Millisecond, c.Heartbeat)
		w.server.After(1500*time.Millisecond, c.Heartbeat)
		return true
	}
	o := client.Options{HeartbeatInterval: time.Second}
	kinds := heard(&o)
	dial(t, w, "nsqd:4150", o)
	w.run(time.Second)
	n := 0
	for _, k := range *kinds {
		if k == "heartbeat" {
			n++
		}
	}
	if n != 2 {
		t.Errorf("events %q, want two heartbeats", *kinds)
	}
}

// What is rewritten is dialled; everything else keeps the address that is known.
func TestRewrite_ChangesWhereToDial(t *testing.T) {
	w := newWorld(t, 1)
	mock(t, w)
	asked := 0
	o := client.Options{Rewrite: func(nsqd string) string {
		asked++
		if nsqd == "inside:4150" {
			return "nsqd:4150"
		}
		return ""
	}}
	r := dial(t, w, "inside:4150", o)
	if r.conn.State() != client.StateReady || r.conn.Addr() != "inside:4150" || asked != 1 {
		t.Errorf("state %v, address %s, asked %d times", r.conn.State(), r.conn.Addr(), asked)
	}
	if r := dial(t, w, "nsqd:4150", o); r.conn.State() != client.StateReady {
		t.Errorf("an address that is left alone: state %v", r.conn.State())
	}
	o.Rewrite = func(string) string { return "nobody:4150" }
	r = dial(t, w, "inside:4150", o)
	if r.err == nil || !strings.HasPrefix(r.err.Error(), "dial inside:4150 (at nobody:4150): ") || errors.Is(r.err, io.EOF) {
		t.Errorf("error %v, want both addresses", r.err)
	}
}
