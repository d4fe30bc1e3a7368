// Package looptest is package loop on virtual time and a network in memory,
// driven by a seed, for tests and simulations.
//
// A [World] holds any number of loops, each a process of its own: a server, a
// client, a lookup service. They share one clock, which moves only when
// nothing is left to do at the present, and one network, which splits, joins
// and delays what is sent over it, refuses dials and breaks connections. All
// of it happens on the goroutine that drives the world, in an order that
// follows from the seed alone: the same program with the same seed does the
// same again, and [World.Trace] proves it.
//
//	w := looptest.Test(t, looptest.Options{})
//	server, client := w.Loop("server"), w.Loop("client")
//	server.Listen(":4150", accept)
//	client.Dial("server:4150", loop.DialOptions{}, handler)
//	if !w.RunUntil(func() bool { return handler.done }, time.Minute) {
//		t.Fatal("not done within a virtual minute")
//	}
//
// # Addresses
//
// Every loop is a host with its own name and address. A listener on ":4150" is
// found under its loop's name and under "localhost:4150"; the loopback
// addresses are common to all loops, so that a configuration for one machine
// works unchanged.
//
// # What replays and what does not
//
// Callbacks must not start goroutines, read the clock or use other sources of
// chance than Loop.Rand, and must not let the order of a map reach the
// network. Work given to Loop.Go runs on the world's goroutine after a delay,
// so it must not wait for a loop. Post may be called from other goroutines,
// but when such a function runs then depends on the scheduler.
//
// # What waits for a loop
//
// The goroutine that drives the world is the only one that moves a loop on. So a
// call that waits for a loop never returns there, and nothing says so: a
// writer's PublishSync, for example, or the Stats, Publish and Shutdown of a
// server. Call what does not wait inside [Loop.Do] instead: Publish with a done
// function, the Stats of a reader or writer, a server's Close. Then move the
// world on. [Loop.Shutdown] ends a loop with all that is on it.
//
// A reader with Workers runs its handlers on goroutines of their own, in real
// time. The world does not know of them, and goes on without their answers:
// leave Workers at 0.
package looptest
