// Package backoff says how long to wait after the nth failure. It knows
// neither what failed nor what the time is.
//
// Two questions are answered here. A [Strategy] slows a reader down whose
// handler fails: it climbs with each failure and steps down with each success.
// A [Reconnect] spaces the attempts at something that should succeed sooner or
// later, such as a dial or a lookup query: it grows until it is reset.
//
// Nothing in this package is safe for concurrent use: each value belongs to
// the loop of its owner.
package backoff
