package nsqprom

import (
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/writer"
)

// MostTopics is how many topics OnResult tells apart. What is published to
// others has the label topic="#others": names that a program makes up without
// end must not fill Prometheus.
const MostTopics = 1000

// others is the label of topics beyond MostTopics. No topic is called so.
const others = "#others"

// measured is what the hooks measure.
type measured struct {
	handler   *prometheus.HistogramVec
	published *prometheus.CounterVec
	publish   *prometheus.HistogramVec
	callback  prometheus.Histogram

	topics *topics
}

// topics keeps the series of each topic at hand, so that a publish costs one
// look-up.
type topics struct {
	mu     sync.RWMutex // publishes may come from several loops
	byName map[string]*series
}

// series is where the publishes to one topic are counted.
type series struct {
	seconds prometheus.Observer
	results [writer.Unknown + 1]prometheus.Counter
}

func newMeasured() measured {
	return measured{
		handler: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "nsq_reader_handler_seconds", Help: "Time from the call of the handler to its answer.",
			Buckets: prometheus.ExponentialBuckets(1e-5, 4, 12),
		}, []string{"topic", "channel"}),
		published: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nsq_writer_published_total", Help: "Messages of publishes that have ended.",
		}, []string{"topic", "result"}),
		publish: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "nsq_writer_publish_seconds", Help: "Time to the end of a publish, however it ended.",
			Buckets: prometheus.ExponentialBuckets(1e-4, 2.5, 13),
		}, []string{"topic"}),
		callback: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "nsq_loop_callback_seconds", Help: "Time for which a callback held the loop.",
			Buckets: prometheus.ExponentialBuckets(1e-6, 4, 12),
		}),
		topics: &topics{byName: map[string]*series{}},
	}
}

func (m *measured) describe(ch chan<- *prometheus.Desc) {
	m.handler.Describe(ch)
	m.published.Describe(ch)
	m.publish.Describe(ch)
	m.callback.Describe(ch)
}

func (m *measured) collect(ch chan<- prometheus.Metric) {
	m.handler.Collect(ch)
	m.published.Collect(ch)
	m.publish.Collect(ch)
	m.callback.Collect(ch)
}

// Handler is h, with the time it takes measured as that of a Reader of topic and
// channel. A message whose answer comes later takes until then.
func (c *Collector) Handler(topic, channel string, h reader.Handler) reader.Handler {
	observe := c.handler.WithLabelValues(topic, channel).Observe
	return timed(h, func(*reader.Message) func(float64) { return observe })
}

// timed is h, with the seconds it takes for a message given to what observerOf
// returned for it before.
func timed(h reader.Handler, observerOf func(*reader.Message) func(float64)) reader.Handler {
	return func(m *reader.Message) error {
		observe := observerOf(m)
		began := time.Now()
		took := func() { observe(time.Since(began).Seconds()) }
		pending := false
		defer func() { // also when h panics
			if !pending {
				took()
			}
		}()
		err := h(m)
		if pending = errors.Is(err, reader.Pending); pending {
			m.OnEnd(func(reader.End) { took() })
		}
		return err
	}
}

// OnResult counts and measures a publish. It is for writer.Options.OnResult.
func (c *Collector) OnResult(r writer.Result) {
	s, o := c.seriesOf(r.Topic), writer.Confirmed
	if r.Err != nil {
		o = r.Outcome()
	}
	s.results[o].Add(float64(r.Messages))
	s.seconds.Observe(r.Latency.Seconds())
}

// OnCallback measures a callback. It is for loop.Options.OnCallback.
func (c *Collector) OnCallback(took time.Duration) { c.callback.Observe(took.Seconds()) }

// seriesOf is where publishes to a topic are counted.
func (m *measured) seriesOf(topic string) *series {
	t := m.topics
	t.mu.RLock()
	s, full := t.byName[topic], len(t.byName) >= MostTopics
	t.mu.RUnlock()
	if s != nil {
		return s
	}
	if full {
		topic = others
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if s = t.byName[topic]; s != nil {
		return s
	}
	s = &series{seconds: m.publish.WithLabelValues(topic)}
	for o := range s.results {
		s.results[o] = m.published.WithLabelValues(topic, label(writer.Outcome(o)))
	}
	t.byName[topic] = s
	return s
}
