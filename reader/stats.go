package reader

import "time"

// Stats is what a Reader has done and how it stands.
//
// What was received was handed to the handler, given up, given back at the
// shutdown, or was lost or expired before the handler had it; or it waits.
type Stats struct {
	Topic       string
	Channel     string
	MaxInFlight int // as set last
	Connections int // subscribed
	InFlight    int // messages delivered and not answered, expired or lost
	Unanswered  int // of those, the ones that the handler has or has returned Pending for
	Level       int // of backoff: how many successes it takes to leave it
	Backoff     bool
	PauseEnds   time.Time // of the pause of backoff; the zero time outside of one
	Paused      bool      // by Pause
	Held        bool      // by MaxRate, for a moment

	Received  uint64 // messages delivered by nsqd
	Handled   uint64 // given to the handler or to its workers
	GivenUp   uint64 // delivered more than MaxAttempts times
	Finished  uint64 // FINs sent
	Discarded uint64 // of those, for messages that were discarded or given up
	Requeued  uint64 // REQs sent as an answer
	Returned  uint64 // REQs sent at the shutdown: for what was not started, or stopped because of ErrDraining
	Touched   uint64 // TOUCHes sent
	Expired   uint64 // messages whose deadline passed here without an answer
	Lost      uint64 // answers from other goroutines that found their connection closed
	Refused   uint64 // answers that nsqd refused
	Pauses    uint64 // of backoff
	Errors    uint64 // reported by OnError

	NSQDs []NSQDStats // known addresses, in the order in which they became known
}

// NSQDStats is how a Reader stands with one nsqd.
type NSQDStats struct {
	Addr     string
	Direct   bool   // added by the program, not only named by nsqlookupd
	State    string // connecting, subscribing, subscribed, leaving, or gone: between dials
	Ready    int    // the ready count
	Why      Reason // why Ready is 0; "" when it is not
	Share    int    // what Ready is when nothing keeps it down
	Limit    int    // the most that nsqd accepts
	InFlight int
	Dials    int   // since a connection lasted
	Err      error // why the last dial or connection ended; nil while subscribed
}

// Reason is why a ready count is 0, so that nothing comes from an nsqd.
type Reason string

// Why a ready count is 0.
const (
	ReasonNotSubscribed Reason = "not subscribed"      // State and Err say more
	ReasonLeaving       Reason = "leaving"             // by Shutdown, or the nsqd was removed
	ReasonNoBudget      Reason = "max in flight is 0"  // SetMaxInFlight, or nothing of a group's budget
	ReasonPaused        Reason = "paused"              // by Pause
	ReasonRate          Reason = "max rate is reached" // for a moment
	ReasonBackoff       Reason = "backoff"             // until Stats.PauseEnds
	ReasonProbe         Reason = "another probes"      // after a pause of backoff one message comes from one nsqd
	ReasonTurn          Reason = "waits for its turn"  // there are more connections than max in flight
	ReasonInFlight      Reason = "in flight elsewhere" // others' messages take all of max in flight
)

// counters are the numbers of Stats that only grow, as plain fields that are
// written on the loop.
type counters struct {
	Received, Handled, GivenUp, Finished, Discarded, Requeued, Returned, Touched uint64

	Expired, Lost, Refused, Pauses, Errors uint64
}

// Stats returns how the reader stands. Off the loop it waits for the loop; it
// is cheap, but not for every message.
func (r *Reader) Stats() Stats {
	var s Stats
	if r.wait(func() { s = r.snapshot() }) {
		return s
	}
	if final := r.final.Load(); final != nil {
		return *final
	}
	return Stats{Topic: r.o.Topic, Channel: r.o.Channel, MaxInFlight: r.o.MaxInFlight}
}

// snapshot is Stats on the loop.
func (r *Reader) snapshot() Stats {
	c := &r.stats
	s := Stats{
		Topic:       r.o.Topic,
		Channel:     r.o.Channel,
		MaxInFlight: r.ready.max,
		Unanswered:  r.given,
		Level:       r.throttle.level(),
		Backoff:     r.throttle.phase != flowing,
		PauseEnds:   r.pauseEnds,
		Paused:      r.ready.paused,
		Held:        r.ready.held,
		Received:    c.Received,
		Handled:     c.Handled,
		GivenUp:     c.GivenUp,
		Finished:    c.Finished,
		Discarded:   c.Discarded,
		Requeued:    c.Requeued,
		Returned:    c.Returned,
		Touched:     c.Touched,
		Expired:     c.Expired,
		Lost:        c.Lost,
		Refused:     c.Refused,
		Pauses:      c.Pauses,
		Errors:      c.Errors,
	}
	for _, n := range r.nodes {
		s.NSQDs = append(s.NSQDs, r.nodeStats(n))
		if c := n.conn; c != nil {
			s.InFlight += c.inFlight
			if c.slot != nil {
				s.Connections++
			}
		}
	}
	return s
}

// nodeStats is how the reader stands with one nsqd.
func (r *Reader) nodeStats(n *node) NSQDStats {
	s := NSQDStats{
		Addr: n.addr, Direct: n.direct, Dials: n.redial.Attempts(), Err: n.err,
		State: gone.String(), Why: ReasonNotSubscribed,
	}
	c := n.conn
	if c == nil {
		return s
	}
	s.State, s.InFlight = c.state.String(), c.inFlight
	switch {
	case c.slot != nil:
		s.Ready, s.Share, s.Limit = c.slot.count, c.slot.share, c.slot.limit
		s.Why = r.ready.why(c.slot)
	case c.state == leaving:
		s.Why = ReasonLeaving
	}
	return s
}
