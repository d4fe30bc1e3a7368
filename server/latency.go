package server

import (
	"math"
	"math/bits"
)

// Latencies are counted in buckets whose width grows with the latency: so many
// to each doubling that a bucket's middle is within 1 % of anything in it.
const (
	latencyBits  = 6                      // 64 buckets to a doubling
	latencyFirst = 1 << (latencyBits + 4) // nanoseconds; what is below is one bucket: a microsecond
)

// histogram counts latencies. It grows with the range it has seen, to 15 KB
// for one from a microsecond to a century. Histograms can be added without
// losing anything, which is what a window and a topic need.
type histogram struct {
	counts []uint32 // of the buckets from base
	base   int
	n      uint64
	most   int64
}

// latencyBucket is where a latency of ns nanoseconds is counted.
func latencyBucket(ns int64) int {
	if ns < latencyFirst {
		return 0
	}
	shift := bits.Len64(uint64(ns)) - 1 - latencyBits
	return (shift-4)<<latencyBits + int(uint64(ns)>>shift) - 1<<latencyBits + 1
}

// latencyOf is the middle of a bucket.
func latencyOf(bucket int) float64 {
	if bucket == 0 {
		return latencyFirst / 2
	}
	shift := (bucket-1)>>latencyBits + 4
	low := float64((bucket-1)&(1<<latencyBits-1) + 1<<latencyBits)
	return math.Ldexp(low+0.5, shift)
}

// add counts a latency.
func (h *histogram) add(ns int64) {
	h.grow(latencyBucket(ns), 1)
	h.n++
	h.most = max(h.most, ns)
}

// grow adds n to a bucket.
func (h *histogram) grow(bucket int, n uint32) {
	switch {
	case len(h.counts) == 0:
		h.base = bucket
		h.counts = append(h.counts, 0)
	case bucket < h.base:
		h.counts = append(make([]uint32, h.base-bucket, h.base-bucket+len(h.counts)), h.counts...)
		h.base = bucket
	case bucket >= h.base+len(h.counts):
		h.counts = append(h.counts, make([]uint32, bucket-h.base-len(h.counts)+1)...)
	}
	if c := &h.counts[bucket-h.base]; *c > math.MaxUint32-n {
		*c = math.MaxUint32
	} else {
		*c += n
	}
}

// merge adds all of o.
func (h *histogram) merge(o *histogram) {
	for i, n := range o.counts {
		if n > 0 {
			h.grow(o.base+i, n)
		}
	}
	h.n += o.n
	h.most = max(h.most, o.most)
}

// reset forgets everything and keeps the memory.
func (h *histogram) reset() {
	clear(h.counts)
	h.n, h.most = 0, 0
}

// quantile is the latency that a share q of all does not exceed, in
// nanoseconds; 0 when there are none.
func (h *histogram) quantile(q float64) float64 {
	if h.n == 0 {
		return 0
	}
	rank := uint64(math.Ceil(q * float64(h.n)))
	if rank >= h.n {
		return float64(h.most)
	}
	seen := uint64(0)
	for i, n := range h.counts {
		if seen += uint64(n); seen >= rank {
			return math.Min(latencyOf(h.base+i), float64(h.most))
		}
	}
	return float64(h.most)
}

// latencies are those of a channel within a window of time. There are two
// halves: when the newer one is full, the older one is forgotten.
type latencies struct {
	half    int64 // nanoseconds
	start   int64 // of the newer half
	halves  [2]histogram
	current int

	// sent is when each message in flight was published: the journal does not
	// keep that at hand. A map per message is the price of measuring, paid
	// only by those who ask for percentiles.
	sent map[uint64]int64
}

// newLatencies returns nil when no percentiles are asked for.
func newLatencies(o *Options) *latencies {
	if len(o.E2EProcessingLatencyPercentiles) == 0 {
		return nil
	}
	return &latencies{half: max(int64(o.E2EProcessingLatencyWindowTime)/2, 1), sent: map[uint64]int64{}}
}

// delivered notes that a message published at a time is in flight.
func (l *latencies) delivered(seq uint64, published int64) {
	if l != nil {
		l.sent[seq] = published
	}
}

// returned notes that a message is in flight no more, without an end.
func (l *latencies) returned(seq uint64) {
	if l != nil {
		delete(l.sent, seq)
	}
}

// finished counts the latency of a message.
func (l *latencies) finished(seq uint64, now int64) {
	if l == nil {
		return
	}
	published, ok := l.sent[seq]
	if !ok {
		return
	}
	delete(l.sent, seq)
	l.turn(now)
	l.halves[l.current].add(max(now-published, 0))
}

// emptied notes that nothing is in flight.
func (l *latencies) emptied() {
	if l != nil {
		clear(l.sent)
	}
}

// turn forgets what is older than the window.
func (l *latencies) turn(now int64) {
	switch age := now - l.start; {
	case age < l.half:
		return
	case age < 2*l.half:
		l.start += l.half
	default:
		l.halves[l.current].reset()
		l.start = now
	}
	l.current = 1 - l.current
	l.halves[l.current].reset()
}

// addTo adds what is in the window to h.
func (l *latencies) addTo(h *histogram, now int64) {
	l.turn(now)
	h.merge(&l.halves[0])
	h.merge(&l.halves[1])
}

// latencyStats are the percentiles that are asked for, of h.
func (s *Server) latencyStats(h *histogram) E2EStats {
	st := E2EStats{Count: int(h.n)}
	for _, q := range s.o.E2EProcessingLatencyPercentiles {
		st.Percentiles = append(st.Percentiles, Percentile{Quantile: q, Value: h.quantile(q)})
	}
	return st
}
