//go:build unix

package journal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
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

// Placed reports whether a file of the directory has a name at all, or the one
// that is given if it is not "".
func (d *osDir) Placed(f File, name string) bool {
	own, ok := f.(osFile)
	if !ok {
		return true
	}
	var open, named syscall.Stat_t
	if err := syscall.Fstat(int(own.Fd()), &open); err != nil {
		return true // what is wrong is found out by writing
	}
	if name == "" || open.Nlink == 0 {
		return open.Nlink > 0
	}
	if err := syscall.Stat(filepath.Join(d.path, name), &named); err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	return named.Ino == open.Ino && named.Dev == open.Dev
}
