package server

import (
	cmdline "flag"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/nsqloop/nsqloop/internal/wire"
)

var hostileSessions = cmdline.Int("hostile.sessions", 100_000, "sessions of TestServer_HostileSessions")

// Whatever bytes clients send, the server goes on, keeps its books, and serves
// the others.
func TestServer_HostileSessions(t *testing.T) {
	n := *hostileSessions
	if testing.Short() {
		n /= 20
	}
	r := rand.New(rand.NewPCG(1, 2))
	for ; n > 0; n -= 1000 {
		t.Run("a thousand", func(t *testing.T) { hostileThousand(t, r) })
	}
}

// hostileThousand is a server's life among a thousand hostile clients.
func hostileThousand(t *testing.T, r *rand.Rand) {
	w := newWorld(t, Options{MaxMsgSize: 1 << 10, MaxBodySize: 4 << 10})
	canary := w.subscribe("canary", "ch", 1)
	for range 1000 {
		p := w.dialSilent()
		p.send(hostile(r))
		if !p.closed() {
			p.hangUp()
		}
	}
	w.publish("canary", "tweet")
	canary.fin(canary.message("tweet", 1))
	if got := len(w.s.conns); got != 1 {
		t.Errorf("%d connections are left, want the canary's", got)
	}
}

// hostile returns a conversation that has been damaged, or noise.
func hostile(r *rand.Rand) []byte {
	b := []byte(wire.MagicV2)
	if r.IntN(20) == 0 {
		b = b[:r.IntN(len(b))]
	}
	for range r.IntN(5) {
		var id wire.ID
		copy(id[:], "0000100000000001")
		switch r.IntN(12) {
		case 0:
			b = wire.AppendIdentify(b, []byte(`{"client_id":"x\ny","heartbeat_interval":1000,"feature_negotiation":true}`))
		case 1:
			b = wire.AppendSub(b, "t", "ch")
		case 2:
			b = wire.AppendPub(b, "t", []byte("body"))
		case 3:
			b = wire.AppendMPub(b, "t", [][]byte{[]byte("a"), []byte("b")})
		case 4:
			b = wire.AppendDPub(b, "t", time.Second, []byte("later"))
		case 5:
			b = wire.AppendRdy(b, r.IntN(3000))
		case 6:
			b = wire.AppendFin(b, id)
		case 7:
			b = wire.AppendReq(b, id, time.Minute)
		case 8:
			b = wire.AppendTouch(b, id)
		case 9:
			b = wire.AppendCls(b)
		case 10:
			b = wire.AppendNop(b)
		default:
			for range r.IntN(64) {
				b = append(b, byte(r.IntN(256)))
			}
		}
	}
	for range r.IntN(4) {
		if len(b) == 0 {
			break
		}
		switch at := r.IntN(len(b)); r.IntN(3) {
		case 0:
			b[at] ^= 1 << r.IntN(8)
		case 1:
			b = b[:at]
		default:
			b = append(b[:at:at], b[min(at+1+r.IntN(4), len(b)):]...)
		}
	}
	return b
}

// What a client says about itself is kept up to 1 KiB each, however long it is.
func TestConn_KeepsLittleOfLongIdentity(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.dial()
	p.identify(`{"client_id":"` + strings.Repeat("c", 5000) + `","user_agent":"x` + strings.Repeat("é", 2<<20) + `"}`)
	p.want("OK")
	id := p.c.identity
	if len(id.clientID) != keptMost {
		t.Errorf("%d bytes of the client id are kept, want %d", len(id.clientID), keptMost)
	}
	if n := len(id.userAgent); n != keptMost-1 || !utf8.ValidString(id.userAgent) {
		t.Errorf("%d bytes of the user agent are kept, want %d that end with a whole character", n, keptMost-1)
	}
}
