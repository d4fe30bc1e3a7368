package conformance

import (
	"compress/flate"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"

	"github.com/nsqloop/nsqloop/internal/testcert"
	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/server"
)

// What happens inside TLS and compression no transcript can show. These tests
// speak with the libraries that clients use, which block.

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// upgradable is a server with a certificate, on sockets.
type upgradable struct {
	*server.Server
	t  testing.TB
	ca *testcert.Authority
}

// startTLS starts a server with a certificate for 127.0.0.1.
func startTLS(t testing.TB, o server.Options) *upgradable {
	t.Helper()
	u := &upgradable{t: t, ca: testcert.New(t, "authority")}
	var authority string
	o.TLSCert, o.TLSKey, authority = u.ca.Files(u.ca.IssueRSA("nsqd", "127.0.0.1"))
	if o.TLSClientAuthPolicy == server.TLSRequireVerify {
		o.TLSRootCAFile = authority
	}
	o.TCPAddress, o.HTTPAddress, o.HTTPSAddress = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	s, err := server.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	u.Server = s
	return u
}

// config trusts the server.
func (u *upgradable) config(certificates ...tls.Certificate) *tls.Config {
	return &tls.Config{RootCAs: u.ca.Pool(), ServerName: "127.0.0.1", Certificates: certificates}
}

// blocking is a client that blocks.
type blocking struct {
	t testing.TB
	c net.Conn
	r io.Reader
	w io.Writer
}

func (u *upgradable) dial() *blocking {
	u.t.Helper()
	c, err := net.Dial("tcp", u.TCPAddr().String())
	if err != nil {
		u.t.Fatal(err)
	}
	u.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		u.t.Fatal(err)
	}
	b := &blocking{t: u.t, c: c, r: c, w: c}
	b.send([]byte(wire.MagicV2))
	return b
}

func (b *blocking) send(p []byte) {
	b.t.Helper()
	if _, err := b.w.Write(p); err != nil {
		b.t.Fatal(err)
	}
}

// frame reads the next frame: its type and data.
func (b *blocking) frame() (wire.FrameType, string, error) {
	var head [8]byte
	if _, err := io.ReadFull(b.r, head[:]); err != nil {
		return 0, "", err
	}
	data := make([]byte, binary.BigEndian.Uint32(head[:])-4)
	_, err := io.ReadFull(b.r, data)
	return wire.FrameType(binary.BigEndian.Uint32(head[4:])), string(data), err
}

// want reads a frame that begins with prefix and returns it.
func (b *blocking) want(prefix string) string {
	b.t.Helper()
	_, data, err := b.frame()
	if err != nil || !strings.HasPrefix(data, prefix) {
		b.t.Fatalf("received %.100q, %v; want %q", data, err, prefix)
	}
	return data
}

// identify sends an IDENTIFY with these fields and returns the answer.
func (b *blocking) identify(fields string) (r wire.IdentifyReply) {
	b.t.Helper()
	b.send(wire.AppendIdentify(nil, []byte(`{"feature_negotiation":true,`+fields+`}`)))
	if err := json.Unmarshal([]byte(b.want("{")), &r); err != nil {
		b.t.Fatal(err)
	}
	return r
}

// secure goes over to TLS.
func (b *blocking) secure(cfg *tls.Config) *tls.Conn {
	b.t.Helper()
	c := tls.Client(b.c, cfg)
	if err := c.Handshake(); err != nil {
		b.t.Fatal(err)
	}
	b.c, b.r, b.w = c, c, c
	return c
}

// flushed is a compressor that flushes each write.
type flushed struct {
	w interface {
		io.Writer
		Flush() error
	}
}

func (f flushed) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if err == nil {
		err = f.w.Flush()
	}
	return n, err
}

// snappy goes over to framed snappy.
func (b *blocking) snappy() {
	w := snappy.NewBufferedWriter(b.c)
	b.t.Cleanup(func() { w.Close() }) // it may have goroutines
	b.r, b.w = snappy.NewReader(b.c), flushed{w}
}

// deflate goes over to raw deflate.
func (b *blocking) deflate() {
	b.t.Helper()
	w, err := flate.NewWriter(b.c, 6)
	if err != nil {
		b.t.Fatal(err)
	}
	b.r, b.w = flate.NewReader(b.c), flushed{w}
}

// roundTrip publishes a body on b and receives it there.
func (b *blocking) roundTrip(topic, body string) {
	b.t.Helper()
	b.send([]byte("SUB " + topic + " c\n"))
	b.want("OK")
	b.send([]byte("RDY 1\n"))
	b.send(wire.AppendPub(nil, topic, []byte(body)))
	published, received := false, false
	for !published || !received {
		t, data, err := b.frame()
		switch {
		case err != nil:
			b.t.Fatal(err)
		case t == wire.FrameMessage:
			m, err := wire.ReadMessage([]byte(data))
			if err != nil || string(m.Body) != body {
				b.t.Fatalf("received a body of %d bytes, %v; want that of %d", len(m.Body), err, len(body))
			}
			b.send(wire.AppendFin(nil, m.ID))
			received = true
		case data == wire.OK:
			published = true
		default:
			b.t.Fatalf("received %q", data)
		}
	}
}

func TestUpgrade_LayerByLayer(t *testing.T) { // 67 to 73
	u := startTLS(t, server.Options{})
	body := strings.Repeat("0123456789abcdef", 8000) // 128000 bytes
	for i, fields := range []string{
		`"tls_v1":true`,
		`"snappy":true`,
		`"deflate":true`,
		`"tls_v1":true,"snappy":true`,
		`"tls_v1":true,"deflate":true,"deflate_level":9`,
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(fmt.Sprintf("%s %s", fields, tls.VersionName(version)), func(t *testing.T) {
				b := u.dial()
				b.t = t
				r := b.identify(fields)
				for name, got := range map[string]bool{"tls_v1": r.TLSv1, "snappy": r.Snappy, "deflate": r.Deflate} {
					if got != strings.Contains(fields, name+`":true`) {
						t.Errorf("%s is answered with %v", name, got)
					}
				}
				if r.TLSv1 {
					cfg := u.config()
					cfg.MaxVersion = version
					b.secure(cfg)
					b.want("OK")
				}
				if r.Snappy {
					b.snappy()
					b.want("OK")
				}
				if r.Deflate {
					b.deflate()
					b.want("OK")
				}
				b.roundTrip(fmt.Sprintf("t%d_%d", i, version), body)
			})
		}
	}
}

func TestUpgrade_DeflateLevel(t *testing.T) { // 53, 54
	for _, row := range []struct{ max, asked, want int }{{0, 99, 6}, {9, 99, 9}, {3, 99, 3}, {0, 0, 6}, {3, 0, 3}, {9, -1, 6}, {9, 2, 2}} {
		u := startTLS(t, server.Options{MaxDeflateLevel: row.max})
		b := u.dial()
		if r := b.identify(fmt.Sprintf(`"deflate":true,"deflate_level":%d`, row.asked)); r.DeflateLevel != row.want {
			t.Errorf("%d of %d at most: got %d, want %d", row.asked, row.max, r.DeflateLevel, row.want)
		}
		b.deflate()
		b.want("OK")
	}
}

func TestUpgrade_BothCompressions(t *testing.T) { // 55
	b := startTLS(t, server.Options{}).dial()
	b.send(wire.AppendIdentify(nil, []byte(`{"feature_negotiation":true,"snappy":true,"deflate":true}`)))
	b.want("E_IDENTIFY_FAILED cannot enable both deflate and snappy compression")
	if _, _, err := b.frame(); err != io.EOF {
		t.Errorf("then comes %v, want the end", err)
	}
	// Only one of them is there: so it is used.
	b = startTLS(t, server.Options{NoDeflate: true}).dial()
	if r := b.identify(`"snappy":true,"deflate":true`); !r.Snappy || r.Deflate {
		t.Errorf("without deflate: snappy %v, deflate %v", r.Snappy, r.Deflate)
	}
}

func TestUpgrade_SwitchedOff(t *testing.T) { // 57, 58
	u := startTLS(t, server.Options{NoSnappy: true, NoDeflate: true})
	for i, fields := range []string{`"snappy":true`, `"deflate":true`} {
		b := u.dial()
		if r := b.identify(fields); r.Snappy || r.Deflate {
			t.Errorf("%s: snappy %v, deflate %v", fields, r.Snappy, r.Deflate)
		}
		b.roundTrip(fmt.Sprint("t", i), "in plain bytes")
	}
}

// Whatever a second IDENTIFY asks for, what is there stays, and is there once.
func TestUpgrade_NeverTwice(t *testing.T) {
	u := startTLS(t, server.Options{})
	b := u.dial()
	b.identify(`"tls_v1":true`)
	b.secure(u.config())
	b.want("OK")
	for range 2 {
		if r := b.identify(`"tls_v1":true`); r.TLSv1 {
			t.Error("TLS is promised inside TLS")
		}
	}
	if r := b.identify(`"snappy":true`); !r.Snappy { // what is new may still come
		t.Error("snappy is refused inside TLS")
	}
	b.snappy()
	b.want("OK")
	if r := b.identify(`"tls_v1":true,"deflate":true`); r.TLSv1 || r.Deflate || r.Snappy {
		t.Errorf("promised inside snappy: %+v", r)
	}
	b.roundTrip("once", "still inside both")
}

func TestTLS_HandshakeDeadline(t *testing.T) { // 74
	sim := newSimWorld(t, map[string]string{"tls": "temporary"})
	p := sim.dial()
	p.send(append([]byte(wire.MagicV2), wire.AppendIdentify(nil, []byte(`{"feature_negotiation":true,"tls_v1":true}`))...))
	sim.wait(4900 * time.Millisecond)
	if p.closed() {
		t.Error("closed before 5 s were over")
	}
	sim.wait(200 * time.Millisecond)
	if !p.closed() {
		t.Error("still open after 5 s")
	}
}

func TestTLS_Required(t *testing.T) { // 75, 76, 77
	u := startTLS(t, server.Options{TLSRequired: server.TLSRequiredTCP})
	for _, command := range []string{"SUB t c", "NOP"} {
		b := u.dial()
		b.send([]byte(command + "\n"))
		verb, _, _ := strings.Cut(command, " ")
		if got := b.want("E_INVALID"); got != "E_INVALID cannot "+verb+" in current state (TLS required)" {
			t.Errorf("%s is answered with %q", command, got)
		}
	}
	b := u.dial()
	b.identify(`"snappy":false`) // allowed, and changes nothing
	b.send([]byte("NOP\n"))
	b.want("E_INVALID cannot NOP in current state (TLS required)")
	b = u.dial()
	b.identify(`"tls_v1":true`)
	b.secure(u.config())
	b.want("OK")
	b.roundTrip("t", "inside")
}

// get asks for a path and returns status and body.
func get(t testing.TB, url string, cfg *tls.Config) (int, string) {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}, Timeout: patience}
	r, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(body)
}

func TestTLS_HTTP(t *testing.T) { // 78, 79, 80, 83
	for _, row := range []struct {
		name   string
		o      server.Options
		status int // of plain HTTP
	}{
		{"not required", server.Options{}, 200},
		{"required", server.Options{TLSRequired: server.TLSRequiredAll}, 403},
		{"required of clients", server.Options{TLSRequired: server.TLSRequiredTCP}, 200},
		{"a policy alone", server.Options{TLSClientAuthPolicy: server.TLSRequireCert}, 403},
		{"a policy, but not required", server.Options{TLSClientAuthPolicy: server.TLSRequireCert, TLSRequired: server.TLSNotRequired}, 200},
	} {
		t.Run(row.name, func(t *testing.T) {
			u := startTLS(t, row.o)
			want := "OK"
			if row.status == 403 {
				want = fmt.Sprintf(`{"message": "TLS_REQUIRED", "https_port": %d}`, u.HTTPSAddr().(*net.TCPAddr).Port)
			}
			for _, path := range []string{"/ping", "/nowhere"} {
				status, body := get(t, "http://"+u.HTTPAddr().String()+path, nil)
				if path == "/ping" || row.status == 403 {
					if status != row.status || body != want {
						t.Errorf("plain %s: %d %s, want %d %s", path, status, body, row.status, want)
					}
				}
			}
			cfg := u.config(u.ca.Issue("somebody"))
			if status, body := get(t, "https://"+u.HTTPSAddr().String()+"/ping", cfg); status != 200 || body != "OK" {
				t.Errorf("HTTPS: %d %s", status, body)
			}
		})
	}
}

func TestTLS_ClientCertificates(t *testing.T) { // 81, 82
	for _, policy := range []string{server.TLSRequireCert, server.TLSRequireVerify} {
		u := startTLS(t, server.Options{TLSClientAuthPolicy: policy})
		for _, row := range []struct {
			name string
			with []tls.Certificate
			ok   bool
		}{
			{"none", nil, false},
			{"of a stranger", []tls.Certificate{testcert.New(t, "another").Issue("stranger")}, policy == server.TLSRequireCert},
			{"of the authority", []tls.Certificate{u.ca.Issue("friend")}, true},
		} {
			t.Run(policy+"/"+row.name, func(t *testing.T) {
				b := u.dial()
				b.t = t
				b.identify(`"tls_v1":true`)
				// With TLS 1.3 a client has done its part of the handshake
				// before it hears what the server makes of it.
				c := tls.Client(b.c, u.config(row.with...))
				b.r, b.w = c, c
				_, data, err := b.frame()
				if row.ok && (err != nil || data != "OK") {
					t.Errorf("received %q, %v", data, err)
				}
				if !row.ok && (err == nil || !strings.Contains(err.Error(), "remote error: tls")) {
					t.Errorf("received %q, %v; want an alert", data, err)
				}
			})
		}
	}
}

func TestTLS_RequiredWithoutACertificate(t *testing.T) { // 84
	for _, o := range []server.Options{
		{TLSRequired: server.TLSRequiredAll},
		{TLSRequired: server.TLSRequiredTCP},
		{TLSClientAuthPolicy: server.TLSRequireCert},
		{TLSCert: "cert.pem"},
		{TLSKey: "key.pem"},
		{TLSCert: "none.pem", TLSKey: "none.pem"},
	} {
		s, err := server.Start(o)
		if err == nil {
			t.Errorf("%+v: it starts", o)
			s.Close()
		}
	}
}

func TestTLS_MinimumVersion(t *testing.T) { // 85
	for _, row := range []struct {
		min, client uint16
		ok          bool
	}{
		{0, tls.VersionTLS11, false}, // nsqd: 1.0 unless it is told otherwise
		{0, tls.VersionTLS12, true},
		{tls.VersionTLS12, tls.VersionTLS11, false},
		{tls.VersionTLS10, tls.VersionTLS10, true},
		{tls.VersionTLS13, tls.VersionTLS12, false},
		{tls.VersionTLS13, tls.VersionTLS13, true},
	} {
		u := startTLS(t, server.Options{TLSMinVersion: row.min})
		b := u.dial()
		b.identify(`"tls_v1":true`)
		cfg := u.config()
		cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS10, row.client
		if err := tls.Client(b.c, cfg).Handshake(); (err == nil) != row.ok {
			t.Errorf("at least %#x, client %#x: %v", row.min, row.client, err)
		}
	}
}

func TestTLS_Stats(t *testing.T) { // 86
	u := startTLS(t, server.Options{})
	stats := func() server.ClientStats {
		_, body := get(t, "http://"+u.HTTPAddr().String()+"/stats?format=json&topic=t", nil)
		var st server.Stats
		if err := json.Unmarshal([]byte(body), &st); err != nil || len(st.Topics) != 1 || len(st.Topics[0].Channels[0].Clients) != 1 {
			t.Fatalf("%s: %v", body, err)
		}
		return st.Topics[0].Channels[0].Clients[0]
	}
	for _, row := range []struct {
		fields  string
		version uint16
		want    server.ClientStats
	}{
		{`"snappy":false`, 0, server.ClientStats{}},
		{`"snappy":true`, 0, server.ClientStats{Snappy: true}},
		{`"deflate":true`, 0, server.ClientStats{Deflate: true}},
		{`"tls_v1":true`, tls.VersionTLS13, server.ClientStats{TLS: true, TLSVersion: "TLS1.3", TLSCipherSuite: "Unknown 4865"}},
		{`"tls_v1":true,"snappy":true`, tls.VersionTLS12, server.ClientStats{TLS: true, TLSVersion: "TLS1.2",
			TLSCipherSuite: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", Snappy: true}},
	} {
		b := u.dial()
		r := b.identify(row.fields)
		if r.TLSv1 {
			cfg := u.config()
			cfg.MaxVersion = row.version
			cfg.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
			c := b.secure(cfg)
			b.want("OK")
			if row.version == tls.VersionTLS13 {
				row.want.TLSCipherSuite = fmt.Sprintf("Unknown %d", c.ConnectionState().CipherSuite)
			}
		}
		if r.Snappy {
			b.snappy()
			b.want("OK")
		}
		if r.Deflate {
			b.deflate()
			b.want("OK")
		}
		b.send([]byte("SUB t c#ephemeral\n"))
		b.want("OK")
		got := stats()
		if got.TLS != row.want.TLS || got.TLSVersion != row.want.TLSVersion || got.TLSCipherSuite != row.want.TLSCipherSuite ||
			got.TLSNegotiatedProtocolIsMutual != row.want.TLS || got.Snappy != row.want.Snappy || got.Deflate != row.want.Deflate {
			t.Errorf("%s: %+v, want %+v", row.fields, got, row.want)
		}
		b.send([]byte("NOP?\n")) // makes the server close, so that the next is alone
		b.want("E_INVALID")
		if _, _, err := b.frame(); err == nil {
			t.Error("another frame")
		}
	}
}
