package main

import (
	"math"
	"runtime/debug"
)

// What the program has besides what it may hold for its peers (--max-memory),
// before the garbage collector works harder: its own data, and garbage. Go's own
// tables grow with what is held. Where garbage has no room the collector runs
// without a pause, and takes from everybody what the loop needs.
const (
	nsqdRoom       = 24 << 20
	nsqlookupdRoom = 10 << 20

	tablesShare = 32 // a part of what is held
)

// collectBeyond has the garbage collector keep the program within held bytes
// and some room. Without that it may let garbage grow until it is as much as
// what is held. GOMEMLIMIT wins.
func (p process) collectBeyond(held, room int64) {
	if _, given := p.getenv("GOMEMLIMIT"); given || held > math.MaxInt64/2 {
		return
	}
	debug.SetMemoryLimit(held + held/tablesShare + room)
}
