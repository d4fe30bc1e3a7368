package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
)

// conn is one connection to a server, used by one goroutine at a time.
type conn struct {
	net net.Conn
	in  []byte // received and not consumed
	buf []byte // storage of in
	out []byte
}

// dial connects and says the magic. There is no IDENTIFY: all settings are the
// server's defaults. buffer is how much one read may take.
func dial(addr string, buffer int) (*conn, error) {
	n, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &conn{net: n, buf: make([]byte, buffer)}
	_, err = n.Write([]byte(wire.MagicV2))
	return c, err
}

func (c *conn) close() { c.net.Close() }

// flush writes what stands in out.
func (c *conn) flush() error {
	_, err := c.net.Write(c.out)
	c.out = c.out[:0]
	return err
}

// read waits for bytes and calls frame for each whole frame received. Heartbeats
// are answered with the next flush.
func (c *conn) read(frame func(t wire.FrameType, data []byte) error) error {
	if len(c.in) > 0 {
		copy(c.buf, c.in)
	}
	have := len(c.in)
	if have == len(c.buf) {
		c.buf = append(c.buf, make([]byte, len(c.buf))...)
	}
	n, err := c.net.Read(c.buf[have:])
	if err != nil {
		return err
	}
	b := c.buf[:have+n]
	for len(b) >= 4 {
		size := int(binary.BigEndian.Uint32(b))
		if len(b) < 4+size {
			break
		}
		t, data := wire.FrameType(binary.BigEndian.Uint32(b[4:])), b[8:4+size]
		b = b[4+size:]
		if t == wire.FrameResponse && string(data) == wire.Heartbeat {
			c.out = wire.AppendNop(c.out)
			continue
		}
		if t == wire.FrameError {
			return fmt.Errorf("the server says %s", data)
		}
		if err := frame(t, data); err != nil {
			return err
		}
	}
	c.in = b
	return nil
}

// subscribe sends SUB, waits for OK, and sends RDY.
func (c *conn) subscribe(topic, channel string, ready int) error {
	c.out = wire.AppendSub(c.out, topic, channel)
	if err := c.flush(); err != nil {
		return err
	}
	for ok := false; !ok; {
		err := c.read(func(wire.FrameType, []byte) error { ok = true; return nil })
		if err != nil {
			return err
		}
	}
	c.out = wire.AppendRdy(c.out, ready)
	return c.flush()
}

// pump keeps up to inflight commands unanswered until n have been answered.
// write appends one command to out. It returns sampled latencies.
func (c *conn) pump(n, inflight int, write func(out []byte) []byte) ([]time.Duration, error) {
	type sent struct {
		count int
		at    time.Time
	}
	var (
		batches   []sent // oldest first
		latencies []time.Duration
		out, done int
	)
	for done < n {
		if room := min(inflight-(out-done), n-out); room > 0 {
			for range room {
				c.out = write(c.out)
			}
			out += room
			batches = append(batches, sent{room, time.Now()})
		}
		if len(c.out) > 0 {
			if err := c.flush(); err != nil {
				return nil, err
			}
		}
		before := done
		if err := c.read(func(wire.FrameType, []byte) error { done++; return nil }); err != nil {
			return nil, err
		}
		now := time.Now()
		for answered := done - before; answered > 0; {
			took := min(answered, batches[0].count)
			latencies = append(latencies, now.Sub(batches[0].at))
			answered -= took
			if batches[0].count -= took; batches[0].count == 0 {
				batches = batches[1:]
			}
		}
	}
	return latencies, nil
}

// finish waits for messages, finishes each, hands its body to see, and returns
// how many there were.
func (c *conn) finish(see func(body []byte)) (n int, err error) {
	err = c.read(func(t wire.FrameType, data []byte) error {
		if t != wire.FrameMessage {
			return nil
		}
		n++
		c.out = wire.AppendFin(c.out, wire.ID(data[10:26]))
		if see != nil {
			see(data[26:])
		}
		return nil
	})
	if err == nil && len(c.out) > 0 {
		err = c.flush()
	}
	return n, err
}

// drain finishes messages until n have come.
func (c *conn) drain(n int, see func(body []byte)) error {
	for n > 0 {
		got, err := c.finish(see)
		if n -= got; err != nil && n > 0 {
			return err
		}
	}
	return nil
}
