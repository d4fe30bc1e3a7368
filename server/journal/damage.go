package journal

import (
	"log/slog"
	"sort"
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
	first := sort.Search(len(*rs), func(i int) bool { return (*rs)[i].to >= r.from })
	added = int64(r.to - r.from)
	end := first
	for ; end < len(*rs) && (*rs)[end].from <= r.to; end++ {
		x := (*rs)[end]
		if lo, hi := max(x.from, r.from), min(x.to, r.to); hi > lo {
			added -= int64(hi - lo)
		}
	}
	// By hand: slices.Replace adds 4 kB to the program.
	if end > first {
		(*rs)[first] = run{min(r.from, (*rs)[first].from), max(r.to, (*rs)[end-1].to)}
		*rs = append((*rs)[:first+1], (*rs)[end:]...)
		return added
	}
	*rs = append(*rs, run{})
	copy((*rs)[first+1:], (*rs)[first:])
	(*rs)[first] = r
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
