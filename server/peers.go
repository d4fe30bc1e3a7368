package server

import (
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
)

// lookupdsMost is how many nsqlookupds a server registers with. Each costs a
// connection, and they can be named over HTTP.
const lookupdsMost = 64

// hostPatience is how long registering waits for the machine's own name to
// resolve.
const hostPatience = 2 * time.Second

// peers are the nsqlookupds that a server registers with. All of them are told
// the same.
type peers struct {
	s       *Server
	all     []*lookupPeer // in the order in which they are configured
	addrs   []string
	asking  bool     // whether the machine's name leads here
	known   bool     // whether it does is known
	waiting []func() // until it is known
	host    string   // the machine's name, if it does
	told    string   // the address told last
	warned  bool     // that no address is known under which others reach us
}

// checkLookupds names what is wrong with a list of addresses.
func checkLookupds(addrs []string) error {
	if len(addrs) > lookupdsMost {
		return fmt.Errorf("%d nsqlookupds; there may be %d", len(addrs), lookupdsMost)
	}
	for _, a := range addrs {
		if _, _, err := net.SplitHostPort(a); err != nil {
			return fmt.Errorf("nsqlookupd %q: want host:port, as in 127.0.0.1:4160", a)
		}
	}
	return nil
}

// start begins to register, in the first turn. From then on the server's own
// addresses are known.
func (ps *peers) start() {
	ps.set(append([]string{}, ps.s.o.LookupdTCPAddresses...)) // not nil: /config shows [] then
}

// set makes addrs the nsqlookupds to register with. Those that were there
// already keep their connection; those that are not named any more lose it at
// once.
func (ps *peers) set(addrs []string) {
	ps.addrs = addrs
	var all []*lookupPeer
	for _, addr := range addrs {
		named := func(p *lookupPeer) bool { return p.addr == addr }
		if slices.ContainsFunc(all, named) {
			continue
		}
		if i := slices.IndexFunc(ps.all, named); i >= 0 {
			all = append(all, ps.all[i])
			continue
		}
		all = append(all, newLookupPeer(ps, addr))
	}
	gone := ps.all
	ps.all = all
	for _, p := range gone {
		if !slices.Contains(all, p) {
			p.close()
		}
	}
	if len(all) > 0 {
		ps.connect()
	}
}

// connect dials those that are not connected, as soon as it is known under
// which address others are to find us.
func (ps *peers) connect() {
	ps.whenKnown(func() {
		for _, p := range ps.all {
			p.dial()
		}
	})
}

// whenKnown calls f, on the loop, when it is known whether the machine's name
// leads here: at once if it is already, or need not be.
func (ps *peers) whenKnown(f func()) {
	s := ps.s
	if s.o.broadcastGiven || ps.known {
		f()
		return
	}
	ps.waiting = append(ps.waiting, f)
	if ps.asking {
		return
	}
	ps.asking = true
	findHost(s.l, s.o.BroadcastAddress, ps.found)
	s.l.After(hostPatience, func() { ps.found("") })
}

// found says that the machine is called host, if that leads here, and lets those
// go on that wait for it.
func (ps *peers) found(host string) {
	if ps.known {
		return
	}
	ps.known, ps.host = true, host
	waiting := ps.waiting
	ps.waiting = nil
	for _, f := range waiting {
		f()
	}
}

// address is where others reach this server that have a connection to it which
// begins, or ends, at local. It is a guess when sure is false.
func (ps *peers) address(local net.Addr) (addr string, sure bool) {
	given := ""
	if ps.s.o.broadcastGiven {
		given = ps.s.o.BroadcastAddress
	}
	return advertised(given, ps.host, local)
}

// identity is what is said of this server on a connection that begins at local.
func (ps *peers) identity(local net.Addr, lookupd string) wire.LookupIdentity {
	o := &ps.s.o
	addr, sure := ps.address(local)
	if !sure && !ps.warned {
		ps.warned = true
		ps.s.log.Warn("no address is known under which other machines reach this one: they are told 127.0.0.1; name one with --broadcast-address", "lookupd", lookupd)
	}
	if addr != ps.told {
		ps.told = addr
		ps.s.log.Info("advertised", "address", addr)
	}
	tcp, http := o.BroadcastTCPPort, o.BroadcastHTTPPort
	if tcp == 0 {
		tcp = portOf(ps.s.TCPAddr())
	}
	if http == 0 {
		http = portOf(ps.s.HTTPAddr())
	}
	return wire.LookupIdentity{
		BroadcastAddress: addr, Hostname: hostname(), HTTPPort: http, TCPPort: tcp,
		TopologyRegion: o.TopologyRegion, TopologyZone: o.TopologyZone, Version: Version,
	}
}

// register tells all that there is a topic, or, when channel is not empty, a
// channel.
func (ps *peers) register(topic, channel string) {
	for _, p := range ps.all {
		p.say(func(b []byte) []byte { return wire.AppendRegister(b, topic, channel) })
	}
}

// unregister tells all that there is no such topic or channel any more.
func (ps *peers) unregister(topic, channel string) {
	for _, p := range ps.all {
		p.say(func(b []byte) []byte { return wire.AppendUnregister(b, topic, channel) })
	}
}

// stop closes all connections. Nothing is said: that the connection ends says
// it.
func (ps *peers) stop() {
	for _, p := range ps.all {
		p.close()
	}
	ps.all = nil
	ps.found("")
}

// SetLookupds has the server register with these nsqlookupds from now on, and
// with no others, as PUT /config/nsqlookupd_tcp_addresses does. Those that stay
// keep their connections. It may be called from any goroutine but the loop's.
func (s *Server) SetLookupds(addrs []string) error {
	if err := checkLookupds(addrs); err != nil {
		return err
	}
	return s.ask(func() { s.peers.set(addrs) })
}

// lookupds are the nsqlookupds that are configured now; ok is false when the
// server is closed.
func (s *Server) lookupds() (addrs []string, ok bool) {
	err := s.call(func() { addrs = s.peers.addrs })
	return addrs, err == nil
}
