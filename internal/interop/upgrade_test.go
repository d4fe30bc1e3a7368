package interop

import (
	"bytes"
	"context"
	"crypto/tls"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	nsq "github.com/nsqio/go-nsq"

	"github.com/nsqloop/nsqloop/internal/testcert"
	"github.com/nsqloop/nsqloop/server"
)

// large is a body of noise, which nothing compresses.
func large(n int) []byte {
	dice := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(dice.Uint32())
	}
	return b
}

// secret is what clients say to a server that asks for AUTH.
const secret = "only friends know"

// secrets is a file that says what secret is good for.
func secrets(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secrets.json")
	must(t, os.WriteFile(path, []byte(`[{"secret":"`+secret+`","ttl":3600,"identity":"friend",`+
		`"authorizations":[{"topic":".*","channels":[".*"],"permissions":["subscribe","publish"]}]}]`), 0o600))
	return path
}

// TestGoNSQ_Upgrades publishes and consumes with the other client through
// every combination of layers that it can ask for, and after AUTH.
func TestGoNSQ_Upgrades(t *testing.T) {
	ca := testcert.New(t, "authority")
	cert, key, authority := ca.Files(ca.IssueRSA("nsqd", "127.0.0.1"))
	secure := func(c *nsq.Config, version uint16) {
		c.TlsV1 = true
		c.TlsConfig = &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1", MaxVersion: version}
	}
	for _, row := range []struct {
		name   string
		set    func(c *nsq.Config)
		policy string
		auth   string // the file of secrets
	}{
		{"none", func(*nsq.Config) {}, "", ""},
		{"snappy", func(c *nsq.Config) { c.Snappy = true }, "", ""},
		{"deflate", func(c *nsq.Config) { c.Deflate = true }, "", ""},
		{"deflate 9", func(c *nsq.Config) { c.Deflate, c.DeflateLevel = true, 9 }, "", ""},
		{"tls 1.2", func(c *nsq.Config) { secure(c, tls.VersionTLS12) }, "", ""},
		{"tls 1.3", func(c *nsq.Config) { secure(c, tls.VersionTLS13) }, "", ""},
		{"tls+snappy", func(c *nsq.Config) { secure(c, 0); c.Snappy = true }, "", ""},
		{"tls+deflate", func(c *nsq.Config) { secure(c, 0); c.Deflate = true }, "", ""},
		{"client certificate", func(c *nsq.Config) {
			secure(c, 0)
			c.TlsConfig.Certificates = []tls.Certificate{ca.Issue("somebody")}
		}, server.TLSRequireVerify, ""},
		{"auth", func(c *nsq.Config) { c.AuthSecret = secret }, "", secrets(t)},
		{"auth+tls+snappy", func(c *nsq.Config) { secure(c, 0); c.Snappy, c.AuthSecret = true, secret }, "", secrets(t)},
	} {
		t.Run(row.name, func(t *testing.T) {
			srv, err := server.Start(server.Options{
				TCPAddress: "127.0.0.1:0", DataPath: t.TempDir(),
				TLSCert: cert, TLSKey: key, TLSRootCAFile: authority, TLSClientAuthPolicy: row.policy, AuthStatic: row.auth,
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				if err := srv.Shutdown(ctx); err != nil {
					t.Error(err)
				}
			})
			s := &target{tcp: srv.TCPAddr().String()}
			c := config()
			c.MaxInFlight = 10
			row.set(c)
			want := [][]byte{[]byte("a word"), bytes.Repeat([]byte("nsq!"), 32000), large(1 << 20)}
			for i := range 100 {
				want = append(want, body(i))
			}
			got := newSeen(len(want))
			consumer(t, s, "upgraded", c, func(m *nsq.Message) error { got.add(m.Body); return nil })
			p := producer(t, s, c)
			for _, b := range want {
				must(t, p.Publish("upgraded", b))
			}
			got.await(t)
			for _, b := range want {
				if n := got.times[string(b)]; n != 1 {
					t.Errorf("a body of %d bytes came %d times", len(b), n)
				}
			}
		})
	}
}

// TestGoNSQ_TLSRequired is refused without, with nsqd's words.
func TestGoNSQ_TLSRequired(t *testing.T) {
	ca := testcert.New(t, "authority")
	cert, key, _ := ca.Files(ca.Issue("nsqd", "127.0.0.1"))
	srv, err := server.Start(server.Options{TCPAddress: "127.0.0.1:0", TLSCert: cert, TLSKey: key, TLSRequired: server.TLSRequiredAll})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	p := producer(t, &target{tcp: srv.TCPAddr().String()}, config())
	if err := p.Publish("t", body(0)); err == nil || !strings.Contains(err.Error(), "TLS required") {
		t.Errorf("error %v", err)
	}
}
