package server

import (
	"sync"
	"sync/atomic"
)

// sideMost is how many journals are opened, synced or closed side by side: disks
// merge what comes together, and ten thousand journals must not be ten thousand
// threads.
const sideMost = 16

// sideBySide calls f(0) to f(n-1), each once, several at a time, and returns
// when all have returned. It is for starting and stopping, when there are many
// journals, each waits for the disk, and nothing else goes on; f(i) may touch
// nothing but what i stands for.
func sideBySide(n int, f func(i int)) {
	var (
		next atomic.Int64
		wg   sync.WaitGroup
	)
	for range min(n, sideMost) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}
