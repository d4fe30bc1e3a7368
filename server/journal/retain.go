package journal

import "math"

// retention says which finished segments stay nevertheless.
type retention struct {
	age, bytes int64
	now        int64 // the last time that is known
	below      int64 // what ends here or before may go
}

// on reports whether finished segments stay at all.
func (r *retention) on() bool { return r.age > 0 || r.bytes > 0 }

// holds reports whether s has to stay though nobody needs it.
func (r *retention) holds(s *segment) bool { return r.on() && s.end > r.below }

// Prune deletes finished segments that have been kept long enough at a time in
// unix nanoseconds. Nothing else tells the journal the time while nothing is
// published. It does nothing without Options.RetainAge and RetainBytes.
func (j *Journal) Prune(now int64) {
	if j.closed || !j.retain.on() {
		return
	}
	j.retain.now = now
	j.review()
	if j.reclaimable {
		j.reclaim()
		j.clearing.handOver()
	}
}

// review finds out what need not be kept any longer. Segments go in the order
// of their age: the first that has to stay ends the search.
func (j *Journal) review() {
	r := &j.retain
	if !r.on() || len(j.segments) == 0 {
		return
	}
	total := j.Bytes()
	for i, s := range j.segments[:len(j.segments)-1] {
		if s.end > r.below {
			large := r.bytes > 0 && total > r.bytes
			if !large && !(r.age > 0 && j.lastTime(i) < r.now-r.age) {
				return
			}
			r.below = s.end
			j.reclaimable = true
		}
		total -= s.end - s.base + fileHeader
	}
}

// lastTime is when the last message of a sealed segment was published, or a
// little later.
func (j *Journal) lastTime(i int) int64 {
	s := j.segments[i]
	if s.newest == 0 {
		at, err := j.firstTime(j.segments[i+1])
		if err != nil {
			return math.MaxInt64 // it is tried again
		}
		s.newest = at
	}
	return s.newest
}

// sealed notes when the last message of a segment that ends was published.
func (j *Journal) sealed(s *segment) {
	s.newest = j.newest
	j.retain.now = max(j.retain.now, j.newest)
}

// Oldest is when the oldest message that can be read was published; ok is
// false when there is none, or it cannot be read.
func (j *Journal) Oldest() (timestamp int64, ok bool) {
	w := walker{j: j, at: j.start()}
	var r record
	_, ok, err := w.next(&r)
	return r.timestamp, ok && err == nil
}
