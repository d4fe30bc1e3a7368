package main

import (
	"math"
	"runtime/debug"
)

// What the program has besides what it may hold for its peers (--max-memory),
// before the garbage collector works harder: its own data, and garbage.
const (
	nsqdRoom       = 16 << 20
	nsqlookupdRoom = 10 << 20
)

// collectBeyond has the garbage collector keep the program within held bytes
// and some room. Without that it may let garbage grow until it is as much as
// what is held. GOMEMLIMIT wins.
func (p process) collectBeyond(held, room int64) {
	if _, given := p.getenv("GOMEMLIMIT"); given || held > math.MaxInt64-room {
		return
	}
	debug.SetMemoryLimit(held + room)
}
