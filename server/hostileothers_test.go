package server

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/nsqloop/nsqloop/internal/wire"
)

// othersShare is which part of hostile.sessions the tests below make, each.
const othersShare = 4

// Whatever bytes come, an nsqlookupd goes on, serves the others, and forgets
// those that have gone.
func TestLookupd_HostileSessions(t *testing.T) {
	n := *hostileSessions / othersShare
	if testing.Short() {
		n /= 20
	}
	r := rand.New(rand.NewPCG(3, 4))
	l := newBareLoop()
	d, err := NewLookupd(l, LookupdOptions{BroadcastAddress: "l", MaxNames: 50, MaxRegistrations: 100})
	if err != nil {
		t.Fatal(err)
	}
	l.turn(func() {})
	session := func(in []byte) *bareConn {
		c, lc := newLookupdConn(d).(*lookupdConn), &bareConn{}
		l.turn(func() { c.OnOpen(lc) })
		for at := 0; at < len(in) && !lc.closed; {
			used := 0
			l.turn(func() { used = c.OnData(in[at:]) })
			if at += used; used == 0 {
				break
			}
		}
		l.turn(func() { c.OnClose(nil) })
		return lc
	}
	for i := range n {
		session(hostileLookupd(r))
		if i%1000 == 0 {
			c := session([]byte(wire.MagicV1 + identifyAs("canary") + "PING\n"))
			if !strings.HasSuffix(string(c.out), "OK") {
				t.Fatalf("after %d sessions the canary hears %q", i, c.out)
			}
			l.timers = nil // those that have stopped
		}
	}
	if nodes := d.reg.Nodes(l.Now()); len(d.conns) != 0 || len(nodes) != 0 {
		t.Errorf("%d connections and %d nodes are left", len(d.conns), len(nodes))
	}
	l.turn(func() { d.stop() })
	if used := d.budget.used.Load() - d.held; used != 0 {
		t.Errorf("%d bytes are still held for those that have gone", used)
	}
}

// hostileLookupd is a conversation with an nsqlookupd that has been damaged.
func hostileLookupd(r *rand.Rand) []byte {
	b := []byte(wire.MagicV1)
	for range r.IntN(6) {
		switch r.IntN(7) {
		case 0, 1:
			b = append(b, identifyAs("a")...)
		case 2:
			b = append(b, "REGISTER t c\n"...)
		case 3:
			b = append(b, "UNREGISTER t c#ephemeral\n"...)
		case 4:
			b = append(b, "IDENTIFY\n\xff\xff\xff\xff"...)
		case 5:
			b = append(b, "PING\n"...)
		case 6:
			b = append(b, "REGISTER "+string(noise(r, 80))+"\n"...)
		}
	}
	return damage(r, b)
}

// noise is up to n random bytes.
func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, r.IntN(n))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// damage changes up to three bytes, and may cut the end or put noise there.
func damage(r *rand.Rand, b []byte) []byte {
	for range r.IntN(4) {
		if len(b) > 0 {
			b[r.IntN(len(b))] = byte(r.Uint32())
		}
	}
	switch r.IntN(4) {
	case 0:
		b = b[:r.IntN(len(b)+1)]
	case 1:
		b = append(b, noise(r, 64)...)
	}
	return b
}

// Whatever is asked, each request has an answer that is not the server's fault.
func TestHTTP_HostileRequests(t *testing.T) {
	n := *hostileSessions / othersShare
	if testing.Short() {
		n /= 20
	}
	r := rand.New(rand.NewPCG(5, 6))
	s := startHTTP(t, Options{MaxMsgSize: 100, MaxBodySize: 400, MaxTopicsPerClient: 50, MaxChannelsPerClient: 50})
	h := newHTTPServer(s, s.HTTPAddr())
	var routes []*route
	for _, rt := range h.routes {
		if !strings.HasPrefix(rt.path, "/debug") && !rt.heavy && rt.path != "/topic/tap" && rt.path != "/channel/rewind" {
			routes = append(routes, rt) // those left out take their time
		}
	}
	for range n {
		rt := routes[r.IntN(len(routes))]
		path := string(damage(r, []byte(rt.path)))
		query := string(damage(r, []byte("topic=t&channel=c&defer=1&binary=1&count=1&topic=u")))
		body := string(damage(r, []byte(mpubBody("a", "b"))))
		req := httptest.NewRequest("GET", "/", strings.NewReader(body))
		req.Method, req.URL = rt.method, &url.URL{Path: path, RawQuery: query}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		limit := w.Code == http.StatusServiceUnavailable && strings.Contains(w.Body.String(), "-per-client")
		if !slices.Contains(countedCodes[:], w.Code) || w.Code >= 500 && !limit {
			t.Fatalf("%s %q ?%q: %d %s", rt.method, path, query, w.Code, w.Body)
		}
	}
	if a := ask(t, s, "GET", "/ping", ""); a.body != "OK" {
		t.Errorf("ping: %s", a.body)
	}
}
