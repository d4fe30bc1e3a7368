package server

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
)

// statsd pushes statistics to a collector, each interval in as many datagrams
// as they need. The datagrams are spread over the interval, so that a collector
// does not have to take all of them at once, but for its last second.
type statsd struct {
	s     *Server
	timer loop.Timer
	next  time.Time
	spare loop.Timer // sends the next datagram

	counts  map[string]uint64 // of what is told as a difference, as told last; by key
	lost    bool              // the collector could not be reached
	pushing bool
}

// start lets the first push come an interval from now.
func (d *statsd) start() {
	if d.s.o.StatsdAddress == "" {
		return
	}
	d.next = d.s.l.Now().Add(d.s.o.StatsdInterval)
	d.timer = d.s.l.After(d.s.o.StatsdInterval, d.tick)
}

// stop ends the pushing.
func (d *statsd) stop() {
	for _, t := range []loop.Timer{d.timer, d.spare} {
		if t != nil {
			t.Stop()
		}
	}
}

// tick begins a push, unless the one before is not over.
func (d *statsd) tick() {
	o := &d.s.o
	now := d.s.l.Now()
	for !d.next.After(now) {
		d.next = d.next.Add(o.StatsdInterval)
	}
	d.timer.Reset(d.next.Sub(now))
	if d.pushing {
		return
	}
	d.pushing = true
	v := d.s.newInventory(StatsOptions{ExcludeClients: true})
	d.s.chores.begin(v.piece, func(err error) {
		if err == nil { // else the server has stopped
			d.push(v.st)
		}
	})
}

// push dials the collector.
func (d *statsd) push(st Stats) {
	o := &d.s.o
	d.s.l.Go(func() (then func()) {
		if !o.StatsdNoMemStats {
			m := memoryStats()
			st.Memory = &m
		}
		conn, err := o.statsdDial(o.StatsdAddress)
		return func() { d.dialled(conn, err, &st) }
	})
}

// dialled begins to send. A push that cannot be sent counts as none: the next
// one tells the differences to the one before.
func (d *statsd) dialled(conn io.WriteCloser, err error, st *Stats) {
	if err != nil {
		d.note(err)
		d.pushing = false
		return
	}
	lines := &statsdLines{prefix: d.s.statsdPrefix(), size: d.s.o.StatsdUDPPacketSize, before: d.counts, counts: map[string]uint64{}}
	lines.stats(st, d.s.o.StatsdExcludeEphemeral)
	if lines.dropped > 0 {
		d.s.log.Warn("statsd: lines are longer than a datagram may be", "lines", lines.dropped, "statsd_udp_packet_size", lines.size)
	}
	d.counts = lines.counts
	var gap time.Duration
	if n := len(lines.packets); n > 0 {
		gap = max(0, d.s.o.StatsdInterval-time.Second) / time.Duration(n)
	}
	d.send(conn, lines.packets, gap)
}

// send sends the first datagram, and the others after it.
func (d *statsd) send(conn io.WriteCloser, packets [][]byte, gap time.Duration) {
	if len(packets) == 0 || d.s.closed {
		d.pushing = false
		d.s.l.Go(func() (then func()) {
			_ = conn.Close() // everything was sent or given up
			return nil
		})
		return
	}
	d.s.l.Go(func() (then func()) {
		_, err := conn.Write(packets[0])
		return func() {
			d.note(err)
			d.spare = d.s.l.After(gap, func() { d.send(conn, packets[1:], gap) })
		}
	})
}

// note says when the collector is lost, or found again.
func (d *statsd) note(err error) {
	switch {
	case err != nil && !d.lost:
		d.s.log.Warn("statsd cannot be reached", "address", d.s.o.StatsdAddress, "err", err)
	case err == nil && d.lost:
		d.s.log.Info("statsd can be reached again", "address", d.s.o.StatsdAddress)
	}
	d.lost = err != nil
}

// statsdPrefix is what every key begins with.
func (s *Server) statsdPrefix() string {
	port := s.o.BroadcastHTTPPort
	if port == 0 {
		port = portOf(s.HTTPAddr())
	}
	host := net.JoinHostPort(s.o.BroadcastAddress, strconv.Itoa(port))
	prefix := strings.ReplaceAll(s.o.StatsdPrefix, "%s", strings.NewReplacer(".", "_", ":", "_").Replace(host))
	if !strings.HasSuffix(prefix, ".") {
		prefix += "."
	}
	return prefix
}

// statsdLines are the lines of a push, in datagrams.
type statsdLines struct {
	prefix         string
	size           int
	before, counts map[string]uint64
	packets        [][]byte
	dropped        int // lines longer than a datagram may be
}

// stats writes all lines.
func (l *statsdLines) stats(st *Stats, excludeEphemeral bool) {
	for i := range st.Topics {
		t := &st.Topics[i]
		if excludeEphemeral && wire.Ephemeral(t.TopicName) {
			continue
		}
		key := "topic." + t.TopicName + "."
		l.count(key+"message_count", t.MessageCount)
		l.count(key+"message_bytes", t.MessageBytes)
		l.gauge(key+"depth", t.Depth)
		l.gauge(key+"backend_depth", t.BackendDepth)
		l.latency(key, &t.E2E)
		for j := range t.Channels {
			c := &t.Channels[j]
			if excludeEphemeral && wire.Ephemeral(c.ChannelName) {
				continue
			}
			l.channel(key+"channel."+c.ChannelName+".", c)
		}
	}
	if st.Memory != nil {
		l.memory(st.Memory)
	}
}

// channel writes the lines of a channel.
func (l *statsdLines) channel(key string, c *ChannelStats) {
	l.count(key+"message_count", c.MessageCount)
	l.gauge(key+"depth", c.Depth)
	l.gauge(key+"backend_depth", c.BackendDepth)
	l.gauge(key+"in_flight_count", int64(c.InFlightCount))
	l.gauge(key+"deferred_count", int64(c.DeferredCount))
	l.count(key+"requeue_count", c.RequeueCount)
	l.count(key+"timeout_count", c.TimeoutCount)
	l.gauge(key+"clients", int64(c.ClientCount))
	l.latency(key, &c.E2E)
}

// latency writes the lines of percentiles.
func (l *statsdLines) latency(key string, e *E2EStats) {
	for _, p := range e.Percentiles {
		l.gauge(fmt.Sprintf("%se2e_processing_latency_%.0f", key, p.Quantile*100), int64(p.Value))
	}
}

// memory writes the lines of the process.
func (l *statsdLines) memory(m *MemoryStats) {
	for _, g := range []struct {
		key string
		v   uint64
	}{
		{"heap_objects", m.HeapObjects},
		{"heap_idle_bytes", m.HeapIdleBytes},
		{"heap_in_use_bytes", m.HeapInUseBytes},
		{"heap_released_bytes", m.HeapReleasedBytes},
		{"gc_pause_usec_100", m.GCPauseUsec100},
		{"gc_pause_usec_99", m.GCPauseUsec99},
		{"gc_pause_usec_95", m.GCPauseUsec95},
		{"next_gc_bytes", m.NextGCBytes},
	} {
		l.gauge("mem."+g.key, int64(g.v))
	}
	l.count("mem.gc_runs", uint64(m.GCTotalRuns))
}

// count writes by how much n has grown. What is less than it was has begun
// again.
func (l *statsdLines) count(key string, n uint64) {
	l.counts[key] = n
	if before := l.before[key]; before <= n {
		n -= before
	}
	l.line(key, strconv.FormatUint(n, 10), "c")
}

// gauge writes n.
func (l *statsdLines) gauge(key string, n int64) { l.line(key, strconv.FormatInt(n, 10), "g") }

// line puts a line into a datagram, whole.
func (l *statsdLines) line(key, value, kind string) {
	line := l.prefix + key + ":" + value + "|" + kind + "\n"
	if len(line) > l.size {
		l.dropped++
		return
	}
	if n := len(l.packets); n == 0 || len(l.packets[n-1])+len(line) > l.size {
		l.packets = append(l.packets, make([]byte, 0, l.size))
	}
	last := len(l.packets) - 1
	l.packets[last] = append(l.packets[last], line...)
}

// dialUDP is what reaches a collector.
func dialUDP(addr string) (io.WriteCloser, error) { return net.Dial("udp", addr) }
