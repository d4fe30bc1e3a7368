package nsqprom_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/nsqloop/nsqloop/internal/testwait"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/nsqprom"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/server/nsqtest"
	"github.com/nsqloop/nsqloop/writer"
)

// gathered is what a registry has, by name and label values, as "name{a,b}". A
// histogram is its count.
func gathered(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, l.GetValue()) // sorted by their names
			}
			all[f.GetName()+"{"+strings.Join(labels, ",")+"}"] = value(m)
		}
	}
	return all
}

func value(m *dto.Metric) float64 {
	switch {
	case m.Counter != nil:
		return m.Counter.GetValue()
	case m.Gauge != nil:
		return m.Gauge.GetValue()
	}
	return float64(m.Histogram.GetSampleCount())
}

func registry(t *testing.T, m *nsqprom.Collector) *prometheus.Registry {
	t.Helper()
	reg := prometheus.NewPedanticRegistry() // which checks what is collected against what is described
	if err := reg.Register(m); err != nil {
		t.Fatal(err)
	}
	return reg
}

// The names, from a system that publishes and consumes.
func TestCollector_CountsASystem(t *testing.T) {
	s := nsqtest.Start(t)
	m := nsqprom.New()
	reg := registry(t, m)
	l, err := loop.New(loop.Options{OnCallback: m.OnCallback})
	if err != nil {
		t.Fatal(err)
	}
	w, err := writer.New(l, writer.Options{NSQDs: []string{s.TCPAddr()}, OnResult: m.OnResult})
	if err != nil {
		t.Fatal(err)
	}
	pending := make(chan *reader.Message, 10)
	handle := func(m *reader.Message) error {
		switch string(m.Body) {
		case "later":
			pending <- m
			return reader.Pending
		case "never":
			return reader.RequeueAfter(time.Hour, errors.New("no"))
		}
		return nil
	}
	r, err := reader.New(l, reader.Options{
		Topic: "orders", Channel: "billing", NSQDs: []string{s.TCPAddr()}, MaxInFlight: 5, MaxBackoff: -1,
		Handler: m.Handler("orders", "billing", handle),
	})
	if err != nil {
		t.Fatal(err)
	}
	m.AddReader(r)
	m.AddWriter(w)
	if err := l.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, body := range []string{"now", "later", "never", "unanswered"} {
		if body == "unanswered" {
			body = "later"
		}
		if err := w.PublishSync(ctx, "orders", []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.PublishSync(ctx, "orders", nil); err == nil {
		t.Fatal("an empty body is published")
	}
	(<-pending).Finish()
	<-pending
	s.WaitFinished("orders", "billing", 2)
	got := gathered(t, reg)
	for name, want := range map[string]float64{
		"nsq_reader_messages_total{billing,orders}":    4,
		"nsq_reader_finished_total{billing,orders}":    2,
		"nsq_reader_requeued_total{billing,orders}":    1,
		"nsq_reader_given_up_total{billing,orders}":    0,
		"nsq_reader_expired_total{billing,orders}":     0,
		"nsq_reader_lost_total{billing,orders}":        0,
		"nsq_reader_backoffs_total{billing,orders}":    0,
		"nsq_reader_errors_total{billing,orders}":      0,
		"nsq_reader_in_flight{billing,orders}":         1,
		"nsq_reader_rdy{billing,orders}":               5,
		"nsq_reader_connections{billing,orders}":       1,
		"nsq_reader_handler_seconds{billing,orders}":   3, // the one that is not answered has not ended
		"nsq_writer_publishes_total{confirmed}":        4,
		"nsq_writer_publishes_total{rejected}":         1,
		"nsq_writer_publishes_total{not_sent}":         0,
		"nsq_writer_publishes_total{unknown}":          0,
		"nsq_writer_pending{}":                         0,
		"nsq_writer_pending_bytes{}":                   0,
		"nsq_writer_connections{}":                     1,
		"nsq_writer_published_total{confirmed,orders}": 4,
		"nsq_writer_published_total{rejected,orders}":  1,
		"nsq_writer_published_total{not_sent,orders}":  0,
		"nsq_writer_published_total{unknown,orders}":   0,
		"nsq_writer_publish_seconds{orders}":           5,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v (%v), want %v", name, v, ok, want)
		}
		delete(got, name)
	}
	if n := got["nsq_loop_callback_seconds{}"]; n < 10 {
		t.Errorf("%v callbacks were measured", n)
	}
	if delete(got, "nsq_loop_callback_seconds{}"); len(got) > 0 {
		t.Errorf("unknown: %v", got)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if v := gathered(t, reg)["nsq_reader_finished_total{billing,orders}"]; v != 2 {
		t.Errorf("%v finished after the loop's end, want 2", v)
	}
}

// Those of one topic and channel are one series; what is removed stays counted,
// and is no longer connected.
func TestCollector_AddsUpAndRemembers(t *testing.T) {
	s := nsqtest.Start(t)
	m := nsqprom.New()
	reg := registry(t, m)
	l, err := loop.New(loop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var readers []*reader.Reader
	for range 2 {
		r, err := reader.New(l, reader.Options{
			Topic: "t", Channel: "c", NSQDs: []string{s.TCPAddr()}, Handler: func(*reader.Message) error { return nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		m.AddReader(r)
		readers = append(readers, r)
	}
	w, err := writer.New(l, writer.Options{NSQDs: []string{s.TCPAddr()}})
	if err != nil {
		t.Fatal(err)
	}
	m.AddWriter(w)
	if err := l.Start(); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if err := w.PublishSync(t.Context(), "t", fmt.Appendf(nil, "%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	s.WaitFinished("t", "c", 10)
	check := func(when string, connections, connected float64) {
		t.Helper()
		got := gathered(t, reg)
		if got["nsq_reader_finished_total{c,t}"] != 10 || got["nsq_writer_publishes_total{confirmed}"] != 10 {
			t.Errorf("%s: %v finished, %v confirmed, want 10", when, got["nsq_reader_finished_total{c,t}"], got["nsq_writer_publishes_total{confirmed}"])
		}
		if got["nsq_reader_connections{c,t}"] != connections || got["nsq_writer_connections{}"] != connected {
			t.Errorf("%s: %v, %v connections", when, got["nsq_reader_connections{c,t}"], got["nsq_writer_connections{}"])
		}
	}
	testwait.Until(t, "both readers are connected", func() bool { // one may have done it all before
		return gathered(t, reg)["nsq_reader_connections{c,t}"] == 2
	})
	check("with both", 2, 1)
	for range 2 { // the second time there is nothing to remove
		m.RemoveReader(readers[0])
		m.RemoveWriter(w)
		check("with one", 1, 0)
	}
}

// Each topic of a Group is shown as a Reader's.
func TestCollector_ShowsGroups(t *testing.T) {
	s := nsqtest.Start(t)
	m := nsqprom.New()
	reg := registry(t, m)
	l, err := loop.New(loop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	g, err := reader.NewGroup(l, reader.GroupOptions{
		Topics: []string{"a", "b"},
		Options: reader.Options{
			Channel: "c", NSQDs: []string{s.TCPAddr()}, MaxInFlight: 10, Handler: func(*reader.Message) error { return nil },
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	m.AddGroup(g)
	if err := l.Start(); err != nil {
		t.Fatal(err)
	}
	s.Publish("a", "1")
	s.Publish("b", "2", "3")
	s.WaitFinished("a", "c", 1)
	s.WaitFinished("b", "c", 2)
	if got := gathered(t, reg); got["nsq_reader_finished_total{c,a}"] != 1 || got["nsq_reader_finished_total{c,b}"] != 2 {
		t.Errorf("finished %v and %v, want 1 and 2", got["nsq_reader_finished_total{c,a}"], got["nsq_reader_finished_total{c,b}"])
	}
	m.RemoveGroup(g)
	m.RemoveGroup(g) // which is not there any more
	if _, there := gathered(t, reg)["nsq_reader_finished_total{c,a}"]; there {
		t.Error("what was removed is shown")
	}
}

// A panic of the handler takes its time too.
func TestHandler_MeasuresPanics(t *testing.T) {
	m := nsqprom.New()
	reg := registry(t, m)
	h := m.Handler("t", "c", func(*reader.Message) error { panic("no") })
	func() {
		defer func() { _ = recover() }()
		_ = h(&reader.Message{})
	}()
	if n := gathered(t, reg)["nsq_reader_handler_seconds{c,t}"]; n != 1 {
		t.Errorf("%v calls were measured, want 1", n)
	}
}

// Names without end do not become series without end.
func TestOnResult_BoundsTopics(t *testing.T) {
	m := nsqprom.New()
	reg := registry(t, m)
	for i := range nsqprom.MostTopics + 20 {
		m.OnResult(writer.Result{Topic: fmt.Sprint(i), Messages: 2})
	}
	m.OnResult(writer.Result{Topic: "0", Messages: 2})
	got := gathered(t, reg)
	if v := got["nsq_writer_published_total{confirmed,#others}"]; v != 40 {
		t.Errorf("%v messages of others, want 40", v)
	}
	if v := got["nsq_writer_published_total{confirmed,0}"]; v != 4 {
		t.Errorf("%v messages of a topic that is known, want 4", v)
	}
}

// A result costs no allocation.
func TestOnResult_AllocatesNothing(t *testing.T) {
	m := nsqprom.New()
	r := writer.Result{Topic: "t", Messages: 1, Latency: time.Millisecond}
	m.OnResult(r)
	if n := testing.AllocsPerRun(1000, func() { m.OnResult(r); m.OnCallback(time.Microsecond) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkOnResult(b *testing.B) {
	m := nsqprom.New()
	r := writer.Result{Topic: "t", Messages: 1, Latency: time.Millisecond}
	b.ReportAllocs()
	for b.Loop() {
		m.OnResult(r)
	}
}
