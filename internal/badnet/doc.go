// Package badnet runs Writers and Readers on real sockets, through networks that
// break as a seed says and against servers that are killed, and checks what users
// are promised:
//
//   - every done runs exactly once, and every blocking call returns
//   - what was confirmed is handled, what was not sent never is
//   - what is handled is what was published, to the bit
//   - when the faults have stopped everything drains
//
// Networks delay, throttle, fall silent, close one half, reset in the middle of a
// frame, refuse, and, where TLS or Checksum is there to notice, flip bits. The same is done on virtual time,
// where a schedule takes milliseconds. Package simulation breaks more than
// networks.
//
//	go test ./internal/badnet -run TestBadNetwork -runs 100 -parallel 8
//	go test ./internal/badnet -run TestSimulatedBadNetwork -runs 10000
//	go test ./internal/badnet -run TestSimulatedBadNetwork -seed 17
package badnet
