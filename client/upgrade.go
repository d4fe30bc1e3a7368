package client

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"

	"github.com/nsqloop/nsqloop/internal/layer"
	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
)

// TLS is what the TLS handshake has agreed on; nil without TLS, and before
// OnReady.
func (c *Conn) TLS() *tls.ConnectionState {
	if c.tls == nil {
		return nil
	}
	return c.tls.State()
}

// planUpgrades notes the upgrades that were both asked for and granted, in the
// order in which nsqd makes them, and reports whether that is enough.
func (c *Conn) planUpgrades(r *wire.IdentifyReply) bool {
	if c.o.TLSConfig != nil {
		switch {
		case r.TLSv1:
			c.info.TLS = true
			c.tls = layer.TLSClient(c.tlsConfig())
			c.upgrades = append(c.upgrades, c.tls)
		case !c.o.AllowPlaintext:
			c.Abort(ErrTLSRefused)
			return false
		default:
			c.log.Warn("server does not offer TLS: going on in plain text")
		}
	}
	switch {
	case c.o.wantsSnappy() && r.Snappy:
		c.info.Snappy = true
		c.upgrades = append(c.upgrades, layer.NewSnappy())
	case c.o.Deflate && r.Deflate:
		c.info.Deflate = true
		level := r.DeflateLevel
		if level < 1 || level > 9 {
			level = c.o.DeflateLevel
		}
		c.upgrades = append(c.upgrades, layer.NewDeflate(level))
	case c.o.Checksum && !c.info.TLS:
		c.Abort(ErrChecksumRefused)
		return false
	case c.o.Snappy || c.o.Deflate:
		c.log.Warn("server does not offer compression: going on without")
	}
	return true
}

// tlsConfig is the user's config with what is missing in it.
func (c *Conn) tlsConfig() *tls.Config {
	cfg := c.o.TLSConfig.Clone()
	if cfg.ServerName == "" {
		if host, _, err := net.SplitHostPort(c.dialed); err == nil {
			cfg.ServerName = host
		}
	}
	if cfg.MinVersion == 0 {
		cfg.MinVersion = tls.VersionTLS12
	}
	if cfg.Time == nil {
		cfg.Time = c.loop.Now // the clock by which certificates expire
	}
	return cfg
}

// proceed takes the next step of the handshake. stop says that it has put a
// layer on.
func (c *Conn) proceed() (stop bool) {
	switch {
	case len(c.upgrades) > 0:
		var l loop.Layer
		l, c.upgrades = c.upgrades[0], c.upgrades[1:]
		c.step = stepUpgrade
		c.conn.Upgrade(l)
		return true
	case c.info.AuthRequired:
		c.authenticate()
	default:
		c.ready()
	}
	return false
}

// onUpgraded is the answer that ends an upgrade.
func (c *Conn) onUpgraded(data []byte) (stop bool) {
	if string(data) != wire.OK {
		c.Abort(fmt.Errorf("%w: the upgrade is answered with %.40q", ErrProtocol, data))
		return false
	}
	return c.proceed()
}

// authenticate sends the secret.
func (c *Conn) authenticate() {
	c.step = stepAuth
	secret := ""
	if c.o.AuthSecret != nil {
		secret = c.o.AuthSecret()
	}
	if secret == "" {
		c.Abort(ErrAuthRequired)
		return
	}
	c.conn.SetOutput(wire.AppendAuth(c.conn.Output(), secret))
	c.tell(EventAuth, nil)
}

// onAuthReply takes over who the server thinks this is. A refusal comes as an
// error frame instead.
func (c *Conn) onAuthReply(data []byte) {
	var r struct {
		Identity string `json:"identity"`
	}
	if err := json.Unmarshal(data, &r); err != nil {
		c.Abort(fmt.Errorf("%w: the answer to AUTH is not JSON", ErrProtocol))
		return
	}
	c.log.Debug("authenticated", "identity", r.Identity)
	c.info.Identity = r.Identity
	c.tell(EventAuthorized, nil)
	c.ready()
}
