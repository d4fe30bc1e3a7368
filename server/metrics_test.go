package server

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	dto "github.com/prometheus/client_model/go"

	"github.com/nsqloop/nsqloop/server/journal"
)

// scrape parses /metrics.
func scrape(t testing.TB, s *Server, query string) map[string]*dto.MetricFamily {
	t.Helper()
	a := ask(t, s, "GET", "/metrics"+query, "")
	if a.status != 200 {
		t.Fatalf("metrics: %d %s", a.status, a.body)
	}
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// value is the sample of a family with these labels (name, value, ...).
func value(t testing.TB, families map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	t.Helper()
	f := families[name]
	if f == nil {
		t.Fatalf("no family %s", name)
	}
	for _, m := range f.Metric {
		got := map[string]string{}
		for _, l := range m.Label {
			got[l.GetName()] = l.GetValue()
		}
		fits := len(got) == len(labels)/2
		for i := 0; i < len(labels); i += 2 {
			fits = fits && got[labels[i]] == labels[i+1]
		}
		if fits {
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	t.Fatalf("%s has no sample with %v", name, labels)
	return 0
}

// TestMetrics_Values: what a scrape says of a server that did something.
func TestMetrics_Values(t *testing.T) {
	s := busy(t)
	ask(t, s, "POST", "/channel/create?topic=t1&channel=x%23ephemeral", "")
	ask(t, s, "POST", "/channel/create?topic=t1&channel=y%23ephemeral", "")
	ask(t, s, "POST", "/pub?topic=t1", "hello")
	ask(t, s, "POST", "/pub?topic=!", "hello")
	ask(t, s, "GET", "/nope", "")
	f := scrape(t, s, "")
	for _, row := range []struct {
		want   float64
		name   string
		labels []string
	}{
		{1, "nsqd_healthy", nil},
		{2, "nsqd_connections", []string{"kind", "tcp"}},
		{0, "nsqd_disk_corrupt_records_total", nil},
		{2, "nsqd_topic_depth", []string{"topic", "t2"}},
		{0, "nsqd_topic_disk_depth", []string{"topic", "t2"}},
		{4, "nsqd_topic_messages_total", []string{"topic", "t1"}},
		{20, "nsqd_topic_message_bytes_total", []string{"topic", "t1"}},
		{1, "nsqd_topic_paused", []string{"topic", "t2"}},
		{0, "nsqd_topic_paused", []string{"topic", "t1"}},
		{1, "nsqd_channel_depth", []string{"topic", "t1", "channel", "c2"}},
		{0, "nsqd_channel_disk_depth", []string{"topic", "t1", "channel", "c2"}},
		{2, "nsqd_channel_in_flight", []string{"topic", "t1", "channel", "c1"}},
		{0, "nsqd_channel_deferred", []string{"topic", "t1", "channel", "c1"}},
		{1, "nsqd_channel_consumers", []string{"topic", "t1", "channel", "c1"}},
		{1, "nsqd_channel_paused", []string{"topic", "t1", "channel", "c2"}},
		{4, "nsqd_channel_messages_total", []string{"topic", "t1", "channel", "c1"}},
		{1, "nsqd_channel_finished_total", []string{"topic", "t1", "channel", "c1"}},
		{0, "nsqd_channel_requeued_total", []string{"topic", "t1", "channel", "c1"}},
		{0, "nsqd_channel_timed_out_total", []string{"topic", "t1", "channel", "c1"}},
		{2, "nsqd_channel_depth", []string{"topic", "t1", "channel", "#ephemeral"}},
		{2, "nsqd_channel_messages_total", []string{"topic", "t1", "channel", "#ephemeral"}},
		{1, "nsqd_http_requests_total", []string{"route", "POST /pub", "code", "200"}},
		{1, "nsqd_http_requests_total", []string{"route", "POST /pub", "code", "400"}},
		{1, "nsqd_http_requests_total", []string{"route", "other", "code", "404"}},
	} {
		if got := value(t, f, row.name, row.labels...); got != row.want {
			t.Errorf("%s%v = %v, want %v", row.name, row.labels, got, row.want)
		}
	}
	if age := value(t, f, "nsqd_channel_oldest_message_age_seconds", "topic", "t1", "channel", "c2"); age <= 0 || age > 60 {
		t.Errorf("the oldest message of c2 is %v s old", age)
	}
	if got := value(t, f, "nsqd_commands_total", "command", "FIN", "result", "ok"); got != 1 {
		t.Errorf("%v FINs, want 1", got)
	}
	if got := f["nsqd_message_e2e_seconds"].Metric[0].Histogram.GetSampleCount(); got != 1 {
		t.Errorf("%d latencies, want 1", got)
	}
	for _, name := range []string{"nsqd_build_info", "nsqd_disk_bytes", "nsqd_disk_sync_seconds", "go_goroutines"} {
		if f[name] == nil {
			t.Errorf("no family %s", name)
		}
	}
	for _, m := range f["nsqd_channel_depth"].Metric {
		for _, l := range m.Label {
			if strings.HasSuffix(l.GetValue(), "x#ephemeral") {
				t.Error("an ephemeral channel has a series of its own")
			}
		}
	}
}

// TestMetrics_Compat: the names of others appear when they are asked for, with
// nsqd's figures.
func TestMetrics_Compat(t *testing.T) {
	s := busy(t)
	for name := range scrape(t, s, "") {
		if strings.HasPrefix(name, "nsq_") {
			t.Errorf("%s is there unasked", name)
		}
	}
	f := scrape(t, s, "?compat=exporter")
	if got := value(t, f, "nsq_topic_depth", "topic", "t2", "paused", "true"); got != 2 {
		t.Errorf("nsq_topic_depth %v, want 2", got)
	}
	if got := value(t, f, "nsq_channel_in_flight_count", "topic", "t1", "channel", "c1", "paused", "false"); got != 2 {
		t.Errorf("nsq_channel_in_flight_count %v, want 2", got)
	}
	if f["nsq_topic_channel_depth"] != nil || f["nsq_mem_heap_objects"] != nil {
		t.Error("the mixin's names are there unasked")
	}
	f = scrape(t, s, "?compat=exporter,mixin")
	if got := value(t, f, "nsq_topic_channel_clients", "topic", "t1", "channel", "c1"); got != 1 {
		t.Errorf("nsq_topic_channel_clients %v, want 1", got)
	}
	if got := value(t, f, "nsq_mem_heap_objects"); got == 0 {
		t.Error("nsq_mem_heap_objects is 0")
	}
	if f["nsq_channel_depth"] == nil {
		t.Error("the exporter's names are missing")
	}
	if a := ask(t, s, "GET", "/metrics?compat=other", ""); a.status != 400 || a.code(t) != "INVALID_VALUE" {
		t.Errorf("unknown set: %d %s", a.status, a.body)
	}
}

// TestMetrics_Options: series of channels can be left out, the names of others
// can be there without being asked for.
func TestMetrics_Options(t *testing.T) {
	s := startHTTP(t, Options{MetricsWithoutChannels: true, MetricsCompat: []string{"mixin"}})
	ask(t, s, "POST", "/topic/create?topic=t", "")
	ask(t, s, "POST", "/channel/create?topic=t&channel=c", "")
	f := scrape(t, s, "")
	if f["nsqd_channel_depth"] != nil || f["nsqd_channel_oldest_message_age_seconds"] != nil {
		t.Error("a channel has series")
	}
	if f["nsqd_topic_depth"] == nil || f["nsq_topic_channel_depth"] == nil || f["nsq_channel_depth"] != nil {
		t.Error("want the topic's series and the mixin's, and not the exporter's")
	}
	if scrape(t, s, "?compat=exporter")["nsq_channel_depth"] == nil {
		t.Error("the exporter's are not there when they are asked for")
	}
	if _, err := New(newBareLoop(), Options{MetricsCompat: []string{"other"}}); err == nil || !strings.Contains(err.Error(), "other") {
		t.Errorf("unknown set: %v", err)
	}
}

// TestMetrics_SyncsAreCounted: each round of fsync is in the histogram.
func TestMetrics_SyncsAreCounted(t *testing.T) {
	s := startHTTP(t, Options{DataPath: t.TempDir(), Sync: SyncAlways})
	for range 3 {
		ask(t, s, "POST", "/pub?topic=t", "x")
	}
	if n := scrape(t, s, "")["nsqd_disk_sync_seconds"].Metric[0].Histogram.GetSampleCount(); n < 3 {
		t.Errorf("%d rounds of fsync after 3 publishes", n)
	}
}

// TestMetrics_Health: a failed write shows until the next good one.
func TestMetrics_Health(t *testing.T) {
	full := new(atomic.Bool)
	s := startHTTP(t, Options{
		DataPath: t.TempDir(),
		fs:       func(string) journal.FS { return failingFS{journal.Memory(), full} },
	})
	for _, row := range []struct {
		full bool
		want float64
	}{{false, 1}, {true, 0}, {false, 1}} {
		full.Store(row.full)
		ask(t, s, "POST", "/pub?topic=t", "x")
		if got := value(t, scrape(t, s, ""), "nsqd_healthy"); got != row.want {
			t.Errorf("nsqd_healthy with a full disk %v: %v, want %v", row.full, got, row.want)
		}
	}
}

// TestMetrics_Stopped: a scrape of a stopped server fails instead of lying.
func TestMetrics_Stopped(t *testing.T) {
	s, err := Start(Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := s.Handler()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	w := newRecorder()
	h.ServeHTTP(w, mustRequest(t, "GET", "http://localhost/metrics"))
	if w.Code != 500 || !strings.Contains(w.Body.String(), "server closed") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
