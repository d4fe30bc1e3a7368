package server

import (
	"net"
	"net/http"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/server/lookup"
)

// hostOf is the address of a peer without its port; "" for a unix socket.
func hostOf(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return ""
	}
	return host
}

// mayJoin says why an nsqd may not announce itself as i: with
// LookupdOptions.Strict an address belongs to who has announced it, as long as
// he is there.
func (c *lookupdConn) mayJoin(i *lookup.Info) *wire.Error {
	d := c.d
	if !d.o.Strict {
		return nil
	}
	if p := d.reg.Claimed(i, d.l.Now()); p != nil && hostOf(p.Info.RemoteAddress) != hostOf(c.remote()) {
		return wire.Errorf(wire.CodeInvalid, "IDENTIFY the address %s is another nsqd's (--strict)", printable(i.Node(), 256))
	}
	return nil
}

// mayChange says why a request may not change what is known of a topic, or of
// one of its nodes: with LookupdOptions.Strict that is for this machine, and
// for the machines of the nsqds that it is about. What no nsqd has registered
// is everybody's who has registered something.
func (h lookupdHTTP) mayChange(r *http.Request, reg *lookup.Registry, topic, node string) error {
	if !h.d.o.Strict || loopbackPeer(r.RemoteAddr) {
		return nil
	}
	from := hostOf(r.RemoteAddr)
	owners := reg.Owners(topic, node)
	if len(owners) == 0 {
		for _, p := range reg.Producers() {
			if hostOf(p.Info.RemoteAddress) == from {
				return nil
			}
		}
		return errNotOwner
	}
	for _, p := range owners {
		if hostOf(p.Info.RemoteAddress) != from {
			return errNotOwner
		}
	}
	return nil
}

var errNotOwner = &httpError{http.StatusForbidden, "FORBIDDEN",
	"This nsqlookupd runs with --strict: what nsqds have registered is changed from their machines, or from this one."}
