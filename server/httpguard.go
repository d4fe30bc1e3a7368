package server

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
)

// guard refuses what only a browser on a stranger's page would send. Programs
// (curl, nsqadmin, the SDKs) send none of the headers it looks at.
type guard struct {
	origin   http.CrossOriginProtection
	hostname string   // of this machine, "" when unknown
	names    []string // other names by which this server is known
	loopback bool     // the listener is bound to the loopback interface
	strict   bool     // everybody has to name this machine (Options.Strict)
}

// newGuard makes the guard of a listener bound to addr. names are further host
// names under which the server may be addressed.
func newGuard(addr net.Addr, names ...string) *guard {
	g := &guard{names: names}
	g.hostname, _ = os.Hostname() // without one, that name is not accepted
	if a, ok := addr.(*net.TCPAddr); ok {
		g.loopback = a.IP.IsLoopback()
	}
	return g
}

// Guard returns what says whether a request that may change something is let in
// by a listener bound to addr: it returns an error for what only a browser on a
// stranger's page would send. names are host names under which the listener may
// be addressed, besides this machine's own. addr may be nil, for a handler that
// is served by others. What is returned may be called from any goroutine.
func Guard(addr net.Addr, names ...string) func(r *http.Request) error {
	g := newGuard(addr, names...)
	return func(r *http.Request) error {
		if err := g.checkMutation(r); err != nil {
			return errors.New(err.(*httpError).detail)
		}
		return nil
	}
}

// checkMutation says whether r, which may change something, is let in.
func (g *guard) checkMutation(r *http.Request) error {
	if err := g.origin.Check(r); err != nil {
		return refuse(http.StatusForbidden, "FORBIDDEN",
			"A page of another site may not make a browser change this server.")
	}
	// A name that an attacker controls can be made to resolve to any address,
	// and his page is then of the same origin. Only names we know are ours
	// count where a browser asks, which sends an origin, or may be asking.
	if (g.loopback || r.Header.Get("Origin") != "") && !g.ownHost(r.Host) {
		return errForeignHost
	}
	return nil
}

var errForeignHost = &httpError{http.StatusForbidden, "FORBIDDEN",
	"This server was addressed by a host name that it does not know for its own; use its address, localhost, this machine's name or that of --broadcast-address."}

// checkHost says whether r names this machine as its host, if everybody has to.
func (g *guard) checkHost(r *http.Request) error {
	if g.strict && !g.ownHost(r.Host) {
		return errForeignHost
	}
	return nil
}

// checkShown says whether r may see bodies of messages. A page of a name that
// was forged asks without an origin.
func (g *guard) checkShown(r *http.Request) error {
	if err := g.checkMutation(r); err != nil {
		return err
	}
	if at, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok && at.IP.IsLoopback() && !g.ownHost(r.Host) {
		return errForeignHost
	}
	return nil
}

// checkDebug says whether r may see the process's profiles.
func (g *guard) checkDebug(r *http.Request, remote bool) error {
	if remote {
		return nil
	}
	if !loopbackPeer(r.RemoteAddr) || !g.ownHost(r.Host) {
		return refuse(http.StatusForbidden, "FORBIDDEN",
			"Profiles are served to this machine alone; ask from here, through 127.0.0.1, or through an SSH tunnel.")
	}
	return nil
}

// ownHost says whether a Host header names this machine. Every address does:
// to reach us through an address, no name had to be forged.
func (g *guard) ownHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	switch host {
	case "", "localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback":
		return true // no browser sends an empty host, and nobody else has the others
	}
	if strings.HasSuffix(host, ".localhost") {
		return true
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	if strings.EqualFold(host, g.hostname) {
		return true
	}
	for _, name := range g.names {
		if name != "" && strings.EqualFold(host, name) {
			return true
		}
	}
	return false
}

// loopbackPeer says whether a request's remote address is this machine. What
// is not host:port is a unix socket.
func loopbackPeer(remote string) bool {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
