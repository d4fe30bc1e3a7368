package server

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
)

// With AUTH on, a client may send little before it has said who it is: a body
// of beforeAuthBody bytes at most, and all in all no more than one command
// that is allowed then.
const (
	beforeAuthBody  = 16 << 10
	beforeAuthInput = wire.MaxLine + 4 + beforeAuthBody
)

// recheckPause is how often an auth server is asked again, at most, that has
// not answered about the grants of a subscriber.
const recheckPause = time.Second

// auth is what a client has shown with AUTH.
type auth struct {
	secret  string // to ask again when the grants have expired
	grants  *grants
	expires int64      // unix nanoseconds
	asking  bool       // the grants have expired and are asked for again
	topic   string     // may be published to: what was found last
	timer   loop.Timer // of a subscriber with Options.Strict, before the grants expire
}

// startAuth sets the rules of a connection when AUTH is on.
func (c *conn) startAuth() {
	if c.s.auth != nil {
		c.rules.AuthFirst = true
		c.rules.MaxBeforeAuth = beforeAuthBody
		c.rules.MayMPub = c.mayMultiPublish
	}
}

// authenticate is AUTH. Nothing more is read of the client until the answer is
// there.
func (c *conn) authenticate(body []byte) *wire.Error {
	a := c.s.auth
	switch {
	case c.auth != nil:
		return wire.Errorf(wire.CodeInvalid, "AUTH already set")
	case a == nil:
		return wire.Errorf(wire.CodeAuthDisabled, "AUTH disabled")
	}
	c.stalled = true
	q := c.question(string(body))
	from := guessPrefix(c.remote())
	a.guesses.try(from, func() {
		if c.closing {
			a.guesses.end(from, false)
			return
		}
		a.ask(q, func(g *grants, err error) {
			a.guesses.end(from, wrongGuess(g, err))
			if !c.closing {
				c.authenticated(q.secret, g, err)
			}
		})
	})
	return nil
}

// question is what the auth server is asked about this client.
func (c *conn) question(secret string) question {
	host, _, err := net.SplitHostPort(c.remote())
	if err != nil {
		host = "" // a unix socket
	}
	q := question{secret: secret, remoteIP: host}
	if state := c.tlsState(); state != nil {
		q.tls = true
		if len(state.PeerCertificates) > 0 {
			q.commonName = state.PeerCertificates[0].Subject.CommonName
		}
	}
	return q
}

// authenticated ends AUTH. What went wrong is for the log alone: a client that
// is nobody yet learns nothing of the auth server.
func (c *conn) authenticated(secret string, g *grants, err error) {
	if err != nil {
		c.tell(slog.LevelWarn, "AUTH failed", "err", printable(err.Error(), 1024))
		c.refuse(wire.Errorf(wire.CodeAuthFailed, "AUTH failed"))
		return
	}
	if len(g.entries) == 0 {
		c.refuse(wire.Errorf(wire.CodeUnauthorized, "AUTH no authorizations found"))
		return
	}
	c.auth = &auth{secret: secret}
	c.adoptGrants(g)
	c.rules.AuthFirst = false
	data, err := json.Marshal(struct {
		Identity        string `json:"identity"`
		IdentityURL     string `json:"identity_url"`
		PermissionCount int    `json:"permission_count"`
	}{g.identity, g.identityURL, len(g.entries)})
	if err != nil {
		panic("the reply to AUTH does not encode: " + err.Error())
	}
	c.reply(string(data))
	c.resume()
}

// adoptGrants makes g the grants of the client from now on.
func (c *conn) adoptGrants(g *grants) {
	c.auth.grants, c.auth.topic = g, ""
	c.auth.expires = c.s.now() + int64(g.lasts)
}

// resume reads on after a wait, unless there is something else to wait for.
func (c *conn) resume() {
	if c.stalled && len(c.owed) == 0 {
		c.stalled = false
		c.c.Offer()
	}
}

// checkGrant says whether the client may do what a command asks for. When wait
// is true that is not known yet: the connection is stalled, and the command is
// to be read again.
func (c *conn) checkGrant(verb wire.Verb, topic, channel []byte) (wait bool, err *wire.Error) {
	right := accessPublish
	switch verb {
	case wire.Pub, wire.MPub, wire.DPub:
		channel = nil
	case wire.Sub:
		right = accessSubscribe
	default:
		return false, nil
	}
	a := c.auth
	if a.asking || c.s.now() >= a.expires {
		c.askAgain()
		return true, nil
	}
	if channel == nil && a.topic == string(topic) {
		return false, nil
	}
	t := string(topic)
	if !a.grants.allow(right, t, string(channel)) {
		return false, wire.Errorf(wire.CodeUnauthorized, "AUTH failed for %s on %q %q", verb, topic, channel)
	}
	if channel == nil {
		a.topic = t
	}
	return false, nil
}

// mayMultiPublish is wire.Rules.MayMPub.
func (c *conn) mayMultiPublish(topic []byte) (wait bool, err *wire.Error) {
	if c.auth == nil {
		return false, nil // ReadCommand has refused it
	}
	return c.checkGrant(wire.MPub, topic, nil)
}

// askAgain stalls the connection until it is known again what it may do.
func (c *conn) askAgain() {
	c.stalled = true
	c.renew()
}

// renew asks for the grants once more. A client for whom they cannot be had is
// closed if it waits for them, or they have expired, or somebody has said no.
func (c *conn) renew() {
	if c.auth.asking {
		return
	}
	c.auth.asking = true
	c.s.auth.ask(c.question(c.auth.secret), func(g *grants, err error) {
		if c.closing {
			return
		}
		c.auth.asking = false
		if err != nil {
			if !c.stalled && c.s.now() < c.auth.expires && !errors.Is(err, errDenied) {
				c.watchGrants() // there is time to try once more
				return
			}
			c.tell(slog.LevelWarn, "AUTH failed when the grants had expired", "err", printable(err.Error(), 1024))
			c.refuse(wire.Errorf(wire.CodeAuthFailed, "AUTH failed"))
			return
		}
		c.adoptGrants(g)
		if ch := c.ch; ch != nil && c.s.o.Strict && !g.allow(accessSubscribe, ch.t.name, ch.name) {
			c.refuse(wire.Errorf(wire.CodeUnauthorized, "AUTH failed for SUB on %q %q", ch.t.name, ch.name))
			return
		}
		c.watchGrants()
		c.resume()
	})
}

// watchGrants has the grants of a subscriber asked for again before they
// expire, so that he is out when they do unless he still has them. nsqd looks
// at them when he subscribes, and never again.
func (c *conn) watchGrants() {
	a := c.auth
	if a == nil || c.ch == nil || !c.s.o.Strict {
		return
	}
	left := time.Duration(a.expires - c.s.now())
	// Early enough for an answer, and for another try when there is none.
	lead := min(a.grants.lasts/4, c.s.o.HTTPClientRequestTimeout)
	wait := left - lead
	if wait <= 0 {
		wait = min(max(left, 0), recheckPause)
	}
	if a.timer == nil {
		a.timer = c.s.l.After(wait, c.recheck)
	} else {
		a.timer.Reset(wait)
	}
}

// recheck is what the timer of a subscriber's grants does.
func (c *conn) recheck() {
	switch {
	case c.closing:
	case c.s.now() >= c.auth.expires:
		c.tell(slog.LevelWarn, "subscriber's grants have expired, and nobody has renewed them")
		c.refuse(wire.Errorf(wire.CodeAuthFailed, "AUTH failed"))
	default:
		c.renew()
		c.watchGrants()
	}
}

// stop ends the watch over grants.
func (a *auth) stop() {
	if a != nil && a.timer != nil {
		a.timer.Stop()
	}
}
