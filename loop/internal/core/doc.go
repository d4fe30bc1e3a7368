// Package core is what every loop has in common, whatever carries its bytes:
// the order of a turn, timers, posted functions, and the life of a stream with
// its gathered output, its unconsumed input and its layers.
//
// The engine on real sockets and the simulator in memory both drive it: they
// call Begin, report what happened (Receive, Lost, a batch of posted
// functions), and call End. So both run callbacks in the same order and by the
// same rules, and what differs is only where time and bytes come from.
//
// Nothing here is safe for concurrent use, except Queue, Drains and what
// watches a Probe.
package core
