package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
)

// authServers answers for auth servers, without sockets.
type authServers struct {
	asked  []*http.Request
	bodies []string
	answer func(host, secret string) (status int, body string, err error)
}

func (a *authServers) RoundTrip(r *http.Request) (*http.Response, error) {
	a.asked = append(a.asked, r)
	body := ""
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		body = string(b)
	}
	a.bodies = append(a.bodies, body)
	secret := r.URL.Query().Get("secret")
	if r.Method == http.MethodPost {
		var posted map[string][]string
		if err := json.Unmarshal([]byte(body), &posted); err != nil {
			return nil, err
		}
		secret = posted["secret"][0]
	}
	status, reply, err := a.answer(r.URL.Host, secret)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(reply)), Request: r}, nil
}

// everything is what an auth server says of somebody who may do anything.
const everything = `{"ttl":3600,"identity":"ann","identity_url":"http://ann","authorizations":[
	{"topic":".*","channels":[".*"],"permissions":["subscribe","publish"]}]}`

// granting is the options of a server whose auth server always says this.
func granting(reply string) (Options, *authServers) {
	a := &authServers{answer: func(string, string) (int, string, error) { return 200, reply, nil }}
	return Options{AuthHTTPAddresses: []string{"auth:4"}, httpTransport: a}, a
}

// may is a reply with these permissions, as JSON lists.
func may(topic, channels, permissions string) string {
	return fmt.Sprintf(`{"ttl":60,"authorizations":[{"topic":%q,"channels":%s,"permissions":%s}]}`, topic, channels, permissions)
}

const annsReply = `{"identity":"ann","identity_url":"http://ann","permission_count":1}`

func (p *peer) auth(secret string) { p.send(wire.AppendAuth(nil, secret)) }

// dialAuthed connects and says who it is.
func (w *world) dialAuthed() *peer {
	w.t.Helper()
	p := w.dial()
	p.auth("s")
	if got := p.frames(); len(got) != 1 || !strings.HasPrefix(got[0], `{"identity"`) {
		w.t.Fatalf("AUTH is answered with %q", got)
	}
	return p
}

func TestAuth_ComesFirst(t *testing.T) { // 277, 278, 65
	o, _ := granting(everything)
	w := newWorld(t, o)
	for _, tt := range []struct{ send, verb string }{
		{"SUB t c\n", "SUB"},
		{"PUB t\n\x00\x00\x00\x01x", "PUB"},
		{"MPUB t\n", "MPUB"},
		{"DPUB t 1\n\x00\x00\x00\x01x", "DPUB"},
	} {
		p := w.dial()
		p.sendString("NOP\n" + tt.send)
		p.wantClosed("E_AUTH_FIRST AUTH required before " + tt.verb)
	}
	if names := w.names(); names != "" {
		t.Errorf("made on the way: %s", names)
	}
	p := w.dial()
	p.identify(`{"feature_negotiation":true}`)
	if got := p.frames(); len(got) != 1 || !strings.Contains(got[0], `"auth_required":true`) {
		t.Errorf("IDENTIFY is answered with %q", got)
	}
	p = newWorld(t, Options{}).dial()
	p.identify(`{"feature_negotiation":true}`)
	if got := p.frames(); len(got) != 1 || !strings.Contains(got[0], `"auth_required":false`) {
		t.Errorf("IDENTIFY without AUTH is answered with %q", got)
	}
}

func TestAuth_Succeeds(t *testing.T) { // 279, 293
	o, _ := granting(everything)
	w := newWorld(t, o)
	p := w.dial()
	p.auth("s")
	p.want(annsReply)
	p.sendString("SUB t c\nRDY 1\nPUB t\n\x00\x00\x00\x01x")
	p.want("OK", "OK", "x/1")
	c := w.channel("t", "c").Clients[0]
	if !c.Authed || c.AuthIdentity != "ann" || c.AuthIdentityURL != "http://ann" {
		t.Errorf("stats: %+v", c)
	}
	if st := w.s.snapshot(StatsOptions{}); len(st.Producers) != 1 || !st.Producers[0].Authed {
		t.Errorf("producers: %+v", st.Producers)
	}
}

func TestAuth_AsksWithTheClientsParticulars(t *testing.T) { // 280, 281
	o, a := granting(everything)
	o.AuthHTTPAddresses = []string{"auth:4"}
	newWorld(t, o).dialAuthed()
	r := a.asked[0]
	if got, want := r.URL.String(), "http://auth:4/auth?common_name=&remote_ip=10.0.0.1&secret=s&tls=false"; got != want || r.Method != "GET" {
		t.Errorf("asked %s %s, want GET %s", r.Method, got, want)
	}
	if got := r.Header.Get("Accept"); got != "application/vnd.nsq; version=1.0" {
		t.Errorf("accepts %q", got)
	}

	o, a = granting(everything)
	o.AuthHTTPAddresses, o.AuthHTTPRequestMethod = []string{"https://auth/v1?for=nsqd"}, "post"
	newWorld(t, o).dialAuthed()
	r = a.asked[0]
	if got := r.URL.String(); got != "https://auth/v1?for=nsqd" || r.Method != "POST" || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("asked %s %s as %s", r.Method, got, r.Header.Get("Content-Type"))
	}
	if got, want := a.bodies[0], `{"common_name":[""],"remote_ip":["10.0.0.1"],"secret":["s"],"tls":["false"]}`; got != want {
		t.Errorf("asked with %s, want %s", got, want)
	}

	o, a = granting(everything)
	o.AuthHTTPAddresses = []string{"http://auth/v1?for=nsqd"}
	newWorld(t, o).dialAuthed()
	if got, want := a.asked[0].URL.RawQuery, "for=nsqd&common_name=&remote_ip=10.0.0.1&secret=s&tls=false"; got != want {
		t.Errorf("asked with %s, want %s", got, want)
	}
}

func TestAuth_Fails(t *testing.T) { // 282, 283
	const failed = "E_AUTH_FAILED AUTH failed"
	for _, tt := range []struct {
		name   string
		status int
		reply  string
		want   string
	}{
		{"no authorizations", 200, `{"ttl":1,"authorizations":[]}`, "E_UNAUTHORIZED AUTH no authorizations found"},
		{"authorizations left out", 200, `{"ttl":1}`, "E_UNAUTHORIZED AUTH no authorizations found"},
		{"ttl 0", 200, strings.Replace(everything, "3600", "0", 1), failed},
		{"ttl negative", 200, strings.Replace(everything, "3600", "-1", 1), failed},
		{"status 403", 403, everything, failed},
		{"status 500", 500, everything, failed},
		{"status 201", 201, everything, failed},
		{"redirect", 302, everything, failed},
		{"no JSON", 200, "yes", failed},
		{"bad topic pattern", 200, may("(", `[".*"]`, `["publish"]`), failed},
		{"bad channel pattern", 200, may("t", `["["]`, `["publish"]`), failed},
		{"unknown permission", 200, may("t", `[".*"]`, `["publish","admin"]`), failed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, a := granting("")
			a.answer = func(string, string) (int, string, error) { return tt.status, tt.reply, nil }
			p := newWorld(t, o).dial()
			p.auth("s")
			p.wantClosed(tt.want)
		})
	}
	t.Run("unreachable", func(t *testing.T) {
		o, a := granting("")
		a.answer = func(string, string) (int, string, error) { return 0, "", errors.New("refused") }
		p := newWorld(t, o).dial()
		p.auth("s")
		p.wantClosed(failed)
	})
}

func TestAuth_OutOfPlace(t *testing.T) { // 284, 285, 286, 287
	o, _ := granting(everything)
	w := newWorld(t, o)
	p := w.dialAuthed()
	p.auth("s")
	p.wantClosed("E_INVALID AUTH already set")
	p = w.dial()
	p.sendString("AUTH x\n")
	p.wantClosed("E_INVALID AUTH invalid number of parameters")
	p = w.dialAuthed()
	p.sendString("SUB t c\n")
	p.want("OK")
	p.auth("s")
	p.wantClosed("E_INVALID cannot AUTH in current state")
	p = newWorld(t, Options{}).dial()
	p.auth("s")
	p.wantClosed("E_AUTH_DISABLED AUTH disabled")
}

func TestAuth_Grants(t *testing.T) { // 288, 289, 290
	const denied = `E_UNAUTHORIZED AUTH failed for %s on "%s" "%s"`
	for _, tt := range []struct {
		reply, send, want string
	}{
		{may("^t", `[".*"]`, `["subscribe"]`), "SUB topic c\n", "OK"},
		{may("opi", `["h"]`, `["subscribe"]`), "SUB topic channel\n", "OK"}, // not anchored
		{may("^t$", `[".*"]`, `["subscribe"]`), "SUB topic c\n", fmt.Sprintf(denied, "SUB", "topic", "c")},
		{may(".*", `["^c$"]`, `["subscribe"]`), "SUB t d\n", fmt.Sprintf(denied, "SUB", "t", "d")},
		{may(".*", `[]`, `["subscribe"]`), "SUB t d\n", fmt.Sprintf(denied, "SUB", "t", "d")},
		{may(".*", `[".*"]`, `["publish"]`), "SUB t c\n", fmt.Sprintf(denied, "SUB", "t", "c")},
		{may(".*", `[".*"]`, `["publish"]`), "PUB t\n\x00\x00\x00\x01x", "OK"},
		{may(".*", `[".*"]`, `["subscribe"]`), "PUB t\n\x00\x00\x00\x01x", fmt.Sprintf(denied, "PUB", "t", "")},
		{may(".*", `["^c"]`, `["publish"]`), "PUB t\n\x00\x00\x00\x01x", fmt.Sprintf(denied, "PUB", "t", "")},
		{may(".*", `[]`, `["publish"]`), "DPUB t 5\n\x00\x00\x00\x01x", fmt.Sprintf(denied, "DPUB", "t", "")},
		{may("u", `[".*"]`, `["publish"]`), "MPUB t\n", fmt.Sprintf(denied, "MPUB", "t", "")}, // before its body
	} {
		o, _ := granting(tt.reply)
		w := newWorld(t, o)
		p := w.dialAuthed()
		p.sendString(tt.send)
		p.want(tt.want)
		if p.closed() != (tt.want != "OK") {
			t.Errorf("%s with %s: closed is %v", tt.send, tt.reply, p.closed())
		}
		if tt.want != "OK" && w.names() != "" {
			t.Errorf("%s with %s made %s", tt.send, tt.reply, w.names())
		}
	}
}

func TestAuth_RepliesStayInOrder(t *testing.T) {
	o, _ := granting(may("t", `[".*"]`, `["publish"]`))
	w := newWorld(t, o)
	p := w.dialAuthed()
	p.sendString("PUB t\n\x00\x00\x00\x01xPUB t\n\x00\x00\x00\x01xPUB u\n\x00\x00\x00\x01xPUB t\n\x00\x00\x00\x01x")
	p.wantClosed("OK", "OK", `E_UNAUTHORIZED AUTH failed for PUB on "u" ""`)
	if n := w.topic("t").MessageCount; n != 2 {
		t.Errorf("%d messages stored, want 2", n)
	}
}

func TestAuth_WaitsForTheAnswer(t *testing.T) {
	o, _ := granting(everything)
	w := newWorld(t, o)
	w.l.slow = true
	p := w.dial()
	p.send(append(wire.AppendAuth(nil, "s"), "PUB t\n\x00\x00\x00\x01xNOP\n"...))
	p.want()
	w.l.work()
	w.offer()
	p.want(annsReply, "OK")

	// A client that goes meanwhile does no harm.
	p = w.dial()
	p.auth("s")
	p.hangUp()
	w.l.work()
	p.want()
}

func TestAuth_GrantsExpire(t *testing.T) { // 291
	reply := may(".*", `[".*"]`, `["subscribe","publish"]`)
	o, a := granting(reply)
	a.answer = func(string, string) (int, string, error) { return 200, reply, nil }
	w := newWorld(t, o)
	p := w.dialAuthed()
	sub := w.dialAuthed()
	sub.sendString("SUB t c\nRDY 9\n")
	sub.want("OK")
	p.pub("t", "a")
	p.want("OK")
	w.sleep(59 * time.Second)
	p.frames() // heartbeats
	sub.sendString("NOP\n")
	p.pub("t", "b")
	p.want("OK")
	if n := len(a.asked); n != 2 {
		t.Fatalf("asked %d times before the grants expired, want 2", n)
	}
	p.sendString("NOP\n")
	w.sleep(time.Second)
	p.frames()
	w.l.slow = true
	p.sendString("PUB t\n\x00\x00\x00\x01cPUB t\n\x00\x00\x00\x01d")
	p.want()
	w.l.work()
	w.offer()
	p.want("OK", "OK")
	if n := len(a.asked); n != 3 || a.asked[2].URL.Query().Get("secret") != "s" {
		t.Fatalf("asked %d times, want once more with the secret", n)
	}
	w.l.slow = false

	// MPUB asks too, before its body is there.
	w.sleep(30 * time.Second)
	p.sendString("NOP\n")
	sub.sendString("NOP\n")
	w.sleep(30 * time.Second)
	p.frames()
	p.sendString("MPUB t\n")
	if n := len(a.asked); n != 4 {
		t.Errorf("asked %d times, want again for MPUB", n)
	}
	p.sendString("\x00\x00\x00\x09\x00\x00\x00\x01\x00\x00\x00\x01e")
	p.want("OK")

	// What was granted is taken away: publishers feel it, subscribers do not.
	reply = may("u", `[".*"]`, `["publish"]`)
	sub.sendString("NOP\n")
	w.sleep(30 * time.Second)
	p.sendString("NOP\n")
	sub.sendString("NOP\n")
	w.sleep(30 * time.Second)
	p.frames()
	p.pub("t", "f")
	p.wantClosed(`E_UNAUTHORIZED AUTH failed for PUB on "t" ""`)
	if sub.closed() {
		t.Error("a live subscription was cut")
	}
}

func TestAuth_ExpiredAndNobodyKnows(t *testing.T) {
	o, a := granting(strings.Replace(everything, "3600", "1", 1))
	w := newWorld(t, o)
	p := w.dialAuthed()
	w.sleep(time.Second)
	a.answer = func(string, string) (int, string, error) { return 500, "", nil }
	p.pub("t", "x")
	p.wantClosed("E_AUTH_FAILED AUTH failed")
}

func TestAuth_TriesEveryServer(t *testing.T) { // 292
	o, a := granting("")
	o.AuthHTTPAddresses = []string{"down:1", "up:1", "broken:1"}
	a.answer = func(host, _ string) (int, string, error) {
		switch host {
		case "down:1":
			return 0, "", errors.New("refused")
		case "broken:1":
			return 500, "", nil
		}
		return 200, everything, nil
	}
	w := newWorld(t, o)
	first := map[string]bool{}
	for range 20 {
		before := len(a.asked)
		w.dialAuthed()
		first[a.asked[before].URL.Host] = true
	}
	if len(first) != 3 {
		t.Errorf("begins with %v only", first)
	}
}

func TestAuth_LittleIsKeptBefore(t *testing.T) {
	o, _ := granting(everything)
	w := newWorld(t, o)
	p := w.dial()
	p.sendString("PUB t\n\x00\x00\x40\x01")
	p.wantClosed("E_AUTH_FIRST AUTH required before PUB")
	p = w.dial()
	p.sendString("AUTH\n\x00\x00\x40\x01")
	p.wantClosed("E_BAD_BODY AUTH body too big 16385 > 16384")

	w.l.slow = true
	p = w.dial()
	p.auth("s")
	p.send(make([]byte, beforeAuthInput+1))
	p.wantClosed("E_AUTH_FIRST AUTH required before more input")
	w.l.work()

	p = w.dial()
	p.auth("s")
	p.send(append(wire.AppendPub(nil, "t", make([]byte, 16<<10)), wire.AppendPub(nil, "t", make([]byte, 10<<10))...))
	w.l.work()
	w.offer()
	p.want(annsReply, "OK", "OK")
	w.l.slow = false
	p = w.dialAuthed()
	p.pub("t", strings.Repeat("x", 1<<20)) // afterwards the limits are the usual ones
	p.want("OK")
}

func TestAuth_SecretsAreNotLogged(t *testing.T) {
	var log strings.Builder
	o, a := granting("")
	o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	o.AuthHTTPAddresses = []string{"http://user:hidden@auth:4/x", "\x7f://hidden"}
	w := newWorld(t, o)
	for i, answer := range []func(string, string) (int, string, error){
		func(string, string) (int, string, error) { return 0, "", errors.New("refused") },
		func(string, string) (int, string, error) { return 403, "hidden", nil },
		func(string, string) (int, string, error) { return 302, "hidden", nil },
		func(string, string) (int, string, error) { return 200, `{"ttl":"hidden"}`, nil },
	} {
		a.answer = answer
		p := w.dialFrom(fmt.Sprintf("10.0.1.%d", i))
		p.auth("hidden")
		p.wantClosed("E_AUTH_FAILED AUTH failed")
	}
	if strings.Count(log.String(), "AUTH failed") < 4 || strings.Contains(log.String(), "hidden") {
		t.Errorf("the log says: %s", log.String())
	}
}
