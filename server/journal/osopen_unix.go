//go:build unix

package journal

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// openFile opens a file as [os.OpenFile] does, but does not offer it to the
// runtime's poller, which takes no files and costs four system calls to say so:
// a server with ten thousand topics opens that many files when it starts.
func openFile(path string, flags int, perm fs.FileMode) (*os.File, error) {
	for {
		fd, err := syscall.Open(path, flags|syscall.O_CLOEXEC, uint32(perm.Perm()))
		if err == nil {
			return os.NewFile(uintptr(fd), path), nil
		}
		if !errors.Is(err, syscall.EINTR) {
			return nil, &fs.PathError{Op: "open", Path: path, Err: err}
		}
	}
}
