package nsqprom

import (
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/writer"
)

// Collector is a prometheus.Collector for any number of Readers, Writers and
// loops of one process. Its methods may be called from any goroutine.
//
// A scrape asks each Reader and Writer for its Stats and waits for their loops,
// so it must not come before these run, and not from a callback.
type Collector struct {
	measured
	mu      sync.Mutex // guards what follows: registries collect when they like
	readers []*reader.Reader
	groups  []*reader.Group
	writers []*writer.Writer
	gone    totals // of Readers and Writers that were removed
}

// New makes a Collector that has nothing to show yet.
func New() *Collector {
	return &Collector{measured: newMeasured(), gone: totals{readers: map[consumer]readerTotals{}}}
}

// AddReader shows r until it is removed. Adding it twice counts it twice.
func (c *Collector) AddReader(r *reader.Reader) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readers = append(c.readers, r)
}

// RemoveReader lets go of r, which was shut down, say. What it has counted stays
// counted.
func (c *Collector) RemoveReader(r *reader.Reader) {
	s := r.Stats()
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.readers, r); i >= 0 {
		c.readers = slices.Delete(c.readers, i, i+1)
		c.gone.addReader(&s, false)
	}
}

// AddGroup shows the topics of g, each as a Reader. What the Reader of a topic has
// counted goes when the topic does, and with the Group's end; Prometheus takes
// that for a restart.
func (c *Collector) AddGroup(g *reader.Group) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.groups = append(c.groups, g)
}

// RemoveGroup lets go of g.
func (c *Collector) RemoveGroup(g *reader.Group) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.groups, g); i >= 0 {
		c.groups = slices.Delete(c.groups, i, i+1)
	}
}

// AddWriter shows w until it is removed. Adding it twice counts it twice.
func (c *Collector) AddWriter(w *writer.Writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writers = append(c.writers, w)
}

// RemoveWriter lets go of w, as RemoveReader does of a Reader.
func (c *Collector) RemoveWriter(w *writer.Writer) {
	s := w.Stats()
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.writers, w); i >= 0 {
		c.writers = slices.Delete(c.writers, i, i+1)
		c.gone.addWriter(&s, false)
	}
}

// consumer is what Readers are told apart by.
type consumer struct{ topic, channel string }

// readerTotals are the figures of the Readers of one consumer. The counters come
// first, in the order of readerCounters.
type readerTotals struct {
	counts                       [8]uint64
	inFlight, ready, connections int
}

// totals are the figures of all Readers and Writers.
type totals struct {
	readers map[consumer]readerTotals

	results                          [writer.Unknown + 1]uint64
	pending, pendingBytes, connected int64
}

// addReader adds what s says; its gauges only while it lives.
func (t *totals) addReader(s *reader.Stats, lives bool) {
	k := consumer{s.Topic, s.Channel}
	sum := t.readers[k]
	for i, n := range [...]uint64{s.Received, s.Finished, s.Requeued, s.GivenUp, s.Expired, s.Lost, s.Pauses, s.Errors} {
		sum.counts[i] += n
	}
	if lives {
		sum.inFlight += s.InFlight
		sum.connections += s.Connections
		for i := range s.NSQDs {
			sum.ready += s.NSQDs[i].Ready
		}
	}
	t.readers[k] = sum
}

// addWriter adds what s says; its gauges only while it lives.
func (t *totals) addWriter(s *writer.Stats, lives bool) {
	t.results[writer.Confirmed] += s.Confirmed
	t.results[writer.Rejected] += s.Rejected
	t.results[writer.NotSent] += s.NotSent
	t.results[writer.Unknown] += s.Unknown
	if lives {
		t.pending += s.Pending
		t.pendingBytes += s.PendingBytes
		for i := range s.NSQDs {
			if s.NSQDs[i].Ready {
				t.connected++
			}
		}
	}
}

// sum asks everybody, and adds it up.
func (c *Collector) sum() totals {
	c.mu.Lock()
	readers, groups, writers := slices.Clone(c.readers), slices.Clone(c.groups), slices.Clone(c.writers)
	t := c.gone
	t.readers = map[consumer]readerTotals{}
	for k, r := range c.gone.readers {
		t.readers[k] = r
	}
	c.mu.Unlock()
	for _, r := range readers {
		s := r.Stats()
		t.addReader(&s, true)
	}
	for _, g := range groups {
		for _, s := range g.Stats().Topics {
			t.addReader(&s, true)
		}
	}
	for _, w := range writers {
		s := w.Stats()
		t.addWriter(&s, true)
	}
	return t
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("nsq_"+name, help, labels, nil)
}

func readerDesc(name, help string) *prometheus.Desc {
	return desc("reader_"+name, help, "topic", "channel")
}

// readerCounters are the counters of Readers, in the order of
// readerTotals.counts.
var readerCounters = [...]*prometheus.Desc{
	readerDesc("messages_total", "Messages delivered by nsqd."),
	readerDesc("finished_total", "FINs sent."),
	readerDesc("requeued_total", "REQs sent as an answer."),
	readerDesc("given_up_total", "Messages delivered too often and finished unhandled."),
	readerDesc("expired_total", "Messages that were not answered in time."),
	readerDesc("lost_total", "Answers that found their connection closed."),
	readerDesc("backoffs_total", "Pauses after failures."),
	readerDesc("errors_total", "Failed dials, handshakes, subscriptions and answers."),
}

var (
	descInFlight    = readerDesc("in_flight", "Messages delivered and not answered.")
	descReady       = readerDesc("rdy", "Ready counts of all connections, added up.")
	descConnections = readerDesc("connections", "Connections that are subscribed.")

	descPublishes    = desc("writer_publishes_total", "Publishes that have ended, a multi-publish counting as one.", "result")
	descPending      = desc("writer_pending", "Publishes that have not ended.")
	descPendingBytes = desc("writer_pending_bytes", "Bytes of bodies of publishes that have not ended.")
	descConnected    = desc("writer_connections", "Connections that are ready.")
)

// Describe is prometheus.Collector's.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range readerCounters {
		ch <- d
	}
	for _, d := range []*prometheus.Desc{
		descInFlight, descReady, descConnections, descPublishes, descPending, descPendingBytes, descConnected,
	} {
		ch <- d
	}
	c.describe(ch)
}

// Collect is prometheus.Collector's.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	t := c.sum()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for k, r := range t.readers {
		for i, d := range readerCounters {
			ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(r.counts[i]), k.topic, k.channel)
		}
		gauge(descInFlight, float64(r.inFlight), k.topic, k.channel)
		gauge(descReady, float64(r.ready), k.topic, k.channel)
		gauge(descConnections, float64(r.connections), k.topic, k.channel)
	}
	for o, n := range t.results {
		ch <- prometheus.MustNewConstMetric(descPublishes, prometheus.CounterValue, float64(n), label(writer.Outcome(o)))
	}
	gauge(descPending, float64(t.pending))
	gauge(descPendingBytes, float64(t.pendingBytes))
	gauge(descConnected, float64(t.connected))
	c.collect(ch)
}

// label is an outcome as the value of a label.
func label(o writer.Outcome) string { return strings.ReplaceAll(o.String(), " ", "_") }
