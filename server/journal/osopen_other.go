//go:build !unix

package journal

import (
	"io/fs"
	"os"
)

// openFile is [os.OpenFile].
func openFile(path string, flags int, perm fs.FileMode) (*os.File, error) {
	return os.OpenFile(path, flags, perm)
}
