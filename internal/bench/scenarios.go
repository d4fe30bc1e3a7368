package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
)

const (
	topic, channel = "bench", "bench"

	wide   = 1 << 18 // bytes per read of a connection that carries load
	narrow = 1 << 9  // and of one among thousands that carry none
)

// each runs f once per connection, all at once, and joins their errors.
func each(conns []*conn, f func(i int, c *conn) error) error {
	errs := make([]error, len(conns))
	var wg sync.WaitGroup
	for i, c := range conns {
		wg.Add(1)
		go func() { defer wg.Done(); errs[i] = f(i, c) }()
	}
	wg.Wait()
	return errors.Join(errs...)
}

// dialAll opens n connections.
func dialAll(addr string, n, buffer int) ([]*conn, error) {
	conns := make([]*conn, 0, n)
	for range n {
		c, err := dial(addr, buffer)
		if err != nil {
			return conns, err
		}
		conns = append(conns, c)
	}
	return conns, nil
}

func closeAll(conns []*conn) {
	for _, c := range conns {
		c.close()
	}
}

// share is the part of n that the i-th of many connections gets.
func share(n, i, many int) int {
	s := n / many
	if i < n%many {
		s++
	}
	return s
}

// body is bytes that do not compress.
func body(size int) []byte {
	b := make([]byte, size)
	x := uint64(88172645463325252)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}

// warm creates the topic and fills caches, so that the first publishes of what
// is measured are like the last.
func warm(r *run) error {
	c, err := dial(r.addr, wide)
	if err != nil {
		return err
	}
	defer c.close()
	b := body(r.size)
	_, err = c.pump(100, 100, func(out []byte) []byte { return wire.AppendPub(out, topic+"-warm", b) })
	return err
}

func publish(r *run) error {
	one := wire.AppendPub(nil, topic, body(r.size))
	return publishing(r, r.n, 1, func(out []byte) []byte { return append(out, one...) })
}

func mpub(r *run) error {
	one := multi(r)
	return publishing(r, r.n/r.batch, r.batch, func(out []byte) []byte { return append(out, one...) })
}

// multi is one MPUB of -batch messages.
func multi(r *run) []byte {
	bodies := make([][]byte, r.batch)
	for i := range bodies {
		bodies[i] = body(r.size)
	}
	return wire.AppendMPub(nil, topic, bodies)
}

// publishing measures commands of some messages each.
func publishing(r *run, commands, messages int, write func(out []byte) []byte) error {
	if err := warm(r); err != nil {
		return err
	}
	conns, err := dialAll(r.addr, r.conns, wide)
	defer closeAll(conns)
	if err != nil {
		return err
	}
	latencies := make([][]time.Duration, len(conns))
	r.begin()
	err = each(conns, func(i int, c *conn) (err error) {
		latencies[i], err = c.pump(share(commands, i, len(conns)), r.inflight, write)
		return err
	})
	r.end(commands*messages, slices.Concat(latencies...))
	return err
}

// preload creates the channel, publishes n messages and leaves them waiting.
func preload(r *run, n int) error {
	c, err := dial(r.addr, wide)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.subscribe(topic, channel, 0); err != nil {
		return err
	}
	p, err := dial(r.addr, wide)
	if err != nil {
		return err
	}
	defer p.close()
	one := wire.AppendPub(nil, topic, body(r.size))
	_, err = p.pump(n, 1000, func(out []byte) []byte { return append(out, one...) })
	return err
}

func consume(r *run) error {
	if err := preload(r, r.n); err != nil {
		return err
	}
	conns, err := dialAll(r.addr, r.conns, wide)
	defer closeAll(conns)
	if err != nil {
		return err
	}
	r.begin()
	err = shared(conns, r.n, r.inflight)
	r.end(r.n, nil)
	return err
}

// shared lets connections on one channel finish n messages together: how many
// each gets is the server's choice. It closes them.
func shared(conns []*conn, n, ready int) error {
	var left atomic.Int64
	left.Store(int64(n))
	return each(conns, func(i int, c *conn) error {
		if err := c.subscribe(topic, channel, ready); err != nil {
			if left.Load() <= 0 {
				return nil // the others were faster
			}
			return err
		}
		for {
			got, err := c.finish(nil)
			switch {
			case left.Add(-int64(got)) <= 0:
				closeAll(conns) // wakes the others
				return nil
			case err != nil:
				return err
			}
		}
	})
}

func both(r *run) error {
	if err := preload(r, 1); err != nil { // the channel exists before the first publish
		return err
	}
	pubs, err := dialAll(r.addr, r.conns, wide)
	defer closeAll(pubs)
	if err != nil {
		return err
	}
	subs, err := dialAll(r.addr, r.conns, wide)
	defer closeAll(subs)
	if err != nil {
		return err
	}
	one := wire.AppendPub(nil, topic, body(r.size))
	consumed := make(chan error, 1)
	r.begin()
	go func() { consumed <- shared(subs, r.n+1, r.inflight) }()
	err = each(pubs, func(i int, c *conn) error {
		_, err := c.pump(share(r.n, i, len(pubs)), r.inflight, func(out []byte) []byte { return append(out, one...) })
		return err
	})
	err = errors.Join(err, <-consumed)
	r.end(r.n, nil)
	return err
}

func fanout(r *run) error {
	subs, err := dialAll(r.addr, r.channels, wide)
	defer closeAll(subs)
	if err != nil {
		return err
	}
	for i, c := range subs {
		if err := c.subscribe(topic, channel+string(rune('a'+i)), 2500); err != nil {
			return err
		}
	}
	pubs, err := dialAll(r.addr, r.conns, wide)
	defer closeAll(pubs)
	if err != nil {
		return err
	}
	one := wire.AppendPub(nil, topic, body(r.size))
	consumed := make(chan error, 1)
	r.begin()
	go func() {
		consumed <- each(subs, func(i int, c *conn) error { return c.drain(r.n, nil) })
	}()
	err = each(pubs, func(i int, c *conn) error {
		_, err := c.pump(share(r.n, i, len(pubs)), r.inflight, func(out []byte) []byte { return append(out, one...) })
		return err
	})
	err = errors.Join(err, <-consumed)
	r.end(r.n*r.channels, nil)
	return err
}

func endToEnd(r *run) error {
	conns, err := dialAll(r.addr, 2, wide)
	defer closeAll(conns)
	if err != nil {
		return err
	}
	pub, sub := conns[0], conns[1]
	if err := sub.subscribe(topic, channel, 2500); err != nil {
		return err
	}
	start := time.Now()
	latencies := make([]time.Duration, 0, r.n)
	consumed := make(chan error, 1)
	r.begin()
	go func() {
		consumed <- sub.drain(r.n, func(b []byte) {
			latencies = append(latencies, time.Since(start)-time.Duration(binary.BigEndian.Uint64(b)))
		})
	}()
	answered := make(chan error, 1)
	go func() {
		left := r.n
		var err error
		for left > 0 && err == nil {
			err = pub.read(func(wire.FrameType, []byte) error { left--; return nil })
			if err == nil && len(pub.out) > 0 {
				err = pub.flush() // a heartbeat's answer
			}
		}
		answered <- err
	}()
	if err := paced(r, pub, start); err != nil {
		return err
	}
	err = errors.Join(<-answered, <-consumed)
	r.end(r.n, latencies)
	return err
}

// paced publishes -rate messages per second, each with the time it was written
// in its first eight bytes. Those that are due together leave together.
func paced(r *run, c *conn, start time.Time) error {
	b := body(r.size)
	var out []byte // not c.out, which the reading side may append to
	for i := 0; i < r.n; {
		now := time.Since(start)
		for ; i < r.n && due(i, r.rate) <= now; i++ {
			binary.BigEndian.PutUint64(b, uint64(now))
			out = wire.AppendPub(out, topic, b)
		}
		if len(out) > 0 {
			if _, err := c.net.Write(out); err != nil {
				return err
			}
			out = out[:0]
		}
		if i < r.n {
			time.Sleep(due(i, r.rate) - time.Since(start))
		}
	}
	return nil
}

// due is when message i is to be published.
func due(i, rate int) time.Duration {
	return time.Duration(i) * time.Second / time.Duration(rate)
}

func idle(r *run) error {
	var before int64
	if r.server != nil {
		before = residentMemory(r.server.pid())
	}
	conns, err := dialAll(r.addr, r.conns, narrow)
	defer closeAll(conns)
	if err != nil {
		return err
	}
	for _, c := range conns {
		if err := c.subscribe("idle", channel, 1); err != nil {
			return err
		}
	}
	r.begin()
	time.Sleep(time.Duration(r.n) * time.Millisecond)
	r.end(r.conns, nil)
	if r.server != nil {
		r.result.peak = residentMemory(r.server.pid()) - before
	}
	return r.neighbour()
}

// neighbour notes how somebody fares who publishes and consumes as long.
func (r *run) neighbour() error {
	n := &run{config: r.config, addr: r.addr}
	n.n = max(1, r.rate*r.n/1000)
	if err := endToEnd(n); err != nil {
		return err
	}
	r.note(fmt.Sprintf("a neighbour, %d messages a second", r.rate), "p50 %v, p99 %v",
		n.result.p50.Round(time.Microsecond), n.result.p99.Round(time.Microsecond))
	return nil
}
