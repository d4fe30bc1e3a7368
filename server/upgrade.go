package server

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"github.com/nsqloop/nsqloop/internal/layer"
	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
)

// handshakeTimeout is how long a TLS handshake may take. It is nsqd's.
const handshakeTimeout = 5 * time.Second

// upgrades are what a connection has put between itself and the socket: TLS,
// and then compression.
type upgrades struct {
	tls             *layer.TLS // nil without TLS
	snappy, deflate bool
	fresh           bool // the command that runs has put one on
	timer           loop.Timer
}

// upgrade is what one IDENTIFY asks for and is granted.
type upgrade struct {
	tls, snappy, deflate bool
	level                int // of deflate; also when there is none
}

// planUpgrade finds what is granted. What a connection has it keeps, and is not
// given twice; TLS comes before compression or not at all.
func (c *conn) planUpgrade(q *wire.IdentifyRequest) (upgrade, *wire.Error) {
	o, has := &c.s.o, &c.upgrades
	u := upgrade{snappy: q.Snappy && !o.NoSnappy, deflate: q.Deflate && !o.NoDeflate}
	if !c.s.budget.has(deflateCost) {
		u.snappy, u.deflate = false, false // nobody needs it to be understood
	}
	if u.snappy && u.deflate {
		return u, wire.Errorf(wire.CodeIdentifyFailed, "cannot enable both deflate and snappy compression")
	}
	u.level = min(defaultDeflateLevel, o.MaxDeflateLevel)
	if u.deflate && q.DeflateLevel > 0 {
		u.level = min(q.DeflateLevel, o.MaxDeflateLevel)
	}
	if has.snappy || has.deflate {
		u.tls, u.snappy, u.deflate = false, false, false
		return u, nil
	}
	u.tls = q.TLSv1 && c.s.tlsConfig != nil && has.tls == nil
	return u, nil
}

// upgrade puts on what was granted. Each OK is gathered right behind its layer,
// so that nothing can come before it.
func (c *conn) upgrade(u upgrade) {
	has := &c.upgrades
	if u.tls {
		has.tls = layer.TLSServer(c.s.tlsConfig)
		has.timer = c.s.l.After(handshakeTimeout, c.onHandshakeTimeout)
		c.rules.TLSRequired = false
		c.holdFixed(tlsCost)
		c.putOn(has.tls)
	}
	if u.snappy {
		has.snappy = true
		c.holdFixed(snappyCost)
		c.putOn(layer.NewSnappy())
	}
	if u.deflate {
		has.deflate = true
		c.holdFixed(deflateCost)
		c.putOn(layer.NewDeflate(u.level))
	}
}

func (c *conn) putOn(l loop.Layer) {
	c.upgrades.fresh = true
	c.c.Upgrade(l)
	c.reply(wire.OK)
}

// onHandshakeTimeout closes a connection whose TLS handshake is not over. nsqd
// says so in plain text, in the middle of what should be TLS.
func (c *conn) onHandshakeTimeout() {
	if !c.closing && c.upgrades.tls.State() == nil {
		c.tell(slog.LevelInfo, "client did not finish the TLS handshake")
		c.close()
	}
}

// stop ends the wait for a handshake.
func (u *upgrades) stop() {
	if u.timer != nil {
		u.timer.Stop()
	}
}

// tlsState is what TLS has agreed on; nil without TLS, or before the end of the
// handshake.
func (c *conn) tlsState() *tls.ConnectionState {
	if c.upgrades.tls == nil {
		return nil
	}
	return c.upgrades.tls.State()
}

// upgradeStats copies what is between the connection and its socket.
func (c *conn) upgradeStats(st *ClientStats) {
	st.Snappy, st.Deflate = c.upgrades.snappy, c.upgrades.deflate
	state := c.tlsState()
	if state == nil {
		return
	}
	st.TLS = true
	st.TLSVersion = tlsVersion(state.Version)
	st.TLSCipherSuite = tlsCipherSuite(state)
	st.TLSNegotiatedProtocol = state.NegotiatedProtocol
	st.TLSNegotiatedProtocolIsMutual = true // there is no other way any more
}

// tlsVersion is a version in nsqd's words.
func tlsVersion(v uint16) string {
	if v >= tls.VersionTLS10 && v <= tls.VersionTLS13 {
		return fmt.Sprintf("TLS1.%d", v-tls.VersionTLS10)
	}
	return fmt.Sprintf("Unknown %d", v)
}

// tlsCipherSuite is a cipher suite in nsqd's words, which knows no name for
// those of TLS 1.3.
func tlsCipherSuite(state *tls.ConnectionState) string {
	if state.Version < tls.VersionTLS13 {
		for _, suite := range tls.CipherSuites() {
			if suite.ID == state.CipherSuite {
				return suite.Name
			}
		}
	}
	return fmt.Sprintf("Unknown %d", state.CipherSuite)
}
