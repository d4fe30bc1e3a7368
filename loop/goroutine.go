package loop

import "runtime"

// goroutineID is the number of the calling goroutine. The runtime tells it
// only in the first line of a stack trace, "goroutine 18 [running]:". It is
// asked for once when the loop starts, and by OnLoop while the loop is busy.
func goroutineID() uint64 {
	var buf [32]byte
	line := buf[:runtime.Stack(buf[:], false)]
	var id uint64
	for _, b := range line[len("goroutine "):] {
		if b < '0' || b > '9' {
			break
		}
		id = id*10 + uint64(b-'0')
	}
	return id
}
