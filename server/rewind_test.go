package server

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
)

// rewind sets a channel back to a time.
func (w *world) rewind(topic, channel string, to int64) (n int64) {
	w.t.Helper()
	w.do(func() {
		ch := w.s.topic(topic).channel(channel)
		search := ch.t.j.Search(to)
		for {
			at, done, err := search.Step(rewindStep)
			if err != nil {
				w.t.Fatal(err)
			}
			if done {
				if n, err = ch.rewind(at); err != nil {
					w.t.Fatal(err)
				}
				return
			}
		}
	})
	return n
}

// bodiesOf are the bodies of messages, joined.
func bodiesOf(all []wire.Message) string {
	var b []string
	for _, m := range all {
		b = append(b, string(m.Body))
	}
	return strings.Join(b, " ")
}

func TestRewind_SubscribersCanTakeAgain(t *testing.T) {
	w := newWorld(t, Options{})
	p := w.subscribe("t", "c", 2)
	w.publish("t", "a", "b", "c", "d")
	first := p.messages(2)
	if got := bodiesOf(first); got != "a b" {
		t.Fatalf("delivered %q", got)
	}
	if n := w.rewind("t", "c", math.MinInt64); n != 4 {
		t.Errorf("%d messages again", n)
	}
	// What was in flight is not any more, and there is room for two.
	if got := bodiesOf(p.messages(2)); got != "a b" {
		t.Errorf("delivered again %q", got)
	}
	st := w.channel("t", "c")
	if st.Depth != 2 || st.InFlightCount != 2 || st.MessageCount != 8 {
		t.Errorf("depth %d, in flight %d, messages %d", st.Depth, st.InFlightCount, st.MessageCount)
	}
	w.check()
}

func TestRewind_SurvivesARestart(t *testing.T) {
	restarted(t, func(w *world) {
		p := w.subscribe("t", "c", 10)
		for i := range 5 {
			w.publish("t", fmt.Sprint(i))
			for _, m := range p.messages(1) {
				p.fin(m)
			}
			w.sleep(time.Second)
		}
		p.rdy(0)
		to := w.s.now() - int64(2500*time.Millisecond)
		if n := w.rewind("t", "c", to); n != 2 {
			w.t.Errorf("%d messages again", n)
		}
	}, func(w *world) {
		p := w.subscribe("t", "c", 10)
		if got := bodiesOf(p.messages(2)); got != "3 4" {
			w.t.Errorf("delivered %q", got)
		}
	})
}

func TestRewind_OtherChannelsAreLeftAlone(t *testing.T) {
	w := newWorld(t, Options{})
	p, q := w.subscribe("t", "c", 10), w.subscribe("t", "d", 10)
	w.publish("t", "a")
	p.message("a", 1)
	q.message("a", 1)
	w.rewind("t", "c", math.MinInt64)
	p.message("a", 1)
	q.want()
}

func TestRetain_KeepsFilesForRewinding(t *testing.T) {
	for _, tc := range []struct {
		name string
		o    Options
		want int64 // messages that can be delivered again, at least
		most int64
	}{
		{"off", Options{}, 0, 60},
		{"age", Options{RetainAge: time.Hour}, 500, 500},
		{"bytes", Options{RetainBytes: 8 << 10}, 100, 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.o.MaxBytesPerFile, tc.o.DataPath = 2<<10, t.TempDir()
			w := newWorld(t, tc.o)
			p := w.subscribe("t", "c", 2500)
			for i := range 500 {
				w.publish("t", fmt.Sprintf("message %06d", i))
				for _, m := range p.messages(1) {
					p.fin(m)
				}
			}
			p.rdy(0)
			w.sleep(time.Minute)
			w.stop()
			w.start(tc.o)
			if n := w.rewind("t", "c", math.MinInt64); n < tc.want || n > tc.most {
				t.Errorf("%d messages again, want %d to %d", n, tc.want, tc.most)
			}
			if tc.o.RetainAge == 0 {
				return
			}
			// Old enough, but the channel needs them.
			w.sleep(2 * time.Hour)
			n := w.s.topic("t").j.Segments()
			if n < 8 {
				t.Errorf("%d files are left that the channel needs", n)
			}
			w.do(func() { w.s.topic("t").channel("c").empty() })
			w.sleep(retainEvery)
			if n := w.s.topic("t").j.Segments(); n != 1 {
				t.Errorf("%d files are left after their time", n)
			}
		})
	}
}

func TestRewind_OverHTTP(t *testing.T) {
	s := startHTTP(t, Options{})
	ask(t, s, "POST", "/topic/create?topic=t", "")
	ask(t, s, "POST", "/channel/create?topic=t&channel=c", "")
	if err := s.Publish("t", []byte("a"), []byte("b")); err != nil {
		t.Fatal(err)
	}
	ask(t, s, "POST", "/channel/empty?topic=t&channel=c", "")
	const again, nothing = `{"topic":"t","channel":"c","messages":2}`, `{"topic":"t","channel":"c","messages":0}`
	runRows(t, s, []httpRow{
		{"the future", "POST", "/channel/rewind?topic=t&channel=c&to=2199-01-01T00:00:00Z", "", 200, nothing},
		{"beginning", "POST", "/channel/rewind?topic=t&channel=c&to=beginning", "", 200, again},
		{"nothing is left", "POST", "/channel/rewind?topic=t&channel=c&to=beginning", "", 200, nothing},
		{"empty", "POST", "/channel/empty?topic=t&channel=c", "", 200, ""},
		{"seconds", "POST", "/channel/rewind?topic=t&channel=c&to=1.5", "", 200, again},
		{"empty", "POST", "/channel/empty?topic=t&channel=c", "", 200, ""},
		{"time", "POST", "/channel/rewind?topic=t&channel=c&to=2001-01-01T00:00:00%2B02:00", "", 200, again},
		{"no time", "POST", "/channel/rewind?topic=t&channel=c", "", 400, "MISSING_ARG_TO"},
		{"no such time", "POST", "/channel/rewind?topic=t&channel=c&to=yesterday", "", 400, "INVALID_ARG"},
		{"too far", "POST", "/channel/rewind?topic=t&channel=c&to=1e300", "", 400, "INVALID_ARG"},
		{"unknown channel", "POST", "/channel/rewind?topic=t&channel=x&to=1", "", 404, "CHANNEL_NOT_FOUND"},
		{"unknown topic", "POST", "/channel/rewind?topic=x&channel=x&to=1", "", 404, "TOPIC_NOT_FOUND"},
		{"no channel", "POST", "/channel/rewind?topic=t&to=1", "", 400, "MISSING_ARG_CHANNEL"},
		{"get", "GET", "/channel/rewind?topic=t&channel=c&to=1", "", 405, "METHOD_NOT_ALLOWED"},
		{"unknown topic", "GET", "/lite/topics?topic=x", "", 404, "TOPIC_NOT_FOUND"},
	})
	if a := ask(t, s, "POST", "/channel/rewind?topic=t&channel=c&to=1", "", "Sec-Fetch-Site", "cross-site"); a.status != 403 {
		t.Errorf("a page of another site: %d", a.status)
	}
}

func TestLite_Topics(t *testing.T) {
	s := startHTTP(t, Options{DataPath: t.TempDir(), RetainAge: time.Minute, RetainBytes: 5})
	if err := s.Publish("t", []byte("a"), []byte("b")); err != nil {
		t.Fatal(err)
	}
	ask(t, s, "POST", "/topic/create?topic=u", "")
	var got liteTopicsJSON
	a := ask(t, s, "GET", "/lite/topics", "")
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if len(got.Topics) != 2 || got.RetainAge != int64(time.Minute) || got.RetainBytes != 5 || got.Topics[1].JournalBytes != 0 {
		t.Errorf("%s", a.body)
	}
	if l := got.Topics[0]; l.Topic != "t" || l.JournalBytes != 32+2*25 || l.Segments != 1 || l.FirstID >= l.NextID || l.Oldest != 0 {
		t.Errorf("%+v", l)
	}
	a = ask(t, s, "GET", "/lite/topics?topic=t", "")
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || len(got.Topics) != 1 || got.Topics[0].Oldest == 0 {
		t.Errorf("%s: %v", a.body, err)
	}
	if a := ask(t, s, "GET", "/config/retain_age", ""); a.body != "60000000000" {
		t.Errorf("retain_age %s", a.body)
	}
	if a := ask(t, s, "GET", "/config/retain_bytes", ""); a.body != "5" {
		t.Errorf("retain_bytes %s", a.body)
	}
}

func TestOptions_RetentionIsNotNegative(t *testing.T) {
	for _, o := range []Options{{RetainAge: -1}, {RetainBytes: -1}} {
		if _, err := o.withDefaults(); err == nil || !strings.Contains(err.Error(), "Retain") {
			t.Errorf("%v, %d: %v", o.RetainAge, o.RetainBytes, err)
		}
	}
}
