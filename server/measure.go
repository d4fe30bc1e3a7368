package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nsqloop/nsqloop/internal/wire"
)

// measures are what the server counts for /metrics alone, on the loop.
type measures struct {
	commands [wire.Nop + 1]uint64 // carried out or refused, by verb; 0 is what could not be read
	refused  [wire.Nop + 1]uint64 // of these
	repeats  uint64               // messages published once more, and stored already
	e2e      durations            // publish to FIN, of the messages in flights
	syncs    durations            // of rounds of fsync, which publishers wait for with SyncAlways
	flights  flights
}

func (m *measures) init() {
	m.e2e.bounds = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 3600}
	m.syncs.bounds = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5}
	m.e2e.counts = make([]uint64, len(m.e2e.bounds))
	m.syncs.counts = make([]uint64, len(m.syncs.bounds))
}

// refuse counts a command that was not carried out.
func (m *measures) refuse(v wire.Verb) {
	m.commands[v]++
	m.refused[v]++
}

// copy is a snapshot for another goroutine, without the flights.
func (m *measures) copy() *measures {
	c := &measures{commands: m.commands, refused: m.refused, repeats: m.repeats, e2e: m.e2e, syncs: m.syncs}
	c.e2e.counts = append([]uint64(nil), m.e2e.counts...)
	c.syncs.counts = append([]uint64(nil), m.syncs.counts...)
	return c
}

// durations is a histogram by fixed bounds.
type durations struct {
	bounds []float64 // seconds, rising
	counts []uint64  // of those that are not above the bound, but above the one before
	n      uint64
	sum    float64 // seconds
}

// add counts a duration in nanoseconds.
func (d *durations) add(ns int64) {
	s := float64(max(ns, 0)) / 1e9
	d.n++
	d.sum += s
	for i, bound := range d.bounds {
		if s <= bound {
			d.counts[i]++
			return
		}
	}
}

// collect is the histogram as Prometheus wants it.
func (d *durations) collect(desc *prometheus.Desc) prometheus.Metric {
	buckets := make(map[float64]uint64, len(d.bounds))
	sum := uint64(0)
	for i, bound := range d.bounds {
		sum += d.counts[i]
		buckets[bound] = sum
	}
	return prometheus.MustNewConstHistogram(desc, d.n, d.sum, buckets)
}

// flights remembers when messages in flight were published, so that their FIN
// tells how long they took. There is a fixed number of places, 96 KiB, and a
// message has one place in which it can be; when another one is there it goes
// without. So what is measured is everything while few messages are in flight
// and a fair sample of more: which ones go without depends on nothing but
// their numbers. Delivering costs a multiplication and a comparison.
type flights []flight

type flight struct {
	ch        *channel // nil: the place is free
	seq       uint64
	published int64 // unix nanoseconds
}

// flightBits is the number of places as a power of two.
const flightBits = 12

func (f flights) place(ch *channel, seq uint64) *flight {
	const golden = 0x9e3779b97f4a7c15 // spreads neighbours: the upper bits of a product mix all lower ones
	return &f[(seq+uint64(ch.cur.Number())<<32)*golden>>(64-flightBits)]
}

// delivered notes a message that is in flight now.
func (f *flights) delivered(ch *channel, seq uint64, published int64) {
	if *f == nil {
		*f = make(flights, 1<<flightBits)
	}
	if p := f.place(ch, seq); p.ch == nil {
		*p = flight{ch, seq, published}
	}
}

// landed forgets a message that is not in flight any more. ok is false when it
// went without a place.
func (f flights) landed(ch *channel, seq uint64) (published int64, ok bool) {
	if f == nil {
		return 0, false
	}
	p := f.place(ch, seq)
	if p.ch != ch || p.seq != seq {
		return 0, false
	}
	published = p.published
	*p = flight{}
	return published, true
}

// emptied forgets all messages of a channel.
func (f flights) emptied(ch *channel) {
	for i := range f {
		if f[i].ch == ch {
			f[i] = flight{}
		}
	}
}

// launched is told of a message that a subscriber has been given.
func (ch *channel) launched(seq uint64, published int64) {
	ch.latencies.delivered(seq, published)
	ch.t.s.measures.flights.delivered(ch, seq, published)
}

// returned is told of a message whose flight is over without an end.
func (ch *channel) returned(seq uint64) {
	ch.latencies.returned(seq)
	ch.t.s.measures.flights.landed(ch, seq)
}

// ended is told of a message that was finished.
func (ch *channel) ended(seq uint64) {
	s := ch.t.s
	now := s.now()
	ch.latencies.finished(seq, now)
	if published, ok := s.measures.flights.landed(ch, seq); ok {
		s.measures.e2e.add(now - published)
	}
}

// grounded is told that nothing of the channel is in flight.
func (ch *channel) grounded() {
	ch.latencies.emptied()
	ch.t.s.measures.flights.emptied(ch)
}
