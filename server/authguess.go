package server

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/nsqloop/nsqloop/loop"
)

const (
	// guessEvery is how often an address may be wrong.
	guessEvery = time.Second

	// guessesAtOnce is how many secrets of one address are asked about at
	// the same time while none of them was wrong: what a slow auth server
	// lets through before its first answer. Afterwards it is one.
	guessesAtOnce = 8
)

// guesses slow down those who try secrets. Who is wrong pays with time: the
// next AUTH from his address is looked at a second later. It must not be looked
// at earlier and only be answered later, since whoever is right would be
// answered at once. Right secrets cost nothing, and other addresses do not
// notice.
type guesses struct {
	s      *Server
	guests map[netip.Prefix]*guest // never ranged over but to stop
}

// guest is an address from which AUTH comes.
type guest struct {
	from    netip.Prefix
	running int
	free    int64 // when the next one may be looked at, unix nanoseconds; 0: none was wrong
	waiting []func()
	timer   loop.Timer
}

// try calls begin, now or when it is the turn of that address. begin must lead
// to one call of end.
func (g *guesses) try(from netip.Prefix, begin func()) {
	p := g.guests[from]
	if p == nil {
		if g.guests == nil {
			g.guests = map[netip.Prefix]*guest{}
		}
		p = &guest{from: from}
		g.guests[from] = p
	}
	p.waiting = append(p.waiting, begin)
	g.next(p)
}

// end says how a try went.
func (g *guesses) end(from netip.Prefix, wrong bool) {
	p := g.guests[from]
	p.running--
	if wrong {
		p.free = max(p.free, g.s.now()) + int64(guessEvery)
	}
	g.next(p)
}

// next lets as many go on as may, and forgets an address that owes nothing.
func (g *guesses) next(p *guest) {
	now := g.s.now()
	most := guessesAtOnce
	if p.free != 0 {
		most = 1
	}
	for len(p.waiting) > 0 && p.running < most && now >= p.free {
		begin := p.waiting[0]
		p.waiting = p.waiting[1:]
		p.running++
		begin()
	}
	switch {
	case now < p.free && p.timer == nil:
		p.timer = g.s.l.After(time.Duration(p.free-now), func() { g.next(p) })
	case now < p.free:
		p.timer.Reset(time.Duration(p.free - now))
	case p.running == 0 && len(p.waiting) == 0:
		if p.timer != nil {
			p.timer.Stop()
		}
		delete(g.guests, p.from)
	}
}

// wrongGuess says whether an answer means that the secret was wrong.
func wrongGuess(g *grants, err error) bool {
	return errors.Is(err, errDenied) || err == nil && len(g.entries) == 0
}

// close ends the timers.
func (g *guesses) close() {
	for _, p := range g.guests {
		if p.timer != nil {
			p.timer.Stop()
		}
	}
}

// guessPrefix is what counts as one address: of IPv6 the network, of which
// everybody has as many addresses as he likes. What has no address is one.
func guessPrefix(remote string) netip.Prefix {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{}
	}
	addr = addr.Unmap().WithZone("")
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	p, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
