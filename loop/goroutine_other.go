//go:build !amd64 && !arm64

package loop

import "runtime"

// goroutine tells goroutines apart: it is the number of the calling one. The runtime
// tells it only in the first line of a stack trace, "goroutine 18 [running]:".
func goroutine() uintptr {
	var buf [32]byte
	line := buf[:runtime.Stack(buf[:], false)]
	var id uintptr
	for _, b := range line[len("goroutine "):] {
		if b < '0' || b > '9' {
			break
		}
		id = id*10 + uintptr(b-'0')
	}
	return id
}
