package datapath

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Lock opens a file in the directory that no one else may open meanwhile: a
// directory itself cannot be locked here. The file vanishes with the process,
// however that ends.
func Lock(dir string) (*os.File, error) {
	path := filepath.Join(dir, "nsqd-lite.lock")
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, fmt.Errorf("open data path: %w", err)
	}
	const deleteOnClose = 0x04000000 // FILE_FLAG_DELETE_ON_CLOSE
	h, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL|deleteOnClose, 0)
	if err != nil {
		return nil, fmt.Errorf("failed to lock data-path: cannot open %s - %s (possibly in use by another instance of nsqd): %w",
			path, err, ErrLocked)
	}
	return os.NewFile(uintptr(h), path), nil
}
