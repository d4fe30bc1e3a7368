package server

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// compat says which names of other people's the metrics also have, so that
// their dashboards go on working. Off by default: it doubles the series.
type compat struct {
	exporter bool // nsq_exporter's: nsq_topic_*, nsq_channel_*
	mixin    bool // Grafana's, by way of statsd: nsq_topic_*, nsq_topic_channel_*, nsq_mem_*
}

// add adds a set by its name. ok is false when there is none of that name.
func (c *compat) add(name string) (ok bool) {
	switch name {
	case "exporter":
		c.exporter = true
	case "mixin":
		c.mixin = true
	default:
		return false
	}
	return true
}

// with is both.
func (c compat) with(o compat) compat {
	return compat{c.exporter || o.exporter, c.mixin || o.mixin}
}

// compat is what the options ask for, which have been checked.
func (o *Options) compat() (c compat) {
	for _, name := range o.MetricsCompat {
		c.add(name)
	}
	return c
}

// parseCompat reads ?compat=exporter,mixin.
func parseCompat(r *http.Request) (c compat, err error) {
	query, err := parseQuery(r)
	if err != nil {
		return c, err
	}
	for _, name := range strings.Split(query.Get("compat"), ",") {
		if name != "" && !c.add(name) {
			return c, refuse(http.StatusBadRequest, "INVALID_VALUE", "compat is a list of exporter and mixin, separated by a comma.")
		}
	}
	return c, nil
}

// family is one metric of a compat set and the statistic that it shows. All
// are gauges, as they are where the names come from.
type family[T any] struct {
	desc  *prometheus.Desc
	value func(*T) float64
}

func compatFamily[T any](name string, value func(*T) float64, labels ...string) family[T] {
	return family[T]{compatDesc(name, labels), value}
}

// compatDesc is not inlined for the reason that desc is not.
//
//go:noinline
func compatDesc(name string, labels []string) *prometheus.Desc {
	return prometheus.NewDesc("nsq_"+name, "As in nsqd's /stats.", labels, nil)
}

var compatTopic = []family[TopicStats]{
	compatFamily("topic_channel_count", func(t *TopicStats) float64 { return float64(len(t.Channels)) }, "topic", "paused"),
	compatFamily("topic_depth", func(t *TopicStats) float64 { return float64(t.Depth) }, "topic", "paused"),
	compatFamily("topic_backend_depth", func(t *TopicStats) float64 { return float64(t.BackendDepth) }, "topic", "paused"),
	compatFamily("topic_message_count", func(t *TopicStats) float64 { return float64(t.MessageCount) }, "topic", "paused"),
	compatFamily("topic_message_bytes", func(t *TopicStats) float64 { return float64(t.MessageBytes) }, "topic", "paused"),
}

// Both sets have the same figures of a channel under different names.
var (
	compatExporter = compatChannel("channel_", "client_count", "topic", "channel", "paused")
	compatMixin    = compatChannel("topic_channel_", "clients", "topic", "channel")
)

func compatChannel(prefix, clients string, labels ...string) []family[ChannelStats] {
	return []family[ChannelStats]{
		compatFamily(prefix+"depth", func(c *ChannelStats) float64 { return float64(c.Depth) }, labels...),
		compatFamily(prefix+"backend_depth", func(c *ChannelStats) float64 { return float64(c.BackendDepth) }, labels...),
		compatFamily(prefix+"message_count", func(c *ChannelStats) float64 { return float64(c.MessageCount) }, labels...),
		compatFamily(prefix+"in_flight_count", func(c *ChannelStats) float64 { return float64(c.InFlightCount) }, labels...),
		compatFamily(prefix+"deferred_count", func(c *ChannelStats) float64 { return float64(c.DeferredCount) }, labels...),
		compatFamily(prefix+"requeue_count", func(c *ChannelStats) float64 { return float64(c.RequeueCount) }, labels...),
		compatFamily(prefix+"timeout_count", func(c *ChannelStats) float64 { return float64(c.TimeoutCount) }, labels...),
		compatFamily(prefix+clients, func(c *ChannelStats) float64 { return float64(c.ClientCount) }, labels...),
	}
}

var compatMemory = []family[MemoryStats]{
	compatFamily("mem_heap_objects", func(m *MemoryStats) float64 { return float64(m.HeapObjects) }),
	compatFamily("mem_heap_idle_bytes", func(m *MemoryStats) float64 { return float64(m.HeapIdleBytes) }),
	compatFamily("mem_heap_in_use_bytes", func(m *MemoryStats) float64 { return float64(m.HeapInUseBytes) }),
	compatFamily("mem_heap_released_bytes", func(m *MemoryStats) float64 { return float64(m.HeapReleasedBytes) }),
	compatFamily("mem_gc_pause_usec_100", func(m *MemoryStats) float64 { return float64(m.GCPauseUsec100) }),
	compatFamily("mem_gc_pause_usec_99", func(m *MemoryStats) float64 { return float64(m.GCPauseUsec99) }),
	compatFamily("mem_gc_pause_usec_95", func(m *MemoryStats) float64 { return float64(m.GCPauseUsec95) }),
	compatFamily("mem_next_gc_bytes", func(m *MemoryStats) float64 { return float64(m.NextGCBytes) }),
	compatFamily("mem_gc_runs", func(m *MemoryStats) float64 { return float64(m.GCTotalRuns) }),
}

// describe is the compat part of prometheus.Collector's Describe.
func (c compat) describe(ch chan<- *prometheus.Desc) {
	if c.exporter || c.mixin {
		describeAll(ch, compatTopic)
	}
	if c.exporter {
		describeAll(ch, compatExporter)
	}
	if c.mixin {
		describeAll(ch, compatMixin)
		describeAll(ch, compatMemory)
	}
}

func describeAll[T any](ch chan<- *prometheus.Desc, families []family[T]) {
	for _, f := range families {
		ch <- f.desc
	}
}

// collect is the compat part of prometheus.Collector's Collect. Ephemeral
// channels keep their names: the dashboards expect them.
func (c compat) collect(m metricSink, st *Stats) {
	if !c.exporter && !c.mixin {
		return
	}
	for i := range st.Topics {
		t := &st.Topics[i]
		collectAll(m, compatTopic, t, t.TopicName, strconv.FormatBool(t.Paused))
		for j := range t.Channels {
			ch := &t.Channels[j]
			if c.exporter {
				collectAll(m, compatExporter, ch, t.TopicName, ch.ChannelName, strconv.FormatBool(ch.Paused))
			}
			if c.mixin {
				collectAll(m, compatMixin, ch, t.TopicName, ch.ChannelName)
			}
		}
	}
	if st.Memory != nil {
		collectAll(m, compatMemory, st.Memory)
	}
}

func collectAll[T any](m metricSink, families []family[T], v *T, labels ...string) {
	for _, f := range families {
		m.gauge(f.desc, f.value(v), labels...)
	}
}
