package conformance

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop/looptest"
	"github.com/nsqloop/nsqloop/server"
)

// authWorld is a server on virtual time that asks an auth server on a socket.
type authWorld struct {
	*simWorld
	mu    sync.Mutex // the auth server runs beside the test
	asked []*http.Request
	body  []string
	reply func() (status int, body string)
}

const mayAll = `{"ttl":10,"identity":"ann","authorizations":[{"topic":".*","channels":[".*"],"permissions":["subscribe","publish"]}]}`

// newAuthWorld starts both. addresses, when given, come before the auth
// server's.
func newAuthWorld(t *testing.T, o server.Options, addresses ...string) *authWorld {
	t.Helper()
	a := &authWorld{reply: func() (int, string) { return 200, mayAll }}
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		a.mu.Lock()
		a.asked, a.body = append(a.asked, r), append(a.body, string(b))
		status, reply := a.reply()
		a.mu.Unlock()
		w.WriteHeader(status)
		_, _ = io.WriteString(w, reply) // a server that does not read it fails the test
	}))
	t.Cleanup(h.Close)
	w := looptest.Test(t, looptest.Options{MaxLatency: 500 * time.Microsecond})
	o.TCPAddress, o.AuthHTTPAddresses = ":4150", append(addresses, h.Listener.Addr().String())
	l := w.Loop("nsqd")
	s, err := server.New(l, o)
	if err != nil {
		t.Fatal(err)
	}
	a.simWorld = &simWorld{t: t, w: w, loop: postedLoop{l, make(chan post), new(atomic.Bool)}, client: w.Loop("client"), o: o, s: s}
	t.Cleanup(func() { l.Do(func() { _ = s.Close() }) }) // in memory: nothing can fail
	return a
}

// talk connects and sends, and returns the frames that come back.
func (a *authWorld) talk(commands []byte) (p peer, frames string) {
	p = a.dial()
	p.send(append([]byte(wire.MagicV2), commands...))
	return p, a.frames(p)
}

// frames are the frames that a peer has received, one a line.
func (a *authWorld) frames(p peer) string {
	a.t.Helper()
	a.wait(50 * time.Millisecond)
	a.mu.Lock() // what the auth server did came before the answer
	defer a.mu.Unlock()
	var all []string
	for b := p.received(); len(b) > 0; {
		_, data, n, err := wire.ReadFrame(b, 0)
		if err != nil || n == 0 {
			a.t.Fatalf("%q is no frame: %v", b, err)
		}
		all = append(all, string(data))
		b = b[n:]
	}
	return strings.Join(all, "\n")
}

const annsAnswer = `{"identity":"ann","identity_url":"","permission_count":1}`

func TestAuth_Query(t *testing.T) { // 280, 281
	a := newAuthWorld(t, server.Options{})
	if _, got := a.talk(wire.AppendAuth(nil, "s&s")); got != annsAnswer {
		t.Fatalf("AUTH is answered with %s", got)
	}
	if got, want := a.asked[0].URL.RequestURI(), "/auth?common_name=&remote_ip=10.0.0.2&secret=s%26s&tls=false"; got != want || a.asked[0].Method != "GET" {
		t.Errorf("asked %s %s, want GET %s", a.asked[0].Method, got, want)
	}
	a = newAuthWorld(t, server.Options{AuthHTTPRequestMethod: "post"})
	a.talk(wire.AppendAuth(nil, "s&s"))
	if got, want := a.body[0], `{"common_name":[""],"remote_ip":["10.0.0.2"],"secret":["s\u0026s"],"tls":["false"]}`; got != want ||
		a.asked[0].Method != "POST" || a.asked[0].URL.RequestURI() != "/auth" || a.asked[0].Header.Get("Content-Type") != "application/json" {
		t.Errorf("asked %s %s with %s, want %s", a.asked[0].Method, a.asked[0].URL, got, want)
	}
}

func TestAuth_BadReplies(t *testing.T) { // 283
	a := newAuthWorld(t, server.Options{})
	for _, tt := range []struct {
		name   string
		status int
		body   string
	}{
		{"ttl 0", 200, strings.Replace(mayAll, "10", "0", 1)},
		{"ttl -1", 200, strings.Replace(mayAll, "10", "-1", 1)},
		{"status 403", 403, mayAll},
		{"status 500", 500, mayAll},
		{"no JSON", 200, "fine"},
		{"topic pattern", 200, strings.Replace(mayAll, `"topic":".*"`, `"topic":"("`, 1)},
		{"channel pattern", 200, strings.Replace(mayAll, `[".*"]`, `["("]`, 1)},
		{"permission", 200, strings.Replace(mayAll, `"publish"`, `"rule"`, 1)},
	} {
		a.reply = func() (int, string) { return tt.status, tt.body }
		p, got := a.talk(wire.AppendAuth(nil, "s"))
		if got != "E_AUTH_FAILED AUTH failed" || !p.closed() {
			t.Errorf("%s: AUTH is answered with %q, closed is %v", tt.name, got, p.closed())
		}
		a.wait(2 * time.Second) // who was wrong has to wait
	}
}

func TestAuth_GrantsExpire(t *testing.T) { // 291
	a := newAuthWorld(t, server.Options{})
	p, got := a.talk(append(wire.AppendAuth(nil, "s"), "PUB t\n\x00\x00\x00\x01x"...))
	if got != annsAnswer+"\nOK" || len(a.asked) != 1 {
		t.Fatalf("AUTH and PUB are answered with %s after %d queries", got, len(a.asked))
	}
	sub, _ := a.talk(wire.AppendAuth(nil, "s"))
	a.wait(9 * time.Second)
	p.send([]byte("PUB t\n\x00\x00\x00\x01x"))
	if got := a.frames(p); got != "OK" || len(a.asked) != 2 {
		t.Errorf("PUB is answered with %s after %d queries, want 2", got, len(a.asked))
	}
	a.wait(time.Second)
	p.send([]byte("PUB t\n\x00\x00\x00\x01xNOP\n"))
	if got := a.frames(p); got != "OK" || len(a.asked) != 3 {
		t.Errorf("later PUB is answered with %s after %d queries, want 3", got, len(a.asked))
	}
	a.reply = func() (int, string) { return 200, strings.Replace(mayAll, ".*", "^u", 1) }
	sub.send([]byte("SUB t c\n"))
	if got := a.frames(sub); got != `E_UNAUTHORIZED AUTH failed for SUB on "t" "c"` || len(a.asked) != 4 {
		t.Errorf("later SUB is answered with %s after %d queries, want 4", got, len(a.asked))
	}
	a.wait(11 * time.Second)
	a.reply = func() (int, string) { return 500, "" }
	p.send([]byte("PUB t\n\x00\x00\x00\x01x"))
	if got := a.frames(p); got != "E_AUTH_FAILED AUTH failed" {
		t.Errorf("PUB without an answer from the auth server is answered with %s", got)
	}
}

func TestAuth_OneServerIsDown(t *testing.T) { // 292
	down := httptest.NewServer(nil)
	down.Close()
	a := newAuthWorld(t, server.Options{}, down.Listener.Addr().String())
	for range 8 { // beginning with either
		if _, got := a.talk(wire.AppendAuth(nil, "s")); got != annsAnswer {
			t.Fatalf("AUTH is answered with %s", got)
		}
	}
}
