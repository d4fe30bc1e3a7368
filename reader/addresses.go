package reader

import (
	"fmt"
	"slices"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/client/lookup"
)

// AddNSQD adds an address to Options.NSQDs. It returns ErrDuplicate when it is
// there already.
func (r *Reader) AddNSQD(addr string) error {
	if err := client.CheckAddr(addr); err != nil {
		return fmt.Errorf("add nsqd: %w", err)
	}
	r.config.Lock()
	defer r.config.Unlock()
	if slices.Contains(r.nsqds, addr) {
		return fmt.Errorf("add nsqd %s: %w", addr, ErrDuplicate)
	}
	err := r.do(func() {
		if !r.leaving {
			r.node(addr).direct = true
		}
	})
	if err != nil {
		return fmt.Errorf("add nsqd %s: %w", addr, err)
	}
	r.nsqds = append(slices.Clip(r.nsqds), addr)
	return nil
}

// RemoveNSQD takes back AddNSQD or an address of Options.NSQDs, and returns
// ErrNotThere when it is neither. What is in flight there may still be
// answered; then the connection closes. A connection to an nsqd that
// nsqlookupd names stays.
func (r *Reader) RemoveNSQD(addr string) error {
	r.config.Lock()
	defer r.config.Unlock()
	i := slices.Index(r.nsqds, addr)
	if i < 0 {
		return fmt.Errorf("remove nsqd %s: %w", addr, ErrNotThere)
	}
	err := r.do(func() {
		n := r.find(addr)
		if n == nil {
			return // the reader was leaving when it was added
		}
		n.direct = false
		if n.wanted() || r.leaving {
			return
		}
		if n.conn != nil {
			n.conn.leave()
		}
		r.forget(n)
	})
	if err != nil {
		return fmt.Errorf("remove nsqd %s: %w", addr, err)
	}
	r.nsqds = slices.Delete(slices.Clone(r.nsqds), i, i+1)
	return nil
}

// AddLookupd adds an address to Options.Lookupds and asks it at once. Adding
// one that is there already has no effect.
func (r *Reader) AddLookupd(addr string) error {
	at, err := lookup.Parse(addr)
	if err != nil {
		return fmt.Errorf("add lookupd: %w", err)
	}
	r.config.Lock()
	defer r.config.Unlock()
	if slices.Contains(r.lookupds, at) {
		return nil
	}
	if err := r.do(func() { r.discovery.Add(at) }); err != nil {
		return fmt.Errorf("add lookupd %s: %w", addr, err)
	}
	r.lookupds = append(slices.Clip(r.lookupds), at)
	return nil
}

// RemoveLookupd takes back AddLookupd or an address of Options.Lookupds. It
// returns ErrNotThere when it is neither, and ErrLastLookupd for the last one.
// Connections to what it has named stay.
func (r *Reader) RemoveLookupd(addr string) error {
	at, err := lookup.Parse(addr)
	if err != nil {
		return fmt.Errorf("remove lookupd: %w", err)
	}
	r.config.Lock()
	defer r.config.Unlock()
	i := slices.Index(r.lookupds, at)
	switch {
	case i < 0:
		return fmt.Errorf("remove lookupd %s: %w", addr, ErrNotThere)
	case len(r.lookupds) == 1:
		return fmt.Errorf("remove lookupd %s: %w", addr, ErrLastLookupd)
	}
	if err := r.do(func() { r.discovery.Remove(at) }); err != nil {
		return fmt.Errorf("remove lookupd %s: %w", addr, err)
	}
	r.lookupds = slices.Delete(slices.Clone(r.lookupds), i, i+1)
	return nil
}
