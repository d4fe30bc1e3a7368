// Package server is an NSQ broker: topics, their channels, and messages in
// flight, for any client that speaks to nsqd.
//
// A topic is a journal, a channel is a cursor in it, a message in flight is a
// position and a deadline. Publishing appends one record to the topic's
// journal, however many channels there are. A message that was acknowledged is
// in the file: killing the process loses none, and what was finished is not
// delivered again, but for the answers of the very last turn.
//
// All state of a [Server] belongs to one loop ([loop.Loop]); there are no locks
// and no goroutine per client, topic or channel. During a turn the bytes of a
// client are taken apart into commands, publishes are appended to journals, and
// answers move cursors. At the end of the turn:
//
//  1. journals that have new messages write them, each with one write
//  2. publishers get their OKs, or the error that the disk gave
//  3. channels that have messages and ready subscribers deliver
//  4. journals whose messages were answered write that down, each with one
//     write; deliveries alone are written down a few milliseconds later
//  5. channels and topics that lived only for their subscribers are removed
//
// and then the loop sends what was gathered for each connection. So what a turn
// costs depends on how many topics and clients it touched, not on how many
// messages it moved. And those are bounded: a client whose commands make much
// work is set aside after some of it, and what HTTP asks of many topics is done
// some in a turn.
//
// [New] makes a server on a loop of the caller's, which may be the simulated
// one of package looptest; [Start] makes one on a loop of its own.
//
//	s, err := server.Start(server.Options{TCPAddress: "127.0.0.1:4150", DataPath: "data"})
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer s.Close()
//
// A [Lookupd] is an nsqlookupd: servers with LookupdTCPAddresses register with
// it, or with the original, and consumers ask it who has a topic. Whenever a
// server finds one, it tells it everything, and from then on each change in the
// turn in which it happens.
//
// Without DataPath everything is kept in memory. The HTTP API runs on
// goroutines of net/http, each request of which crosses to the loop once, or
// waits there for some turns.
package server
