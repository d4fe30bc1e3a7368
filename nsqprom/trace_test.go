package nsqprom_test

import (
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/nsqloop/nsqloop/client/envelope"
	"github.com/nsqloop/nsqloop/nsqprom"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/reader/readertest"
)

const traced = "4bf92f3577b34da6a3ce929d0e0e4736"

// enveloped is a message with a traceparent.
func enveloped(t *testing.T, traceParent string) *readertest.Recorded {
	t.Helper()
	e := envelope.Envelope{ID: "1", Source: "test", Type: "t", TraceParent: traceParent, Body: []byte("x")}
	b, err := e.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return readertest.Message(string(b))
}

// exemplar is a line of the OpenMetrics output with one: whose it is, and its
// labels.
var exemplar = regexp.MustCompile(`(?m)^(nsq_\w+)\{channel="c",topic="t",le="[^"]+"\} \d+ # (\{[^}]*\}) \d`)

// scrape is the OpenMetrics output of m.
func scrape(t *testing.T, m *nsqprom.Collector) string {
	t.Helper()
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil)
	r.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	promhttp.HandlerFor(registry(t, m), promhttp.HandlerOpts{EnableOpenMetrics: true, Registry: prometheus.NewRegistry()}).ServeHTTP(w, r)
	if kind := w.Header().Get("Content-Type"); !strings.HasPrefix(kind, "application/openmetrics-text") {
		t.Fatalf("%s: %s", kind, w.Body)
	}
	return w.Body.String()
}

// exemplars are those of the output, which has n observations.
func exemplars(t *testing.T, m *nsqprom.Collector, n string) (labels []string) {
	t.Helper()
	text := scrape(t, m)
	if want := `nsq_reader_handler_seconds_count{channel="c",topic="t"} ` + n; !strings.Contains(text, want+"\n") {
		t.Errorf("no %s in\n%s", want, text)
	}
	for _, found := range exemplar.FindAllStringSubmatch(text, -1) {
		if found[1] != "nsq_reader_handler_seconds_bucket" {
			t.Errorf("an exemplar of %s", found[1])
		}
		labels = append(labels, found[2])
	}
	if strings.Count(text, " # ") != len(labels) {
		t.Errorf("other exemplars than %v in\n%s", labels, text)
	}
	return labels
}

func finish(*reader.Message) error { return nil }

func TestTracedHandler_ShowsSampledTraces(t *testing.T) {
	for traceParent, shown := range map[string]bool{
		"00-" + traced + "-00f067aa0ba902b7-01":                  true,
		"00-" + traced + "-00f067aa0ba902b7-03":                  true,
		"01-" + traced + "-00f067aa0ba902b7-01-more-of-it":       true, // a version to come
		"01-" + traced + "-00f067aa0ba902b7-01":                  true,
		"00-" + traced + "-00f067aa0ba902b7-00":                  false, // not sampled
		"00-" + traced + "-00f067aa0ba902b7-01-more":             false,
		"ff-" + traced + "-00f067aa0ba902b7-01":                  false,
		"00-" + strings.ToUpper(traced) + "-00f067aa0ba902b7-01": false,
		"00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01": false,
		"00-" + traced + "-0000000000000000-01":                  false,
		"00-" + traced + "-00f067aa0ba902b7-1":                   false,
		"00-" + traced[:31] + "-00f067aa0ba902b7-01":             false,
		"00-" + traced + "-00f067aa0ba902b7":                     false,
		"nonsense":                                               false,
		"":                                                       false,
	} {
		m := nsqprom.New()
		readertest.Handle(m.TracedHandler("t", "c", finish), enveloped(t, traceParent))
		got, want := strings.Join(exemplars(t, m, "1"), " "), ""
		if shown {
			want = `{trace_id="` + traced + `"}`
		}
		if got != want {
			t.Errorf("%q: exemplars %s, want %s", traceParent, got, want)
		}
	}
}

// The handler may do what it likes with the body, and may answer later.
func TestTracedHandler_OfAnAnswerThatComesLater(t *testing.T) {
	m := nsqprom.New()
	h := m.TracedHandler("t", "c", func(msg *reader.Message) error {
		clear(msg.Body)
		return reader.Pending
	})
	msg := enveloped(t, "00-"+traced+"-00f067aa0ba902b7-01")
	if err := h(msg.Message); err != reader.Pending {
		t.Fatal(err)
	}
	if n := len(exemplars(t, m, "0")); n != 0 {
		t.Errorf("%d exemplars before the answer", n)
	}
	msg.Finish()
	if got := exemplars(t, m, "1"); len(got) != 1 {
		t.Errorf("exemplars %v after the answer, want one", got)
	}
}

// Without an envelope, and with Handler, times are measured alone.
func TestTracedHandler_OthersHaveNoExemplars(t *testing.T) {
	m := nsqprom.New()
	readertest.Handle(m.TracedHandler("t", "c", finish), readertest.Message(`{"traceparent":"00-`+traced+`-00f067aa0ba902b7-01"}`))
	readertest.Handle(m.TracedHandler("t", "c", finish), readertest.Message("plain"))
	readertest.Handle(m.Handler("t", "c", finish), enveloped(t, "00-"+traced+"-00f067aa0ba902b7-01"))
	if got := exemplars(t, m, "3"); len(got) != 0 {
		t.Errorf("exemplars %v", got)
	}
}
