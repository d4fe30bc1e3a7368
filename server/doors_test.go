package server

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/testcert"
	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
)

// profile is a way to run a server.
type profile int

const (
	byDefault profile = iota
	withAuth
	isStrict // with AUTH
	profiles
)

// options are those of a server of the profile, whose auth server answers with
// reply.
func (p profile) options(reply string) Options {
	if p == byDefault {
		return Options{}
	}
	o, _ := granting(reply)
	o.Strict = p == isStrict
	return o
}

// A door is something that only an attacker does. open says whether he gets
// through; want is what is expected of the profiles, in words of the page that
// promises it: open, shut, or - where there is no such door.
type door struct {
	name string
	want [profiles]string
	open func(t *testing.T, p profile) bool
}

var doors = []door{
	{"anybody publishes over HTTP", [...]string{"open", "open", "shut"}, anonymously("POST", "/pub?topic=t")},
	{"anybody makes a topic over HTTP", [...]string{"open", "open", "shut"}, anonymously("POST", "/topic/create?topic=new")},
	{"anybody empties a channel over HTTP", [...]string{"open", "open", "shut"}, anonymously("POST", "/channel/empty?topic=t&channel=c")},
	{"anybody deletes a topic over HTTP", [...]string{"open", "open", "shut"}, anonymously("POST", "/topic/delete?topic=t")},
	{"anybody looks at messages over HTTP", [...]string{"open", "shut", "shut"}, anonymously("GET", "/topic/peek?topic=t")},
	{"anybody reads the figures", [...]string{"open", "open", "shut"}, anonymously("GET", "/stats")},
	{"anybody reads the options", [...]string{"open", "open", "shut"}, anonymously("GET", "/config/data_path")},
	{"anybody changes the log level", [...]string{"open", "open", "shut"}, anonymously("PUT", "/config/log_level")},
	{"one request makes the server dial any address", [...]string{"open", "open", "shut"}, anonymously("PUT", "/config/nsqlookupd_tcp_addresses")},
	{"another machine reads heap and command line", [...]string{"shut", "shut", "shut"}, fromAfar("/debug/pprof/cmdline")},
	{"a debug route does its work and answers 500", [...]string{"shut", "shut", "shut"}, debugFails},
	{"another site's page makes a browser post", [...]string{"shut", "shut", "shut"}, anonymously("POST", "/pub?topic=t", "Origin", "http://evil.example")},
	{"a page posts under a name made to lead here", [...]string{"shut", "shut", "shut"}, anonymously("POST", "/pub?topic=t", "Host", "evil.example", "Origin", "http://evil.example")},
	{"a page reads messages under such a name", [...]string{"shut", "shut", "shut"}, anonymously("GET", "/topic/peek?topic=t", "Host", "evil.example")},
	{"a page reads figures under such a name", [...]string{"open", "open", "shut"}, anonymously("GET", "/stats", "Host", "evil.example")},
	{"a client's name forges a line of log", [...]string{"shut", "shut", "shut"}, forgesLog},
	{"TLS 1.1 is spoken", [...]string{"shut", "shut", "shut"}, speaksOldTLS},
	{"a second IDENTIFY leads out of TLS", [...]string{"shut", "shut", "shut"}, leavesTLS},
	{"a path as a topic's name leaves the data path", [...]string{"shut", "shut", "shut"}, traverses},
	{"commands before AUTH", [...]string{"-", "shut", "shut"}, beforeAuth},
	{"megabytes before AUTH", [...]string{"-", "shut", "shut"}, megabytesBeforeAuth},
	{"an auth server that is down lets in", [...]string{"-", "shut", "shut"}, authServerDown},
	{"two guesses at a secret in a second", [...]string{"-", "shut", "shut"}, guessesTwice},
	{"a grant of orders is one of orders_secret", [...]string{"-", "open", "shut"}, unanchored},
	{"a subscriber stays who has lost its grants", [...]string{"-", "open", "shut"}, staysRevoked},
	{"the secret is in an auth server's address", [...]string{"-", "open", "shut"}, secretInAddress},
	{"17 bytes end nsqlookupd", [...]string{"shut", "shut", "shut"}, endsLookupd},
	{"* as a topic wipes nsqlookupd", [...]string{"shut", "shut", "shut"}, wipesLookupd},
	{"anybody takes an nsqd's topic out of nsqlookupd", [...]string{"open", "open", "shut"}, forgetsTopic},
	{"anybody announces another nsqd's address", [...]string{"open", "open", "shut"}, takesAddress},
}

// TestDoors: each door is as docs/trust.md says.
func TestDoors(t *testing.T) {
	page, err := os.ReadFile("../docs/trust.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range doors {
		row := "| " + d.name + " | " + strings.Join(d.want[:], " | ") + " |"
		if !bytes.Contains(page, []byte("\n"+row+"\n")) {
			t.Errorf("docs/trust.md has no row\n%s", row)
		}
		for p := range profiles {
			if d.want[p] == "-" {
				continue
			}
			t.Run(fmt.Sprintf("%s/%d", d.name, p), func(t *testing.T) {
				got := map[bool]string{true: "open", false: "shut"}[d.open(t, p)]
				if got != d.want[p] {
					t.Errorf("it is %s, want %s", got, d.want[p])
				}
			})
		}
	}
}

// anonymously asks without a secret, of a server that has a topic t with a
// channel c.
func anonymously(method, target string, header ...string) func(*testing.T, profile) bool {
	return func(t *testing.T, p profile) bool {
		o := p.options(everything)
		o.LogLevel = new(slog.LevelVar)
		s := startHTTP(t, o)
		if err := s.call(func() {
			if topic, err := s.createTopic("t"); err == nil {
				_, err = topic.createChannel("c")
				if err != nil {
					t.Error(err)
				}
			}
		}); err != nil {
			t.Fatal(err)
		}
		body := "x"
		switch target {
		case "/config/log_level":
			body = "debug"
		case "/config/nsqlookupd_tcp_addresses":
			body = "[]" // any address would do
		}
		return ask(t, s, method, target, body, header...).status < 400
	}
}

// fromAfar asks as another machine does.
func fromAfar(target string) func(*testing.T, profile) bool {
	return func(t *testing.T, p profile) bool {
		s := startHTTP(t, p.options(everything))
		rec := newRecorder() // httptest's requests come from 192.0.2.1
		newHTTPServer(s, nil).ServeHTTP(rec, httptest.NewRequest("GET", "http://127.0.0.1"+target, nil))
		return rec.Code < 400
	}
}

func debugFails(t *testing.T, p profile) bool {
	s := startHTTP(t, p.options(everything))
	return ask(t, s, "POST", "/debug/freememory", "").status == 500
}

func forgesLog(t *testing.T, p profile) bool {
	var log bytes.Buffer
	o := p.options(everything)
	o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w := newWorld(t, o)
	c := w.dial()
	c.identify(`{"client_id":"x\nFATAL: forged","hostname":"\u001b[31m","user_agent":"y\r\nFATAL: forged"}`)
	c.sendString("SUB t\nFATAL: forged\n")
	c.hangUp()
	c = w.dialSilent()
	c.sendString("\nFATAL: forged\x1b[31m")
	return bytes.Contains(log.Bytes(), []byte("\nFATAL")) || bytes.Contains(log.Bytes(), []byte("\x1b"))
}

// withTLS gives o a certificate.
func withTLS(t *testing.T, o Options) (Options, *testcert.Authority) {
	ca := testcert.New(t, "authority")
	o.TLSCert, o.TLSKey, _ = ca.Files(ca.Issue("nsqd", "127.0.0.1"))
	return o, ca
}

func speaksOldTLS(t *testing.T, p profile) bool {
	o, ca := withTLS(t, p.options(everything))
	o.HTTPSAddress = "127.0.0.1:0"
	s := startHTTP(t, o)
	c, err := tls.Dial("tcp", s.HTTPSAddr().String(), &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1",
		MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if err == nil {
		_ = c.Close() // it should not be there
	}
	return err == nil
}

func leavesTLS(t *testing.T, p profile) bool {
	o, ca := withTLS(t, p.options(everything))
	s := startHTTP(t, o)
	c := connect(t, s, `{"feature_negotiation":true,"tls_v1":true}`)
	inside := tls.Client(c.c, &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1"})
	if err := inside.Handshake(); err != nil {
		t.Fatal(err)
	}
	if _, err := inside.Write(wire.AppendIdentify(nil, []byte(`{"feature_negotiation":true,"tls_v1":true}`))); err != nil {
		t.Fatal(err)
	}
	ok, answer := make([]byte, 10), make([]byte, 4096)
	if _, err := inside.Read(ok); err != nil { // the OK of the upgrade
		t.Fatal(err)
	}
	n, err := inside.Read(answer) // an error here is plain text in the middle of TLS
	if err != nil {
		return true
	}
	refused := strings.Contains(string(answer[:n]), "E_INVALID cannot IDENTIFY in current state")
	if refused != (p == isStrict) {
		t.Errorf("the second IDENTIFY is answered %q", answer[:n])
	}
	return bytes.Contains(answer[:n], []byte(`"tls_v1":true`))
}

func traverses(t *testing.T, p profile) bool {
	o := p.options(everything)
	o.DataPath = t.TempDir()
	w := newWorld(t, o)
	for i, topic := range []string{"../../evil", "..", ".", "a/b", "a\x00b"} {
		c := w.dialFrom(fmt.Sprintf("10.0.1.%d", i))
		if p != byDefault {
			c.auth("s")
		}
		c.send(wire.AppendPub(nil, topic, []byte("x")))
	}
	for _, topic := range w.s.topics {
		if strings.ContainsAny(topic.name, "/\x00") {
			return true
		}
	}
	_, err := os.Stat(o.DataPath + "/../../evil")
	return err == nil
}

func beforeAuth(t *testing.T, p profile) bool {
	w := newWorld(t, p.options(everything))
	c := w.dial()
	c.sendString("SUB t c\n")
	return !c.closed()
}

func megabytesBeforeAuth(t *testing.T, p profile) bool {
	w := newWorld(t, p.options(everything))
	c := w.dial()
	c.sendString("IDENTIFY\n\x00\x10\x00\x00" + strings.Repeat("x", 1<<19))
	return !c.closed()
}

func authServerDown(t *testing.T, p profile) bool {
	o, a := granting("")
	a.answer = func(string, string) (int, string, error) { return 0, "", os.ErrDeadlineExceeded }
	o.Strict = p == isStrict
	c := newWorld(t, o).dial()
	c.auth("s")
	return !c.closed()
}

func guessesTwice(t *testing.T, p profile) bool {
	o, a := granting("")
	a.answer = func(string, string) (int, string, error) { return 403, "", nil }
	o.Strict = p == isStrict
	w := newWorld(t, o)
	for range 5 {
		w.dialFrom("10.0.0.5").auth("x")
	}
	w.sleep(999 * time.Millisecond)
	return len(a.asked) > 1
}

func unanchored(t *testing.T, p profile) bool {
	w := newWorld(t, p.options(may("orders", `[".*"]`, `["publish"]`)))
	c := w.dialAuthed()
	c.pub("orders_secret", "x")
	return !c.closed()
}

func staysRevoked(t *testing.T, p profile) bool {
	o := p.options("")
	a := o.httpTransport.(*authServers)
	reply := may("t", `["c"]`, `["subscribe"]`) // for 60 s
	a.answer = func(string, string) (int, string, error) { return 200, reply, nil }
	w := newWorld(t, o)
	c := w.dialAuthed()
	c.sendString("SUB t c\n")
	reply = `{"ttl":60,"authorizations":[]}`
	for range 61 {
		w.sleep(time.Second)
		c.sendString("NOP\n")
	}
	return !c.closed()
}

func secretInAddress(t *testing.T, p profile) bool {
	o := p.options(everything)
	newWorld(t, o).dialAuthed()
	return o.httpTransport.(*authServers).asked[0].URL.Query().Has("secret")
}

// lookupd makes an nsqlookupd of the profile, at which an nsqd has registered a
// topic t.
func (p profile) lookupd(t *testing.T) *lookupdRig {
	g := newLookupdRig(t, LookupdOptions{Strict: p == isStrict})
	g.join("a").ok("REGISTER t c")
	return g
}

func endsLookupd(t *testing.T, p profile) bool {
	g := p.lookupd(t)
	g.dial().send("  V1IDENTIFY\n\xff\xff\xff\xff")
	return !strings.HasPrefix(g.producers("t"), "a")
}

func wipesLookupd(t *testing.T, p profile) bool {
	g := p.lookupd(t)
	g.l.http(g.d.Handler(), "POST", "/topic/delete?topic=*")
	return !strings.HasPrefix(g.producers("t"), "a")
}

func forgetsTopic(t *testing.T, p profile) bool {
	g := p.lookupd(t)
	g.l.http(g.d.Handler(), "POST", "/topic/delete?topic=t")
	return !strings.HasPrefix(g.producers("t"), "a")
}

func takesAddress(t *testing.T, p profile) bool {
	g := p.lookupd(t)
	other := g.w.Loop("attacker")
	c := &fakeNSQD{g: g}
	other.Do(func() { other.Dial("lookupd:4160", loop.DialOptions{}, c) })
	g.settle()
	other.Do(func() { c.c.Write([]byte(wire.MagicV1 + identifyAs("a"))) })
	g.settle()
	return !c.closed
}
