package client

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"strings"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
)

// Version is what the default user agent says about this package.
const Version = "0.1.0"

// Options are what a connection says about itself and asks for. The zero value
// is ready to use. Where a default is nsqd's, the server decides.
type Options struct {
	// ClientID and Hostname name this program in nsqd's /stats. The defaults
	// are the host's name up to the first dot, and the host's name.
	ClientID string
	Hostname string

	// UserAgent names the software in nsqd's /stats. The default is
	// "nsqloop/" and its version.
	UserAgent string

	// TopologyRegion and TopologyZone say where this program runs, for
	// servers that prefer near consumers. The default is to say nothing.
	TopologyRegion string
	TopologyZone   string

	// Publisher, 16 lower-case hexadecimal digits, is whom nsqd-lite is to
	// remember the publishes of this connection as, so that it knows again
	// what it has already: see Info.Publisher and Conn.Number. It is for one
	// connection at a time: nsqd-lite ends the older of two. A Writer sets it
	// by itself, as its Retry needs it, and a Reader has no use for it. The
	// original nsqd ignores it. "" means nobody.
	Publisher string

	// HeartbeatInterval is how often nsqd asks for a sign of life. Two to two
	// and a half intervals without anything received close the connection, and
	// nsqd does the same on its side after two. 1 s finds an nsqd that hangs
	// within 2.5 s, costs the server 19 % of a core for each 10,000
	// connections, and allows no handler that holds the loop for 2 s. 0 means
	// 30 s, negative means none (which nsqd allows only to connections that do
	// not subscribe). Nsqd takes 1 s to 60 s and refuses other values.
	HeartbeatInterval time.Duration

	// MsgTimeout is how long nsqd waits for the answer to a message before
	// it gives it to someone else. 0 means nsqd's default (60 s). Nsqd takes
	// 1 s to 15 m.
	MsgTimeout time.Duration

	// OutputBufferSize is the number of bytes that nsqd gathers before it
	// sends messages: 64 or more. 0 means nsqd's default (16 KiB), negative
	// means none.
	OutputBufferSize int

	// OutputBufferTimeout is how long nsqd holds messages back while it
	// gathers more: 25 ms or more. 0 means nsqd's default (250 ms), negative
	// means that only a full buffer is sent.
	OutputBufferTimeout time.Duration

	// SampleRate is the percentage of a channel's messages to receive, 1 to
	// 99; the others are dropped. 0 means all.
	SampleRate int

	// TLSConfig asks nsqd for TLS; nil means none. The name that the server's
	// certificate must bear is the host that is dialled unless ServerName is
	// set, and TLS 1.2 is the least unless MinVersion is. A certificate that
	// vouches for this program goes into Certificates. The config's callbacks
	// run on the loop and must not block.
	TLSConfig *tls.Config

	// AllowPlaintext goes on without TLS when the server does not offer it.
	// By default that is ErrTLSRefused.
	AllowPlaintext bool

	// Snappy or Deflate asks nsqd to compress both directions; a server that
	// does not offer it is spoken to without. Not both.
	Snappy  bool
	Deflate bool

	// Checksum has everything after IDENTIFY checked on arrival, at both ends,
	// so that a bit that flips on the way ends the connection and is never
	// taken for good. TLS does that by itself; without it Snappy is asked for,
	// whose chunks bear checksums, and a server that grants neither is
	// ErrChecksumRefused. The original nsqd passes over a chunk of snappy in
	// which one certain bit is flipped, as the format has it; nsqd-lite does
	// not. Deflate has no checksums.
	Checksum bool

	// DeflateLevel is how hard both sides try, 1 to 9; the server may lower
	// it. 0 means 6.
	DeflateLevel int

	// AuthSecret returns what to send to a server that asks for AUTH, each
	// time that one does; others never see it. It runs on the loop and must
	// not block. nil, or "", has the connection to such a server fail with
	// ErrAuthRequired.
	AuthSecret func() string

	// DialTimeout bounds the dial, name resolution included. While there is no
	// answer a second one is made beside it, anew each 0.4 s, and the first to
	// be answered counts: so a network that is back is noticed soon. 0 means
	// 1 s.
	DialTimeout time.Duration

	// HandshakeTimeout bounds the time from the open socket to the end of
	// the handshake: IDENTIFY, TLS and AUTH together. 0 means 5 s.
	HandshakeTimeout time.Duration

	// MaxFrameSize is the number of bytes that a received frame may have,
	// about 30 more than the largest body. A larger one closes the
	// connection. 0 means 16 MiB, negative means no limit.
	MaxFrameSize int

	// Rewrite returns the address to dial for one that was configured or found:
	// for a program that reaches nsqds through a tunnel or a mapped port. "" is
	// the address itself. It runs on the loop, before each dial, and must not
	// block. Everything but the dial and the name in a TLS certificate goes by
	// the address as it was.
	Rewrite func(nsqd string) string

	// PeerTimeout is how long nsqd's machine may be silent when it is asked for
	// a sign of life, which it is when nothing has come for a third of that
	// time (TCP keepalive), or, on Linux, owe the acknowledgement of what was
	// sent. Then the connection fails. 0 means 3 s, which is the least, and
	// negative leaves it to the system. It notices within seconds what
	// heartbeats notice after two intervals: a machine or network that is gone.
	// An nsqd that hangs is found by its heartbeats alone.
	PeerTimeout time.Duration

	// LocalAddr is the address to dial from. nil lets the system choose.
	LocalAddr net.Addr

	// DialContext replaces the system's dialer, for a proxy for example. It
	// runs on a goroutine of its own, twice at a time when DialTimeout has a
	// second dial made, and must return a TCP or unix socket. PeerTimeout is
	// its own affair.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)

	// OnEvent hears of each step of each connection: that the socket is open,
	// that IDENTIFY was sent, heartbeats and so on. It runs on the loop and must
	// not block. Nothing is told, and it costs nothing, when it is nil.
	OnEvent func(Event)

	// Logger receives changes of state at info, what is recovered from at
	// warn, and the bytes of the handshake at debug. nil is silence.
	Logger *slog.Logger

	half halves // the files that Set was given of a certificate and its key
}

// WithDefaults returns o with defaults in place of zero values, or an error
// that names the first field that breaks its rule. Packages reader and writer
// call it, so programs need not.
func (o Options) WithDefaults() (Options, error) {
	if o.Hostname == "" {
		o.Hostname, _ = os.Hostname() // without a name the field stays empty, which nsqd allows
	}
	if o.ClientID == "" {
		o.ClientID, _, _ = strings.Cut(o.Hostname, ".")
	}
	if o.UserAgent == "" {
		o.UserAgent = "nsqloop/" + Version
	}
	if o.HeartbeatInterval == 0 {
		o.HeartbeatInterval = 30 * time.Second
	}
	if o.DialTimeout == 0 {
		o.DialTimeout = time.Second
	}
	if o.HandshakeTimeout == 0 {
		o.HandshakeTimeout = 5 * time.Second
	}
	if o.MaxFrameSize == 0 {
		o.MaxFrameSize = 16 << 20
	}
	if o.DeflateLevel == 0 {
		o.DeflateLevel = 6
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, o.check()
}

// check returns an error for the first field that breaks its rule. Where nsqd
// can be configured to take other values, as for the heartbeat interval, the
// answer is left to it.
func (o *Options) check() error {
	switch {
	case (o.half.cert == "") != (o.half.key == ""):
		return fmt.Errorf("tls_cert %q, tls_key %q: want both or none of them", o.half.cert, o.half.key)
	case o.Publisher != "" && !wire.ValidPublisher(o.Publisher):
		return fmt.Errorf("Publisher %q: want 16 lower-case hexadecimal digits, or none", o.Publisher)
	case 0 < o.HeartbeatInterval && o.HeartbeatInterval < time.Millisecond:
		return fmt.Errorf("HeartbeatInterval %v: want whole milliseconds, 0 for the default or negative for none", o.HeartbeatInterval)
	case o.MsgTimeout < 0 || 0 < o.MsgTimeout && o.MsgTimeout < time.Millisecond:
		return fmt.Errorf("MsgTimeout %v: want at least 1ms, or 0 for the server's default", o.MsgTimeout)
	case 0 < o.OutputBufferSize && o.OutputBufferSize < 64:
		return fmt.Errorf("OutputBufferSize %d: want at least 64, 0 for the server's default or negative for none", o.OutputBufferSize)
	case 0 < o.OutputBufferTimeout && o.OutputBufferTimeout < 25*time.Millisecond:
		return fmt.Errorf("OutputBufferTimeout %v: want at least 25ms, 0 for the server's default or negative for none", o.OutputBufferTimeout)
	case o.SampleRate < 0 || o.SampleRate > 99:
		return fmt.Errorf("SampleRate %d: want 0 to 99", o.SampleRate)
	case o.Snappy && o.Deflate:
		return fmt.Errorf("Snappy and Deflate: want one of them at most; nsqd refuses both")
	case o.Checksum && o.Deflate && !o.onlyTLS():
		return fmt.Errorf("Checksum and Deflate: want Snappy, or TLS, as deflate has no checksums")
	case o.DeflateLevel < 1 || o.DeflateLevel > 9:
		return fmt.Errorf("DeflateLevel %d: want 1 to 9, or 0 for the default", o.DeflateLevel)
	case o.DialTimeout < 0:
		return fmt.Errorf("DialTimeout %v: want a positive duration, or 0 for the default", o.DialTimeout)
	case o.HandshakeTimeout < 0:
		return fmt.Errorf("HandshakeTimeout %v: want a positive duration, or 0 for the default", o.HandshakeTimeout)
	case 0 < o.MaxFrameSize && o.MaxFrameSize < 64 || o.MaxFrameSize > math.MaxInt32:
		return fmt.Errorf("MaxFrameSize %d: want 64 to %d, 0 for the default or negative for no limit", o.MaxFrameSize, math.MaxInt32)
	}
	return nil
}

// onlyTLS reports whether nothing is said without TLS.
func (o *Options) onlyTLS() bool { return o.TLSConfig != nil && !o.AllowPlaintext }

// wantsSnappy reports whether to ask for snappy.
func (o *Options) wantsSnappy() bool { return o.Snappy || o.Checksum && !o.onlyTLS() }

// identify is the body of IDENTIFY for these options.
func (o *Options) identify() wire.IdentifyRequest {
	q := wire.IdentifyRequest{
		ClientID:           o.ClientID,
		Hostname:           o.Hostname,
		UserAgent:          o.UserAgent,
		FeatureNegotiation: true,
		HeartbeatMillis:    millis(o.HeartbeatInterval),
		OutputBufferSize:   max(o.OutputBufferSize, -1),
		OutputBufferMillis: millis(o.OutputBufferTimeout),
		MsgTimeoutMillis:   millis(o.MsgTimeout),
		SampleRate:         int32(o.SampleRate),
		TopologyRegion:     o.TopologyRegion,
		TopologyZone:       o.TopologyZone,
		TLSv1:              o.TLSConfig != nil,
		Snappy:             o.wantsSnappy(),
		Deflate:            o.Deflate,
		LitePublisher:      o.Publisher,
	}
	if o.Deflate {
		q.DeflateLevel = o.DeflateLevel
	}
	return q
}

// millis is d as NSQ writes it: milliseconds, -1 for off.
func millis(d time.Duration) int {
	if d < 0 {
		return -1
	}
	return int(d / time.Millisecond)
}
