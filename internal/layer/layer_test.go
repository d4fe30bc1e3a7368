package layer

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"testing"
	"testing/cryptotest"
	"time"
)

// layer is what all of them are.
type layer interface {
	Open(dst, raw []byte) ([]byte, error)
	Seal(dst, plain []byte) ([]byte, error)
	More() bool
	Close()
}

// made is a pair of layers that understand each other.
type made struct {
	name string
	make func(t testing.TB) (client, server layer)
}

func everyLayer() []made {
	tlsOf := func(version uint16) func(t testing.TB) (client, server layer) {
		return func(t testing.TB) (client, server layer) {
			serverConfig, clientConfig := configs(t)
			serverConfig.MaxVersion = version
			return TLSClient(clientConfig), TLSServer(serverConfig)
		}
	}
	return []made{
		{"tls 1.2", tlsOf(tls.VersionTLS12)},
		{"tls 1.3", tlsOf(tls.VersionTLS13)},
		{"snappy", func(testing.TB) (client, server layer) { return NewSnappy(), NewSnappy() }},
		{"deflate", func(testing.TB) (client, server layer) { return NewDeflate(6), NewDeflate(1) }},
		{"deflate 9", func(testing.TB) (client, server layer) { return NewDeflate(9), NewDeflate(9) }},
	}
}

// configs are a certificate for the server, and a client that trusts it.
func configs(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "layer"}, DNSNames: []string{"nsqd.test"},
		// The same at all times: how long a signature is depends on what is signed.
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		&tls.Config{RootCAs: roots, ServerName: "nsqd.test"}
}

// end is one end of a conversation in memory.
type end struct {
	l       layer
	plain   []byte // to be sealed
	got     []byte // opened
	largest int    // that one Open has appended
	err     error
}

// open gives bytes to the end as the loop would.
func (e *end) open(raw []byte) {
	for more := true; more && e.err == nil; raw = nil {
		var p []byte
		p, e.err = e.l.Open(nil, raw)
		e.largest = max(e.largest, len(p))
		e.got = append(e.got, p...)
		more = e.l.More()
	}
}

// talk lets both ends exchange what they have to say, cut into random pieces,
// until both are silent. It returns how many bytes went over the wire.
func talk(t testing.TB, r *mathrand.Rand, a, b *end) (sent int) {
	t.Helper()
	for {
		said := 0
		for _, way := range [][2]*end{{a, b}, {b, a}} {
			from, to := way[0], way[1]
			if from.err != nil || to.err != nil {
				return sent
			}
			n := len(from.plain)
			if r != nil && n > 0 {
				n = 1 + r.IntN(n)
			}
			var raw []byte
			raw, from.err = from.l.Seal(nil, from.plain[:n])
			from.plain = from.plain[n:]
			said += len(raw) + len(from.plain)
			sent += len(raw)
			for len(raw) > 0 && to.err == nil {
				k := len(raw)
				if r != nil {
					k = 1 + r.IntN(min(k, 1<<r.IntN(20)))
				}
				to.open(raw[:k])
				raw = raw[k:]
			}
		}
		if said == 0 {
			return sent
		}
	}
}

// bodies are what is sent: little, much, and what does not compress.
func bodies(r *mathrand.Rand) map[string][]byte {
	noise := make([]byte, 1<<20)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	return map[string][]byte{
		"a word":       []byte("hello"),
		"a chunk":      bytes.Repeat([]byte("0123456789abcdef"), 4096),
		"128000 bytes": bytes.Repeat([]byte("nsq"), 128000/3),
		"1 MiB noise":  noise,
	}
}

func TestLayers_RoundTripInPieces(t *testing.T) {
	for _, m := range everyLayer() {
		for name, body := range bodies(mathrand.New(mathrand.NewPCG(1, 2))) {
			t.Run(m.name+"/"+name, func(t *testing.T) {
				r := mathrand.New(mathrand.NewPCG(3, 4))
				client, server := m.make(t)
				defer client.Close()
				defer server.Close()
				a, b := &end{l: client}, &end{l: server}
				talk(t, r, a, b) // the handshake; until then little may be said
				a.plain, b.plain = body, append(body, 'b')
				talk(t, r, a, b)
				if a.err != nil || b.err != nil {
					t.Fatal(a.err, b.err)
				}
				if !bytes.Equal(b.got, body) || !bytes.Equal(a.got, append(body, 'b')) {
					t.Errorf("%d and %d bytes arrived, of %d and %d, or others", len(b.got), len(a.got), len(body), len(body)+1)
				}
			})
		}
	}
}

// What was sealed must be readable at once: nothing waits for a later Seal.
func TestLayers_EachSealIsWhole(t *testing.T) {
	for _, m := range everyLayer() {
		t.Run(m.name, func(t *testing.T) {
			client, server := m.make(t)
			defer client.Close()
			defer server.Close()
			a, b := &end{l: client}, &end{l: server}
			talk(t, nil, a, b) // the handshake
			for i := range 100 {
				word := fmt.Appendf(nil, "message %d", i)
				raw, err := client.Seal([]byte("before "), word)
				if err != nil || !bytes.HasPrefix(raw, []byte("before ")) {
					t.Fatalf("seal: %q, %v", raw, err)
				}
				got, err := server.Open([]byte("before "), raw[len("before "):])
				if want := "before " + string(word); err != nil || string(got) != want {
					t.Fatalf("open: %q, %v, want %q", got, err, want)
				}
			}
		})
	}
}

func TestLayers_AreDeterministic(t *testing.T) {
	for _, m := range everyLayer() {
		t.Run(m.name, func(t *testing.T) {
			run := func() (sent int, got []byte) {
				cryptotest.SetGlobalRandom(t, 5)
				r := mathrand.New(mathrand.NewPCG(6, 7))
				client, server := m.make(t)
				defer client.Close()
				defer server.Close()
				a, b := &end{l: client, plain: bytes.Repeat([]byte("xyz"), 20_000)}, &end{l: server}
				sent = talk(t, r, a, b)
				return sent, b.got
			}
			sent, got := run()
			sent2, got2 := run()
			if sent != sent2 || !bytes.Equal(got, got2) {
				t.Errorf("%d bytes on the wire, then %d", sent, sent2)
			}
		})
	}
}

// Any byte changed is an error, or something else, but never a panic, and
// never more than there is room for.
func TestLayers_CorruptStreams(t *testing.T) {
	for _, m := range everyLayer() {
		t.Run(m.name, func(t *testing.T) {
			r := mathrand.New(mathrand.NewPCG(8, 9))
			failed := 0
			for range 200 {
				client, server := m.make(t)
				a, b := &end{l: client}, &end{l: server}
				talk(t, nil, a, b)
				raw, err := client.Seal(nil, bytes.Repeat([]byte("some words to compress; "), 100))
				if err != nil {
					t.Fatal(err)
				}
				raw[r.IntN(len(raw))] ^= 1 << r.IntN(8)
				b.open(raw)
				if b.err != nil {
					failed++
				}
				client.Close()
				server.Close()
			}
			if least := 20; failed < least { // deflate has no checksum
				t.Errorf("%d of 200 damaged streams were refused, want at least %d", failed, least)
			}
		})
	}
}

// A layer is closed in any state, also before it was ever used; TestMain sees
// what is left of it.
func TestLayers_CloseInAnyState(t *testing.T) {
	for _, m := range everyLayer() {
		client, server := m.make(t)
		client.Close()
		server.Close()
		for n := 1; n < 4000; n += 97 {
			client, server := m.make(t)
			raw, err := client.Seal(nil, bytes.Repeat([]byte("hello "), 1000))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := server.Open(nil, raw[:min(n, len(raw))]); err != nil {
				t.Fatal(err)
			}
			client.Close()
			server.Close()
		}
	}
}

func TestTLS_SpeaksWithBlockingPeers(t *testing.T) {
	serverConfig, clientConfig := configs(t)
	for _, role := range []string{"client", "server"} {
		t.Run("ours is the "+role, func(t *testing.T) {
			near, far := net.Pipe()
			ours, theirs := layer(TLSServer(serverConfig)), tls.Client(far, clientConfig)
			if role == "client" {
				ours, theirs = TLSClient(clientConfig), tls.Server(far, serverConfig)
			}
			defer ours.Close()
			over := make(chan error, 1)
			go func() { // a blocking peer: it returns what it is sent
				over <- echo(theirs, 300_000)
				theirs.Close()
			}()
			body := bytes.Repeat([]byte("0123456789"), 30_000)
			got, err := exchange(near, ours, body)
			near.Close()
			if theirErr := <-over; err != nil || theirErr != nil {
				t.Fatal(err, theirErr)
			}
			if !bytes.Equal(got, body) {
				t.Errorf("%d bytes came back, want %d", len(got), len(body))
			}
		})
	}
}

func TestTLS_StateComesWithTheHandshake(t *testing.T) {
	serverConfig, clientConfig := configs(t)
	client, server := TLSClient(clientConfig), TLSServer(serverConfig)
	defer client.Close()
	defer server.Close()
	if client.State() != nil || server.State() != nil {
		t.Error("there is a state before the handshake")
	}
	a, b := &end{l: client}, &end{l: server}
	talk(t, nil, a, b)
	for _, l := range []*TLS{client, server} {
		if s := l.State(); s == nil || s.Version != tls.VersionTLS13 || !s.HandshakeComplete {
			t.Errorf("state %+v", s)
		}
	}
	if name := client.State().PeerCertificates[0].Subject.CommonName; name != "layer" {
		t.Errorf("the server is %q", name)
	}
}

func TestTLS_RefusalReachesThePeer(t *testing.T) {
	serverConfig, clientConfig := configs(t)
	clientConfig.RootCAs = x509.NewCertPool() // trusts nobody
	a, b := &end{l: TLSClient(clientConfig)}, &end{l: TLSServer(serverConfig)}
	defer a.l.Close()
	defer b.l.Close()
	talk(t, nil, a, b)
	var unknown x509.UnknownAuthorityError
	if !errors.As(a.err, &unknown) {
		t.Errorf("the client says %v", a.err)
	}
	alert, err := a.l.Seal(nil, nil)
	if err != nil || len(alert) == 0 {
		t.Fatalf("the client has no last words: %q, %v", alert, err)
	}
	b.open(alert)
	var said *net.OpError
	if !errors.As(b.err, &said) || said.Op != "remote error" {
		t.Errorf("the server hears %v", b.err)
	}
}

func TestTLS_OutputBeforeTheHandshakeIsBounded(t *testing.T) {
	serverConfig, _ := configs(t)
	l := TLSServer(serverConfig)
	defer l.Close()
	if _, err := l.Seal(nil, make([]byte, heldMost)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Seal(nil, make([]byte, 1)); !errors.Is(err, errHeld) {
		t.Errorf("error %v, want %v", err, errHeld)
	}
}
