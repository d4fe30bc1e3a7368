package server

import (
	"errors"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/nsqloop/nsqloop/server/lookup"
)

var (
	descLookupProducers  = prometheus.NewDesc("nsqlookupd_producers", "Connections of nsqds that have identified themselves.", nil, nil)
	descLookupTopics     = prometheus.NewDesc("nsqlookupd_topics", "Topics that are known.", nil, nil)
	descLookupChannels   = prometheus.NewDesc("nsqlookupd_channels", "Channels that are known, of all topics.", nil, nil)
	descLookupTombstones = prometheus.NewDesc("nsqlookupd_tombstones", "Tombstones in force.", nil, nil)
)

// Collector returns the figures of d for a Prometheus registry of the program's
// own; GET /metrics serves the same. There are none of an nsqlookupd that is
// closed, or whose loop has not been started.
func (d *Lookupd) Collector() prometheus.Collector { return lookupdCollector{d: d} }

type lookupdCollector struct {
	d     *Lookupd
	alone bool // nobody else's figures are lost when it fails
}

// Describe is prometheus.Collector's.
func (c lookupdCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descLookupProducers, descLookupTopics, descLookupChannels, descLookupTombstones} {
		ch <- d
	}
}

// Collect is prometheus.Collector's. It may be called from any goroutine but
// the loop's.
func (c lookupdCollector) Collect(ch chan<- prometheus.Metric) {
	var n lookup.Counts
	err := awaitStart(c.d.l)
	if err == nil {
		err = c.d.call(func() { n = c.d.reg.Count(c.d.l.Now()) })
	}
	switch {
	case !c.alone && (errors.Is(err, ErrClosed) || errors.Is(err, ErrNotStarted)):
		return
	case err != nil:
		ch <- prometheus.NewInvalidMetric(descLookupProducers, err)
		return
	}
	m := metricSink(ch)
	m.gauge(descLookupProducers, float64(n.Producers))
	m.gauge(descLookupTopics, float64(n.Topics))
	m.gauge(descLookupChannels, float64(n.Channels))
	m.gauge(descLookupTombstones, float64(n.Tombstones))
}

// lookupdMetricsRoutes is the route that Prometheus scrapes.
func (h *httpServer) lookupdMetricsRoutes(d *Lookupd) []*route {
	handler := sync.OnceValue(func() http.Handler {
		registry := prometheus.NewRegistry()
		registry.MustRegister(
			lookupdCollector{d, true},
			collectors.NewGoCollector(),
			collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		)
		return metricsHandler(registry, h.log)
	})
	return []*route{{method: "GET", path: "/metrics", help: "the figures for Prometheus", heavy: true, run: func(w http.ResponseWriter, r *http.Request) error {
		nsqHeader(w)
		handler().ServeHTTP(w, r)
		return nil
	}}}
}
