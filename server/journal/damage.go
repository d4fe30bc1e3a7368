package journal

import (
	"log/slog"
	"slices"
)

// damageKept is how many runs of lost messages are remembered.
const damageKept = 1024

// run is the messages from one sequence up to, but not, another.
type run struct{ from, to uint64 }

// runs are what has been lost so far, in order and apart from each other.
type runs []run

// add adds the messages of r and returns how many of them are new.
func (rs *runs) add(r run) (added int64) {
	if r.from >= r.to {
		return 0
	}
	// The runs that r touches become one with it.
	first, _ := slices.BinarySearchFunc(*rs, r.from, func(x run, from uint64) int {
		if x.to < from {
			return -1
		}
		return 1
	})
	added = int64(r.to - r.from)
	end := first
	for ; end < len(*rs) && (*rs)[end].from <= r.to; end++ {
		x := (*rs)[end]
		if lo, hi := max(x.from, r.from), min(x.to, r.to); hi > lo {
			added -= int64(hi - lo)
		}
	}
	if end > first {
		r = run{min(r.from, (*rs)[first].from), max(r.to, (*rs)[end-1].to)}
	}
	*rs = slices.Replace(*rs, first, end, r)
	return added
}

// lost counts the messages from a sequence up to, but not, another, whose
// records are damaged, and tells the operator. Each is counted once, whoever
// meets it again.
func (j *Journal) lost(from, to uint64, msg string, args ...any) {
	if len(j.damage) >= damageKept {
		j.damage = nil
	}
	if n := j.damage.add(run{from, to}); n > 0 {
		j.damaged(n, msg, args...)
	}
}

// damaged counts n damaged records and tells the operator.
func (j *Journal) damaged(n int64, msg string, args ...any) {
	j.corrupt += n
	j.report(slog.LevelError, msg, append(args, "messages", n)...)
}
