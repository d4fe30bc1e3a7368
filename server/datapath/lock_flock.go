//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package datapath

import (
	"fmt"
	"os"
	"syscall"
)

// Lock takes the same lock as nsqd does, an advisory one on the directory
// itself, so that neither starts on the other's data. It vanishes with the
// process, however that ends. The words of the error are nsqd's.
func Lock(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("open data path: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("failed to lock data-path: cannot flock directory %s - %s (possibly in use by another instance of nsqd): %w",
			dir, err, ErrLocked)
	}
	return f, nil
}
