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
// that the patterns match. The patterns are not anchored; existing auth
// servers rely on it.
type grant struct {
	topic              *regexp.Regexp
	channels           []*regexp.Regexp
	publish, subscribe bool
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
func parseGrants(body []byte) (*grants, error) {
	var r authReply
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, fmt.Errorf("decode reply: %w", err)
	}
	return r.grants()
}

// grants checks a reply as nsqd does: one bad entry makes all of it useless.
func (r *authReply) grants() (*grants, error) {
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
			switch p {
			case "publish":
				e.publish = true
			case "subscribe":
				e.subscribe = true
			default:
				return nil, fmt.Errorf("unknown permission %q", p)
			}
		}
		var err error
		if e.topic, err = regexp.Compile(a.Topic); err != nil {
			return nil, fmt.Errorf("topic pattern: %w", err)
		}
		for _, c := range a.Channels {
			re, err := regexp.Compile(c)
			if err != nil {
				return nil, fmt.Errorf("channel pattern: %w", err)
			}
			e.channels = append(e.channels, re)
		}
		g.entries = append(g.entries, e)
	}
	return g, nil
}

// allow says whether a channel may be subscribed to, or, when there is no
// channel, a topic published to. To publish, a channel pattern has to match
// the empty name.
func (g *grants) allow(topic, channel string) bool {
	return slices.ContainsFunc(g.entries, func(e grant) bool {
		if channel == "" && !e.publish || channel != "" && !e.subscribe || !e.topic.MatchString(topic) {
			return false
		}
		return slices.ContainsFunc(e.channels, func(re *regexp.Regexp) bool { return re.MatchString(channel) })
	})
}

// errDenied is wrapped by the error of a query that was answered, and the
// answer was that the secret is good for nothing.
var errDenied = errors.New("secret refused")
