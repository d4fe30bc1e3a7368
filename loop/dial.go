package loop

import (
	"context"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/nsqloop/nsqloop/loop/internal/core"
)

// dialTimeout is the default of DialOptions.Timeout.
const dialTimeout = 5 * time.Second

// Dial connects to addr. Its outcome is h.OnOpen, or h.OnClose without it.
func (e *Engine) Dial(addr string, o DialOptions, h Handler) (cancel func()) {
	if o.Timeout <= 0 {
		o.Timeout = dialTimeout
	}
	c := newConn(e)
	ctx, abandon := context.WithCancel(context.Background())
	c.Stream.Dial(&e.core, h, abandon)
	open := func(a core.Addrs) { c.Connect(&c.sock, a, func() { h.OnOpen(c) }) }
	start := func() {
		go func() {
			defer abandon()
			ctx, cancel := context.WithTimeout(ctx, o.Timeout)
			defer cancel()
			if err := e.connect(ctx, addr, o, c, open); err != nil {
				_ = e.Post(func() { c.failed(err) }) // a loop that stops tells all dials itself
			}
		}()
	}
	e.mu.Lock()
	started := e.state != fresh
	e.mu.Unlock()
	if started {
		start()
	} else {
		_ = e.Post(start) // a loop that never starts tells the dial when it stops
	}
	return func() { c.failed(fmt.Errorf("dial %s: %w", addr, context.Canceled)) }
}

// failed ends a dial that has no outcome yet.
func (c *conn) failed(err error) {
	if c.Dialing() {
		c.Lost(err)
	}
}

// peerTimeout is the default of DialOptions.PeerTimeout, and the least.
const peerTimeout = 3 * time.Second

// dialer is the system's. It is the peer's system that answers for the peer, so
// no turn of the loop, and nothing of the protocol, is needed.
func (o DialOptions) dialer() *net.Dialer {
	d := &net.Dialer{LocalAddr: o.LocalAddr}
	if o.PeerTimeout < 0 {
		return d
	}
	const probes = 2
	limit := max(o.PeerTimeout, peerTimeout)
	every := limit / (probes + 1)
	d.KeepAliveConfig = net.KeepAliveConfig{Enable: true, Idle: every, Interval: every, Count: probes}
	d.Control = func(network, _ string, c syscall.RawConn) error { return limitUnacknowledged(network, c, limit) }
	return d
}

// connect runs on a goroutine of its own, because resolving a name, connecting
// and enrolling all block.
func (e *Engine) connect(ctx context.Context, addr string, o DialOptions, c *conn, open func(core.Addrs)) error {
	dial := o.DialContext
	if dial == nil {
		dial = o.dialer().DialContext
	}
	nc, err := dial(ctx, network(addr), addr)
	if err != nil {
		if o.DialContext != nil {
			err = fmt.Errorf("dial %s: %w", addr, err)
		}
		return err
	}
	return e.enrol(nc, c, open)
}

// enrol gives nc to gnet. It returns after open was called, on the loop.
func (e *Engine) enrol(nc net.Conn, c *conn, open func(core.Addrs)) error {
	switch nc.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		nc.Close()
		return fmt.Errorf("dial %v: a %T is not a TCP or unix socket", nc.RemoteAddr(), nc)
	}
	if !e.enter(running) {
		nc.Close()
		return ErrClosed
	}
	defer e.leave()
	addrs := takeAddrs(nc)
	c.open = func() { open(addrs) }
	if _, err := e.client.EnrollContext(nc, c); err != nil {
		return err
	}
	if c.open != nil { // gnet says nothing when the system's poller refuses a socket
		return fmt.Errorf("dial %v: the poller refused the socket", addrs.Remote)
	}
	return nil
}

// network is "unix" for an address that is a path, or abstract, else "tcp".
func network(addr string) string {
	if strings.ContainsAny(addr, `/\`) || strings.HasPrefix(addr, "@") {
		return "unix"
	}
	return "tcp"
}
