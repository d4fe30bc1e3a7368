package looptest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/loop/internal/core"
)

// listener waits for dials of the world's loops.
type listener struct {
	loop *Loop
	at   address
	addr net.Addr
	f    func(loop.Conn) loop.Handler
}

// address is where to listen, or whom to dial.
type address struct {
	unix string // a path; then the others are empty
	host string // any, loopback, a name or an IP address
	port int
}

const (
	anyHost  = "*"
	loopback = "127.0.0.1"
)

// parse reads addr. Without a host it means all of them to a listener, and the
// loopback address to a dialler, as with real sockets.
func parse(addr string, listening bool) (address, error) {
	if strings.Contains(addr, "/") || strings.HasPrefix(addr, "@") {
		return address{unix: addr}, nil
	}
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return address{}, err
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return address{}, &net.AddrError{Err: "invalid port", Addr: addr}
	}
	switch host {
	case "", "0.0.0.0", "::":
		if host = loopback; listening {
			host = anyHost
		}
	case "localhost", "::1":
		host = loopback
	}
	return address{host: host, port: int(port)}, nil
}

// ip is the address of a host.
func ip(host int) net.IP { return net.IPv4(10, 0, byte(host>>8), byte(host+1)) }

// is says whether name means this loop's host.
func (l *Loop) is(name string) bool { return name == l.name || name == ip(l.host).String() }

// Listen accepts connections from the loops of this world.
func (l *Loop) Listen(addr string, accept func(loop.Conn) loop.Handler) (loop.Listener, error) {
	w := l.w
	if l.dead {
		return nil, loop.ErrClosed
	}
	at, err := parse(addr, true)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: err}
	}
	if at.unix == "" && at.port == 0 {
		at.port = w.freePort()
	}
	ln := &listener{loop: l, at: at, f: accept, addr: l.addr(at)}
	for _, other := range w.listeners {
		if ln.conflicts(other) {
			return nil, &net.OpError{Op: "listen", Net: ln.addr.Network(), Addr: ln.addr,
				Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
		}
	}
	w.listeners = append(w.listeners, ln)
	return ln, nil
}

// addr is at as package net would show it.
func (l *Loop) addr(at address) net.Addr {
	if at.unix != "" {
		return &net.UnixAddr{Name: at.unix, Net: "unix"}
	}
	a := &net.TCPAddr{Port: at.port}
	switch {
	case at.host == anyHost:
		a.IP = net.IPv6unspecified
	case l.is(at.host):
		a.IP = ip(l.host)
	default:
		a.IP = net.ParseIP(at.host)
	}
	return a
}

func (w *World) freePort() int {
	for {
		w.port++
		if !slices.ContainsFunc(w.listeners, func(ln *listener) bool { return ln.at.port == w.port }) {
			return w.port
		}
	}
}

func (ln *listener) conflicts(other *listener) bool {
	a, b := ln.at, other.at
	switch {
	case a.unix != b.unix || a.port != b.port:
		return false
	case a.unix != "":
		return true
	case ln.loop == other.loop:
		return a.host == b.host || a.host == anyHost || b.host == anyHost
	}
	return a.host == b.host && a.host != anyHost
}

// Addr is the address that is bound.
func (ln *listener) Addr() net.Addr { return ln.addr }

// Close stops accepting.
func (ln *listener) Close() error {
	w := ln.loop.w
	w.listeners = slices.DeleteFunc(w.listeners, func(x *listener) bool { return x == ln })
	return nil
}

func (ln *listener) open() bool { return slices.Contains(ln.loop.w.listeners, ln) }

// unlisten closes all listeners of l.
func (w *World) unlisten(l *Loop) {
	w.listeners = slices.DeleteFunc(w.listeners, func(x *listener) bool { return x.loop == l })
}

// errUnknown says that a name has no address.
var errUnknown = errors.New("no such host")

// find returns the listener that a dial from l to addr reaches; nil when
// nobody listens there.
func (w *World) find(l *Loop, at address) (*listener, error) {
	known := at.host == loopback || net.ParseIP(at.host) != nil || slices.Contains(w.hosts, at.host)
	var found *listener
	for _, ln := range w.listeners {
		known = known || ln.at.host == at.host
		if ln.at.unix != at.unix || ln.at.port != at.port {
			continue
		}
		switch {
		case at.unix != "", ln.at.host == at.host, ln.at.host == anyHost && ln.loop.is(at.host),
			ln.loop.is(at.host) && ln.loop.is(ln.at.host):
			return ln, nil
		case at.host == loopback && ln.at.host == anyHost && (found == nil || ln.loop == l):
			found = ln
		}
	}
	if !known && at.unix == "" {
		return nil, errUnknown
	}
	return found, nil
}

// dial is a dial under way.
type dial struct {
	conn    *conn
	handler loop.Handler
	addr    string
	at      address
	began   int64
	timeout time.Duration
}

// Dial connects to a listener of this world.
func (l *Loop) Dial(addr string, o loop.DialOptions, h loop.Handler) (cancel func()) {
	w := l.w
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	d := &dial{conn: &conn{loop: l}, handler: h, addr: addr, began: w.now, timeout: o.Timeout}
	d.conn.Stream.Dial(&l.core, h, func() {})
	at, err := parse(addr, false)
	d.at = at
	switch {
	case o.DialContext != nil:
		err = errors.New("looptest has no sockets for a DialContext")
	case err != nil:
		err = &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	if err != nil {
		w.after(0, call(func() { d.fail(err) }))
	} else {
		w.after(w.latency(), call(d.arrive))
	}
	return func() { d.lose(fmt.Errorf("dial %s: %w", addr, context.Canceled)) }
}

// lose ends a dial that has no outcome yet, from within a turn or outside.
func (d *dial) lose(err error) {
	if d.conn.Dialing() {
		d.conn.Lost(err)
	}
}

// fail is lose as the event of a turn.
func (d *dial) fail(err error) {
	l := d.conn.loop
	if d.conn.Dialing() {
		l.turn('d', 0, nil, func() { d.lose(err); l.core.Tell() })
	}
}

func (d *dial) op(err error) error {
	return &net.OpError{Op: "dial", Net: d.network(), Addr: d.conn.loop.addr(d.at), Err: err}
}

func (d *dial) network() string {
	if d.at.unix != "" {
		return "unix"
	}
	return "tcp"
}

// arrive is the first packet at the other side.
func (d *dial) arrive() {
	l, w := d.conn.loop, d.conn.loop.w
	if l.dead || l.halted {
		return
	}
	deadline := d.began + int64(d.timeout)
	timedOut := call(func() { d.fail(d.op(os.ErrDeadlineExceeded)) })
	ln, err := w.find(l, d.at)
	back := w.now + int64(w.latency())
	switch f := w.o.Faults; {
	case err != nil:
		w.at(back, call(func() { d.fail(d.op(&net.DNSError{Err: err.Error(), Name: d.at.host, IsNotFound: true})) }))
	case back >= deadline, ln != nil && w.walled(l, ln.loop), w.chance(f.Timeout):
		w.at(max(w.now, deadline), timedOut)
	case ln == nil || w.chance(f.Refuse):
		w.at(back, call(func() { d.fail(d.op(os.NewSyscallError("connect", syscall.ECONNREFUSED))) }))
	default:
		d.connect(ln, back)
	}
}

// connect makes the two ends. The kernel of the other side says yes before its
// process has accepted, so each may come first.
func (d *dial) connect(ln *listener, back int64) {
	l, w := d.conn.loop, d.conn.loop.w
	k := w.link(l, ln.loop)
	near, far := &k.ends[0], &k.ends[1]
	near.conn = d.conn
	d.conn.end = near
	near.addrs, far.addrs = d.addrs(ln, w.freePort())
	accepted := w.now + w.rand.Int64N(back-w.now+1)
	near.out.last = accepted
	far.out.last = back
	w.at(accepted, call(func() { far.accept(ln) }))
	w.at(back, call(func() { near.connect(d.handler) }))
}

// addrs are what the two ends of a connection to ln show.
func (d *dial) addrs(ln *listener, port int) (near, far core.Addrs) {
	if d.at.unix != "" {
		peer := &net.UnixAddr{Net: "unix"}
		return core.Addrs{Local: peer, Remote: ln.addr}, core.Addrs{Local: ln.addr, Remote: peer}
	}
	from := &net.TCPAddr{IP: net.ParseIP(loopback).To4(), Port: port}
	to := &net.TCPAddr{IP: from.IP, Port: ln.at.port}
	if d.at.host != loopback {
		from.IP, to.IP = ip(d.conn.loop.host), ip(ln.loop.host)
	}
	return core.Addrs{Local: from, Remote: to}, core.Addrs{Local: to, Remote: from}
}
