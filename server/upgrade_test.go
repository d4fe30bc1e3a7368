package server_test

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/internal/layer"
	"github.com/nsqloop/nsqloop/internal/testcert"
	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/loop/looptest"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/writer"
)

// permutation is a way in which connections are upgraded.
type permutation struct {
	name        string
	o           client.Options
	tls         bool
	certificate bool // the client shows one
}

var permutations = []permutation{
	{name: "none"},
	{name: "snappy", o: client.Options{Snappy: true}},
	{name: "deflate", o: client.Options{Deflate: true, DeflateLevel: 1}},
	{name: "tls", tls: true},
	{name: "tls+snappy", o: client.Options{Snappy: true}, tls: true},
	{name: "tls+deflate", o: client.Options{Deflate: true}, tls: true},
	{name: "client certificate", o: client.Options{Snappy: true}, tls: true, certificate: true},
}

// options are those of both sides; the server is reached as host.
func (p permutation) options(t testing.TB, host string) (server.Options, client.Options) {
	t.Helper()
	var so server.Options
	co := p.o
	if p.tls {
		ca := testcert.New(t, "authority")
		var authority string
		so.TLSCert, so.TLSKey, authority = ca.Files(ca.Issue("nsqd", host))
		co.TLSConfig = &tls.Config{RootCAs: ca.Pool()}
		if p.certificate {
			so.TLSClientAuthPolicy, so.TLSRootCAFile = server.TLSRequireVerify, authority
			co.TLSConfig.Certificates = []tls.Certificate{ca.Issue("somebody")}
		}
	}
	return so, co
}

// traffic is a writer and a reader of the same topic, and what has passed.
type traffic struct {
	bodies    [][]byte
	published int
	finished  atomic.Int64 // read off the loop
	failed    atomic.Pointer[error]
}

// largeBodies are 128000 bytes, 1 MiB that nothing compresses, and words.
func largeBodies() [][]byte {
	noise := make([]byte, 1<<20)
	dice := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(dice.Uint32())
	}
	bodies := [][]byte{bytes.Repeat([]byte("0123456789abcdef"), 8000), noise}
	for i := range 500 {
		bodies = append(bodies, fmt.Appendf(nil, "message %d", i))
	}
	return bodies
}

func (f *traffic) fail(err error) {
	f.failed.CompareAndSwap(nil, &err)
}

// begin publishes everything and then consumes it; on the loop, or before it
// runs.
func (f *traffic) begin(t testing.TB, l loop.Loop, addr string, o client.Options) {
	t.Helper()
	w, err := writer.New(l, writer.Options{NSQDs: []string{addr}, Client: o})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range f.bodies {
		w.Publish("t", b, func(r writer.Result) {
			if r.Err != nil {
				f.fail(r.Err)
			}
			if f.published++; f.published == len(f.bodies) {
				f.consume(l, addr, o)
			}
		})
	}
}

// consume starts a reader that wants everything once.
func (f *traffic) consume(l loop.Loop, addr string, o client.Options) {
	missing := map[string]int{}
	for _, b := range f.bodies {
		missing[string(b)]++
	}
	_, err := reader.New(l, reader.Options{
		Topic: "t", Channel: "c", NSQDs: []string{addr}, MaxInFlight: 100, Client: o,
		Handler: func(m *reader.Message) error {
			if missing[string(m.Body)] == 0 {
				f.fail(fmt.Errorf("a body of %d bytes came that was not sent, or came again", len(m.Body)))
			}
			missing[string(m.Body)]--
			f.finished.Add(1)
			return nil
		},
	})
	if err != nil {
		f.fail(err)
	}
}

// check wants that everything has passed.
func (f *traffic) check(t testing.TB) {
	t.Helper()
	if err := f.failed.Load(); err != nil {
		t.Error(*err)
	}
	if n := f.finished.Load(); f.published != len(f.bodies) || n != int64(len(f.bodies)) {
		t.Errorf("%d published, %d finished, of %d", f.published, n, len(f.bodies))
	}
}

// Statements 9, 10, 139, 140 and 141 of the client's side, as the one below.
func TestUpgrade_WriterToReaderSimulated(t *testing.T) {
	for _, p := range permutations {
		t.Run(p.name, func(t *testing.T) {
			so, co := p.options(t, "nsqd")
			so.TCPAddress = ":4150"
			w := looptest.Test(t, looptest.Options{})
			if _, err := server.New(w.Loop("nsqd"), so); err != nil {
				t.Fatal(err)
			}
			f := &traffic{bodies: largeBodies()}
			l := w.Loop("client")
			l.Do(func() { f.begin(t, l, "nsqd:4150", co) })
			w.RunUntil(func() bool { return f.finished.Load() >= int64(len(f.bodies)) || f.failed.Load() != nil }, time.Minute)
			w.Run(time.Second)
			f.check(t)
		})
	}
}

func TestUpgrade_WriterToReaderOnSockets(t *testing.T) {
	for _, p := range permutations {
		t.Run(p.name, func(t *testing.T) {
			so, co := p.options(t, "127.0.0.1")
			so.TCPAddress = "127.0.0.1:0"
			s, err := server.Start(so)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			l, err := loop.New(loop.Options{})
			if err != nil {
				t.Fatal(err)
			}
			f := &traffic{bodies: largeBodies()}
			f.begin(t, l, s.TCPAddr().String(), co)
			if err := l.Start(); err != nil {
				t.Fatal(err)
			}
			give, tick := time.NewTimer(30*time.Second), time.NewTicker(time.Millisecond)
			defer give.Stop()
			defer tick.Stop()
			for late := false; !late && f.finished.Load() < int64(len(f.bodies)) && f.failed.Load() == nil; {
				select {
				case <-give.C:
					late = true
				case <-tick.C:
				}
			}
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if err := l.Shutdown(ctx); err != nil {
				t.Error(err)
			}
			f.check(t)
		})
	}
}

// With its sources of chance fixed, TLS replays like everything else.
func TestUpgrade_SeedsReplay(t *testing.T) {
	for _, p := range permutations[4:6] { // TLS with each compression
		t.Run(p.name, func(t *testing.T) {
			run := func() uint64 {
				cryptotest.SetGlobalRandom(t, 1)
				so, co := p.options(t, "nsqd")
				so.TCPAddress = ":4150"
				w := looptest.New(7, looptest.Options{})
				defer w.Close()
				if _, err := server.New(w.Loop("nsqd"), so); err != nil {
					t.Fatal(err)
				}
				f := &traffic{bodies: largeBodies()}
				l := w.Loop("client")
				l.Do(func() { f.begin(t, l, "nsqd:4150", co) })
				w.Run(10 * time.Second)
				f.check(t)
				return w.Trace()
			}
			if first, second := run(), run(); first != second {
				t.Error("two runs differ")
			}
		})
	}
}

// simPeer speaks with a server through layers that it puts on by itself.
type simPeer struct {
	c      loop.Conn
	frames []string
	closed bool
	err    error
	on     func(data string) // sees each frame
}

func (p *simPeer) OnOpen(c loop.Conn) { p.c = c }
func (p *simPeer) OnClose(err error)  { p.closed, p.err = true, err }
func (p *simPeer) OnData(b []byte) int {
	_, data, n, err := wire.ReadFrame(b, 0)
	if n == 0 || err != nil {
		return 0
	}
	p.frames = append(p.frames, string(data))
	if p.on != nil {
		p.on(string(data)) // may put a layer on: so one frame at a time
	}
	p.c.Offer()
	return n
}

// simServer is a server and a peer on a simulated network.
func simServer(t *testing.T, o server.Options) (*looptest.World, *simPeer) {
	t.Helper()
	o.TCPAddress = ":4150"
	w := looptest.Test(t, looptest.Options{})
	if _, err := server.New(w.Loop("nsqd"), o); err != nil {
		t.Fatal(err)
	}
	p := &simPeer{}
	l := w.Loop("client")
	l.Do(func() { l.Dial("nsqd:4150", loop.DialOptions{}, p) })
	w.Run(100 * time.Millisecond)
	return w, p
}

func hello(fields string) []byte {
	return wire.AppendIdentify([]byte(wire.MagicV2), []byte(`{"feature_negotiation":true,`+fields+`}`))
}

// Heartbeats that fall due during a slow handshake wait behind the OK.
func TestUpgrade_NoHeartbeatBeforeTheOK(t *testing.T) {
	ca := testcert.New(t, "authority")
	var o server.Options
	o.TLSCert, o.TLSKey, _ = ca.Files(ca.Issue("nsqd", "nsqd"))
	w, p := simServer(t, o)
	p.c.Write(hello(`"tls_v1":true,"snappy":true,"heartbeat_interval":1000`))
	w.Run(1900 * time.Millisecond) // one heartbeat is due
	if len(p.frames) != 1 {
		t.Fatalf("received %.100q", p.frames)
	}
	oks := 0
	p.on = func(data string) {
		if oks++; oks == 1 {
			p.c.Upgrade(layer.NewSnappy())
		}
	}
	p.c.Upgrade(layer.TLSClient(&tls.Config{RootCAs: ca.Pool(), ServerName: "nsqd", Time: w.Now}))
	w.Run(80 * time.Millisecond)
	if got := strings.Join(p.frames[1:], " "); got != "OK OK _heartbeat_" {
		t.Errorf("received %q, %v", got, p.err)
	}
}

// Without negotiation nothing changes, and what follows IDENTIFY in the same
// packet is for the layer when something does.
func TestUpgrade_InputBehindIdentify(t *testing.T) {
	w, p := simServer(t, server.Options{})
	z := layer.NewDeflate(6)
	defer z.Close()
	behind, err := z.Seal(nil, []byte("PUB t\n\x00\x00\x00\x01xPUB t\n\x00\x00\x00\x01y"))
	if err != nil {
		t.Fatal(err)
	}
	p.on = func(string) {
		if len(p.frames) == 1 {
			p.c.Upgrade(layer.NewDeflate(6))
		}
	}
	p.c.Write(append(hello(`"deflate":true`), behind...))
	w.Run(100 * time.Millisecond)
	if len(p.frames) != 4 || strings.Join(p.frames[1:], " ") != "OK OK OK" {
		t.Errorf("received %.100q", p.frames)
	}
}

// A corrupt stream closes its connection, and no other.
func TestUpgrade_CorruptStreams(t *testing.T) {
	for _, fields := range []string{`"snappy":true`, `"deflate":true`} {
		w, p := simServer(t, server.Options{})
		p.c.Write(append(hello(fields), bytes.Repeat([]byte{0xff, 0x06}, 500)...))
		w.Run(time.Second)
		if !p.closed {
			t.Errorf("%s: still open", fields)
		}
		l := w.Loop("another")
		q := &simPeer{}
		l.Do(func() { l.Dial("nsqd:4150", loop.DialOptions{}, q) })
		w.Run(100 * time.Millisecond)
		q.c.Write([]byte("  V2PUB t\n\x00\x00\x00\x01x"))
		w.Run(100 * time.Millisecond)
		if strings.Join(q.frames, " ") != "OK" {
			t.Errorf("%s: afterwards PUB is answered with %q", fields, q.frames)
		}
	}
}

// A message of zeros that is far too large is refused for the size it claims,
// however little it has become in deflate; the rest is not looked at.
func TestUpgrade_BombIsRefused(t *testing.T) {
	var bomb bytes.Buffer
	z, err := flate.NewWriter(&bomb, 9)
	if err != nil {
		t.Fatal(err)
	}
	head := binary.BigEndian.AppendUint32([]byte("PUB t\n"), 1<<30)
	if _, err := z.Write(append(head, make([]byte, 8<<20)...)); err != nil {
		t.Fatal(err)
	}
	if err := z.Flush(); err != nil {
		t.Fatal(err)
	}
	w, p := simServer(t, server.Options{})
	p.on = func(string) {
		if len(p.frames) == 1 {
			p.c.Upgrade(layer.NewDeflate(6))
		}
	}
	p.c.Write(append(hello(`"deflate":true`), bomb.Bytes()...))
	w.Run(time.Second)
	if len(p.frames) != 3 || p.frames[2] != "E_BAD_MESSAGE PUB message too big 1073741824 > 1048576" || !p.closed {
		t.Errorf("received %.100q, closed %v", p.frames, p.closed)
	}
}

// A certificate that was renewed is served without a restart; one that cannot
// be read is not.
func TestTLS_CertificateIsReadAgain(t *testing.T) {
	ca := testcert.New(t, "authority")
	var o server.Options
	o.TLSCert, o.TLSKey, _ = ca.Files(ca.Issue("old", "127.0.0.1"))
	o.TCPAddress, o.HTTPSAddress = "127.0.0.1:0", "127.0.0.1:0"
	s, err := server.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	served := func() string {
		c, err := tls.Dial("tcp", s.HTTPSAddr().String(), &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	change := func(cert, key []byte, at time.Time) {
		for path, data := range map[string][]byte{o.TLSCert: cert, o.TLSKey: key} {
			if err := errors.Join(os.WriteFile(path, data, 0o600), os.Chtimes(path, at, at)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := served(); got != "old" {
		t.Errorf("served %q", got)
	}
	change([]byte("half writ"), nil, time.Unix(1, 0))
	if got := served(); got != "old" {
		t.Errorf("with a broken file: served %q", got)
	}
	certFile, keyFile, _ := ca.Files(ca.Issue("new", "127.0.0.1"))
	cert, err1 := os.ReadFile(certFile)
	key, err2 := os.ReadFile(keyFile)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	change(cert, key, time.Unix(2, 0))
	if got := served(); got != "new" {
		t.Errorf("after the renewal: served %q", got)
	}
}

// The 403 of plain HTTP is nsqd's to the byte, and leads to HTTPS.
func TestHTTP_PlainIsRefusedInNsqdsWords(t *testing.T) {
	ca := testcert.New(t, "authority")
	o := server.Options{HTTPAddress: "127.0.0.1:0", HTTPSAddress: "127.0.0.1:0", TLSRequired: server.TLSRequiredAll}
	o.TLSCert, o.TLSKey, _ = ca.Files(ca.Issue("nsqd", "127.0.0.1"))
	s, err := server.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := net.Dial("tcp", s.HTTPAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("POST /pub?topic=t HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if _, err := got.ReadFrom(c); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(s.HTTPSAddr().String())
	for _, want := range []string{"HTTP/1.1 403 Forbidden\r\n", "X-Nsq-Content-Type: nsq; version=1.0\r\n",
		"Content-Type: application/json; charset=utf-8\r\n", "\r\n\r\n" + `{"message": "TLS_REQUIRED", "https_port": ` + port + "}"} {
		if !strings.Contains(got.String(), want) {
			t.Errorf("%q is not in %q", want, got.String())
		}
	}
}
