// Package simulation runs whole systems, Writers, a server on its journals and
// Readers, on looptest by seed, breaks what can break, and compares what happened
// with a model:
//
//   - a publish that was confirmed is delivered on every channel, also when the
//     server was killed in between; one that was not sent never is
//   - every done runs exactly once, in time
//   - what was finished does not come again, unless its FIN was lost with a
//     connection, came after the message's timeout, or went down with the server
//   - a handler never has more than max in flight unanswered
//   - a deferred message does not come early
//   - when the faults have stopped everything drains, and nothing is left
//
// A seed decides everything. A failure prints it:
//
//	go test ./internal/simulation -run TestSimulation -seed 1234
//	go test ./internal/simulation -run TestSimulation -runs 20000
package simulation
