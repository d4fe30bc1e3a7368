package client_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/internal/layer"
	"github.com/nsqloop/nsqloop/internal/mocknsqd"
	"github.com/nsqloop/nsqloop/internal/testcert"
	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
)

// upgrading is a mock nsqd that grants what is asked for, if it has it.
type upgrading struct {
	*mocknsqd.NSQD
	tls       *tls.Config // nil: no TLS
	plain     bool        // no compression
	auth      bool        // AUTH is required
	heartbeat bool        // one slips in front of each OK
	silent    bool        // promises upgrades and does not make them
}

func newUpgrading(t *testing.T, w *world) *upgrading {
	u := &upgrading{NSQD: mock(t, w)}
	u.Script = func(c *mocknsqd.Conn, cmd *wire.Command) bool {
		if cmd.Verb != wire.Identify {
			return false
		}
		q, err := wire.DecodeIdentify(cmd.Body)
		if err != nil {
			t.Error(err)
		}
		u.identify(c, q)
		return true
	}
	return u
}

func (u *upgrading) identify(c *mocknsqd.Conn, q wire.IdentifyRequest) {
	secure, snappy, deflate := q.TLSv1 && u.tls != nil, q.Snappy && !u.plain, q.Deflate && !u.plain
	c.Respond(fmt.Sprintf(`{"max_rdy_count":2500,"version":"1.3.0","tls_v1":%t,"snappy":%t,"deflate":%t,"deflate_level":3,"auth_required":%t}`,
		secure, snappy, deflate, u.auth))
	if u.silent {
		c.Deaf = true
		return
	}
	put := func(l loop.Layer) {
		c.Upgrade(l)
		if u.heartbeat {
			c.Heartbeat()
		}
		c.OK()
	}
	if secure {
		put(layer.TLSServer(u.tls))
	}
	if snappy {
		put(layer.NewSnappy())
	}
	if deflate {
		put(layer.NewDeflate(3))
	}
}

// permutations are the ways in which a connection may be upgraded.
var permutations = []struct {
	name         string
	o            client.Options
	tls, clients bool // TLS; with a client's certificate
}{
	{name: "none"},
	{name: "snappy", o: client.Options{Snappy: true}},
	{name: "deflate", o: client.Options{Deflate: true}},
	{name: "tls", tls: true},
	{name: "tls+snappy", o: client.Options{Snappy: true}, tls: true},
	{name: "tls+deflate", o: client.Options{Deflate: true}, tls: true},
	{name: "client certificate", tls: true, clients: true},
}

// Statements 134, 135, 136, 139, 140, 141, 142: each upgrade, with the layer's
// first bytes together with the answer to IDENTIFY or cut anywhere, and large
// bodies both ways.
func TestUpgrade_Permutations(t *testing.T) {
	ca := testcert.New(t, "authority")
	served := ca.Issue("nsqd", "nsqd")
	noise := make([]byte, 1<<20)
	for i, x := 0, uint32(1); i < len(noise); i++ {
		x = x*1664525 + 1013904223
		noise[i] = byte(x >> 24)
	}
	bodies := []string{"short", strings.Repeat("0123456789", 10_000), string(noise)}
	for _, p := range permutations {
		for seed := range uint64(3) {
			t.Run(fmt.Sprintf("%s/%d", p.name, seed), func(t *testing.T) {
				w := newWorld(t, seed)
				u := newUpgrading(t, w)
				u.heartbeat = seed == 2
				u.tls = &tls.Config{Certificates: []tls.Certificate{served}, Time: w.server.Now}
				o := p.o
				if p.tls {
					o.TLSConfig = &tls.Config{RootCAs: ca.Pool()}
				}
				if p.clients {
					u.tls.ClientAuth, u.tls.ClientCAs = tls.RequireAndVerifyClientCert, ca.Pool()
					o.TLSConfig.Certificates = []tls.Certificate{ca.Issue("client")}
				}
				var got []string
				r := &recorder{onMsg: func(m wire.Message) { got = append(got, string(m.Body)) }}
				dialWith(t, w, "nsqd:4150", o, r)
				if r.conn.State() != client.StateReady {
					t.Fatalf("not ready: %v, %q", r.err, r.events)
				}
				info := r.conn.Info()
				if info.TLS != p.tls || info.Snappy != o.Snappy || info.Deflate != o.Deflate || (r.conn.TLS() != nil) != p.tls {
					t.Errorf("info %+v", info)
				}
				w.do(func() {
					for _, b := range bodies {
						r.conn.Publish("t", []byte(b))
					}
				})
				w.run(time.Second)
				if !slices.Equal(u.Bodies(), bodies) {
					t.Errorf("%d bodies were published, or others", len(u.Published))
				}
				w.server.Do(func() {
					for i, b := range bodies {
						u.Conns[0].Message(fmt.Sprint(i), 1, w.server.Now(), b)
					}
				})
				w.run(time.Second)
				if !slices.Equal(got, bodies) {
					t.Errorf("%d messages arrived, or others", len(got))
				}
				if i := slices.Index(u.Commands, "NOP"); i >= 0 {
					t.Errorf("the client spoke before the upgrade was over: %q", u.Commands)
				}
			})
		}
	}
}

// Statement 162.
func TestUpgrade_RefusedTLSFailsUnlessAllowed(t *testing.T) {
	for _, reply := range []string{mocknsqd.IdentifyReply, "OK"} {
		w := newWorld(t, 1)
		mock(t, w).Identify = reply
		o := client.Options{TLSConfig: &tls.Config{}}
		r := dial(t, w, "nsqd:4150", o)
		if !errors.Is(r.err, client.ErrTLSRefused) || !strings.Contains(r.err.Error(), "AllowPlaintext") {
			t.Errorf("error %v, want %v", r.err, client.ErrTLSRefused)
		}
		o.AllowPlaintext = true
		r = dial(t, w, "nsqd:4150", o)
		if r.conn.State() != client.StateReady || r.conn.Info().TLS || r.conn.TLS() != nil {
			t.Errorf("with AllowPlaintext: %v, %v", r.conn.State(), r.err)
		}
	}
}

func TestUpgrade_RefusedCompressionGoesOn(t *testing.T) {
	for _, o := range []client.Options{{Snappy: true}, {Deflate: true}} {
		w := newWorld(t, 1)
		newUpgrading(t, w).plain = true
		r := dial(t, w, "nsqd:4150", o)
		if info := r.conn.Info(); r.conn.State() != client.StateReady || info.Snappy || info.Deflate {
			t.Errorf("%v, %+v", r.conn.State(), info)
		}
	}
}

// Checksum goes on with TLS or snappy alone, and asks for snappy where TLS is
// not certain.
func TestUpgrade_Checksum(t *testing.T) {
	ca := testcert.New(t, "authority")
	secure := &tls.Config{RootCAs: ca.Pool()}
	for _, row := range []struct {
		name                string
		o                   client.Options
		tls, plain          bool // what the server has
		wantTLS, wantSnappy bool
		want                error
	}{
		{name: "snappy", o: client.Options{Checksum: true}, wantSnappy: true},
		{name: "neither", o: client.Options{Checksum: true}, plain: true, want: client.ErrChecksumRefused},
		{name: "TLS", o: client.Options{Checksum: true, TLSConfig: secure}, tls: true, wantTLS: true},
		{name: "TLS and deflate", o: client.Options{Checksum: true, TLSConfig: secure, Deflate: true}, tls: true, wantTLS: true},
		{name: "TLS that may be refused", o: client.Options{Checksum: true, TLSConfig: secure, AllowPlaintext: true}, wantSnappy: true},
		{name: "all refused", o: client.Options{Checksum: true, TLSConfig: secure, AllowPlaintext: true}, plain: true, want: client.ErrChecksumRefused},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t, 1)
			u := newUpgrading(t, w)
			u.plain = row.plain
			if row.tls {
				u.tls = &tls.Config{Certificates: []tls.Certificate{ca.Issue("nsqd", "nsqd")}, Time: w.server.Now}
			}
			r := dial(t, w, "nsqd:4150", row.o)
			if !errors.Is(r.err, row.want) || (r.conn.State() == client.StateReady) != (row.want == nil) {
				t.Fatalf("%v, error %v, want %v", r.conn.State(), r.err, row.want)
			}
			if info := r.conn.Info(); row.want == nil && (info.TLS != row.wantTLS || info.Snappy != row.wantSnappy) {
				t.Errorf("info %+v", info)
			}
		})
	}
}

// Statement 163, and that a certificate counts only for its name, its
// authority and its time.
func TestUpgrade_TLSVersionsAndNames(t *testing.T) {
	ca := testcert.New(t, "authority")
	here, elsewhere := ca.Issue("nsqd", "nsqd"), ca.Issue("elsewhere", "elsewhere")
	for _, row := range []struct {
		name    string
		served  tls.Certificate
		max     uint16
		cfg     *tls.Config
		want    string // in the error; "" for ready
		version uint16
	}{
		{"1.3 is usable", here, 0, &tls.Config{RootCAs: ca.Pool()}, "", tls.VersionTLS13},
		{"1.2 is the least", here, tls.VersionTLS12, &tls.Config{RootCAs: ca.Pool()}, "", tls.VersionTLS12},
		{"1.1 is not enough", here, tls.VersionTLS11, &tls.Config{RootCAs: ca.Pool()}, "protocol version", 0},
		{"1.1 when asked for", here, tls.VersionTLS11, &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS10}, "", tls.VersionTLS11},
		{"another name", elsewhere, 0, &tls.Config{RootCAs: ca.Pool()}, "valid for elsewhere, not nsqd", 0},
		{"another name that is expected", elsewhere, 0, &tls.Config{RootCAs: ca.Pool(), ServerName: "elsewhere"}, "", tls.VersionTLS13},
		{"another authority", here, 0, &tls.Config{RootCAs: testcert.New(t, "other").Pool()}, "unknown authority", 0},
		{"no authority", here, 0, &tls.Config{InsecureSkipVerify: true}, "", tls.VersionTLS13},
		{"another time", here, 0, &tls.Config{RootCAs: ca.Pool(), Time: func() time.Time { return time.Unix(1<<40, 0) }}, "expired", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t, 1)
			u := newUpgrading(t, w)
			u.tls = &tls.Config{Certificates: []tls.Certificate{row.served}, MinVersion: tls.VersionTLS10, MaxVersion: row.max, Time: w.server.Now}
			r := dial(t, w, "nsqd:4150", client.Options{TLSConfig: row.cfg})
			if row.want == "" {
				if r.conn.State() != client.StateReady {
					t.Fatalf("not ready: %v", r.err)
				}
				if got := r.conn.TLS().Version; got != row.version {
					t.Errorf("version %#x, want %#x", got, row.version)
				}
				return
			}
			if r.closed != 1 || !strings.Contains(r.err.Error(), row.want) || !strings.HasPrefix(r.err.Error(), "upgrade connection to nsqd:4150: ") {
				t.Errorf("error %v, want one that says %q", r.err, row.want)
			}
		})
	}
}

// Statement 157 for what comes after the answer to IDENTIFY.
func TestUpgrade_DeadlineCoversUpgradesAndAuth(t *testing.T) {
	for _, row := range []struct {
		name  string
		o     client.Options
		setUp func(u *upgrading)
	}{
		{"tls", client.Options{TLSConfig: &tls.Config{}}, func(u *upgrading) { u.tls, u.silent = &tls.Config{}, true }},
		{"snappy", client.Options{Snappy: true}, func(u *upgrading) { u.silent = true }},
		{"auth", client.Options{AuthSecret: func() string { return "x" }}, func(u *upgrading) {
			u.auth = true
			identify := u.Script
			u.Script = func(c *mocknsqd.Conn, cmd *wire.Command) bool { return cmd.Verb == wire.Auth || identify(c, cmd) }
		}},
	} {
		w := newWorld(t, 1)
		row.setUp(newUpgrading(t, w))
		row.o.HandshakeTimeout = 3 * time.Second
		r := dial(t, w, "nsqd:4150", row.o)
		if r.closed != 0 {
			t.Errorf("%s: closed at once: %v", row.name, r.err)
		}
		w.run(3 * time.Second)
		if !errors.Is(r.err, client.ErrTimeout) {
			t.Errorf("%s: error %v, want %v", row.name, r.err, client.ErrTimeout)
		}
	}
}

// Statements 158, 159, 160.
func TestAuth_SentOnlyWhenRequired(t *testing.T) {
	for _, row := range []struct {
		name     string
		required bool
		secret   func() string
		sent     bool
		want     error
	}{
		{"required", true, func() string { return "s3cret" }, true, nil},
		{"not required", false, func() string { return "s3cret" }, false, nil},
		{"required, no secret", true, nil, false, client.ErrAuthRequired},
		{"required, empty secret", true, func() string { return "" }, false, client.ErrAuthRequired},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t, 1)
			u := newUpgrading(t, w)
			u.auth = row.required
			r := dial(t, w, "nsqd:4150", client.Options{AuthSecret: row.secret, Snappy: true})
			if sent := slices.Contains(u.Commands, "AUTH s3cret"); sent != row.sent {
				t.Errorf("commands %q", u.Commands)
			}
			if !errors.Is(r.err, row.want) {
				t.Fatalf("error %v, want %v", r.err, row.want)
			}
			if row.want != nil {
				if !strings.Contains(r.err.Error(), "AuthSecret") {
					t.Errorf("the error does not say what to do: %v", r.err)
				}
				return
			}
			if r.conn.State() != client.StateReady {
				t.Errorf("not ready: %v", r.conn.State())
			}
			if got := r.conn.Info().Identity; row.sent && got != "somebody" {
				t.Errorf("identity %q", got)
			}
		})
	}
}

// Statement 161, the first half; package reader shows the second.
func TestAuth_RefusalHasItsCode(t *testing.T) {
	for _, code := range []*client.Error{client.ErrAuthFailed, client.ErrUnauthorized} {
		w := newWorld(t, 1)
		u := newUpgrading(t, w)
		u.auth = true
		identify := u.Script
		u.Script = func(c *mocknsqd.Conn, cmd *wire.Command) bool {
			if cmd.Verb == wire.Auth {
				c.Fail(code.Code, "AUTH failed")
				return true
			}
			return identify(c, cmd)
		}
		r := dial(t, w, "nsqd:4150", client.Options{AuthSecret: func() string { return "wrong" }})
		want := "authenticate to nsqd:4150: " + string(code.Code) + " AUTH failed"
		if !errors.Is(r.err, code) || r.err.Error() != want {
			t.Errorf("error %q, want %q", r.err, want)
		}
	}
}

func TestUpgrade_AnswersThatAreNone(t *testing.T) {
	for _, row := range []struct {
		name string
		o    client.Options
		says func(c *mocknsqd.Conn)
		want string
	}{
		{"not OK after an upgrade", client.Options{Snappy: true}, func(c *mocknsqd.Conn) {
			c.Respond(`{"snappy":true}`)
			c.Upgrade(layer.NewSnappy())
			c.Respond("welcome")
		}, `answered with "welcome"`},
		{"plain bytes after an upgrade", client.Options{Snappy: true}, func(c *mocknsqd.Conn) {
			c.Respond(`{"snappy":true}`)
			c.OK()
		}, "corrupt stream"},
		{"refused in an upgrade", client.Options{Snappy: true}, func(c *mocknsqd.Conn) {
			c.Respond(`{"snappy":true}`)
			c.Upgrade(layer.NewSnappy())
			c.Fail(wire.CodeIdentifyFailed, "IDENTIFY failed for a reason")
		}, "E_IDENTIFY_FAILED IDENTIFY failed for a reason"},
		{"AUTH answered in prose", client.Options{AuthSecret: func() string { return "s" }}, func(c *mocknsqd.Conn) {
			c.Respond(`{"auth_required":true}`)
			c.Respond("fine")
		}, "not JSON"},
	} {
		w := newWorld(t, 1)
		mock(t, w).Script = func(c *mocknsqd.Conn, cmd *wire.Command) bool {
			if cmd.Verb == wire.Identify {
				row.says(c)
			}
			return true
		}
		r := dial(t, w, "nsqd:4150", row.o)
		if r.closed != 1 || !strings.Contains(fmt.Sprint(r.err), row.want) {
			t.Errorf("%s: error %v, want one that says %q", row.name, r.err, row.want)
		}
	}
}
