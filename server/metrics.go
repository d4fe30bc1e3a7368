package server

import (
	"errors"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/nsqloop/nsqloop/internal/wire"
)

// Collector returns the server's figures for a Prometheus registry of the
// program's own; GET /metrics serves the same. One scrape is one inventory
// on the loop. The channels of a topic that are ephemeral are added up under
// the name "#ephemeral", for their names are often random. Of a server that is
// closed, or whose loop has not been started, all there is to see is that
// nsqd_healthy is 0.
func (s *Server) Collector() prometheus.Collector { return collector{s: s, compat: s.o.compat()} }

type collector struct {
	s      *Server
	compat compat
	alone  bool // nobody else's figures are lost when it fails
}

// desc describes a metric. Where it is inlined it takes 200 bytes of the program
// for each.
//
//go:noinline
func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("nsqd_"+name, help, labels, nil)
}

var (
	descBuild       = desc("build_info", "1, and the versions as labels: the one told to clients, the program's, Go's.", "version", "lite_version", "go_version")
	descSyncWindow  = desc("sync_window_seconds", "Age of the oldest acknowledged message that a loss of power can take, -1 when nothing bounds it.", "sync")
	descHealthy     = desc("healthy", "1 when the last write to a journal succeeded; 0 when not, and when the server is closed or not started.")
	descConnections = desc("connections", "Connections that are open.", "kind")
	descJournal     = desc("disk_bytes", "Bytes that the journals of all topics occupy.")
	descCorrupt     = desc("disk_corrupt_records_total", "Journal records that failed their checksum and were skipped.")

	descCommands = desc("commands_total", "Commands of clients; those that could not be read are called unknown.", "command", "result")
	descRepeats  = desc("repeated_messages_total", "Messages that a publisher sent once more, because it had no answer, and that were stored already.")
	descE2E      = desc("message_e2e_seconds", "From publish to FIN, of all messages while few are in flight, of a sample of more.")
	descSync     = desc("disk_sync_seconds", "Rounds of fsync: how long a publisher waits for the disk with --sync=always.")

	descTopicDepth    = desc("topic_depth", "Messages that no channel has yet.", "topic")
	descTopicDisk     = desc("topic_disk_depth", "Of these, the ones that nsqd would count as being on disk.", "topic")
	descTopicMessages = desc("topic_messages_total", "Messages published.", "topic")
	descTopicBytes    = desc("topic_message_bytes_total", "Bytes of their bodies.", "topic")
	descTopicPaused   = desc("topic_paused", "1 when paused, else 0.", "topic")

	descChannelDepth     = desc("channel_depth", "Messages waiting, neither in flight nor deferred.", "topic", "channel")
	descChannelDisk      = desc("channel_disk_depth", "Of these, the ones that nsqd would count as being on disk.", "topic", "channel")
	descChannelInFlight  = desc("channel_in_flight", "Messages delivered and not answered yet.", "topic", "channel")
	descChannelDeferred  = desc("channel_deferred", "Messages waiting for their time.", "topic", "channel")
	descChannelConsumers = desc("channel_consumers", "Connections subscribed.", "topic", "channel")
	descChannelPaused    = desc("channel_paused", "1 when paused (of ephemeral channels, how many are), else 0.", "topic", "channel")
	descChannelMessages  = desc("channel_messages_total", "Messages given to the channel, requeues not counted.", "topic", "channel")
	descChannelFinished  = desc("channel_finished_total", "Messages finished.", "topic", "channel")
	descChannelRequeued  = desc("channel_requeued_total", "Messages requeued by subscribers.", "topic", "channel")
	descChannelOldest    = desc("channel_oldest_message_age_seconds", "Age of the oldest message waiting, since it was published; 0 when none waits.", "topic", "channel")
	descChannelTimedOut  = desc("channel_timed_out_total", "Messages whose time in flight ran out.", "topic", "channel")

	descHTTPRequests = desc("http_requests_total", "HTTP requests answered.", "route", "code")
)

// Describe is prometheus.Collector's.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descBuild, descSyncWindow, descHealthy, descConnections, descJournal, descCorrupt, descCommands, descRepeats, descE2E, descSync,
		descTopicDepth, descTopicDisk, descTopicMessages, descTopicBytes, descTopicPaused,
		descChannelDepth, descChannelDisk, descChannelInFlight, descChannelDeferred, descChannelConsumers,
		descChannelPaused, descChannelMessages, descChannelFinished, descChannelRequeued, descChannelTimedOut, descChannelOldest,
	} {
		ch <- d
	}
	c.compat.describe(ch)
}

// Collect is prometheus.Collector's. It may be called from any goroutine but
// the loop's.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	st, err := c.s.Stats(StatsOptions{ExcludeClients: true, ExcludeMemory: !c.compat.mixin, Oldest: !c.s.o.MetricsWithoutChannels})
	m := metricSink(ch)
	switch {
	case !c.alone && (errors.Is(err, ErrClosed) || errors.Is(err, ErrNotStarted)):
		m.gauge(descHealthy, 0)
		return
	case err != nil:
		ch <- prometheus.NewInvalidMetric(descBuild, err)
		return
	}
	m.gauge(descBuild, 1, st.Version, c.s.o.LiteVersion, runtime.Version())
	window := float64(st.SyncWindow)
	if window > 0 {
		window /= float64(time.Second)
	}
	m.gauge(descSyncWindow, window, st.Sync)
	m.gauge(descHealthy, flag(st.Health == wire.OK))
	m.gauge(descConnections, float64(st.Connections), "tcp")
	var bytes, corrupt int64
	for i := range st.Topics {
		t := &st.Topics[i]
		bytes += t.JournalBytes
		corrupt += t.CorruptRecords
		m.topic(t)
		if !c.s.o.MetricsWithoutChannels {
			m.channels(t, st.Taken)
		}
	}
	m.gauge(descJournal, float64(bytes))
	m.counter(descCorrupt, float64(corrupt))
	m.measures(st.measures)
	c.compat.collect(m, &st)
}

type metricSink chan<- prometheus.Metric

func (m metricSink) gauge(d *prometheus.Desc, v float64, labels ...string) {
	m <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (m metricSink) counter(d *prometheus.Desc, v float64, labels ...string) {
	m <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
}

func (m metricSink) topic(t *TopicStats) {
	m.gauge(descTopicDepth, float64(t.Depth), t.TopicName)
	m.gauge(descTopicDisk, float64(t.BackendDepth), t.TopicName)
	m.counter(descTopicMessages, float64(t.MessageCount), t.TopicName)
	m.counter(descTopicBytes, float64(t.MessageBytes), t.TopicName)
	m.gauge(descTopicPaused, flag(t.Paused), t.TopicName)
}

// measures shows what is counted for the metrics alone.
func (m metricSink) measures(all *measures) {
	for v, n := range all.commands {
		if n > 0 {
			name, refused := wire.Verb(v).String(), all.refused[v]
			m.counter(descCommands, float64(n-refused), name, "ok")
			m.counter(descCommands, float64(refused), name, "error")
		}
	}
	m.counter(descRepeats, float64(all.repeats))
	m <- all.e2e.collect(descE2E)
	m <- all.syncs.collect(descSync)
}

// channels shows those of t, at a time.
func (m metricSink) channels(t *TopicStats, now time.Time) {
	var ephemeral channelSum
	for i := range t.Channels {
		c := &t.Channels[i]
		if wire.Ephemeral(c.ChannelName) {
			ephemeral.add(c, now)
			continue
		}
		var one channelSum
		one.add(c, now)
		m.channel(t.TopicName, c.ChannelName, &one)
	}
	if ephemeral.channels > 0 {
		m.channel(t.TopicName, "#ephemeral", &ephemeral)
	}
}

// channelSum adds up channels that share a label.
type channelSum struct {
	channels                              int
	depth, disk                           int64
	inFlight, deferred, consumers, paused int
	messages, finished, requeued, timeout uint64
	age                                   time.Duration // of the oldest
}

func (s *channelSum) add(c *ChannelStats, now time.Time) {
	s.channels++
	s.depth += c.Depth
	s.disk += c.BackendDepth
	s.inFlight += c.InFlightCount
	s.deferred += c.DeferredCount
	s.consumers += c.ClientCount
	if c.Paused {
		s.paused++
	}
	s.messages += c.MessageCount
	s.finished += c.FinishCount
	s.requeued += c.RequeueCount
	s.timeout += c.TimeoutCount
	if !c.Oldest.IsZero() {
		s.age = max(s.age, now.Sub(c.Oldest))
	}
}

func (m metricSink) channel(topic, channel string, s *channelSum) {
	m.gauge(descChannelDepth, float64(s.depth), topic, channel)
	m.gauge(descChannelDisk, float64(s.disk), topic, channel)
	m.gauge(descChannelInFlight, float64(s.inFlight), topic, channel)
	m.gauge(descChannelDeferred, float64(s.deferred), topic, channel)
	m.gauge(descChannelConsumers, float64(s.consumers), topic, channel)
	m.gauge(descChannelPaused, float64(s.paused), topic, channel)
	m.counter(descChannelMessages, float64(s.messages), topic, channel)
	m.counter(descChannelFinished, float64(s.finished), topic, channel)
	m.counter(descChannelRequeued, float64(s.requeued), topic, channel)
	m.counter(descChannelTimedOut, float64(s.timeout), topic, channel)
	m.gauge(descChannelOldest, s.age.Seconds(), topic, channel)
}

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

// httpCollector reports the requests that an httpServer has answered.
type httpCollector httpServer

// Describe is prometheus.Collector's.
func (h *httpCollector) Describe(ch chan<- *prometheus.Desc) { ch <- descHTTPRequests }

// Collect is prometheus.Collector's.
func (h *httpCollector) Collect(ch chan<- prometheus.Metric) {
	m := metricSink(ch)
	for _, rt := range h.routes {
		h.collect(m, rt, strings.TrimSuffix(rt.method+" "+rt.path, "{$}"))
	}
	h.collect(m, &h.lost, "other")
}

func (h *httpCollector) collect(m metricSink, rt *route, label string) {
	for i := range rt.codes {
		n := rt.codes[i].Load()
		if n == 0 {
			continue // most routes never give most answers
		}
		code := "other"
		if i < len(countedCodes) {
			code = strconv.Itoa(countedCodes[i])
		}
		m.counter(descHTTPRequests, float64(n), label, code)
	}
}

// metricsRoutes is the route that Prometheus scrapes.
func (h *httpServer) metricsRoutes() []*route {
	return []*route{{method: "GET", path: "/metrics", help: "the statistics for Prometheus: ?compat=exporter,mixin adds names of nsq_exporter and of Grafana's mixin", heavy: true, needs: accessStats, run: h.metrics()}}
}

// metrics makes the handler of /metrics. Nothing is counted on its behalf while
// messages move: a scrape reads what it finds.
func (h *httpServer) metrics() func(http.ResponseWriter, *http.Request) error {
	// Made with the first scrape: a server that nobody scrapes, as in a test,
	// need not pay for the descriptions. By exporter and mixin.
	handlers := sync.OnceValue(func() (all [2][2]http.Handler) {
		for i := range all {
			for j := range all[i] {
				registry := prometheus.NewRegistry()
				registry.MustRegister(
					collector{h.s, compat{exporter: i == 1, mixin: j == 1}, true},
					(*httpCollector)(h),
					collectors.NewGoCollector(),
					collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
				)
				all[i][j] = metricsHandler(registry, h.log)
			}
		}
		return all
	})
	return func(w http.ResponseWriter, r *http.Request) error {
		c, err := parseCompat(r)
		if err != nil {
			return err
		}
		c = c.with(h.s.o.compat())
		nsqHeader(w)
		handlers()[int(flag(c.exporter))][int(flag(c.mixin))].ServeHTTP(w, r)
		return nil
	}
}
