//go:build unix

package loop

import (
	"net"
	"os"
	"syscall"

	"github.com/panjf2000/gnet/v2"
)

// pair returns two sockets that are connected to each other.
func pair() (a, b net.Conn, err error) {
	syscall.ForkLock.RLock() // no child may inherit them between the two calls
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "loop control")
		nc, e := net.FileConn(f)
		f.Close() // FileConn has its own copy
		if e != nil {
			err = e
			continue
		}
		ends[i] = nc
	}
	if err != nil {
		for _, nc := range ends {
			if nc != nil {
				nc.Close()
			}
		}
		return nil, nil, err
	}
	return ends[0], ends[1], nil
}

// closeWrite tells the peer that nothing more comes, while what it sends is
// still read. Closing at once instead would answer its next byte with a reset,
// which destroys what it has not read yet.
func closeWrite(gc gnet.Conn) { _ = syscall.Shutdown(gc.Fd(), syscall.SHUT_WR) }
