//go:build !windows

package tofile

import (
	"errors"
	"os"
	"path/filepath"
)

// syncDir has the disk keep the name of the file at path.
func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
