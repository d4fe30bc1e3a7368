package core

import (
	"fmt"
	"reflect"
	"runtime"
	"runtime/debug"
	"sync/atomic"
)

// Kind says which callback runs.
type Kind uint8

// The callbacks of a loop.
const (
	KindNone Kind = iota
	KindPost
	KindTimer
	KindEnd
	KindAccept
	KindOpen
	KindData
	KindClose
	KindDrain
	KindLayer
	KindShutdown
)

var kindNames = [...]string{"nothing", "posted function", "timer", "AtTurnEnd function", "accept function",
	"OnOpen", "OnData", "OnClose", "OnDrain", "layer", "OnShutdown function"}

func (k Kind) String() string { return kindNames[k] }

// describe names a callback for a report: by its function, or by the handler
// it belongs to.
func describe(k Kind, name *string, pc uintptr) string {
	switch {
	case name != nil:
		return k.String() + " of " + *name
	case pc != 0:
		if f := runtime.FuncForPC(pc); f != nil {
			return k.String() + " " + f.Name()
		}
	}
	return k.String()
}

// unnamed is what a connection is called that has no handler yet.
var unnamed = "a new connection"

// Probe shows other goroutines which callback runs, at the price of two atomic
// stores for each: a number that changes with every callback, and what it is.
// An observer that reads the same number twice knows that the same callback
// was running all the time between.
type Probe struct {
	n    uint64        // callbacks so far; on the loop only
	seq  atomic.Uint64 // n<<4 | kind; the kind is 0 between turns
	name atomic.Pointer[string]
	pc   atomic.Uintptr

	// Started is called at the start of a callback when nobody watches
	// (Watched is false), on the loop. It may be nil.
	Started func()
	Watched atomic.Bool

	// Timed is called on the loop before each callback, with true, and after
	// the last one of a turn, with false. It may be nil.
	Timed func(starts bool)
}

func (p *Probe) enter(k Kind, name *string, pc uintptr) {
	p.n++
	if name != nil {
		p.name.Store(name)
	} else {
		p.pc.Store(pc)
	}
	p.seq.Store(p.n<<4 | uint64(k))
	if p.Timed != nil {
		p.Timed(true)
	}
	if p.Started != nil && !p.Watched.Load() {
		p.Watched.Store(true)
		p.Started()
	}
}

func (p *Probe) idle() {
	p.seq.Store(p.n << 4)
	if p.Timed != nil {
		p.Timed(false)
	}
}

// Busy says whether a callback runs. Any goroutine may ask.
func (p *Probe) Busy() bool { return p.seq.Load()&15 != 0 }

// Running returns the number of the callback that runs, 0 for none.
func (p *Probe) Running() uint64 {
	if seq := p.seq.Load(); seq&15 != 0 {
		return seq
	}
	return 0
}

// Describe names the callback with the number that Running returned; "" when
// it has ended meanwhile.
func (p *Probe) Describe(running uint64) string {
	name, pc := p.name.Load(), p.pc.Load()
	if p.seq.Load() != running {
		return ""
	}
	k := Kind(running & 15)
	if k < KindAccept || k == KindShutdown {
		name = nil
	}
	return describe(k, name, pc)
}

// call runs a function that belongs to no stream.
func (c *Core) call(k Kind, f func()) { c.callAs(k, function(f), f) }

// function is what a function that the user gave us is known by.
func function(f any) (pc uintptr) { return reflect.ValueOf(f).Pointer() }

// callAs is call for an f that stands for another function.
func (c *Core) callAs(k Kind, pc uintptr, f func()) {
	c.probe.enter(k, nil, pc)
	defer c.caught(k, pc)
	f()
}

func (c *Core) caught(k Kind, pc uintptr) {
	if !c.cfg.Recover {
		return // let the panic pass, with the stack that it has
	}
	if v := recover(); v != nil {
		c.cfg.Host.Panicked(describe(k, nil, pc), v, debug.Stack())
	}
}

// guard runs f, which calls into the handler or a layer of s. When it panics
// the stream fails.
func (s *Stream) guard(k Kind, f func()) {
	s.core.probe.enter(k, s.name, 0)
	defer s.caught(k)
	f()
}

// rename asks the handler for its name: before OnOpen, and again after it,
// when the handler knows its peer. Reports come from another goroutine and
// cannot ask.
func (s *Stream) rename() {
	if s.phase >= gone {
		return
	}
	s.protect(KindOpen, func() {
		if h, ok := s.handler.(fmt.Stringer); ok {
			name := h.String()
			s.name = &name
		} else {
			s.name = s.core.typeName(s.handler)
		}
	})
}

// typeName is the name of a handler that has no other. Handlers of a type
// share it: there may be ten thousands of them.
func (c *Core) typeName(h Handler) *string {
	t := reflect.TypeOf(h)
	name := c.typeNames[t]
	if name == nil {
		s := t.String()
		if c.typeNames == nil {
			c.typeNames = map[reflect.Type]*string{}
		}
		name = &s
		c.typeNames[t] = name
	}
	return name
}

// protect is guard for a call made while another callback may be running,
// which stays the one that the probe shows.
func (s *Stream) protect(k Kind, f func()) {
	defer s.caught(k)
	f()
}

func (s *Stream) caught(k Kind) {
	c := s.core
	if !c.cfg.Recover {
		return
	}
	if v := recover(); v != nil {
		what := describe(k, s.name, 0)
		c.cfg.Host.Panicked(what, v, debug.Stack())
		s.gone(fmt.Errorf("%s: %w: %v", what, c.cfg.Errors.Panic, v))
	}
}
