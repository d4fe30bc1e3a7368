package writer

import (
	"fmt"
	"slices"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/client/lookup"
	"github.com/nsqloop/nsqloop/internal/backoff"
)

// missedPolls is how many polls in a row must not name a lost nsqd before it
// is forgotten. It is more than one because an nsqd that restarts is missing
// from nsqlookupd for a moment.
const missedPolls = 2

// AddNSQD adds an address to Options.NSQDs, behind those that are there. It
// returns ErrDuplicate when it is there already.
func (w *Writer) AddNSQD(addr string) error {
	if err := client.CheckAddr(addr); err != nil {
		return fmt.Errorf("add nsqd: %w", err)
	}
	w.config.Lock()
	defer w.config.Unlock()
	if slices.Contains(w.nsqds, addr) {
		return fmt.Errorf("add nsqd %s: %w", addr, ErrDuplicate)
	}
	if err := w.post(func() { w.addDirect(addr) }); err != nil {
		return fmt.Errorf("add nsqd %s: %w", addr, err)
	}
	w.nsqds = append(slices.Clip(w.nsqds), addr)
	return nil
}

// RemoveNSQD takes back AddNSQD or an address of Options.NSQDs, and returns
// ErrNotThere when it is neither. Nothing more is sent there; what was sent is
// still answered, and then the connection closes. An nsqd that nsqlookupd names
// stays in use.
func (w *Writer) RemoveNSQD(addr string) error {
	w.config.Lock()
	defer w.config.Unlock()
	i := slices.Index(w.nsqds, addr)
	if i < 0 {
		return fmt.Errorf("remove nsqd %s: %w", addr, ErrNotThere)
	}
	if err := w.post(func() { w.removeDirect(addr) }); err != nil {
		return fmt.Errorf("remove nsqd %s: %w", addr, err)
	}
	w.nsqds = slices.Delete(slices.Clone(w.nsqds), i, i+1)
	return nil
}

// AddLookupd adds an address to Options.Lookupds and asks it at once. Adding
// one that is there already has no effect.
func (w *Writer) AddLookupd(addr string) error {
	at, err := lookup.Parse(addr)
	if err != nil {
		return fmt.Errorf("add lookupd: %w", err)
	}
	w.config.Lock()
	defer w.config.Unlock()
	if slices.Contains(w.lookupds, at) {
		return nil
	}
	if err := w.post(func() { w.discovery.Add(at) }); err != nil {
		return fmt.Errorf("add lookupd %s: %w", addr, err)
	}
	w.lookupds = append(slices.Clip(w.lookupds), at)
	return nil
}

// RemoveLookupd takes back AddLookupd or an address of Options.Lookupds. It
// returns ErrNotThere when it is neither, and ErrLastLookupd for the last one.
// Connections to what it has named stay.
func (w *Writer) RemoveLookupd(addr string) error {
	at, err := lookup.Parse(addr)
	if err != nil {
		return fmt.Errorf("remove lookupd: %w", err)
	}
	w.config.Lock()
	defer w.config.Unlock()
	i := slices.Index(w.lookupds, at)
	switch {
	case i < 0:
		return fmt.Errorf("remove lookupd %s: %w", addr, ErrNotThere)
	case len(w.lookupds) == 1:
		return fmt.Errorf("remove lookupd %s: %w", addr, ErrLastLookupd)
	}
	if err := w.post(func() { w.discovery.Remove(at) }); err != nil {
		return fmt.Errorf("remove lookupd %s: %w", addr, err)
	}
	w.lookupds = slices.Delete(slices.Clone(w.lookupds), i, i+1)
	return nil
}

// post runs f on the loop, unless the Writer was closed by then. The error is
// ErrClosed.
func (w *Writer) post(f func()) error {
	if w.mail.isClosed() {
		return ErrClosed
	}
	if err := w.loop.Post(func() {
		if !w.closed {
			f()
		}
	}); err != nil {
		return ErrClosed
	}
	return nil
}

// addDirect connects to an nsqd because the program wants it.
func (w *Writer) addDirect(addr string) {
	c := w.find(addr)
	if c != nil {
		w.conns = append(without(w.conns, c), c)
	} else {
		c = w.add(addr)
	}
	c.direct = true
	w.setReady()
	w.atTurnEnd()
}

func (w *Writer) removeDirect(addr string) {
	c := w.find(addr)
	if c == nil {
		return
	}
	c.direct = false
	w.setReady()
	c.leaveWhenDone()
	w.failPointless()
}

// find returns the nsqd of an address, nil when there is none.
func (w *Writer) find(addr string) *conn {
	for _, c := range w.conns {
		if c.addr == addr {
			return c
		}
	}
	return nil
}

// add makes the nsqd of an address that has none, and dials it.
func (w *Writer) add(addr string) *conn {
	c := &conn{w: w, addr: addr, log: w.log.With("nsqd", addr), down: w.now(), once: w.newOnce()}
	c.redial = backoff.NewReconnect(backoff.ReconnectOptions{
		Initial: w.o.ReconnectDelay,
		Max:     w.o.MaxReconnectDelay,
	}, w.loop.Now, w.loop.Rand())
	w.conns = append(w.conns, c)
	c.dial()
	return c
}

// leaveWhenDone closes the connection to an nsqd that is not wanted any more,
// once all that was sent there has ended.
func (c *conn) leaveWhenDone() {
	switch {
	case c.wanted() || c.w.closed:
	case c.client == nil:
		c.w.forget(c)
	case c.pending.len() == c.expired:
		c.client.Close() // OnClose forgets it
	}
}

// without takes x out of all, if it is there. It is one function for pointers of
// any kind, where those of package slices are one for each.
func without[P comparable](all []P, x P) []P {
	var none P
	for i := range all {
		if all[i] == x {
			last := i + copy(all[i:], all[i+1:])
			all[last] = none
			return all[:last]
		}
	}
	return all
}

// forget drops an nsqd that is not wanted and not connected.
func (w *Writer) forget(c *conn) {
	if c.timer != nil {
		c.timer.Stop()
	}
	w.conns = without(w.conns, c)
	c.endUnsure(notSentAfter(client.ErrNotConnected, c.err))
	w.failPointless()
	w.atTurnEnd()
}

// discover makes the poller that asks the nsqlookupds which nsqds there are.
// What they name is connected to. A connection never closes because of an
// answer: only TCP says whether an nsqd is there.
func (w *Writer) discover() *lookup.Poller {
	return lookup.NewPoller(w.loop, lookup.PollerOptions{
		Query:      lookup.Nodes(),
		Interval:   w.o.LookupdPollInterval,
		Jitter:     w.o.LookupdPollJitter,
		OnAnswer:   w.onNamed,
		OnInterval: w.onPollInterval,
		OnError:    w.onError,
		HTTPClient: w.o.HTTPClient,
		Secret:     w.o.LookupdSecret,
		Logger:     w.log,
	})
}

// named are the addresses in an answer, after the filter.
func (w *Writer) named(all lookup.Answer) []string {
	addrs := all.Addrs()
	if w.o.Filter != nil {
		addrs = w.o.Filter(addrs)
	}
	return addrs
}

// onNamed connects to what is new.
func (w *Writer) onNamed(all lookup.Answer) {
	for _, addr := range w.named(all) {
		c := w.find(addr)
		if c == nil {
			c = w.add(addr)
		}
		c.found, c.missed = true, 0
	}
	w.setReady() // one that was leaving may stay
	w.atTurnEnd()
}

// onPollInterval counts the nsqds that the answers since the last poll have not
// named, and forgets those without a connection that were missing too often.
func (w *Writer) onPollInterval(all lookup.Answer) {
	named := w.named(all)
	for _, c := range slices.Clone(w.conns) {
		if !c.found {
			continue
		}
		if !c.ready {
			c.missed++
		}
		if slices.Contains(named, c.addr) {
			c.missed = 0
		}
		if !c.ready {
			c.leaveWhenDone()
		}
	}
}
