package loop

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"

	"github.com/nsqloop/nsqloop/loop/internal/core"
)

// Engine is the Loop on the operating system's sockets.
//
// It is one gnet client with one event loop. gnet waits for sockets, reads and
// writes; the order of callbacks, timers, posted functions and the life of a
// connection are package core's. Accepted and dialled sockets come in from
// short goroutines of their own, so that neither a name that resolves slowly
// nor a full accept queue holds the loop.
type Engine struct {
	opts   Options
	core   core.Core
	rota   core.Rota
	queue  core.Queue
	drains core.Drains
	rand   *rand.Rand
	base   time.Time
	alarm  *time.Timer
	watch  *watchdog
	grace  time.Duration // see graceDefault

	client  *gnet.Client
	el      gnet.EventLoop // from the control connection
	control net.Conn       // the other end of the control connection
	poller  poller

	advanced  atomic.Int64   // nanoseconds, by Advance
	goroutine atomic.Uintptr // the loop's goroutine
	finishing atomic.Bool    // the next turn is the last

	mu        sync.Mutex // guards what follows: it is asked from any goroutine
	state     state
	users     int           // goroutines that are inside a call of gnet
	idle      chan struct{} // closed when users falls to zero; nil unless somebody waits
	listeners []*listener

	drainOnce sync.Once
	stopOnce  sync.Once
	started   chan struct{} // closed by the start, or by an end without one
	drained   chan struct{} // closed after the drains
	finished  chan struct{} // closed after the last turn
	done      chan struct{} // closed when everything has ended
}

// state is what an Engine accepts.
type state uint8

const (
	fresh    state = iota
	running        // everything
	stopping       // no new connections
	stopped        // nothing
)

// New makes a loop. It does nothing, and needs nothing but memory, until it is
// started by Start or Run; what is built on it before then waits.
func New(o Options) (*Engine, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	seed := o.Seed
	if seed == 0 {
		seed = rand.Uint64()
	}
	e := &Engine{
		opts:     o,
		base:     time.Now(),
		rand:     rand.New(rand.NewPCG(seed, 0)),
		grace:    graceDefault,
		started:  make(chan struct{}),
		drained:  make(chan struct{}),
		finished: make(chan struct{}),
		done:     make(chan struct{}),
	}
	e.queue.SetLimit(max(o.PostLimit, 0))
	e.core.Init(core.Config{
		Host: (*host)(e),
		Errors: core.Errors{Closed: ErrClosed, OutputLimit: ErrOutputLimit,
			InputLimit: ErrInputLimit, Panic: ErrPanic},
		Linger:      o.Linger,
		OutputLimit: o.OutputLimit,
		OutputHigh:  o.OutputHigh,
		InputLimit:  o.InputLimit,
		Recover:     true,
	})
	e.rota.Init(&e.core)
	if o.OnCallback != nil {
		e.core.Probe().Timed = (&stopwatch{tell: o.OnCallback}).press
	}
	if o.SlowCallback > 0 {
		e.watch = newWatchdog(e.core.Probe(), o.SlowCallback, o.Logger)
	}
	return e, nil
}

// Start starts the loop's goroutine. It does nothing when the loop has been
// started before; it returns ErrClosed when it has been stopped.
func (e *Engine) Start() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch e.state {
	case running:
		return nil
	case stopping, stopped:
		return ErrClosed
	}
	if err := e.open(); err != nil {
		return err
	}
	e.state = running
	close(e.started)
	for _, ln := range e.listeners {
		go ln.accept()
	}
	e.doorbell()
	return nil
}

// Started waits until the loop has been started, or has ended without that, and
// reports whether it was in time. Who waits for a loop that nobody has started waits
// for ever. It may be called from any goroutine.
func (e *Engine) Started(within time.Duration) bool {
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case <-e.started:
		return true
	case <-late.C:
		return false
	}
}

// open starts gnet, and enrols a connection to ourselves, because gnet hands
// out the handle of its event loop only through a connection.
func (e *Engine) open() error {
	client, err := gnet.NewClient(&events{e: e},
		gnet.WithNumEventLoop(1),
		gnet.WithReadBufferCap(e.opts.ReadBuffer),
		gnet.WithTCPNoDelay(gnet.TCPNoDelay),
		gnet.WithLogger(quiet{}))
	if err != nil {
		return err
	}
	ours, theirs, err := pair()
	if err != nil {
		return err
	}
	if err := client.Start(); err != nil {
		ours.Close()
		theirs.Close()
		return err
	}
	gc, err := client.EnrollContext(theirs, nil)
	if err != nil {
		ours.Close()
		client.Stop()
		return err
	}
	e.client, e.control, e.el = client, ours, gc.EventLoop()
	e.poller = findPoller(e.el, gc)
	return nil
}

// Now is the time at which the current turn began.
func (e *Engine) Now() time.Time { return e.core.Now() }

// Rand is the loop's source of chance. It must only be used on the loop.
func (e *Engine) Rand() *rand.Rand { return e.rand }

// AtTurnEnd runs f at the end of the current turn, before output is sent.
func (e *Engine) AtTurnEnd(f func()) { e.core.AtTurnEnd(f) }

// OnLoop says whether the caller runs inside a callback of this loop. It costs
// a few nanoseconds; where the processor is neither an amd64 nor an arm64, some
// microseconds while the loop is busy.
func (e *Engine) OnLoop() bool {
	return e.core.Probe().Busy() && e.goroutine.Load() == goroutine()
}

// enter says that the caller is about to call gnet, which must not be stopped
// until it has called leave. It reports false when the loop's state is not
// from running to last.
func (e *Engine) enter(last state) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state < running || e.state > last {
		return false
	}
	e.users++
	return true
}

func (e *Engine) leave() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.users--
	if e.users == 0 && e.idle != nil {
		close(e.idle)
		e.idle = nil
	}
}

// events is what gnet calls. Each event is a turn, unless it comes out of a
// call that the turn makes itself.
type events struct {
	gnet.BuiltinEventEngine
	e *Engine
}

func (ev *events) OnOpen(gc gnet.Conn) ([]byte, gnet.Action) {
	c, _ := gc.Context().(*conn)
	if c == nil { // the control connection
		ev.e.goroutine.Store(goroutine())
		return nil, gnet.None
	}
	e := ev.e
	e.core.Begin()
	c.opened(gc)
	e.core.End()
	return nil, gnet.None
}

func (ev *events) OnTraffic(gc gnet.Conn) gnet.Action {
	e := ev.e
	p, _ := gc.Next(-1) // all of it, where it lies: gnet never keeps a rest
	switch c, _ := gc.Context().(*conn); {
	case c == nil:
		_ = (*bell)(e).Run(context.Background())
	case len(p) > 0:
		e.core.Begin()
		c.Receive(p)
		e.core.End()
		e.rota.Served(&c.place, len(p), e.core.Took())
	}
	return gnet.None
}

func (ev *events) OnClose(gc gnet.Conn, err error) gnet.Action {
	e := ev.e
	c, _ := gc.Context().(*conn)
	switch {
	case c == nil:
		e.collapse(err)
	case e.core.Busy() || e.core.Over():
		c.closed(err)
	default:
		e.core.Begin()
		c.closed(err)
		e.core.Tell()
		e.core.End()
	}
	return gnet.None
}

// host is the Engine as package core sees it.
type host Engine

func (h *host) Clock() (time.Time, int64) {
	now := time.Now().Add(time.Duration(h.advanced.Load()))
	return now, int64(now.Sub(h.base))
}

func (h *host) Wake() { (*Engine)(h).ring() }

// Arm sets the one runtime timer of the loop. It only rings the bell.
func (h *host) Arm(at int64) {
	d := time.Duration(at-h.advanced.Load()) - time.Since(h.base)
	if h.alarm == nil {
		h.alarm = time.AfterFunc(d, (*Engine)(h).ring)
	} else {
		h.alarm.Reset(d)
	}
}

func (h *host) Panicked(what string, value any, stack []byte) {
	h.opts.Logger.Error("callback panicked", "callback", what, "panic", value, "stack", string(stack))
	h.opts.OnPanic(what, value, stack)
}
