package loop

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nsqloop/nsqloop/loop/internal/core"
)

// listener accepts on a goroutine of its own and enrols what it accepts, one
// after another: when the loop is busy, the kernel's accept queue fills.
type listener struct {
	engine *Engine
	ln     net.Listener
	addr   net.Addr
	f      func(Conn) Handler
}

// Listen accepts connections on addr.
func (e *Engine) Listen(addr string, accept func(Conn) Handler) (Listener, error) {
	ln, err := ListenStream(addr)
	if err != nil {
		return nil, err
	}
	l := &listener{engine: e, ln: KeepReserve(ln, e.opts.Logger), addr: ln.Addr(), f: accept}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch e.state {
	case stopping, stopped:
		ln.Close()
		return nil, ErrClosed
	case running:
		go l.accept()
	}
	e.listeners = append(e.listeners, l)
	return l, nil
}

// ListenStream binds addr as Engine.Listen does, for servers that accept on
// goroutines of their own and should do so from KeepReserve: "host:port", the path of a unix socket, or "fd:3"
// for a socket that is open already, as a service manager hands it over. The
// file of a unix socket that nobody answers is what a killed process left, and
// is replaced.
func ListenStream(addr string) (net.Listener, error) {
	if n, ok := strings.CutPrefix(addr, "fd:"); ok {
		return inherited(n)
	}
	ln, err := net.Listen(network(addr), addr)
	if err == nil || network(addr) != "unix" {
		return ln, err
	}
	if info, statErr := os.Lstat(addr); statErr != nil || info.Mode()&os.ModeSocket == 0 {
		return nil, err
	}
	nc, dialErr := net.DialTimeout("unix", addr, time.Second)
	if dialErr == nil {
		nc.Close()
		return nil, err
	}
	if os.Remove(addr) != nil {
		return nil, err
	}
	return net.Listen("unix", addr)
}

// inherited listens on the socket with a descriptor.
func inherited(descriptor string) (net.Listener, error) {
	n, err := strconv.ParseUint(descriptor, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("fd:%s: want the number of a descriptor", descriptor)
	}
	f := os.NewFile(uintptr(n), "fd:"+descriptor)
	defer f.Close() // the listener has a copy
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("fd:%s: %w", descriptor, err)
	}
	return ln, nil
}

// Addr is the address that is bound.
func (l *listener) Addr() net.Addr { return l.addr }

// Close stops accepting.
func (l *listener) Close() error {
	e := l.engine
	e.mu.Lock()
	i := slices.Index(e.listeners, l)
	if i >= 0 {
		e.listeners = slices.Delete(e.listeners, i, i+1)
	}
	e.mu.Unlock()
	if i < 0 {
		return nil // closed before, or with the loop
	}
	return l.ln.Close()
}

// accept runs on a goroutine of its own.
func (l *listener) accept() {
	for {
		nc, err := l.ln.Accept()
		if err != nil {
			return // it is closed
		}
		l.enrol(nc)
	}
}

func (l *listener) enrol(nc net.Conn) {
	e := l.engine
	c := newConn(e)
	open := func(a core.Addrs) {
		c.Accept(&e.core, &c.sock, a, func() (core.Handler, func()) {
			h := l.f(c)
			if h == nil {
				return nil, nil
			}
			return h, func() { h.OnOpen(c) }
		})
	}
	if err := e.enrol(nc, c, open); err != nil && !errors.Is(err, ErrClosed) {
		// The peer went away before it was accepted. It alone can know why.
		e.opts.Logger.Debug("accept", "listener", l.addr, "err", err)
	}
}
