//go:build linux || darwin || freebsd

package server

import "syscall"

// diskSpace is how many bytes of the disk that holds path are free for whoever
// is not root, and how many it has; 0 when the system does not say.
func diskSpace(path string) (free, total int64) {
	var st syscall.Statfs_t
	if syscall.Statfs(path, &st) != nil {
		return 0, 0
	}
	size := int64(st.Bsize)
	return int64(st.Bavail) * size, int64(st.Blocks) * size
}
