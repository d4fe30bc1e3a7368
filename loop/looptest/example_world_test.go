package looptest_test

import (
	"fmt"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/loop/looptest"
)

// visitor says hello and reports how it went.
type visitor struct{ loop *looptest.Loop }

func (v *visitor) OnOpen(c loop.Conn)  { c.Write([]byte("hello")) }
func (v *visitor) OnData(p []byte) int { return len(p) }
func (v *visitor) OnClose(err error)   { fmt.Println(v.loop.Now().Format("15:04"), err) }

// greeter listens.
type greeter struct{}

func (greeter) OnOpen(loop.Conn)    {}
func (greeter) OnData(p []byte) int { fmt.Printf("%s\n", p); return len(p) }
func (greeter) OnClose(error)       {}

// A server crashes after a virtual hour; that takes no time and needs no
// socket, and with the same seed it goes the same way every time.
func Example() {
	w := looptest.New(1, looptest.Options{Whole: true})
	server, client := w.Loop("server"), w.Loop("client")
	if _, err := server.Listen(":4150", func(loop.Conn) loop.Handler { return greeter{} }); err != nil {
		fmt.Println(err)
	}
	client.Dial("server:4150", loop.DialOptions{}, &visitor{client})
	w.Run(time.Hour)
	w.Crash(server)
	w.Run(time.Minute)
	w.Close()
	// Output:
	// hello
	// 01:00 read: connection reset by peer
}
