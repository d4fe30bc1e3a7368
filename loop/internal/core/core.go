package core

import (
	"math"
	"net"
	"reflect"
	"time"
)

// Host is what carries a core: the operating system or a simulated world.
type Host interface {
	// Clock returns the time, and the same time in nanoseconds since an
	// arbitrary start, on a clock that is never set back.
	Clock() (now time.Time, since int64)

	// Wake asks for another turn as soon as possible.
	Wake()

	// Arm asks for a turn at the time at, in nanoseconds of Clock. A later
	// call replaces an earlier one.
	Arm(at int64)

	// Panicked reports a panic that was recovered.
	Panicked(what string, value any, stack []byte)
}

// Errors are the loop's sentinels, which live in the package that users see.
type Errors struct {
	Closed, OutputLimit, InputLimit, Panic error
}

// Config is fixed for the life of a core.
type Config struct {
	Host   Host
	Errors Errors

	Linger      time.Duration // how long Close may wait for the peer; negative: not at all
	OutputLimit int           // output that the peer has not read, in bytes, beyond which a stream fails
	OutputHigh  int           // output from which on OnDrain is due
	InputLimit  int           // unconsumed input, in bytes, beyond which a stream fails
	Recover     bool          // recover panics of callbacks; otherwise they propagate
}

// never is later than any deadline.
const never = math.MaxInt64

// Core is one loop's state. The zero value is not usable: call Init.
type Core struct {
	cfg    Config
	probe  Probe
	timers heap

	now   time.Time // when the turn began
	since int64     // the same, on the host's clock
	armed int64     // what the host was asked for last
	busy  bool      // a turn is running
	over  bool      // Finish has run
	stops Drains    // called by Finish

	ends    []func()  // given to AtTurnEnd
	offered []*Stream // to be offered their unconsumed input again
	dirty   []*Stream // to be flushed
	lost    []*Stream // to be told that they are closed, in the next turn
	spare   []*Stream // lost's other half
	behind  []*Stream // have input that is to be opened in a later turn

	first, last *Stream // all streams that have not been told, by age
	closing     int     // streams that are being closed and not gone yet
	buffers     buffers
	typeNames   map[reflect.Type]*string // of handlers without a name
}

// Init makes c ready for its first turn.
func (c *Core) Init(cfg Config) {
	c.cfg = cfg
	c.armed = never
	c.now, c.since = cfg.Host.Clock()
}

// Probe tells other goroutines what runs.
func (c *Core) Probe() *Probe { return &c.probe }

// Busy says whether a turn is running.
func (c *Core) Busy() bool { return c.busy }

// Now is the time at which the turn began; between turns, the time.
func (c *Core) Now() time.Time {
	if !c.busy {
		c.now, c.since = c.cfg.Host.Clock()
	}
	return c.now
}

// Begin starts a turn. Streams that were lost in earlier turns learn it first.
func (c *Core) Begin() {
	c.now, c.since = c.cfg.Host.Clock()
	c.busy = true
	if len(c.lost) > 0 {
		c.Tell()
	}
}

// Run calls posted functions in order, after a stream that is behind has gone
// on: one, so that many of them do not make one long turn. It is the event of a
// turn.
func (c *Core) Run(posted []func()) {
	if len(c.behind) > 0 {
		s := c.behind[0]
		c.behind[0] = nil
		c.behind = c.behind[1:]
		s.goOn()
	}
	for i, f := range posted {
		c.call(KindPost, f)
		posted[i] = nil
	}
}

// End runs what is due, then what was asked for at the turn's end, then sends
// the output, and asks the host for the next turn that is needed.
func (c *Core) End() {
	c.expire()
	c.settle()
	c.flush()
	c.busy = false
	c.probe.idle()
	c.rearm()
}

// Took is how long ago the last turn began.
func (c *Core) Took() time.Duration {
	_, since := c.cfg.Host.Clock()
	return time.Duration(since - c.since)
}

// AtTurnEnd runs f in the last phase of the turn, before output is sent.
func (c *Core) AtTurnEnd(f func()) {
	if c.over {
		return
	}
	c.ends = append(c.ends, f)
	c.need()
}

// need makes sure that a turn will follow when none is running.
func (c *Core) need() {
	if !c.busy {
		c.cfg.Host.Wake()
	}
}

// settle runs the functions of the turn's end and the second offers until
// neither asks for more: a function may make a handler go on, and what the
// handler then does may need such a function.
func (c *Core) settle() {
	for len(c.offered) > 0 || len(c.ends) > 0 {
		for i := 0; i < len(c.offered); i++ {
			s := c.offered[i]
			c.offered[i] = nil
			s.again()
		}
		c.offered = c.offered[:0]
		for i := 0; i < len(c.ends); i++ {
			f := c.ends[i]
			c.ends[i] = nil
			c.call(KindEnd, f)
		}
		c.ends = c.ends[:0]
	}
}

// flush sends the output of this turn, with one write for each stream.
func (c *Core) flush() {
	for i := 0; i < len(c.dirty); i++ {
		s := c.dirty[i]
		c.dirty[i] = nil
		s.flush()
	}
	c.dirty = c.dirty[:0]
}

// Tell calls OnClose of the streams that are gone. Those lost meanwhile wait
// for the next turn. A host calls it after Lost, when that was the event of a
// turn and not part of one.
func (c *Core) Tell() {
	q := c.lost
	c.lost = c.spare[:0]
	for i, s := range q {
		q[i] = nil
		s.tell()
	}
	c.spare = q[:0]
}

// rearm asks for the turns that are needed next. An alarm that is earlier than
// needed is left alone: one wake-up too many is cheaper than moving the alarm
// each time a deadline moves.
func (c *Core) rearm() {
	if len(c.lost) > 0 || len(c.behind) > 0 {
		c.cfg.Host.Wake()
	}
	if c.armed <= c.since {
		c.armed = never
	}
	at := c.timers.next()
	switch {
	case at >= c.armed:
	case at <= c.since:
		c.cfg.Host.Wake()
	default:
		c.armed = at
		c.cfg.Host.Arm(at)
	}
}

// Rearm forgets what the host was asked for, because its clock has jumped. It
// must be called in a turn.
func (c *Core) Rearm() { c.armed = never }

// Closing is the number of streams that wait for their peer to take the last
// output.
func (c *Core) Closing() int { return c.closing }

// finishRounds bounds how often handlers may dial again while the loop ends.
const finishRounds = 100

// Finish is the last turn: it runs posted, sends what was gathered, and closes
// every stream. Dials that handlers begin when they learn of it fail in turn.
func (c *Core) Finish(posted []func()) {
	c.Begin()
	c.Run(posted)
	c.settle()
	c.flush()
	for round := 0; c.first != nil || len(c.ends) > 0; round++ {
		if round == finishRounds {
			break
		}
		for s := c.first; s != nil; s = s.next {
			s.end()
		}
		c.Tell()
		c.settle()
	}
	for e := c.stops.pop(); e != nil; e = c.stops.pop() {
		c.callAs(KindShutdown, e.pc, func() { e.f(nil) })
	}
	c.settle()
	c.over = true
	c.timers = heap{}
	c.ends, c.offered, c.dirty, c.behind = nil, nil, nil, nil
	c.busy = false
	c.probe.idle()
}

// OnStop registers f, to be called when Finish has closed every stream. It is
// safe for concurrent use.
func (c *Core) OnStop(f func()) (remove func()) {
	return c.stops.add(func(func()) { f() }, function(f))
}

// Drop ends the core without a word to anybody, as when its process is killed.
// Only what layers hold is released.
func (c *Core) Drop() {
	for s := c.first; s != nil; s = s.next {
		for i := range s.layers {
			s.protect(KindLayer, s.layers[i].Close)
		}
		s.layers, s.phase = nil, told
	}
	c.over = true
	c.timers = heap{}
}

// Over says whether Finish has run.
func (c *Core) Over() bool { return c.over }

// Socket is a connected socket.
type Socket interface {
	// Write sends p, keeping a copy of what cannot be sent at once. It may
	// call Stream.Lost before it returns.
	Write(p []byte) error

	// Buffered is the number of bytes written and not taken yet.
	Buffered() int

	// CloseWrite tells the peer that nothing more will come.
	CloseWrite()

	// Close gives the socket up. Stream.Lost need not be called.
	Close()
}

// catcher is a socket that does not read while its stream is behind.
type catcher interface {
	// CanWait says whether it really does not.
	CanWait() bool

	// CaughtUp says that the stream is not behind any more.
	CaughtUp()
}

// Addrs are the two ends of a connection.
type Addrs struct {
	Local, Remote net.Addr
}
