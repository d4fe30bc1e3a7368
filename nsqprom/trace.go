package nsqprom

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nsqloop/nsqloop/client/envelope"
	"github.com/nsqloop/nsqloop/reader"
)

// TracedHandler is Handler with exemplars: the time of a message in an envelope
// of package client/envelope, whose trace was sampled, comes with the label
// trace_id. Prometheus takes them from the OpenMetrics format, for which
// promhttp.HandlerOpts have EnableOpenMetrics.
//
// Each message is opened for it once more, before h is called; the others'
// Handler does not look at bodies.
func (c *Collector) TracedHandler(topic, channel string, h reader.Handler) reader.Handler {
	seconds := c.handler.WithLabelValues(topic, channel)
	plain, traced := seconds.Observe, seconds.(prometheus.ExemplarObserver) // as all histograms are
	return timed(h, func(m *reader.Message) func(float64) {
		e, _ := envelope.Open(m.Body)
		id := sampled(e.TraceParent)
		if id == "" {
			return plain
		}
		return func(v float64) { traced.ObserveWithExemplar(v, prometheus.Labels{"trace_id": id}) }
	})
}

// sampled is the trace id of a traceparent of the W3C's, "" when that says that
// nobody has recorded the trace, or is none. Versions to come begin as 00 does.
func sampled(traceParent string) string {
	parts := strings.SplitN(traceParent, "-", 5)
	if len(parts) < 4 || len(parts) > 4 && parts[0] == "00" || parts[0] == "ff" {
		return ""
	}
	for i, digits := range [...]int{2, 32, 16, 2} {
		if len(parts[i]) != digits || strings.Trim(parts[i], "0123456789abcdef") != "" {
			return ""
		}
	}
	id, parent, flags := parts[1], parts[2], parts[3]
	if strings.Trim(id, "0") == "" || strings.Trim(parent, "0") == "" || !strings.Contains("13579bdf", flags[1:]) {
		return ""
	}
	return id
}
