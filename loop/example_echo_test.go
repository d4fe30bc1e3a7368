package loop_test

import (
	"bytes"
	"context"
	"fmt"
	"log"

	"github.com/nsqloop/nsqloop/loop"
)

// shout answers each line in capitals.
type shout struct{ conn loop.Conn }

func (s *shout) OnOpen(c loop.Conn) { s.conn = c }
func (s *shout) OnClose(error)      {}

func (s *shout) OnData(p []byte) (consumed int) {
	for {
		i := bytes.IndexByte(p[consumed:], '\n')
		if i < 0 {
			return consumed // the rest is offered again when there is more
		}
		line := p[consumed : consumed+i+1]
		s.conn.Write(bytes.ToUpper(line)) // all lines of a turn leave in one write
		consumed += len(line)
	}
}

// caller says something, prints the answer and hangs up.
type caller struct {
	conn loop.Conn
	done func()
}

func (c *caller) OnOpen(conn loop.Conn) {
	c.conn = conn
	conn.Write([]byte("hello\nworld\n"))
}

func (c *caller) OnData(p []byte) int {
	if !bytes.HasSuffix(p, []byte("WORLD\n")) {
		return 0 // not all of it yet
	}
	fmt.Print(string(p))
	c.conn.Close()
	return len(p)
}

func (c *caller) OnClose(err error) {
	fmt.Println("closed:", err)
	c.done()
}

func Example() {
	l, err := loop.New(loop.Options{})
	if err != nil {
		log.Fatal(err)
	}
	ln, err := l.Listen("127.0.0.1:0", func(loop.Conn) loop.Handler { return &shout{} })
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	l.Dial(ln.Addr().String(), loop.DialOptions{}, &caller{done: stop})
	if err := l.Run(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// HELLO
	// WORLD
	// closed: <nil>
}
