package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"
)

// grants are what a secret is good for, as long as they last.
type grants struct {
	identity, identityURL string
	entries               []grant
	lasts                 time.Duration
}

// grant is one authorization: what may be done with the topics and channels
// that the patterns match. The patterns are not anchored, on which existing
// auth servers rely, unless Options.Strict is set: then they have to match a
// name from its beginning to its end.
type grant struct {
	topic    *regexp.Regexp
	channels []*regexp.Regexp
	rights   [accesses]bool
}

// permissions are the words for rights in an auth server's reply.
var permissions = map[string]access{"publish": accessPublish, "subscribe": accessSubscribe}

// strictPermissions are those besides that there are with Options.Strict. nsqd
// knows none of them, and takes a reply that has one for useless.
var strictPermissions = map[string]access{
	"admin": accessAdmin, "stats": accessStats, "config": accessConfig, "debug": accessDebug,
}

// authReply is what an auth server answers, and without its secret an entry of
// Options.AuthStatic.
type authReply struct {
	TTL            int64  `json:"ttl"` // seconds
	Identity       string `json:"identity"`
	IdentityURL    string `json:"identity_url"`
	Authorizations []struct {
		Topic       string   `json:"topic"`
		Channels    []string `json:"channels"`
		Permissions []string `json:"permissions"`
	} `json:"authorizations"`
}

// grantsMost bounds how long grants last, so that the sum with any time is one.
const grantsMost = 365 * 24 * time.Hour

// parseGrants reads the body of an auth server's reply.
func parseGrants(body []byte, strict bool) (*grants, error) {
	var r authReply
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, fmt.Errorf("decode reply: %w", err)
	}
	return r.grants(strict)
}

// grants checks a reply as nsqd does: one bad entry makes all of it useless.
func (r *authReply) grants(strict bool) (*grants, error) {
	if r.TTL <= 0 {
		return nil, fmt.Errorf("ttl is %d; it must be above 0", r.TTL)
	}
	g := &grants{identity: r.Identity, identityURL: r.IdentityURL, lasts: grantsMost}
	if r.TTL < int64(grantsMost/time.Second) {
		g.lasts = time.Duration(r.TTL) * time.Second
	}
	for _, a := range r.Authorizations {
		var e grant
		for _, p := range a.Permissions {
			right, ok := permissions[p]
			if !ok && strict {
				right, ok = strictPermissions[p]
			}
			if !ok {
				return nil, fmt.Errorf("unknown permission %q", p)
			}
			e.rights[right] = true
		}
		var err error
		if e.topic, err = namePattern(a.Topic, strict); err != nil {
			return nil, fmt.Errorf("topic pattern: %w", err)
		}
		for _, c := range a.Channels {
			re, err := namePattern(c, strict)
			if err != nil {
				return nil, fmt.Errorf("channel pattern: %w", err)
			}
			e.channels = append(e.channels, re)
		}
		g.entries = append(g.entries, e)
	}
	return g, nil
}

// namePattern compiles a pattern of names, anchored at both ends if whole is
// set. It is compiled by itself first: what is put around it must not make
// sense of what has none, as in "a)|(b".
func namePattern(pattern string, whole bool) (*regexp.Regexp, error) {
	re, err := regexp.Compile(pattern)
	if err != nil || !whole {
		return re, err
	}
	return regexp.Compile(`\A(?:` + pattern + `)\z`)
}

// allow says whether somebody may do to a channel, or to a topic when there is
// no channel, what needs the right. Without a channel, a channel pattern has to
// match the empty name.
func (g *grants) allow(right access, topic, channel string) bool {
	return slices.ContainsFunc(g.entries, func(e grant) bool {
		return e.rights[right] && e.topic.MatchString(topic) &&
			slices.ContainsFunc(e.channels, func(re *regexp.Regexp) bool { return re.MatchString(channel) })
	})
}

// allowAnywhere says whether somebody has a right that is about the whole
// server.
func (g *grants) allowAnywhere(right access) bool {
	return slices.ContainsFunc(g.entries, func(e grant) bool { return e.rights[right] })
}

// errDenied is wrapped by the error of a query that was answered, and the
// answer was that the secret is good for nothing.
var errDenied = errors.New("secret refused")
