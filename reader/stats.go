package reader

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
	Paused      bool // by Pause

	Received uint64 // messages delivered by nsqd
	Handled  uint64 // given to the handler or to its workers
	GivenUp  uint64 // delivered more than MaxAttempts times
	Finished uint64 // FINs sent, those for messages discarded and given up among them
	Requeued uint64 // REQs sent as an answer
	Returned uint64 // REQs sent at the shutdown for what was not started
	Touched  uint64 // TOUCHes sent
	Expired  uint64 // messages whose deadline passed here without an answer
	Lost     uint64 // answers from other goroutines that found their connection closed
	Refused  uint64 // answers that nsqd refused
	Pauses   uint64 // of backoff
	Errors   uint64 // reported by OnError

	NSQDs []NSQDStats // known addresses, in the order in which they became known
}

// NSQDStats is how a Reader stands with one nsqd.
type NSQDStats struct {
	Addr     string
	Direct   bool   // added by the program, not only named by nsqlookupd
	State    string // connecting, subscribing, subscribed, leaving, or gone: between dials
	Ready    int    // the ready count
	InFlight int
	Dials    int // since a connection lasted
}

// counters are the numbers of Stats that only grow, as plain fields that are
// written on the loop.
type counters struct {
	Received, Handled, GivenUp, Finished, Requeued, Returned, Touched uint64
	Expired, Lost, Refused, Pauses, Errors                            uint64
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
		Paused:      r.ready.paused,
		Received:    c.Received,
		Handled:     c.Handled,
		GivenUp:     c.GivenUp,
		Finished:    c.Finished,
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
		ns := NSQDStats{Addr: n.addr, Direct: n.direct, State: gone.String(), Dials: n.redial.Attempts()}
		if n.conn != nil {
			ns.State = n.conn.state.String()
			ns.InFlight = n.conn.inFlight
			s.InFlight += n.conn.inFlight
			if n.conn.slot != nil {
				ns.Ready = n.conn.slot.count
				s.Connections++
			}
		}
		s.NSQDs = append(s.NSQDs, ns)
	}
	return s
}
