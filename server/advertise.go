package server

import (
	"net"
	"net/netip"

	"github.com/nsqloop/nsqloop/loop"
)

// A machine's name is often known to nobody else, on a laptop or in a
// container above all: discovery then seems to work, and nothing arrives. So a
// name that was not given is told to others only if it leads back here.

// advertised is the address under which others are told to reach this machine:
// the one that was given; else the machine's name, if host has it because it
// leads here; else the address from which the route to the other one begins.
// When there is none of these, it is the loopback address, and sure is false.
func advertised(given, host string, route net.Addr) (addr string, sure bool) {
	if given != "" {
		return given, true
	}
	if host != "" {
		return host, true
	}
	if a, ok := route.(*net.TCPAddr); ok && a != nil && len(a.IP) > 0 && !a.IP.IsUnspecified() {
		return a.IP.String(), true
	}
	return "127.0.0.1", false
}

// findHost calls then, on the loop and later, with name if it resolves to an
// address of this machine, else with "". Resolving may take as long as the
// system's resolver pleases.
func findHost(l loop.Loop, name string, then func(host string)) {
	l.Go(func() func() {
		host := ""
		if name != "" && leadsHere(name) {
			host = name
		}
		return func() { then(host) }
	})
}

// leadsHere says whether a name resolves to an address of this machine. It
// blocks.
func leadsHere(name string) bool {
	addrs, err := net.LookupHost(name)
	if err != nil {
		return false
	}
	ours, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	return anyOurs(addrs, ours)
}

// anyOurs says whether one of the addresses is among those of the interfaces.
func anyOurs(addrs []string, ours []net.Addr) bool {
	for _, text := range addrs {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			continue
		}
		for _, o := range ours {
			if n, ok := o.(*net.IPNet); ok && n.IP.Equal(net.IP(addr.AsSlice())) {
				return true
			}
		}
	}
	return false
}
