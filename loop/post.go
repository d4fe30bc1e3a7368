package loop

import "context"

// Post runs f on the loop, after everything posted before it.
func (e *Engine) Post(f func()) error {
	ring, piled, ok := e.queue.Push(f)
	if !ok {
		return ErrClosed
	}
	if ring {
		e.knock()
	}
	if piled {
		e.opts.Logger.Warn("posted functions pile up: the loop does not keep up", "waiting", e.opts.PostLimit)
	}
	return nil
}

// Go runs work on a goroutine of its own, and what it returns on the loop.
func (e *Engine) Go(work func() (then func())) {
	go func() {
		if then := work(); then != nil {
			_ = e.Post(then) // dropped when the loop has stopped, as documented
		}
	}()
}

// ring asks for a turn, unless one has been asked for already.
func (e *Engine) ring() {
	if e.queue.Ring() {
		e.knock()
	}
}

// knock wakes gnet's loop. Before the loop starts it does nothing, because the
// start is a knock; after the last turn nobody is there.
func (e *Engine) knock() {
	if e.enter(stopping) {
		e.doorbell()
		e.leave()
	}
}

// doorbell makes gnet's loop call bell.Run. gnet's own queue of tasks is not
// first in first out beyond a thousand; so it never holds more than this one
// task.
func (e *Engine) doorbell() { _ = e.el.Execute(context.Background(), (*bell)(e)) }

// bell is the Engine as gnet's task.
type bell Engine

// Run is a turn for the posted functions. Those that are posted while it runs
// wait for the next one. That one must not be a task again: gnet does tasks
// until there are none, and would never come to serve its sockets. A byte over
// the control connection waits its turn among them.
func (b *bell) Run(context.Context) error {
	e := (*Engine)(b)
	switch {
	case e.core.Over():
		return nil
	case e.finishing.Load():
		e.finish()
		return nil
	}
	posted := e.queue.Take()
	e.core.Begin()
	e.core.Run(posted)
	e.core.End()
	if e.queue.Done(posted) {
		_, _ = e.control.Write(oneByte) // never more than one is on its way
	}
	return nil
}

var oneByte = []byte{0}
