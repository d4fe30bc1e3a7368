package server

import (
	"crypto/sha256"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// access is what somebody needs to be let in: a right that AUTH's grants give.
// Without Options.Strict only clients of the protocol need any, and those who
// look at messages.
type access uint8

const (
	accessAdmin     access = iota // change and delete a topic or channel; of a route that says nothing
	accessPublish                 // to a topic
	accessSubscribe               // to a channel, and look at its messages
	accessStats                   // see the figures of the whole server
	accessConfig                  // see its options
	accessDebug                   // see its memory
	accessNone                    // nobody needs anything
	accesses        = accessNone
)

// scope says which names a right is about.
type scope uint8

const (
	ofTopic   scope = iota // the topic in the query, all of it; of a route that says nothing
	ofChannel              // the channel in the query
)

// Refusals of requests that have no grants.
var (
	errWhoIsThere = &httpError{http.StatusUnauthorized, "UNAUTHORIZED",
		"Name yourself by a secret of AUTH's, as in curl -u :secret, or in a header as in Authorization: Bearer secret."}
	errNobody = &httpError{http.StatusUnauthorized, "UNAUTHORIZED", "The secret is not known here."}
	errNoAuth = &httpError{http.StatusServiceUnavailable, "AUTH_FAILED",
		"It could not be found out what the secret is good for; the server's log says why."}
	errNotGranted = &httpError{http.StatusForbidden, "FORBIDDEN", "The secret is not good for that."}
)

// admit says whether r may do what its route does: with Options.Strict and AUTH
// on, HTTP asks for the same secrets as the protocol, and what they are good
// for. Without Options.Strict it does so for the routes that show messages, of
// which nsqd has none.
func (h *httpServer) admit(rt *route, r *http.Request) error {
	if h.s == nil || h.s.auth == nil || !h.s.o.Strict && rt.needs != accessSubscribe {
		return nil
	}
	secret := secretOf(r)
	if secret == "" {
		return errWhoIsThere
	}
	query, err := parseQuery(r)
	if err != nil {
		return err
	}
	g, err := h.grantsOf(r, secret)
	if err != nil {
		return err
	}
	allowed := false
	switch rt.needs {
	case accessStats, accessConfig, accessDebug:
		allowed = g.allowAnywhere(rt.needs)
	default:
		channel := ""
		if rt.scope == ofChannel {
			channel = query.Get("channel")
		}
		allowed = g.allow(rt.needs, query.Get("topic"), channel)
	}
	if !allowed {
		return errNotGranted
	}
	return nil
}

// secretOf is the secret in r's Authorization: the password of a user, whatever
// his name is, or his name if there is none, or a bearer's token. It is not
// looked for in the query, which is logged.
func secretOf(r *http.Request) string {
	if user, password, ok := r.BasicAuth(); ok {
		if password != "" {
			return password
		}
		return user
	}
	const bearer = "bearer "
	if v := r.Header.Get("Authorization"); len(v) > len(bearer) && strings.EqualFold(v[:len(bearer)], bearer) {
		return strings.TrimSpace(v[len(bearer):])
	}
	return ""
}

// grantsOf finds out what a secret is good for that came with r.
func (h *httpServer) grantsOf(r *http.Request, secret string) (*grants, error) {
	q := question{secret: secret}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil { // else it is a unix socket
		q.remoteIP = host
	}
	if r.TLS != nil {
		q.tls = true
		if len(r.TLS.PeerCertificates) > 0 {
			q.commonName = r.TLS.PeerCertificates[0].Subject.CommonName
		}
	}
	type answer struct {
		g   *grants
		err error
	}
	answers := make(chan answer, 1) // room for one: the loop never waits for us
	ctx := r.Context()
	stopped := h.s.call(func() {
		gone := func() bool { return ctx.Err() != nil }
		h.s.auth.visitors.find(q, guessPrefix(r.RemoteAddr), gone, func(g *grants, err error) { answers <- answer{g, err} })
	})
	if stopped != nil {
		return nil, errExiting
	}
	select {
	case <-ctx.Done():
		return nil, errNoAuth
	case a := <-answers:
		switch {
		case errors.Is(a.err, errDenied), a.err == nil && len(a.g.entries) == 0:
			return nil, errNobody
		case a.err != nil:
			return nil, errNoAuth
		}
		return a.g, nil
	}
}

// visitorsMost is how many secrets of HTTP requests are remembered.
const visitorsMost = 4096

// visitors remember what the secrets of HTTP requests are good for until that
// expires. A client of the protocol is asked once for its connection; a request
// should not cost an auth server one.
type visitors struct {
	a     *authenticator
	known map[visitor]visit // ranged over only to drop what has expired
}

// visitor is a question, without the secret itself.
type visitor struct {
	secret               [sha256.Size]byte
	remoteIP, commonName string
	tls                  bool
}

// visit is its answer.
type visit struct {
	g       *grants
	expires int64 // unix nanoseconds
}

// find calls done with what the secret of q is good for, now or later on the
// loop. Wrong secrets of one address wait for each other, as with AUTH; gone
// says that nobody waits for the answer any more.
func (v *visitors) find(q question, from netip.Prefix, gone func() bool, done func(*grants, error)) {
	key := visitor{sha256.Sum256([]byte(q.secret)), q.remoteIP, q.commonName, q.tls}
	if g := v.recall(key); g != nil {
		done(g, nil)
		return
	}
	guesses := &v.a.guesses
	guesses.try(from, func() {
		g := v.recall(key) // somebody may have asked meanwhile
		if g != nil || gone() {
			guesses.end(from, false)
			if g != nil {
				done(g, nil)
			}
			return
		}
		v.a.ask(q, func(g *grants, err error) {
			guesses.end(from, wrongGuess(g, err))
			switch o := &v.a.s.origins; {
			case err != nil:
				o.tell(o.of(q.remoteIP+":0"), v.a.s.log, slog.LevelWarn, "AUTH over HTTP failed", "client", q.remoteIP, "err", printable(err.Error(), 1024))
			case len(g.entries) > 0:
				v.remember(key, g)
			}
			done(g, err)
		})
	})
}

// recall is what is known of a visitor, nil for nothing.
func (v *visitors) recall(key visitor) *grants {
	if known, ok := v.known[key]; ok && v.a.s.now() < known.expires {
		return known.g
	}
	return nil
}

// remember keeps an answer. When there are too many, those go that have
// expired, and if that does not help all.
func (v *visitors) remember(key visitor, g *grants) {
	now := v.a.s.now()
	if len(v.known) >= visitorsMost {
		for k, known := range v.known {
			if now >= known.expires {
				delete(v.known, k)
			}
		}
		if len(v.known) >= visitorsMost {
			clear(v.known)
		}
	}
	if v.known == nil {
		v.known = map[visitor]visit{}
	}
	v.known[key] = visit{g, now + int64(g.lasts)}
}
