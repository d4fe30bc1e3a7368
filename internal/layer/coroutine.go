package layer

import (
	"bytes"
	"io"
	"iter"
	"net"
)

// coroutine runs a body that reads from it, and suspends the body where it
// would have to wait: for input, or for room in the output.
type coroutine struct {
	in   []byte // borrowed from the caller of Open; ours between two calls
	out  []byte // what Open appends to, while it runs
	full int    // length of out at which the body is suspended
	more bool   // the body waits for room
	err  error  // why the body has ended

	next  func() (struct{}, bool) // nil before the first resume
	stop  func()
	yield func(struct{}) bool
}

// open lets body, which must be the same one each time, read raw and append to
// dst.
func (c *coroutine) open(dst, raw []byte, body func() error) ([]byte, error) {
	if len(raw) > 0 {
		c.in = raw
	}
	c.out, c.full = dst, len(dst)+openMost
	alive := c.resume(body)
	dst, c.out = c.out, nil
	switch {
	case !c.more:
		c.in = nil // it has been read, unless the body has ended
	case len(raw) > 0:
		c.in = bytes.Clone(c.in) // the next call may be a while
	}
	if !alive {
		return dst, c.err
	}
	return dst, nil
}

// resume lets body run until it waits, and reports whether it has not ended.
func (c *coroutine) resume(body func() error) (alive bool) {
	if c.next == nil {
		c.next, c.stop = iter.Pull(func(yield func(struct{}) bool) {
			c.yield = yield
			c.err = io.ErrUnexpectedEOF // if the body panics
			c.err = body()
		})
	}
	c.more = false
	_, alive = c.next()
	return alive
}

// Read gives the body what has come, and suspends it while there is nothing.
func (c *coroutine) Read(p []byte) (int, error) {
	for len(c.in) == 0 {
		if !c.yield(struct{}{}) {
			return 0, net.ErrClosed
		}
	}
	n := copy(p, c.in)
	c.in = c.in[n:]
	return n, nil
}

// Write takes what the body makes, and suspends it when that is enough for one
// Open.
func (c *coroutine) Write(p []byte) (int, error) {
	c.out = append(c.out, p...)
	if len(c.out) >= c.full {
		c.more = true
		if !c.yield(struct{}{}) {
			return len(p), net.ErrClosed
		}
	}
	return len(p), nil
}

// close releases the body.
func (c *coroutine) close() {
	if c.stop != nil {
		c.stop()
	}
	c.in, c.more = nil, false
}
