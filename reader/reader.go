package reader

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nsqloop/nsqloop/client/lookup"
	"github.com/nsqloop/nsqloop/internal/backoff"
	"github.com/nsqloop/nsqloop/loop"
)

// The life of a Reader, as other goroutines see it.
const (
	lifeNew     int32 = iota // nothing has happened on the loop yet
	lifeRunning              // connections are made
	lifeClosed               // Close was called, or a shutdown is over
)

// Reader consumes a channel of a topic. All its methods may be called from any
// goroutine.
type Reader struct {
	loop loop.Loop
	o    Options
	log  *slog.Logger
	life atomic.Int32

	// Of the loop.
	epoch      time.Time // when the reader started; see now
	nodes      []*node   // in the order in which they became known
	discovery  *lookup.Poller
	ready      ready
	throttle   throttle
	pauseTimer loop.Timer // the end of a pause of backoff
	pauseEnds  time.Time  // when that is; zero outside
	ticker     loop.Timer // moves ready counts
	arena      arena
	workers    *workers   // nil: the handler runs on the loop
	gathering  *gathering // nil: messages are handled one by one
	lines      *lines     // nil: messages need not wait for one another
	member     *member    // of a group, which lends max in flight; nil without
	limit      limiter    // of messages per second
	waiting    []*Message // for which the handler has no room; see take
	pumping    bool       // pump will run at the end of the turn
	given      int        // messages in flight that the handler has
	bound      int        // the most that given may be
	events     []func()   // to be called at the end of the turn
	stats      counters
	opened     []answer   // the mail opened last, for reuse
	expecting  bool       // the mail will be opened at the end of the turn
	starving   bool       // what starved says
	leaving    bool       // no new connections; those there are will close
	onDone     []func()   // when the last connection has closed
	graceTimer loop.Timer // ends the contexts of messages in a shutdown
	graceOver  atomic.Bool

	// done is closed, and final set, when the last connection has closed and
	// no worker runs the handler any more.
	done  chan struct{}
	final atomic.Pointer[Stats]

	starved atomic.Bool

	// mailbox guards what any goroutine fills in mail.
	mailbox  sync.Mutex
	answers  []answer
	expected bool // as expecting

	// config guards the addresses that were added, so that adding and
	// removing can say at once, on any goroutine, whether they are in order.
	config   sync.Mutex
	nsqds    []string
	lookupds []lookup.Server

	remove func() // takes back the loop's OnShutdown and OnStop
}

// New makes a Reader that connects when the loop runs: nothing comes before the
// program calls its Start or Run. It may be called from any goroutine, before or
// after the loop starts. It returns an error that names the option and the rule
// when an option breaks one, and ErrClosed when the loop has stopped.
//
// The Reader ends with Close or Shutdown, or when the loop shuts down. Of what
// is on a loop the latest made drains first, so a Writer that the handler
// publishes with is made before the Reader: else it ends while handlers run.
func New(l loop.Loop, o Options) (*Reader, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("reader options: %w", err)
	}
	var w *workers
	if o.Workers > 0 {
		w = newWorkers(o.Workers)
	}
	return newReader(l, o, w, nil)
}

// newReader is New with options that are in order. The workers, if any, belong
// to it from here on; m is its place in a group, if any.
func newReader(l loop.Loop, o Options, w *workers, m *member) (*Reader, error) {
	var err error
	r := &Reader{
		loop:  l,
		o:     o,
		log:   o.Logger,
		nsqds: o.NSQDs,
		bound: o.MaxInFlight,
		done:  make(chan struct{}),

		workers: w,
		member:  m,
	}
	if w != nil {
		w.reader = r
	}
	if o.Batch.Handler != nil {
		r.gathering = newGathering(r)
	}
	if o.SerialBy != nil {
		r.lines = newLines(r)
	}
	r.ready = ready{
		max:         o.MaxInFlight,
		adaptive:    o.AdaptiveShare,
		idleTimeout: int64(o.LowReadyIdleTimeout),
		holdTimeout: int64(o.LowReadyTimeout),
	}
	if m != nil {
		r.ready.max, r.bound = 0, 1 // until the group lends some
	}
	r.throttle = throttle{strategy: backoff.Off{}} // until start
	if r.lookupds, err = lookup.ParseAll(o.Lookupds); err != nil {
		return nil, fmt.Errorf("reader options: Lookupds: %w", err)
	}
	r.discovery = r.discover()
	// Before start, so that even a loop that shuts down at once drains it.
	drain, stop := l.OnShutdown(r.drain), l.OnStop(r.onLoopStopped)
	r.remove = func() { drain(); stop() }
	if err := l.Post(r.start); err != nil {
		r.remove()
		return nil, fmt.Errorf("new reader: %w", ErrClosed)
	}
	return r, nil
}

// start makes the first connections and asks the nsqlookupd.
func (r *Reader) start() {
	if !r.life.CompareAndSwap(lifeNew, lifeRunning) {
		return
	}
	r.epoch = r.loop.Now()
	r.ready.rand = r.loop.Rand()
	r.ready.turned = r.now()
	r.limit.set(r.o.MaxRate, r.now())
	r.throttle = newThrottle(&r.o, r.loop.Rand())
	r.ticker = r.loop.Every(r.o.RedistributeInterval, r.onTick)
	for _, addr := range r.o.NSQDs {
		r.node(addr).direct = true
	}
	for _, at := range r.lookupds {
		r.discovery.Add(at)
	}
}

// now is the time of the turn, in unix nanoseconds. It counts from the start
// by the monotonic clock, so that deadlines and timeouts hold when somebody
// sets the other one.
func (r *Reader) now() int64 { return r.epoch.UnixNano() + int64(r.loop.Now().Sub(r.epoch)) }

func (r *Reader) onTick() {
	r.ready.tick(r.now())
	r.sendReady()
}

// take hands a message that has arrived to the handler, or lets it wait.
//
// It waits when the handler has as many as it may. The ready counts make that
// rare: it happens when a count was lowered while nsqd was sending. Lowering
// cannot be confirmed, so what is on its way comes in excess, and waits here.
func (r *Reader) take(m *Message) {
	if r.given >= r.bound || len(r.waiting) > 0 {
		r.waiting = append(r.waiting, m)
		r.scheduleWaiting()
		return
	}
	r.deliver(m)
}

// scheduleWaiting lets waiting messages have their turn at the turn's end: not
// at once, for the caller may be a handler that has just answered.
func (r *Reader) scheduleWaiting() {
	if r.lines != nil {
		r.lines.wake()
	}
	if len(r.waiting) > 0 && !r.pumping {
		r.pumping = true
		r.loop.AtTurnEnd(r.pump)
	}
}

// pump delivers what has been waiting, as far as there is room.
func (r *Reader) pump() {
	for len(r.waiting) > 0 && r.given < r.bound {
		m := r.waiting[0]
		r.waiting[0] = nil
		r.waiting = r.waiting[1:]
		if m.conn != nil { // else lost or expired
			r.deliver(m)
		}
	}
	r.pumping = false
}

// deliver lets a message be handled, or gives it up.
func (r *Reader) deliver(m *Message) {
	m.given = true
	r.given++
	switch {
	case r.o.MaxAttempts > 0 && int(m.Attempts) > r.o.MaxAttempts:
		r.giveUp(m)
	case r.lines != nil && r.lines.queue(m):
		// Another message of its key comes first.
	default:
		r.handle(m)
	}
}

// handle gives a message to the handler, or to who will.
func (r *Reader) handle(m *Message) {
	switch {
	case r.gathering != nil:
		r.gathering.add(m)
	case r.workers != nil:
		r.stats.Handled++
		r.workers.push(job{m: m})
	default:
		if !r.expecting {
			r.expectMail()
		}
		r.stats.Handled++
		a, ok := conclusion(m, r.call(m))
		if ok && m.state.CompareAndSwap(stateOpen, stateAnswered) {
			r.settle(a)
		}
		if m.line != nil {
			r.lines.returned(m)
		}
	}
}

// call runs the handler. A panic is its error.
func (r *Reader) call(m *Message) (err error) {
	defer func() {
		if v := recover(); v != nil {
			r.log.Error("the handler panicked", "nsqd", m.NSQD, "id", m.ID, "panic", v, "stack", string(debug.Stack()))
			err = panicError(v)
		}
	}()
	return r.o.Handler(m)
}

// giveUp finishes a message that was delivered too often. It counts neither as
// a success nor as a failure: nothing was tried.
func (r *Reader) giveUp(m *Message) {
	r.stats.GivenUp++
	if !r.expecting {
		r.expectMail()
	}
	if r.o.OnGiveUp == nil {
		r.log.Error("message given up", "nsqd", m.NSQD, "id", m.ID, "attempts", m.Attempts, "bytes", len(m.Body))
	} else {
		r.guard(func() { r.o.OnGiveUp(m) })
	}
	if m.state.CompareAndSwap(stateOpen, stateAnswered) {
		r.settle(answer{m: m, kind: finishCalmly})
	}
}

// emit calls f, an event of the program's, at the end of the turn, so that it
// never runs inside the call that caused it.
func (r *Reader) emit(f func()) {
	r.events = append(r.events, f)
	if len(r.events) == 1 {
		r.loop.AtTurnEnd(r.callEvents)
	}
}

func (r *Reader) callEvents() {
	for len(r.events) > 0 {
		f := r.events[0]
		r.events = r.events[1:]
		r.guard(f)
	}
}

// guard calls a function of the program's and survives its panic.
func (r *Reader) guard(f func()) {
	defer func() {
		if v := recover(); v != nil {
			r.log.Error("a callback panicked", "panic", v, "stack", string(debug.Stack()))
		}
	}()
	f()
}

// report gives OnError what nobody else is told.
func (r *Reader) report(err error) {
	r.stats.Errors++
	if r.o.OnError != nil {
		r.emit(func() { r.o.OnError(err) })
	}
}

// do runs f on the loop: at once when the caller is on it.
func (r *Reader) do(f func()) error {
	if r.life.Load() == lifeClosed {
		return ErrClosed
	}
	if r.life.Load() == lifeRunning && r.loop.OnLoop() {
		f()
		return nil
	}
	if err := r.loop.Post(f); err != nil {
		return ErrClosed
	}
	return nil
}

// SetMaxInFlight changes Options.MaxInFlight. 0 stops the reader as Pause
// does, and after it every connection starts anew with a ready count of 1.
// Messages that are in flight are not affected.
func (r *Reader) SetMaxInFlight(n int) error {
	if n < 0 {
		return fmt.Errorf("max in flight %d: want at least 0", n)
	}
	return r.do(func() {
		if r.leaving {
			return
		}
		if n > 0 {
			r.bound = n
		}
		r.ready.setMax(n, r.now())
		r.sendReady()
		r.scheduleWaiting()
	})
}

// lend is SetMaxInFlight by a group: what its connections have earned is kept.
func (r *Reader) lend(n int) {
	if r.leaving {
		r.ready.max = n // for Stats: no connection has a place in it any more
		return
	}
	r.bound = max(n, 1)
	r.ready.lend(n, r.now())
	r.sendReady()
	r.scheduleWaiting()
}

// Pause stops nsqd from sending more. Messages in flight, and those on their
// way, are still handled. It may be called before the reader has connected.
func (r *Reader) Pause() error { return r.pause(true) }

// Resume ends what Pause began.
func (r *Reader) Resume() error { return r.pause(false) }

func (r *Reader) pause(on bool) error {
	return r.do(func() {
		r.ready.pause(on, r.now())
		r.sendReady()
	})
}

// Starved says whether, on some connection, the messages in flight have come
// to 85 percent of the ready count, so that nsqd will soon send nothing more
// there. A handler that collects messages should process what it has when it
// is so, because the number it hopes for may never come.
func (r *Reader) Starved() bool { return r.starved.Load() }

// wait runs f on the loop and returns when it has run. It reports false, and f
// does not run, when the reader has not started or the loop has stopped.
func (r *Reader) wait(f func()) bool {
	if r.loop.OnLoop() {
		f()
		return true
	}
	if r.life.Load() == lifeNew {
		return false
	}
	ran := make(chan struct{})
	if r.loop.Post(func() { f(); close(ran) }) != nil {
		return false
	}
	<-ran
	return true
}
