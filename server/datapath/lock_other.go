//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly || windows)

package datapath

import (
	"fmt"
	"os"
)

// Lock opens the directory and locks nothing: these systems have no lock
// that both holds a directory and vanishes with the process. Whoever runs two
// servers on one data path here is not stopped.
func Lock(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("open data path: %w", err)
	}
	return f, nil
}
