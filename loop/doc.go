// Package loop runs callbacks one at a time: connections, timers and posted
// functions, all on one goroutine.
//
// There are four nouns. A [Loop] runs callbacks. A [Conn] is a byte stream
// whose output is gathered while callbacks run and sent once at the end of the
// turn. A [Handler] receives a connection's events. A [Timer] calls a function
// later.
//
// A turn is one wake-up of the loop: an event of a connection, or a batch of
// posted functions and due timers. It runs in this order:
//
//  1. the connection's event, or the functions posted so far, first in first out
//  2. timers that are due
//  3. the functions given to AtTurnEnd
//  4. output, once per connection that has some
//
// All callbacks of a loop are serial: none runs inside another, none runs
// before the call that caused it has returned, and state touched only by
// callbacks needs no lock. Only Post, Go, OnLoop, OnShutdown and OnStop may be
// called from other goroutines; everything else belongs to the loop's goroutine.
//
// There are two implementations of the contract: [New] on the operating
// system's sockets, and package looptest on virtual time and a network in
// memory, both driven by a seed. What is built on a Loop cannot tell which one
// it runs on, so whole systems can be replayed.
package loop
