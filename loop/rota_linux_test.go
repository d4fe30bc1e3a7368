package loop_test

import (
	"encoding/binary"
	"io"
	"net"
	"testing"

	"github.com/nsqloop/nsqloop/loop"
)

// pourer sends numbers as fast as it can, and is received in order.
type pourer struct {
	next  uint32
	turns int
	wrong bool
}

const poured = 4 << 20 // bytes of each

func (p *pourer) pour(nc net.Conn) {
	buf := make([]byte, 1<<20)
	for n := uint32(0); n < poured/4; {
		for i := 0; i < len(buf); i += 4 {
			binary.BigEndian.PutUint32(buf[i:], n)
			n++
		}
		if _, err := nc.Write(buf); err != nil {
			return // the receiver misses it
		}
	}
}

func (p *pourer) onData(_ loop.Conn, b []byte) int {
	n := len(b) &^ 3
	for i := 0; i < n; i += 4 {
		p.wrong = p.wrong || binary.BigEndian.Uint32(b[i:]) != p.next
		p.next++
	}
	p.turns++
	return n
}

// Eight connections pour. Between two turns of somebody else, here of posted
// functions, one of them is served: not all. What they send arrives, in order.
func TestEngine_ServesOneThatPoursAtATime(t *testing.T) {
	l := start(t, loop.Options{})
	const n = 8
	var all []*pourer
	done := make(chan struct{})
	addr := l.listen(t, func(loop.Conn) loop.Handler {
		p := &pourer{}
		all = append(all, p)
		return &handler{name: "pourer", onData: p.onData}
	})
	for range n {
		nc := dial(t, addr)
		go new(pourer).pour(nc)
	}
	most, seen := 0, 0
	var look func()
	look = func() {
		turns, begun, over := 0, 0, 0
		for _, p := range all {
			turns += p.turns
			if p.turns >= 4 {
				begun++
			}
			if p.next == poured/4 {
				over++
			}
		}
		if begun == n {
			most = max(most, turns-seen)
		}
		seen = turns
		if over == n {
			close(done)
			return
		}
		_ = l.Post(look)
	}
	_ = l.Post(look)
	wait(t, "what was poured", done)
	for i, p := range all {
		if p.wrong {
			t.Errorf("connection %d: out of order", i)
		}
	}
	if most > 3 {
		t.Errorf("%d turns of those that pour between two of somebody else, want 1, or 3 when light ones are among them", most)
	}
}

// Whoever is refused, and goes on for megabytes, still gets to read why.
func TestEngine_RefusalReachesAPeerThatPours(t *testing.T) {
	l := start(t, loop.Options{})
	addr := l.listen(t, func(loop.Conn) loop.Handler {
		return &handler{name: "refuses", onData: func(c loop.Conn, p []byte) int {
			c.Write([]byte("no"))
			c.Close()
			return len(p)
		}}
	})
	nc := dial(t, addr)
	if _, err := nc.Write(make([]byte, 8<<20)); err != nil {
		t.Fatal(err)
	}
	_ = nc.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(nc); err != nil || string(got) != "no" {
		t.Errorf("read %q, %v", got, err)
	}
}
