// Package badnet runs Writers and Readers on real sockets, through networks that
// break as a seed says and against servers that are killed, and checks what users
// are promised:
//
//   - every done runs exactly once, and every blocking call returns
//   - what was confirmed is handled, what was not sent never is
//   - when the faults have stopped everything drains
//
// Package simulation checks more, and far more schedules, on virtual time; here
// the sockets are the point: delay, throttling, silence, half closes, resets in
// the middle of a frame, and, inside TLS, flipped bits.
//
//	go test ./internal/badnet -runs 100 -parallel 8
//	go test ./internal/badnet -seed 17 -v
package badnet
