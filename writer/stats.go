package writer

import "time"

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

	NSQDs []NSQDStats // in the order of Options.NSQDs, then of becoming known
}

// NSQDStats is one nsqd as the Writer sees it.
type NSQDStats struct {
	Addr      string
	Direct    bool          // in Options.NSQDs or added, and not only named by nsqlookupd
	Ready     bool          // connected
	Suspect   bool          // has failed a publish and confirmed none since: it gets one at a time
	Pending   int           // publishes sent and not answered
	Confirmed uint64        // publishes
	Connects  uint64        // how often a connection became ready
	Fastest   time.Duration // the shortest time to an answer in the last 10 to 20 s; 0: none was measured
	Err       error         // why there is no connection; nil when there is one, or none was lost yet
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

// Stats returns a snapshot. Off the loop it waits for the loop, if that has
// started.
func (w *Writer) Stats() Stats {
	if w.loop.OnLoop() {
		return w.stats()
	}
	if w.life.Load() != lifeRunning {
		return w.unstartedStats()
	}
	snapshot := make(chan Stats, 1)
	if err := w.loop.Post(func() { snapshot <- w.stats() }); err != nil {
		return w.stats() // the loop has stopped: nothing changes any more
	}
	return <-snapshot
}

// unstartedStats is what Stats says before the Writer has started: what is pending,
// and the nsqds that it is going to dial.
func (w *Writer) unstartedStats() (s Stats) {
	s.Pending, s.PendingBytes = w.mail.pending()
	w.config.Lock()
	defer w.config.Unlock()
	for _, addr := range w.nsqds {
		s.NSQDs = append(s.NSQDs, NSQDStats{Addr: addr, Direct: true})
	}
	return s
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
			Direct:    c.direct,
			Ready:     c.ready,
			Suspect:   c.suspect,
			Pending:   c.pending.len() - c.expired + len(c.once.unsure),
			Confirmed: c.confirmed,
			Connects:  c.connects,
			Fastest:   c.pace.fastest(),
			Err:       c.err,
		})
	}
	return s
}
