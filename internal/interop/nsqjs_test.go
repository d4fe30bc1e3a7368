package interop

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/nsqloop/nsqloop/internal/testcert"
	"github.com/nsqloop/nsqloop/server"
)

// nodeModules are nsqjs, the client for Node.js, of the version that these tests
// are about, and what its own tests need, installed once.
var nodeModules = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(scratch, "npm")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	install := exec.CommandContext(ctx, "npm", "install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", dir,
		"nsqjs@0.13.0", "mocha@9.2.2", "should@13.2.3", "p-event@4.2.0", "async-retry@1.3.3", "sinon@11.1.2", "nock@13.5.6", "temp@0.9.4", "debug@4.3.4")
	if out, err := install.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm install: %w\n%s", err, out)
	}
	return filepath.Join(dir, "node_modules"), nil
})

// needNodeModules skips the test where nsqjs cannot be installed.
func needNodeModules(t *testing.T) string {
	t.Helper()
	dir, err := nodeModules()
	if err != nil {
		t.Skipf("there is no nsqjs: %v", err)
	}
	return dir
}

// task is what testdata/nsqjs.js is told.
type task struct {
	TCP     string         `json:"tcp"`
	Topic   string         `json:"topic"`
	Bodies  [][]byte       `json:"bodies"`
	Options map[string]any `json:"options"` // of the writer and the reader
	Found   map[string]any `json:"found"`   // where the reader finds servers
}

// client is nsqjs at work on a task, in a process of its own.
type client struct {
	t     *testing.T
	in    io.Closer
	lines *bufio.Scanner
	node  *exec.Cmd
	said  bytes.Buffer
}

// begin starts a task.
func (k task) begin(t *testing.T, modules string) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	c := &client{t: t, node: exec.CommandContext(ctx, "node", filepath.Join("testdata", "nsqjs.js"))}
	c.node.Env = append(os.Environ(), "NODE_PATH="+modules)
	c.node.Stderr = &c.said
	in, err := c.node.StdinPipe()
	must(t, err)
	out, err := c.node.StdoutPipe()
	must(t, err)
	c.in, c.lines = in, bufio.NewScanner(out)
	must(t, c.node.Start())
	must(t, json.NewEncoder(in).Encode(k))
	return c
}

// line is the next line that it says.
func (c *client) line() string {
	c.t.Helper()
	if !c.lines.Scan() {
		err := c.node.Wait()
		c.t.Fatalf("nsqjs ended: %v\n%s", err, c.said.String())
	}
	return c.lines.Text()
}

// end lets it close its connections.
func (c *client) end() {
	c.t.Helper()
	must(c.t, c.in.Close())
	if err := c.node.Wait(); err != nil {
		c.t.Errorf("nsqjs: %v\n%s", err, c.said.String())
	}
}

// TestNSQJS_PublishesAndConsumes: through every combination of layers that nsqjs
// can ask for, all is accepted, comes whole, and is requeued or finished.
func TestNSQJS_PublishesAndConsumes(t *testing.T) {
	modules := needNodeModules(t)
	ca := testcert.New(t, "authority")
	cert, key, authority := ca.Files(ca.IssueRSA("nsqd", "127.0.0.1", "localhost"))
	read := func(path string) string {
		b, err := os.ReadFile(path)
		must(t, err)
		return string(b)
	}
	clientCert, clientKey, _ := ca.Files(ca.IssueRSA("somebody"))
	secure := func(more ...string) map[string]any {
		o := map[string]any{"tls": true, "ca": read(authority)}
		for _, name := range more {
			o[name] = true
		}
		return o
	}
	certified := secure()
	certified["cert"], certified["key"] = read(clientCert), read(clientKey)
	for _, row := range []struct {
		name    string
		options map[string]any
		policy  string
		lookup  bool
		auth    string // the file of secrets
	}{
		{"plain", map[string]any{}, "", false, ""},
		{"snappy", map[string]any{"snappy": true}, "", false, ""},
		{"deflate", map[string]any{"deflate": true, "deflateLevel": 9}, "", false, ""},
		{"tls", secure(), "", false, ""},
		{"tls+snappy", secure("snappy"), "", false, ""},
		{"tls+deflate", secure("deflate"), "", false, ""},
		{"client certificate", certified, server.TLSRequireVerify, false, ""},
		{"through nsqlookupd", map[string]any{}, "", true, ""},
		{"auth", map[string]any{"authSecret": secret}, "", false, secrets(t)},
	} {
		t.Run(row.name, func(t *testing.T) {
			d, err := server.StartLookupd(server.LookupdOptions{TCPAddress: "127.0.0.1:0", HTTPAddress: "127.0.0.1:0"})
			must(t, err)
			srv, err := server.Start(server.Options{
				TCPAddress: "127.0.0.1:0", DataPath: t.TempDir(), HTTPAddress: "127.0.0.1:0", BroadcastAddress: "127.0.0.1",
				TLSCert: cert, TLSKey: key, TLSRootCAFile: authority, TLSClientAuthPolicy: row.policy, AuthStatic: row.auth,
				LookupdTCPAddresses: []string{d.TCPAddr().String()},
			})
			must(t, err)
			t.Cleanup(func() {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				must(t, srv.Shutdown(ctx))
				must(t, d.Shutdown(ctx))
			})
			k := task{
				TCP: srv.TCPAddr().String(), Topic: "js", Options: row.options,
				Found:  map[string]any{"nsqdTCPAddresses": []string{srv.TCPAddr().String()}},
				Bodies: [][]byte{[]byte("alone"), []byte("later"), bytes.Repeat([]byte("nsq!"), 32000), large(1 << 20)},
			}
			if row.lookup {
				k.Found = map[string]any{"lookupdHTTPAddresses": []string{d.HTTPAddr().String()}, "lookupdPollInterval": 1}
			}
			c := k.begin(t, modules)
			for range 3 {
				if got := c.line(); got != "accepted" {
					t.Fatalf("nsqjs says %s, want that a publish was accepted", got)
				}
			}
			came := map[string]string{} // attempts of each body, in order, by its digest
			for range len(k.Bodies) + 1 {
				var attempts, digest string
				if _, err := fmt.Sscanf(c.line(), "received %s %s", &attempts, &digest); err != nil {
					t.Fatal(err)
				}
				came[digest] += attempts
			}
			for i, b := range k.Bodies {
				want := "1"
				if i == 0 {
					want = "12"
				}
				digest := sha256.Sum256(b)
				if got := came[hex.EncodeToString(digest[:])]; got != want {
					t.Errorf("body %d of %d bytes came with attempts %q, want %q", i, len(b), got, want)
				}
			}
			var ch server.ChannelStats
			eventually(t, "all is finished", func() bool {
				st, err := srv.Stats(server.StatsOptions{})
				must(t, err)
				ch = st.Topics[0].Channels[0]
				return ch.InFlightCount == 0
			})
			if ch.Depth != 0 || ch.DeferredCount != 0 || ch.RequeueCount != 1 || ch.TimeoutCount != 0 {
				t.Errorf("afterwards the channel has %+v", ch)
			}
			c.end()
		})
	}
}
