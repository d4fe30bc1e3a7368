package looptest

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/loop/internal/core"
)

// Loop is a loop.Loop of a World. Unlike an Engine it runs from the start, and
// its methods may also be called between callbacks, by whoever drives the
// world.
type Loop struct {
	w      *World
	name   string
	host   int // index in World.hosts
	id     int // of all loops there ever were
	core   core.Core
	queue  core.Queue
	drains core.Drains
	rand   *rand.Rand
	skew   time.Duration
	alarm  uint64 // the alarm that counts; earlier ones were replaced
	dead   bool
	halted bool // dies in the middle of a callback
}

var _ loop.Loop = (*Loop)(nil)

// Loop returns the loop with that name, and makes it when there is none, or
// none any more: then it is the same host with nothing of what it knew.
func (w *World) Loop(name string) *Loop {
	for _, l := range w.loops {
		if l.name == name {
			return l
		}
	}
	h := fnv.New64a()
	h.Write([]byte(name))
	l := &Loop{w: w, name: name}
	l.rand = rand.New(rand.NewPCG(w.o.Seed, h.Sum64()+uint64(w.born[name])))
	if l.host = slices.Index(w.hosts, name); l.host < 0 {
		l.host = len(w.hosts)
		w.hosts = append(w.hosts, name)
	}
	w.born[name]++
	w.linked++
	l.id = int(w.linked)
	l.core.Init(core.Config{
		Host: (*host)(l),
		Errors: core.Errors{Closed: loop.ErrClosed, OutputLimit: loop.ErrOutputLimit,
			InputLimit: loop.ErrInputLimit, Panic: loop.ErrPanic},
		Linger:      w.o.Linger,
		OutputLimit: w.o.OutputLimit,
		OutputHigh:  w.o.OutputHigh,
		InputLimit:  w.o.InputLimit,
		Recover:     w.o.OnPanic != nil,
	})
	w.loops = append(w.loops, l)
	return l
}

// Name is the name of the loop, which is also its host name.
func (l *Loop) Name() string { return l.name }

// Now is the virtual time, and what Skew added to it.
func (l *Loop) Now() time.Time { return l.core.Now() }

// Skew sets the loop's clock forward by d, or back when d is negative, as
// somebody who corrects a machine's clock does. Timers do not notice.
func (l *Loop) Skew(d time.Duration) { l.skew += d }

// Rand is the loop's source of chance, which follows from the world's seed.
func (l *Loop) Rand() *rand.Rand { return l.rand }

// Post runs f on the loop, after everything posted before it.
func (l *Loop) Post(f func()) error {
	ring, _, ok := l.queue.Push(f)
	if !ok {
		return loop.ErrClosed
	}
	if ring {
		l.wake()
	}
	return nil
}

// wake asks for a turn. It may be called from any goroutine.
func (l *Loop) wake() {
	l.w.mu.Lock()
	l.w.woken = append(l.w.woken, l)
	l.w.mu.Unlock()
}

// Do runs f on the loop now, as the event of a turn. It must not be called
// inside a callback.
func (l *Loop) Do(f func()) {
	l.w.outside("Do")
	l.turn('f', 0, nil, func() { l.core.Run([]func(){f}) })
}

// After runs f once, d from now.
func (l *Loop) After(d time.Duration, f func()) loop.Timer { return l.core.After(d, f) }

// Every runs f each d. It panics when d is not positive.
func (l *Loop) Every(d time.Duration, f func()) loop.Timer { return l.core.Every(d, f) }

// AtTurnEnd runs f at the end of the current turn, before output is sent.
func (l *Loop) AtTurnEnd(f func()) { l.core.AtTurnEnd(f) }

// goDelay bounds how long work given to Go takes.
const goDelay = 5 * time.Millisecond

// Go runs work on the world's goroutine after a while, and what it returns on
// the loop, after another while. work must not wait for a loop.
func (l *Loop) Go(work func() (then func())) {
	l.w.after(time.Duration(l.w.rand.Int64N(int64(goDelay))), call(func() {
		if l.dead || l.halted {
			return
		}
		if then := work(); then != nil {
			_ = l.Post(then)
		}
	}))
}

// OnLoop says whether a callback of this loop runs.
func (l *Loop) OnLoop() bool { return l.w.running.Load() == l }

// OnShutdown registers drain, to be called once when the loop shuts down.
func (l *Loop) OnShutdown(drain func(done func())) (remove func()) { return l.drains.Add(drain) }

// OnStop registers f, to be called once in the loop's last turn. A crash has
// none.
func (l *Loop) OnStop(f func()) (remove func()) { return l.core.OnStop(f) }

// Shutdown runs the drains and then closes the loop, moving the world on for
// at most limit. It returns an error when that was not enough, and when Halt
// ended the loop on the way: Crash must follow then.
func (l *Loop) Shutdown(limit time.Duration) error {
	if l.OnLoop() {
		return fmt.Errorf("shut down loop: %w", loop.ErrOnLoop)
	}
	drained := false
	post := func(f func()) { _ = l.Post(f) }
	post(func() { l.drains.Run(&l.core, post, func() { drained = true }) })
	clean := l.w.RunUntil(func() bool { return l.Halted() || drained && l.core.Closing() == 0 }, limit)
	if l.halted && !l.dead {
		return fmt.Errorf("shut down loop: halted on the way: %w", loop.ErrClosed)
	}
	if err := l.Close(); err != nil || clean {
		return err
	}
	return fmt.Errorf("shut down loop: drain cut off after %v", limit)
}

// Close stops the loop now: posted functions run, everything open gets
// OnClose(loop.ErrClosed), and timers are dropped.
func (l *Loop) Close() error {
	if l.OnLoop() {
		return fmt.Errorf("close loop: %w", loop.ErrOnLoop)
	}
	if l.dead {
		return nil
	}
	l.w.unlisten(l)
	l.w.note('x', l, 0, nil)
	l.w.running.Store(l)
	l.core.Finish(l.queue.Close())
	l.w.running.Store(nil)
	l.bury()
	return nil
}

// bury takes the loop out of the world.
func (l *Loop) bury() {
	l.dead = true
	l.w.loops = slices.DeleteFunc(l.w.loops, func(x *Loop) bool { return x == l })
}

// turn makes something that happened into a turn of the loop.
func (l *Loop) turn(what byte, link uint64, p []byte, event func()) {
	if l.dead || l.halted {
		return
	}
	l.w.note(what, l, link, p)
	l.w.running.Store(l)
	l.core.Begin()
	event()
	l.core.End()
	l.w.running.Store(nil)
}

// ring is a Loop as the event that it was rung.
type ring Loop

func (r *ring) fire() {
	l := (*Loop)(r)
	posted := l.queue.Take()
	l.turn('p', 0, nil, func() { l.core.Run(posted) })
	if l.queue.Done(posted) {
		l.wake()
	}
}

// host is a Loop as package core sees it.
type host Loop

func (h *host) Clock() (time.Time, int64) { return h.w.Now().Add(h.skew), h.w.now }

func (h *host) Wake() {
	if h.queue.Ring() {
		(*Loop)(h).wake()
	}
}

func (h *host) Arm(at int64) {
	h.alarm++
	alarm := h.alarm
	h.w.at(at, call(func() {
		if h.alarm == alarm {
			(*Loop)(h).turn('t', 0, nil, func() {})
		}
	}))
}

func (h *host) Panicked(what string, value any, stack []byte) { h.w.o.OnPanic(what, value, stack) }
