package journal

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestRuns_CountEachOnce compares with a set of the messages themselves.
func TestRuns_CountEachOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var rs runs
		all := map[uint64]bool{}
		for range rapid.IntRange(1, 30).Draw(t, "runs") {
			r := run{from: rapid.Uint64Range(0, 60).Draw(t, "from")}
			r.to = r.from + rapid.Uint64Range(0, 12).Draw(t, "length")
			want := int64(0)
			for seq := r.from; seq < r.to; seq++ {
				if !all[seq] {
					all[seq] = true
					want++
				}
			}
			if got := rs.add(r); got != want {
				t.Fatalf("%v: %d are new, want %d", r, got, want)
			}
			apart := slices.IsSortedFunc(rs, func(a, b run) int {
				if a.to < b.from {
					return -1
				}
				return 1
			})
			if len(rs) > 1 && !apart {
				t.Fatalf("%v are not in order and apart", rs)
			}
		}
	})
}
