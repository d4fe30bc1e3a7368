package core

import "sync"

// Drains are the functions to be called when a loop shuts down, the latest
// registered first. Registration is safe for concurrent use.
type Drains struct {
	mu  sync.Mutex // guards all; registration may come from any goroutine
	all []*drain
}

type drain struct {
	f  func(done func())
	pc uintptr // of the function that was given to us
}

// Add registers f; remove takes it back.
func (d *Drains) Add(f func(done func())) (remove func()) { return d.add(f, function(f)) }

func (d *Drains) add(f func(done func()), pc uintptr) (remove func()) {
	e := &drain{f, pc}
	d.mu.Lock()
	d.all = append(d.all, e)
	d.mu.Unlock()
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		for i, x := range d.all {
			if x == e {
				d.all = append(d.all[:i], d.all[i+1:]...)
				return
			}
		}
	}
}

// Len is the number of drains that have not begun.
func (d *Drains) Len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.all)
}

func (d *Drains) pop() *drain {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.all) == 0 {
		return nil
	}
	e := d.all[len(d.all)-1]
	d.all = d.all[:len(d.all)-1]
	return e
}

// Run calls the drains one after another, each when the one before has called
// its done, and then finished. post must run a function on the loop later. A
// drain that panics counts as done.
func (d *Drains) Run(c *Core, post func(f func()), finished func()) {
	e := d.pop()
	if e == nil {
		finished()
		return
	}
	called := false
	done := func() {
		if !called {
			called = true
			post(func() { d.Run(c, post, finished) })
		}
	}
	returned := false
	c.callAs(KindShutdown, e.pc, func() {
		defer func() {
			if !returned {
				done()
			}
		}()
		e.f(done)
		returned = true
	})
}
