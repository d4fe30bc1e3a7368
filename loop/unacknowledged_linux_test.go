package loop_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop"
)

// What is asked of the system for PeerTimeout: seconds of silence until it asks
// the peer, seconds between two such probes, their number, and milliseconds
// that what was sent may go unacknowledged.
func TestDial_PeerTimeout(t *testing.T) {
	l := start(t, loop.Options{})
	addr := l.listen(t, echo)
	for name, row := range map[string]struct {
		timeout time.Duration
		want    [5]int
	}{
		"default":         {0, [5]int{1, 1, 1, 2, 3000}},
		"a minute":        {time.Minute, [5]int{1, 20, 20, 2, 60000}},
		"the system's":    {-1, [5]int{1, 15, 15, 9, 0}}, // Go's own
		"half a second":   {500 * time.Millisecond, [5]int{1, 1, 1, 2, 3000}},
		"a bit more than": {4 * time.Second, [5]int{1, 2, 2, 2, 4000}},
	} {
		t.Run(name, func(t *testing.T) {
			opened := make(chan loop.Conn, 1)
			l.Do(t, func() {
				l.Dial(addr, loop.DialOptions{PeerTimeout: row.timeout}, &handler{onOpen: func(c loop.Conn) { opened <- c }})
			})
			c := wait(t, "the connection", opened)
			var got [5]int
			l.Do(t, func() {
				fd := loop.Descriptor(c)
				for i, o := range [][2]int{
					{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE},
					{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE},
					{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL},
					{syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT},
					{syscall.IPPROTO_TCP, 0x12}, // TCP_USER_TIMEOUT
				} {
					v, err := syscall.GetsockoptInt(fd, o[0], o[1])
					if err != nil {
						t.Error(err)
					}
					got[i] = v
				}
			})
			if got != row.want {
				t.Errorf("got %v, want %v", got, row.want)
			}
		})
	}
}
