// Command bench loads a server as a process of its own and prints one table:
// messages per second, processor time of the server per message, latencies, and
// the server's peak memory.
//
//	go run ./internal/bench -scenario publish -n 2000000 -conns 1 -inflight 100
//	go run ./internal/bench -scenario consume -server "nsqd -mem-queue-size=3000000" -server ""
//	go run ./internal/bench -scenario e2e -rate 2000 -addr 127.0.0.1:4150
//
// The client is as cheap as it can be: plain sockets, whole batches per write,
// answers counted and not looked at. With several -server the servers take turns
// within each round, so that a busy machine is busy for all of them; the table
// shows medians. A server is started on free ports with an empty data path; an
// empty name means nsqd-lite, built from this tree.
package main
