package admin

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/server/lookup"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// folded makes views of samples, a second apart.
type folded struct {
	t   *testing.T
	f   *fold
	now time.Time
	v   *view
}

func newFolded(t *testing.T) *folded { return &folded{t, newFold(start), start, newView()} }

// oneNode is a sample of one nsqd with one topic.
func oneNode(topic server.TopicStats) *sample {
	topic.TopicName = "t"
	info := lookup.Info{BroadcastAddress: "n", HTTPPort: 1, Version: "1.3.0"}
	return &sample{
		places: []*place{{Info: info}}, lites: []*liteStats{nil}, errs: []error{nil},
		stats: []server.Stats{{Version: "1.3.0", Health: "OK", Topics: []server.TopicStats{topic}}},
	}
}

// after folds s in so much later.
func (f *folded) after(d time.Duration, s *sample) {
	f.now = f.now.Add(d)
	f.v = f.f.next(f.v, s, f.now)
}

// attention is what needs it, as "level text", sorted.
func (f *folded) attention() string {
	var all []string
	for _, r := range f.v.rows[tableAttention] {
		var a attentionRow
		if err := json.Unmarshal(r.json, &a); err != nil {
			f.t.Fatal(err)
		}
		all = append(all, a.Level+" "+a.Text)
	}
	return strings.Join(all, "; ")
}

// TestFold_Attention: each rule, when it speaks and when it does not yet.
func TestFold_Attention(t *testing.T) {
	channel := func(c server.ChannelStats) server.TopicStats {
		c.ChannelName = "c"
		return server.TopicStats{Channels: []server.ChannelStats{c}}
	}
	for _, row := range []struct {
		name  string
		topic server.TopicStats
		after time.Duration
		want  string
	}{
		{"all is well", channel(server.ChannelStats{Depth: 5, ClientCount: 1}), 2 * time.Hour, ""},
		{"nobody consumes, for a moment", channel(server.ChannelStats{Depth: 5}), 9 * time.Second, ""},
		{"nobody consumes", channel(server.ChannelStats{Depth: 5}), 10 * time.Second, "warn 5 messages and no consumer"},
		{"nobody consumes one", channel(server.ChannelStats{Depth: 1}), 10 * time.Second, "warn 1 message and no consumer"},
		{"nobody consumes nothing", channel(server.ChannelStats{}), time.Hour, ""},
		{"paused for less than an hour", channel(server.ChannelStats{Paused: true}), 59 * time.Minute, ""},
		{"paused for an hour", channel(server.ChannelStats{Paused: true}), time.Hour, "warn paused for more than an hour"},
		{"no channel", server.TopicStats{Depth: 7}, 10 * time.Second, "note 7 messages wait for a first channel"},
	} {
		f := newFolded(t)
		f.after(0, oneNode(row.topic))
		f.after(row.after, oneNode(row.topic))
		if got := f.attention(); got != row.want {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
	}
	f := newFolded(t)
	s := oneNode(server.TopicStats{})
	s.errs[0], s.stats[0] = fmt.Errorf("refused"), server.Stats{}
	f.after(0, s)
	if got := f.attention(); got != "bad does not answer: refused" {
		t.Errorf("a silent node: %q", got)
	}
	f = newFolded(t)
	s = oneNode(server.TopicStats{})
	s.lites[0] = &liteStats{DiskFree: 9, DiskTotal: 100}
	s.places = append(s.places, &place{Info: lookup.Info{BroadcastAddress: "old", Version: "1.2.1"}})
	s.lites, s.errs, s.stats = append(s.lites, nil), append(s.errs, nil), append(s.stats, server.Stats{Health: "NOK - disk"})
	f.after(0, s)
	if got := f.attention(); got != "warn disk: 9.0 % free; bad is not well: NOK - disk; note versions differ: 1.2.1, 1.3.0" {
		t.Errorf("disk, health, versions: %q", got)
	}
}

// TestFold_RisingAndTimeouts: what shows only over minutes.
func TestFold_RisingAndTimeouts(t *testing.T) {
	f := newFolded(t)
	for i := range 70 {
		f.after(historyStep, oneNode(server.TopicStats{Channels: []server.ChannelStats{{
			ChannelName: "c", ClientCount: 1, Depth: int64(100 * i), MessageCount: uint64(1000 * i), TimeoutCount: uint64(100 * i),
		}}}))
	}
	got := f.attention()
	if !strings.Contains(got, "warn depth rises: 4800 more in five minutes") || !strings.Contains(got, "warn timeouts: 10.0 % of deliveries") {
		t.Errorf("%q", got)
	}
}

// TestFold_FinishedWithoutBeingTold: an nsqd does not say what was finished; it
// follows from what was given to the channel and is not in it any more.
func TestFold_FinishedWithoutBeingTold(t *testing.T) {
	f := newFolded(t)
	of := func(given uint64, depth int64) *sample {
		return oneNode(server.TopicStats{MessageCount: given, Channels: []server.ChannelStats{{ChannelName: "c", MessageCount: given, Depth: depth, InFlightCount: 2, DeferredCount: 3}}})
	}
	f.after(0, of(100, 50))
	f.after(2*time.Second, of(120, 20))
	var c channelRow
	if err := json.Unmarshal(f.v.rows[tableChannels][0].json, &c); err != nil {
		t.Fatal(err)
	}
	if c.Finished != 95 || c.Out != 25 || c.In != 10 {
		t.Errorf("%+v", c)
	}
}

// TestFold_LateConsumers: what a consumer was given and neither answered nor has
// any more has timed out with it; one poll alone may be wrong about that.
func TestFold_LateConsumers(t *testing.T) {
	f := newFolded(t)
	of := func(given, finished, requeued uint64, inFlight int) *sample {
		return oneNode(server.TopicStats{Channels: []server.ChannelStats{{ChannelName: "c", Clients: []server.ClientStats{{
			RemoteAddress: "r:1", MessageCount: given, FinishCount: finished, RequeueCount: requeued, InFlightCount: inFlight,
		}}}}})
	}
	for i, row := range []struct {
		s    *sample
		late uint64
	}{
		{of(10, 4, 2, 4), 0},
		{of(10, 4, 2, 1), 0}, // three have gone, as one poll sees it
		{of(12, 5, 2, 2), 3},
		{of(12, 9, 2, 2), 0}, // more answers than deliveries: read while it counted
		{of(14, 6, 2, 1), 0},
		{of(14, 6, 2, 1), 5},
	} {
		f.after(time.Second, row.s)
		var c clientRow
		if err := json.Unmarshal(f.v.rows[tableClients][0].json, &c); err != nil {
			t.Fatal(err)
		}
		if c.Late != row.late {
			t.Errorf("poll %d: %d late, want %d", i, c.Late, row.late)
		}
	}
}

// TestMeter: rates are smooth, a restart is no burst, and what is not seen any
// more is forgotten.
func TestMeter(t *testing.T) {
	m := meter{}
	c := counter{node: "n", what: "in"}
	m.rate(c, 1000, start)
	if got := m.rate(c, 1100, start.Add(time.Second)); got != 50 {
		t.Errorf("after a second of 100: %v", got)
	}
	if got := m.rate(c, 1100, start.Add(time.Second+time.Millisecond)); got != 50 {
		t.Errorf("at the same moment: %v", got)
	}
	if got := m.rate(c, 5, start.Add(2*time.Second)); got != 25 {
		t.Errorf("after a restart: %v", got)
	}
	for i := range 12 {
		m.rate(c, 5, start.Add(time.Duration(3+i)*time.Second))
	}
	if got := m.rate(c, 5, start.Add(20*time.Second)); got != 0 {
		t.Errorf("after a while of nothing: %v", got)
	}
	m.sweep()
	m.sweep()
	if len(m) != 0 {
		t.Errorf("%d counters that nobody asks for", len(m))
	}
}

// TestHistory: a quarter of an hour, the busiest, and what a pause leaves.
func TestHistory(t *testing.T) {
	h := newHistory()
	now := start
	for i := range historySamples + 20 {
		h.add(now, map[name]point{{}: {depth: float32(i)}, {"t", ""}: {in: float32(i)}})
		now = now.Add(historyStep)
	}
	points := h.of(name{"t", ""})
	if len(points) != historySamples || points[0].in != 20 || points[historySamples-1].in != historySamples+19 {
		t.Errorf("%d points, from %v to %v", len(points), points[0].in, points[len(points)-1].in)
	}
	if h.due(now.Add(-historyStep+pollEach)) || !h.due(now) {
		t.Error("a step is due too early or not at all")
	}
	h.add(now.Add(3*historyStep), map[name]point{{}: {depth: 1}, {"t", ""}: {in: 7}})
	if points := h.of(name{"t", ""}); points[historySamples-1].in != 7 || points[historySamples-4].in != 7 || points[historySamples-5].in != historySamples+19 {
		t.Error("missed steps are not filled")
	}
	many := map[name]point{{}: {}}
	for i := range 2 * historyMost {
		many[name{fmt.Sprintf("t%d", i), ""}] = point{in: 1}
	}
	h.add(now.Add(4*historyStep), many)
	if len(h.rings) > historyMost {
		t.Errorf("%d are remembered", len(h.rings))
	}
	many[name{"busy", ""}] = point{in: 1000}
	h.add(now.Add(5*historyStep), many)
	if h.of(name{"busy", ""}) == nil || len(h.rings) > historyMost || h.of(name{}) == nil {
		t.Errorf("the busiest is not remembered among %d", len(h.rings))
	}
	if h.of(name{"t", ""}) != nil {
		t.Error("what has gone is remembered")
	}
}

// TestView_ForgetsWhatHasGone: who was away for too long is sent everything.
func TestView_ForgetsWhatHasGone(t *testing.T) {
	v := newView()
	for i := range goneMost + 10 {
		d := draft{rows: map[string][]*row{}}
		d.add(row{table: tableTopics, key: fmt.Sprint(i)}, i)
		v = d.after(v, "e", start)
	}
	if len(v.gone) != goneMost {
		t.Errorf("%d rows that have gone are remembered", len(v.gone))
	}
	if v.since("e.2") != 0 || v.since(fmt.Sprintf("e.%d", v.id-1)) != v.id-1 {
		t.Errorf("since %d, %d", v.since("e.2"), v.since(fmt.Sprintf("e.%d", v.id-1)))
	}
	d := draft{rows: map[string][]*row{}}
	for i := range rowsMost + 3 {
		d.add(row{table: tableTopics, key: fmt.Sprint(i)}, i)
	}
	if d.cut != 3 || len(d.rows[tableTopics]) != rowsMost {
		t.Errorf("%d rows, %d cut", len(d.rows[tableTopics]), d.cut)
	}
}

// TestOutdated: lower than the highest; what is no version is the lowest.
func TestOutdated(t *testing.T) {
	places := []*place{{Info: lookup.Info{Version: "1.3.0"}}, {Info: lookup.Info{Version: "1.2.10"}}, {Info: lookup.Info{Version: "1.3.0-alpha"}}, {Info: lookup.Info{Version: "x"}}}
	old := outdated(places)
	if old["1.3.0"] || !old["1.2.10"] || old["1.3.0-alpha"] || !old["x"] {
		t.Errorf("%v", old)
	}
}
