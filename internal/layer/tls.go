package layer

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"
)

const (
	// readPiece is how much is read out of crypto/tls at once. The buffer
	// lives as long as the connection: crypto/tls may wait for input with
	// bytes in it that it has not reported yet.
	readPiece = 4 << 10

	// heldMost is how much output may wait for the end of the handshake. It is
	// the OK of the upgrade, and what a client says after it.
	heldMost = 64 << 10
)

// errHeld is returned when more output waits for the handshake.
var errHeld = errors.New("too much output before the end of the handshake")

// TLS is a layer of TLS. Make one with TLSServer or TLSClient.
type TLS struct {
	co    coroutine
	conn  *tls.Conn
	wire  []byte // sealed, and not asked for yet
	held  []byte // output that waits for the end of the handshake
	state *tls.ConnectionState
	begun bool
}

// TLSServer answers the handshake of a client. Callbacks in cfg run inside
// Open and must not block. cfg is not changed and may serve any number of
// connections.
func TLSServer(cfg *tls.Config) *TLS {
	t := new(TLS)
	t.conn = tls.Server(stream{t}, cfg)
	return t
}

// TLSClient begins a handshake. The same holds for cfg.
func TLSClient(cfg *tls.Config) *TLS {
	t := new(TLS)
	t.conn = tls.Client(stream{t}, cfg)
	return t
}

// State is what was negotiated; nil before the handshake is over.
func (t *TLS) State() *tls.ConnectionState { return t.state }

// Open appends to dst the plain bytes that raw completes. The handshake is
// part of it. An error that wraps io.EOF is the peer's proper goodbye.
func (t *TLS) Open(dst, raw []byte) ([]byte, error) {
	t.begun = true
	return t.co.open(dst, raw, t.read)
}

// More says whether Open has stopped half way.
func (t *TLS) More() bool { return t.co.more }

// read is the body of the coroutine.
func (t *TLS) read() error {
	if err := t.conn.Handshake(); err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	state := t.conn.ConnectionState()
	t.state = &state
	buf := make([]byte, readPiece)
	for {
		n, err := t.conn.Read(buf)
		if n > 0 {
			if _, err := t.co.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return fmt.Errorf("TLS: %w", err)
		}
	}
}

// Seal appends to dst what TLS has to say and, once the handshake is over,
// plain. Before that plain is kept.
func (t *TLS) Seal(dst, plain []byte) ([]byte, error) {
	if !t.begun { // a client has the first word
		t.begun = true
		if !t.co.resume(t.read) {
			return t.take(dst), t.co.err
		}
	}
	dst = t.take(dst)
	if t.state == nil {
		if len(t.held)+len(plain) > heldMost {
			return dst, errHeld
		}
		t.held = append(t.held, plain...)
		return dst, nil
	}
	t.wire = dst // what is written now goes right behind
	for _, p := range [...][]byte{t.held, plain} {
		if len(p) == 0 {
			continue
		}
		if _, err := t.conn.Write(p); err != nil {
			return t.take(nil), fmt.Errorf("TLS: %w", err)
		}
	}
	t.held = nil
	dst, t.wire = t.wire, nil
	return dst, nil
}

// take appends what TLS has said by itself.
func (t *TLS) take(dst []byte) []byte {
	dst = append(dst, t.wire...)
	t.wire = nil
	return dst
}

// Close releases what the layer holds. It says no goodbye: in NSQ's protocol
// every message says how long it is, so that nothing can be cut off unnoticed.
func (t *TLS) Close() { t.co.close() }

// stream is the transport that crypto/tls sees. Writing never waits, because a
// write that fails is the end of a tls.Conn.
type stream struct{ t *TLS }

func (s stream) Read(p []byte) (int, error) { return s.t.co.Read(p) }

func (s stream) Write(p []byte) (int, error) {
	s.t.wire = append(s.t.wire, p...)
	return len(p), nil
}

func (stream) Close() error                     { return nil }
func (stream) LocalAddr() net.Addr              { return noAddr{} }
func (stream) RemoteAddr() net.Addr             { return noAddr{} }
func (stream) SetDeadline(time.Time) error      { return nil }
func (stream) SetReadDeadline(time.Time) error  { return nil }
func (stream) SetWriteDeadline(time.Time) error { return nil }

// noAddr is the address of a stream: it has none.
type noAddr struct{}

func (noAddr) Network() string { return "" }
func (noAddr) String() string  { return "" }
