package loop

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// reserved is how many file descriptors are kept from peers, so that files can
// be opened and others be asked when peers use up all the rest. It is a quarter
// of what the process may have, if that is less.
const reserved = 32

// Accepting pauses when it cannot go on, as when the process has no file
// descriptors left: never so long that a peer notices once there are some, and
// it is reported once a second at most.
const (
	acceptPause  = 25 * time.Millisecond
	acceptReport = time.Second
)

// errReserve is why accepting pauses.
var errReserve = errors.New("no file descriptors are left for peers; some are kept for files")

// KeepReserve returns ln with an Accept that leaves 32 file descriptors of the
// process alone, or a quarter of them if that is less, and that waits instead
// of failing: while there are no others, peers wait in the kernel's queue, and
// the first of them is let in 25 ms after some are free at the latest. log is
// told once a second at most. Engine.Listen does this by itself; servers that
// accept on goroutines of their own, as net/http's, need it.
func KeepReserve(ln net.Listener, log *slog.Logger) net.Listener {
	return &reserveListener{Listener: ln, log: log, limit: descriptorLimit(), closed: make(chan struct{})}
}

// reserveListener is what KeepReserve returns.
type reserveListener struct {
	net.Listener
	log      *slog.Logger
	limit    int       // descriptors from this number on are reserved; 0: none is
	reported time.Time // on the goroutine that accepts

	once   sync.Once
	closed chan struct{}
}

// Close stops accepting. It ends an Accept that waits.
func (l *reserveListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// Accept is net.Listener's. It fails only when l is closed.
func (l *reserveListener) Accept() (net.Conn, error) {
	var pause time.Duration
	for {
		nc, err := l.Listener.Accept()
		if err == nil {
			nc, err = l.admit(nc)
		}
		if err == nil {
			return nc, nil
		}
		if errors.Is(err, net.ErrClosed) {
			return nil, err
		}
		pause = min(max(2*pause, 5*time.Millisecond), acceptPause)
		if !l.wait(pause, err) {
			return nil, net.ErrClosed
		}
	}
}

// admit returns nc when neither it nor a copy of it, which an Engine makes,
// takes one of the descriptors that are reserved: the system gives out the
// lowest one that is free.
func (l *reserveListener) admit(nc net.Conn) (net.Conn, error) {
	if l.limit == 0 {
		return nc, nil
	}
	for nextDescriptor(nc) >= l.limit {
		if !l.wait(acceptPause, errReserve) {
			nc.Close()
			return nil, net.ErrClosed
		}
	}
	if descriptorOf(nc) < l.limit {
		return nc, nil
	}
	// Peers that have waited would use the reserve up, one after another. A
	// copy has a descriptor that is not reserved.
	defer nc.Close()
	f, err := nc.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return net.FileConn(f)
}

// wait waits, and reports whether l is still open.
func (l *reserveListener) wait(pause time.Duration, err error) bool {
	if time.Since(l.reported) >= acceptReport {
		l.reported = time.Now()
		l.log.Error("accept", "listener", l.Addr(), "err", err)
	}
	select {
	case <-l.closed:
		return false
	case <-time.After(pause):
		return true
	}
}
