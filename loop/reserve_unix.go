//go:build unix

package loop

import (
	"math"
	"net"
	"syscall"
)

// descriptorLimit is the number of the first descriptor that is reserved; 0
// when there is no limit to stay below.
func descriptorLimit() int {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil || uint64(r.Cur) > math.MaxInt32 {
		return 0
	}
	n := int(r.Cur)
	return n - min(reserved, n/4)
}

// descriptorOf is the number of nc's descriptor, -1 if it has none.
func descriptorOf(nc net.Conn) int {
	n := -1
	control(nc, func(fd int) { n = fd })
	return n
}

// nextDescriptor is the number of the descriptor that is given out next: that
// which a copy of nc's gets. It is the highest there can be when there is none.
func nextDescriptor(nc net.Conn) int {
	n := math.MaxInt
	syscall.ForkLock.RLock() // no child may inherit it
	defer syscall.ForkLock.RUnlock()
	control(nc, func(fd int) {
		if dup, err := syscall.Dup(fd); err == nil {
			n = dup
			syscall.Close(dup)
		}
	})
	return n
}

// control calls f with nc's descriptor, if it has one.
func control(nc net.Conn, f func(fd int)) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return
	}
	if raw, err := sc.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { f(int(fd)) }) // it fails when nc is closed, and nobody has closed it
	}
}
