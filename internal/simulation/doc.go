// Package simulation runs whole systems by seed: nsqds on disks of their own,
// nsqlookupds, and programs with Writers and Readers, in one world with one clock
// and one network. It breaks what can break, as an operator and a bad day would,
// and compares what happened with a model:
//
//   - what was confirmed is delivered on every channel that was there, after kills
//     always, after power cuts as the sync mode promises; what was not sent never is
//   - every done runs exactly once, in time, and names the nsqd
//   - what was finished does not come again, unless its FIN was lost with a
//     connection, came after the message's timeout, or went down with a program
//   - a message keeps its id and timestamp, no attempts number comes twice, and a
//     deferred message does not come early
//   - a requeued message does not come before its delay is over
//   - what is paused rests, what was emptied or deleted stays away
//   - a handler never has more than max in flight unanswered
//   - depth, in flight and deferred add up to what is owed, and not to more
//   - when the faults have stopped everything drains, and nothing is left
//
// Faults end connections at any byte, part hosts, make them deaf, slow or silent;
// end programs at once, in order, or in the middle of any operation of a disk, with
// or without the power; fill disks and slow them down, fail and tear writes, fail
// fsyncs and every other operation, rot bytes; set clocks.
//
// A seed decides everything. A failure prints it, makes the plan as small as it
// can, and tells what then happens:
//
//	go test ./internal/simulation -run TestSimulation -seed 1234
//	go test ./internal/simulation -run TestSimulation -runs 20000
//	go test ./internal/simulation -run TestSimulation -from 1000000 -minutes 60
//
// The simulator is tested in its turn: mutantlist_test.go has bugs that are put into
// the product on purpose, and each must be found. TestSoak lets one system live for
// days.
package simulation
