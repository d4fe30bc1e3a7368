package server

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// authReplyMost is how long an auth server's reply may be.
const authReplyMost = 1 << 20

// question is what an auth server is asked.
type question struct {
	secret, remoteIP, commonName string
	tls                          bool
}

// authenticator finds out what secrets are good for.
type authenticator struct {
	s        *Server
	static   *staticAuth // nil: there is none
	client   *http.Client
	guesses  guesses
	visitors visitors
}

// newAuthenticator returns nil when AUTH is off.
func newAuthenticator(s *Server) (*authenticator, error) {
	o := &s.o
	if len(o.AuthHTTPAddresses) == 0 && o.AuthStatic == "" {
		return nil, nil
	}
	a := &authenticator{s: s, guesses: guesses{s: s}}
	a.visitors.a = a
	if o.AuthStatic != "" {
		a.static = &staticAuth{path: o.AuthStatic, strict: o.Strict}
		f, err := readStatic(o.AuthStatic, fileStamp{}, o.Strict)
		if err != nil {
			return nil, err
		}
		a.static.adopt(f)
	}
	a.client = &http.Client{
		Transport: o.httpTransport,
		Timeout:   o.HTTPClientRequestTimeout,
		// The secret is in the address, and would be told to whoever the
		// auth server names.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if a.client.Transport == nil {
		roots, err := rootCAs(o.TLSRootCAFile)
		if err != nil {
			return nil, err
		}
		a.client.Transport = &http.Transport{
			DialContext:         (&net.Dialer{Timeout: o.HTTPClientConnectTimeout}).DialContext,
			TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: o.TLSMinVersion},
			TLSHandshakeTimeout: o.HTTPClientConnectTimeout,
			MaxConnsPerHost:     64, // further queries wait for one of these
			MaxIdleConnsPerHost: 4,
			IdleConnTimeout:     o.HTTPClientRequestTimeout,
		}
	}
	return a, nil
}

// close gives up connections to auth servers that are idle.
func (a *authenticator) close() {
	if a != nil {
		a.client.CloseIdleConnections()
		a.guesses.close()
	}
}

// ask finds out what the secret of q is good for and calls done with it, or
// with why that is not known, later on the loop. The error wraps errDenied when
// somebody has said no.
func (a *authenticator) ask(q question, done func(*grants, error)) {
	if a.static == nil {
		a.askHTTP(q, done)
		return
	}
	a.static.ask(a.s, q.secret, func(g *grants, err error) {
		if err != nil && len(a.s.o.AuthHTTPAddresses) > 0 {
			a.askHTTP(q, done)
			return
		}
		done(g, err)
	})
}

// askHTTP asks the auth servers one after another, beginning anywhere, until
// one has an answer.
func (a *authenticator) askHTTP(q question, done func(*grants, error)) {
	addrs := a.s.o.AuthHTTPAddresses
	start := a.s.l.Rand().IntN(len(addrs))
	a.s.l.Go(func() (then func()) {
		var errs []error
		for i := range addrs {
			addr := addrs[(start+i)%len(addrs)]
			g, err := a.askOne(addr, q)
			if err == nil {
				return func() { done(g, nil) }
			}
			errs = append(errs, fmt.Errorf("auth server %s: %w", authName(addr), err))
		}
		return func() { done(nil, errors.Join(errs...)) }
	})
}

// askOne asks one auth server. It runs off the loop.
func (a *authenticator) askOne(addr string, q question) (*grants, error) {
	req, err := a.request(addr, q)
	if err != nil {
		return nil, withoutURL(err)
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, withoutURL(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, authReplyMost))
	switch {
	case err != nil:
		return nil, withoutURL(err)
	case resp.StatusCode >= 400 && resp.StatusCode < 500:
		return nil, fmt.Errorf("%w: status %d", errDenied, resp.StatusCode)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	return parseGrants(body, a.s.o.Strict)
}

// request is the query of q: in the address, or with the method post as JSON.
func (a *authenticator) request(addr string, q question) (*http.Request, error) {
	endpoint := authEndpoint(addr)
	values := url.Values{
		"secret": {q.secret}, "remote_ip": {q.remoteIP}, "common_name": {q.commonName},
		"tls": {map[bool]string{true: "true", false: "false"}[q.tls]},
	}
	var req *http.Request
	var err error
	if a.s.o.AuthHTTPRequestMethod == "post" {
		body, encoding := json.Marshal(values)
		if encoding != nil {
			return nil, encoding
		}
		if req, err = http.NewRequest(http.MethodPost, endpoint, bytes.NewReader(body)); err == nil {
			req.Header.Set("Content-Type", "application/json")
		}
	} else {
		mark := "?"
		if strings.Contains(endpoint, "?") {
			mark = "&"
		}
		req, err = http.NewRequest(http.MethodGet, endpoint+mark+values.Encode(), nil)
	}
	if err == nil {
		req.Header.Set("Accept", "application/vnd.nsq; version=1.0")
	}
	return req, err
}

// authEndpoint is the URL for an address of Options.AuthHTTPAddresses.
func authEndpoint(addr string) string {
	if strings.Contains(addr, "://") {
		return addr
	}
	return "http://" + addr + "/auth"
}

// authName is an auth server's address for the log: without what may be secret.
func authName(addr string) string {
	u, err := url.Parse(authEndpoint(addr))
	if err != nil {
		return "with an address that is no URL"
	}
	return u.Host
}

// authShown is an auth server's address as it is shown to whoever asks for the
// options: without a password.
func authShown(addr string) string {
	if u, err := url.Parse(addr); err == nil && u.User != nil {
		return u.Redacted()
	}
	return addr
}

// withoutURL is the error of a request without its address, in which the
// secret is.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
