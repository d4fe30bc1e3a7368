package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/server/lookup"
)

// LookupdOptions are the options of a Lookupd. The zero value of each field is
// the default that its comment names, which is nsqlookupd's if it has one.
type LookupdOptions struct {
	// TCPAddress is where nsqds register: "host:port", port 0 for a free
	// one, or the path of a unix socket. "" listens nowhere.
	TCPAddress string

	// HTTPAddress is where the HTTP API is served, in the same forms. ""
	// serves none.
	HTTPAddress string

	// BroadcastAddress is the host name told to nsqds, which ask there for
	// the channels of new topics. Default: the machine's name if it resolves
	// to this machine, else the address that the nsqd has reached.
	BroadcastAddress string

	// InactiveProducerTimeout is how long an nsqd is shown from which
	// nothing is heard. Default 5 min.
	InactiveProducerTimeout time.Duration

	// TombstoneLifetime is how long a tombstone hides a producer of a topic.
	// Default 45 s.
	TombstoneLifetime time.Duration

	// MaxConns is how many nsqds are served at once. Default 4096.
	MaxConns int

	// MaxNames is how many topics and channels one nsqd may register.
	// Default 100,000.
	MaxNames int

	// MaxRegistrations is how many topics and channels may be known.
	// Default 150,000.
	MaxRegistrations int

	// HTTPMaxConns is how many HTTP connections are served at once. Default
	// 4096.
	HTTPMaxConns int

	// MaxMemory is how many bytes are held for peers, all together:
	// registrations, unfinished commands, replies that are being sent, and
	// what connections cost by themselves. Beyond it connections are closed
	// as they come, or answered with 503, and registrations refused with
	// E_INVALID. At least 4 MiB. nsqlookupd has no limit. Default 40 MiB.
	MaxMemory int64

	// DebugRemote serves the profiles under /debug/pprof to other machines
	// too. By default only this machine may see them.
	DebugRemote bool

	// Strict gives what is registered to who registered it: no other machine
	// announces the address of an nsqd that is there, and topics, channels
	// and tombstones are changed over HTTP from this machine, or from those
	// of the nsqds that have them. Default: off, as in nsqlookupd: everybody
	// changes everything.
	Strict bool

	// LiteVersion is the version of this program, shown beside Version.
	LiteVersion string

	// Logger receives what an operator wants to know. nil is silence.
	Logger *slog.Logger
}

// minLookupdMemory is the least MaxMemory of a Lookupd.
const minLookupdMemory = 4 << 20

// Check says what NewLookupd would find wrong with the options. It opens nothing.
func (o LookupdOptions) Check() error {
	_, err := o.withDefaults()
	return err
}

func (o LookupdOptions) withDefaults() (LookupdOptions, error) {
	for _, n := range []struct {
		name string
		v    int64
	}{
		{"InactiveProducerTimeout", int64(o.InactiveProducerTimeout)}, {"TombstoneLifetime", int64(o.TombstoneLifetime)},
		{"MaxConns", int64(o.MaxConns)}, {"MaxNames", int64(o.MaxNames)}, {"MaxRegistrations", int64(o.MaxRegistrations)},
		{"HTTPMaxConns", int64(o.HTTPMaxConns)},
	} {
		if n.v < 0 {
			return o, fmt.Errorf("nsqlookupd options: %s is %d; it must not be negative", n.name, n.v)
		}
	}
	if o.MaxMemory != 0 && o.MaxMemory < minLookupdMemory {
		return o, fmt.Errorf("nsqlookupd options: MaxMemory is %d; it must be %d at least", o.MaxMemory, minLookupdMemory)
	}
	fill(&o.InactiveProducerTimeout, 5*time.Minute)
	fill(&o.TombstoneLifetime, 45*time.Second)
	fill(&o.MaxConns, 4096)
	fill(&o.MaxNames, 100_000)
	fill(&o.MaxRegistrations, 150_000)
	fill(&o.MaxMemory, 40<<20)
	fill(&o.Logger, slog.New(slog.DiscardHandler))
	return o, nil
}

// Lookupd is an nsqlookupd: nsqds register with it what they have, and
// consumers ask it which nsqds have a topic. It keeps nothing on disk: nsqds
// that find it again tell it everything again. All its fields belong to its
// loop once NewLookupd has returned.
type Lookupd struct {
	l    loop.Loop
	life life
	o    LookupdOptions
	log  *slog.Logger
	reg  *lookup.Registry

	budget   budget
	held     int64 // in the budget: what the registry takes
	origins  origins
	conns    []*lookupdConn // in no particular but repeatable order
	hostname string
	host     string // hostname, once it is known to mean this machine
	begun    bool   // the addresses are known on the loop
	closed   bool

	tcp     loop.Listener
	http    *httpServer
	release func() // takes the registrations at the loop's end back
	own     *ownLoop
}

// lookupdOutputMost is how many bytes of replies may wait for an nsqd. They
// are short: one that lets more pile up does not read.
const lookupdOutputMost = 1 << 20

// NewLookupd makes an nsqlookupd on l and listens. It does not wait for l,
// which need not run yet. When l shuts down, so does the nsqlookupd.
func NewLookupd(l loop.Loop, o LookupdOptions) (*Lookupd, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	d := &Lookupd{l: l, life: newLife(), o: o, log: o.Logger, reg: lookup.New(lookup.Options{
		MaxNames: o.MaxNames, MaxTotal: o.MaxRegistrations,
		Inactive: o.InactiveProducerTimeout, Tombstone: o.TombstoneLifetime,
	})}
	d.hostname = hostname()
	d.budget.limit = o.MaxMemory
	d.origins.l, d.origins.log = l, o.Logger
	if err := d.listen(); err != nil {
		return nil, err
	}
	release := l.OnShutdown(func(done func()) {
		d.stop()
		done()
	})
	forget := l.OnStop(d.stop)
	d.release = func() { release(); forget() }
	if err := l.Post(d.begin); err != nil {
		return nil, errors.Join(fmt.Errorf("start nsqlookupd: %w", err), d.http.close())
	}
	return d, nil
}

// begin lets nsqds in. Those that come earlier are turned away, and come again.
func (d *Lookupd) begin() {
	if !d.life.begin() || d.closed {
		return
	}
	d.begun = true
	if d.o.BroadcastAddress == "" {
		findHost(d.l, d.hostname, func(host string) { d.host = host })
	}
}

// StartLookupd makes an nsqlookupd on a loop of its own.
func StartLookupd(o LookupdOptions) (*Lookupd, error) {
	e, err := loop.New(loop.Options{Logger: o.Logger, OutputHigh: lookupdOutputMost})
	if err != nil {
		return nil, err
	}
	if err := e.Start(); err != nil {
		return nil, err
	}
	d, err := NewLookupd(e, o)
	if err != nil {
		_ = e.Close() // the first error says what is wrong
		return nil, err
	}
	d.own = &ownLoop{e}
	return d, nil
}

// listen opens both doors. HTTP is first: what nsqds are told of it must be
// known when they come.
func (d *Lookupd) listen() error {
	if addr := d.o.HTTPAddress; addr != "" {
		l, err := loop.ListenStream(addr)
		if err != nil {
			return fmt.Errorf("listen on %s for HTTP: %w", addr, err)
		}
		d.http = newLookupdHTTP(d, l.Addr())
		d.http.serveOn(l, limitsFor(d.o.HTTPMaxConns))
	}
	if addr := d.o.TCPAddress; addr != "" {
		l, err := d.l.Listen(addr, func(loop.Conn) loop.Handler { return newLookupdConn(d) })
		if err != nil {
			return errors.Join(fmt.Errorf("listen on %s for nsqds: %w", addr, err), d.http.close())
		}
		d.tcp = l
	}
	return nil
}

// TCPAddr is the address that nsqds register at; nil when there is none.
func (d *Lookupd) TCPAddr() net.Addr {
	if d.tcp == nil {
		return nil
	}
	return d.tcp.Addr()
}

// HTTPAddr is the address of the HTTP API; nil when there is none.
func (d *Lookupd) HTTPAddr() net.Addr { return d.http.addr() }

// Shutdown stops accepting, waits until ctx ends for HTTP requests that are
// running, closes the nsqds' connections, and stops the loop if StartLookupd
// made it. On a loop that was not started there is nothing to wait for. It must
// not be called on the loop.
func (d *Lookupd) Shutdown(ctx context.Context) error {
	if d.l.OnLoop() {
		return ErrOnLoop
	}
	if ended, err := d.life.end(d.giveBack); ended {
		return errors.Join(err, d.own.shutdown(ctx))
	}
	var errs []error
	if err := d.http.shutdown(ctx); err != nil {
		errs = append(errs, fmt.Errorf("shut down HTTP: %w", err), d.http.close())
	}
	if err := d.call(d.stop); err != nil && !errors.Is(err, ErrClosed) {
		errs = append(errs, err)
	}
	errs = append(errs, d.own.shutdown(ctx))
	return errors.Join(errs...)
}

// Close stops the nsqlookupd as Shutdown does, without waiting. It may be
// called anywhere, also before the loop is started. On the loop, a loop made by
// StartLookupd stops later, by itself.
func (d *Lookupd) Close() error {
	if d.l.OnLoop() {
		d.stop()
	} else if ended, err := d.life.end(d.giveBack); ended {
		return errors.Join(err, d.own.close())
	} else if err := d.call(d.stop); err != nil && !errors.Is(err, ErrClosed) {
		return err
	}
	return errors.Join(d.http.close(), d.own.close())
}

// giveBack gives back what an nsqlookupd has taken that has not begun.
func (d *Lookupd) giveBack() error {
	errs := []error{d.http.close()}
	if d.tcp != nil {
		errs = append(errs, d.tcp.Close())
	}
	d.closed = true
	d.release()
	return errors.Join(errs...)
}

// stop closes the door and the connections, on the loop. Later calls do
// nothing.
func (d *Lookupd) stop() {
	if !d.life.begin() || d.closed {
		return
	}
	d.closed = true
	if d.tcp != nil {
		if err := d.tcp.Close(); err != nil {
			d.log.Warn("close listener", "err", err)
		}
	}
	for len(d.conns) > 0 {
		d.conns[len(d.conns)-1].close()
	}
	d.origins.stopTimer()
	if d.release != nil {
		d.release()
	}
}

// weigh brings what the registry takes up to date.
func (d *Lookupd) weigh() {
	known, registered := d.reg.Size()
	held := int64(known)*knownCost + int64(registered)*registeredCost
	d.budget.add(held - d.held)
	d.held = held
}

// call runs f on the loop and waits for it. It returns ErrOnLoop when it is
// called there, and ErrClosed, without having run f, when d is closed.
func (d *Lookupd) call(f func()) error { return callOn(d.l, &d.life, &d.closed, f) }
