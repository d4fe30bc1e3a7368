package writer

import (
	"context"
	"fmt"

	"github.com/nsqloop/nsqloop/client"
)

// Stats is what a Writer has done and what it is doing.
type Stats struct {
	// Publishes that have ended, by outcome; a multi-publish counts as one.
	Confirmed uint64
	Rejected  uint64
	NotSent   uint64
	Unknown   uint64

	Messages uint64 // in confirmed publishes
	Bytes    uint64 // of their bodies

	Pending      int64 // publishes that have not ended
	PendingBytes int64

	NSQDs []NSQDStats // in the order of Options.NSQDs
}

// NSQDStats is one nsqd as the Writer sees it.
type NSQDStats struct {
	Addr      string
	Ready     bool   // connected
	Pending   int    // publishes sent and not answered
	Confirmed uint64 // publishes
	Connects  uint64 // how often a connection became ready
	Err       error  // why there is no connection; nil when there is one, or none was lost yet
}

// counts are the counters of Stats, written on the loop.
type counts struct {
	outcomes [Unknown + 1]uint64
	messages uint64
	bytes    uint64
}

func (n *counts) add(r *Result, size int) {
	if r.Err == nil {
		n.outcomes[Confirmed]++
		n.messages += uint64(r.Messages)
		n.bytes += uint64(size)
		return
	}
	n.outcomes[OutcomeOf(r.Err)]++
}

// Stats returns a snapshot. Off the loop it waits for the loop, which must
// run.
func (w *Writer) Stats() Stats {
	if w.loop.OnLoop() {
		return w.stats()
	}
	snapshot := make(chan Stats, 1)
	if err := w.loop.Post(func() { snapshot <- w.stats() }); err != nil {
		return w.stats() // the loop has stopped: nothing changes any more
	}
	return <-snapshot
}

func (w *Writer) stats() Stats {
	s := Stats{
		Confirmed: w.counts.outcomes[Confirmed],
		Rejected:  w.counts.outcomes[Rejected],
		NotSent:   w.counts.outcomes[NotSent],
		Unknown:   w.counts.outcomes[Unknown],
		Messages:  w.counts.messages,
		Bytes:     w.counts.bytes,
	}
	s.Pending, s.PendingBytes = w.mail.pending()
	s.Pending -= w.freed
	s.PendingBytes -= w.freedBytes
	for _, c := range w.conns {
		s.NSQDs = append(s.NSQDs, NSQDStats{
			Addr:      c.addr,
			Ready:     c.ready,
			Pending:   c.pending.len() - c.expired,
			Confirmed: c.confirmed,
			Connects:  c.connects,
			Err:       c.err,
		})
	}
	return s
}

// ping is a call of Ping that waits for a connection.
type ping struct {
	answer chan error // has room for the answer
}

// Ping waits until a connection is ready, and sends it a NOP. When ctx ends
// first, the error wraps ctx.Err() and why the last attempt to connect failed;
// when no attempt has any prospect, as when the address is that of an HTTP
// port, it returns at once. It must not be called on the loop, where it
// returns client.ErrWouldBlock.
func (w *Writer) Ping(ctx context.Context) error {
	if w.loop.OnLoop() {
		return fmt.Errorf("ping: %w", client.ErrWouldBlock)
	}
	p := &ping{answer: make(chan error, 1)}
	if err := w.loop.Post(func() {
		if w.closed {
			p.answer <- fmt.Errorf("ping: %w", ErrClosed)
			return
		}
		w.pings = append(w.pings, p)
		w.answerPings()
	}); err != nil {
		return fmt.Errorf("ping: %w", ErrClosed)
	}
	select {
	case err := <-p.answer:
		return err
	case <-ctx.Done():
	}
	_ = w.loop.Post(func() { w.forgetPing(p) })
	if last := w.mail.error(); last != nil {
		return fmt.Errorf("ping: %w: %w", ctx.Err(), last)
	}
	return fmt.Errorf("ping: %w", ctx.Err())
}

// answerPings answers those who wait for a connection, if there is one or if
// there is not going to be one.
func (w *Writer) answerPings() {
	if len(w.pings) == 0 {
		return
	}
	var err error
	if len(w.ready) > 0 {
		w.ready[0].client.Nop()
	} else if err = w.hopeless(); err == nil {
		return
	} else {
		err = fmt.Errorf("ping: %w: %w", client.ErrNotConnected, err)
	}
	for _, p := range w.pings {
		p.answer <- err
	}
	w.pings = nil
}

func (w *Writer) forgetPing(p *ping) {
	for i, other := range w.pings {
		if other == p {
			w.pings = append(w.pings[:i], w.pings[i+1:]...)
			return
		}
	}
}
