package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/server/journal"
)

// startLookupd starts an nsqlookupd on free loopback ports.
func startLookupd(t *testing.T) *Lookupd {
	t.Helper()
	d, err := StartLookupd(LookupdOptions{TCPAddress: "127.0.0.1:0", HTTPAddress: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestHealth_WellServerIsAliveAndReady(t *testing.T) {
	s := startHTTP(t, Options{})
	for path, want := range map[string]string{
		"/livez":          "ok",
		"/readyz":         "ok",
		"/livez?verbose":  "[+]loop ok\nwell\n",
		"/readyz?verbose": "[+]loop ok\n[+]accepting ok\n[+]disk ok\nwell\n",
	} {
		if a := ask(t, s, "GET", path, ""); a.status != 200 || a.body != want {
			t.Errorf("%s: %d %q, want %q", path, a.status, a.body, want)
		}
	}
}

func TestHealth_FullDiskIsAliveAndNotReady(t *testing.T) {
	full := new(atomic.Bool)
	s := startHTTP(t, Options{
		DataPath: t.TempDir(),
		fs:       func(string) journal.FS { return failingFS{journal.Memory(), full} },
	})
	full.Store(true)
	ask(t, s, "POST", "/pub?topic=t", "x")
	a := ask(t, s, "GET", "/readyz", "")
	if a.status != 503 || !strings.HasPrefix(a.body, "not well: disk: ") || !strings.Contains(a.body, errDisk.Error()) {
		t.Errorf("ready: %d %q", a.status, a.body)
	}
	if a := ask(t, s, "GET", "/readyz?verbose", ""); !strings.Contains(a.body, "[+]accepting ok\n[-]disk failed: ") {
		t.Errorf("verbose: %q", a.body)
	}
	if a := ask(t, s, "GET", "/livez", ""); a.status != 200 {
		t.Errorf("alive: %d %q", a.status, a.body)
	}
	full.Store(false)
	ask(t, s, "POST", "/pub?topic=t", "x")
	if a := ask(t, s, "GET", "/readyz", ""); a.status != 200 {
		t.Errorf("ready with room: %d %q", a.status, a.body)
	}
}

// An nsqlookupd that cannot be reached is a warning: the server takes messages.
func TestHealth_LookupdIsAWarning(t *testing.T) {
	g := newDiscoveryRig(t, "l1")
	g.start(Options{LookupdTCPAddresses: []string{"l1:4160"}})
	probed := func() (status int, text string) {
		g.do(func() error { status, text = judge(g.s.checks(), true); return nil })
		return status, text
	}
	if status, text := probed(); status != 200 || !strings.Contains(text, "[+]lookupd ok\n") {
		t.Errorf("registered: %d %q", status, text)
	}
	g.lookups["l1"].l.Do(func() { g.lookups["l1"].d.Close() })
	g.w.Run(time.Second)
	if status, text := probed(); status != 200 || !strings.Contains(text, "[!]lookupd warning: none of the 1 ") {
		t.Errorf("alone: %d %q", status, text)
	}
}

func TestHealth_StoppingServerIsNotReady(t *testing.T) {
	s := startHTTP(t, Options{})
	if err := s.call(s.stopAccepting); err != nil {
		t.Fatal(err)
	}
	if a := ask(t, s, "GET", "/readyz", ""); a.status != 503 || a.body != "not well: accepting: the server is stopping\n" {
		t.Errorf("ready: %d %q", a.status, a.body)
	}
}

// A loop that does not turn does not answer; the probe says so by itself.
func TestHealth_StuckLoopIsNotAlive(t *testing.T) {
	turned := make(chan struct{})
	defer close(turned)
	stuck := func(func()) error { <-turned; return nil }
	run := probe(stuck, func() []check { return nil }, 10*time.Millisecond)
	w := httptest.NewRecorder()
	if err := run(w, httptest.NewRequest("GET", "/livez", nil)); err != nil {
		t.Fatal(err)
	}
	if w.Code != 503 || w.Body.String() != "not well: loop: it has not turned for 10ms\n" {
		t.Errorf("alive: %d %q", w.Code, w.Body)
	}
}

func TestHealth_LookupdAnswersToo(t *testing.T) {
	d := startLookupd(t)
	for _, path := range []string{"/livez", "/readyz"} {
		req, err := http.NewRequest("GET", "http://"+d.HTTPAddr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if a := do(t, req); a.status != 200 || a.body != "ok" {
			t.Errorf("%s: %d %q", path, a.status, a.body)
		}
	}
}
