package admin

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/nsqloop/nsqloop/server"
)

// fold makes views of samples. It belongs to the loop.
type fold struct {
	epoch   string
	meter   meter
	history *history
	alarms  *alarms
	moved   map[string]moved // clients, by key
}

// moved is what a client had done, and when that last grew.
type moved struct {
	done uint64
	last int64
	late uint64
	seen bool
}

func newFold(now time.Time) *fold {
	return &fold{
		epoch: strconv.FormatInt(now.UnixMilli(), 36), meter: meter{}, history: newHistory(),
		alarms: newAlarms(), moved: map[string]moved{},
	}
}

// folding is one fold under way.
type folding struct {
	f        *fold
	s        *sample
	now      time.Time
	draft    draft
	topics   map[string]*topicRow
	channels map[name]*channelRow
	cluster  clusterRow
}

// next makes the view after before.
func (f *fold) next(before *view, s *sample, now time.Time) *view {
	g := &folding{
		f: f, s: s, now: now, draft: draft{rows: map[string][]*row{}},
		topics: map[string]*topicRow{}, channels: map[name]*channelRow{},
	}
	for _, topic := range s.known {
		g.topic(topic)
	}
	old := outdated(s.places)
	for i, p := range s.places {
		g.node(i, p, old[p.Version])
	}
	g.sum()
	f.meter.sweep()
	for key, m := range f.moved {
		if !m.seen {
			delete(f.moved, key)
			continue
		}
		m.seen = false
		f.moved[key] = m
	}
	return g.draft.after(before, f.epoch, now)
}

// topic is the row of a topic.
func (g *folding) topic(topic string) *topicRow {
	t := g.topics[topic]
	if t == nil {
		t = &topicRow{Topic: topic, Nodes: []topicPer{}}
		g.topics[topic] = t
	}
	return t
}

// rate is a counter's growth per second, with a digit after the point.
func (g *folding) rate(c counter, value uint64) float64 {
	return tenths(g.f.meter.rate(c, value, g.now))
}

func tenths(v float64) float64 { return math.Round(v*10) / 10 }

// node adds what an nsqd said.
func (g *folding) node(i int, p *place, old bool) {
	stats, lite := &g.s.stats[i], g.s.lites[i]
	n := nodeRow{
		Node: p.Node(), Host: p.Hostname, Address: p.BroadcastAddress, TCP: p.TCPPort, HTTP: p.HTTPPort,
		Version: p.Version, Old: old, Zone: p.TopologyZone, Region: p.TopologyRegion,
		Health: stats.Health, Start: stats.StartTime * 1000, Lookupds: append([]string{}, p.remotes...), Tombstones: []string{},
	}
	for _, h := range p.topics {
		if h.Tombstoned {
			n.Tombstones = append(n.Tombstones, h.Topic)
		}
	}
	if err := g.s.errs[i]; err != nil {
		n.Error = clipped(err.Error(), 300)
	}
	if m := stats.Memory; m != nil {
		n.Heap, n.Pause = m.HeapInUseBytes, m.GCPauseUsec99
	}
	beyond := map[name]extra{}
	if lite != nil {
		n.Lite, n.DataPath, n.Sync, n.Goroutines = lite.LiteVersion, lite.DataPath, lite.Sync, lite.Goroutines
		n.DiskFree, n.DiskTotal, n.Connections = lite.DiskFree, lite.DiskTotal, lite.Connections
		for _, t := range lite.Topics {
			row := g.topic(t.Topic)
			row.Journal += t.JournalBytes
			row.Corrupt += t.CorruptRecords
			for _, c := range t.Channels {
				beyond[name{t.Topic, c.Channel}] = extra{c.FinishCount, c.Oldest / 1e6}
			}
		}
	}
	n.Topics = len(stats.Topics)
	for j := range stats.Topics {
		g.topicOn(&n, &stats.Topics[j], beyond, lite != nil, slices.Contains(n.Tombstones, stats.Topics[j].TopicName))
	}
	for j := range stats.Producers {
		g.client(&n, "pub", "", "", &stats.Producers[j], lite != nil)
	}
	n.In, n.Out = tenths(n.In), tenths(n.Out)
	g.cluster.Nodes++
	if n.Error != "" {
		g.cluster.Silent++
	}
	g.draft.add(row{table: tableNodes, key: n.Node, node: n.Node}, n)
}

// topicOn adds a topic of a node.
func (g *folding) topicOn(n *nodeRow, t *server.TopicStats, beyond map[name]extra, lite, hidden bool) {
	row := g.topic(t.TopicName)
	in := g.rate(counter{n.Node, t.TopicName, "", "in"}, t.MessageCount)
	depth := t.Depth
	for i := range t.Channels {
		depth += t.Channels[i].Depth
	}
	row.Nodes = append(row.Nodes, topicPer{
		Node: n.Node, Depth: depth, Disk: t.BackendDepth, In: in, Messages: t.MessageCount, Channels: len(t.Channels),
		Paused: t.Paused, Lite: lite, Hidden: hidden,
	})
	row.Waiting += t.Depth
	row.Depth += t.Depth
	row.Disk += t.BackendDepth
	row.Messages += t.MessageCount
	row.Bytes += t.MessageBytes
	row.In += in
	row.P99 = max(row.P99, p99(&t.E2E))
	if t.Paused {
		row.Paused++
	}
	n.In += in
	n.Depth += t.Depth
	n.Messages += t.MessageCount
	n.Channels += len(t.Channels)
	for i := range t.Channels {
		c := &t.Channels[i]
		// What an nsqd does not say follows from what it does: what was given
		// to a channel and is not in it any more.
		done := int64(c.MessageCount) - c.Depth - int64(c.InFlightCount) - int64(c.DeferredCount)
		x, said := beyond[name{t.TopicName, c.ChannelName}]
		if !said {
			x.finished = uint64(max(0, done))
		}
		g.channelOn(n, t.TopicName, c, x, lite)
	}
}

// extra is what nsqd-lite says of a channel beyond nsqd's statistics.
type extra struct {
	finished uint64
	oldest   int64 // unix milliseconds, 0 for none
}

// older is the earlier of two times, of which 0 is none.
func older(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// channelOn adds a channel of a node.
func (g *folding) channelOn(n *nodeRow, topic string, c *server.ChannelStats, x extra, lite bool) {
	key := name{topic, c.ChannelName}
	row := g.channels[key]
	if row == nil {
		row = &channelRow{Topic: topic, Channel: c.ChannelName, Nodes: []channelPer{}}
		g.channels[key] = row
	}
	of := func(what string, value uint64) float64 {
		return g.rate(counter{n.Node, topic, c.ChannelName, what}, value)
	}
	in, out := of("in", c.MessageCount), of("out", x.finished)
	row.Nodes = append(row.Nodes, channelPer{
		Node: n.Node, Depth: c.Depth, Disk: c.BackendDepth, InFlight: c.InFlightCount, Deferred: c.DeferredCount,
		In: in, Out: out, Messages: c.MessageCount, Requeues: c.RequeueCount, Timeouts: c.TimeoutCount,
		Consumers: c.ClientCount, Paused: c.Paused, Lite: lite,
	})
	row.Depth += c.Depth
	row.Disk += c.BackendDepth
	row.InFlight += c.InFlightCount
	row.Deferred += c.DeferredCount
	row.In += in
	row.Out += out
	row.Requeue += of("requeue", c.RequeueCount)
	row.Timeout += of("timeout", c.TimeoutCount)
	row.Messages += c.MessageCount
	row.Finished += x.finished
	row.Oldest = older(row.Oldest, x.oldest)
	row.Requeues += c.RequeueCount
	row.Timeouts += c.TimeoutCount
	row.Consumers += c.ClientCount
	row.P99 = max(row.P99, p99(&c.E2E))
	if c.Paused {
		row.Paused++
	}
	n.Out += out
	n.Depth += c.Depth
	n.Clients += c.ClientCount
	for i := range c.Clients {
		g.client(n, "sub", topic, c.ChannelName, &c.Clients[i], lite)
	}
}

// client adds a connection.
func (g *folding) client(n *nodeRow, kind, topic, channel string, c *server.ClientStats, lite bool) {
	key := n.Node + "|" + c.RemoteAddress + "|" + strconv.FormatInt(c.ConnectTime, 10) + "|" + kind
	row1 := clientRow{
		Key: key, Kind: kind, Node: n.Node, Topic: topic, Channel: channel, Remote: c.RemoteAddress, ID: c.ClientID,
		Host: c.Hostname, Agent: c.UserAgent, Ready: c.ReadyCount, InFlight: c.InFlightCount, Messages: c.MessageCount,
		Finished: c.FinishCount, Requeues: c.RequeueCount, Connected: c.ConnectTime * 1000, Sample: c.SampleRate,
		Deflate: c.Deflate, Snappy: c.Snappy, Identity: c.AuthIdentity, Zone: c.TopologyZone, Region: c.TopologyRegion, Lite: lite,
	}
	if c.TLS {
		row1.TLS = cmp.Or(c.TLSVersion, "TLS")
	}
	if kind == "pub" {
		row1.Messages = 0
		for _, p := range c.PubCounts {
			row1.Topic = p.Topic
			row1.Messages += p.Count
		}
	}
	row1.Rate = g.rate(counter{key, "", "", "client"}, row1.Messages)
	done := row1.Messages + row1.Finished + row1.Requeues
	m, known := g.f.moved[key]
	if known && done != m.done {
		m.last = g.now.UnixMilli()
	}
	m.done, m.seen = done, true
	if kind == "sub" {
		// A poll may come while an nsqd counts, so what counts is what two have seen.
		late := unanswered(c)
		row1.Late, m.late = min(late, m.late), late
	}
	g.f.moved[key] = m
	row1.Last = m.last
	g.draft.add(row{table: tableClients, key: key, topic: row1.Topic, channel: channel, node: n.Node}, row1)
}

// unanswered is how many deliveries ended without an answer of the client: they
// timed out, or the channel was emptied or set back meanwhile.
func unanswered(c *server.ClientStats) uint64 {
	answered := c.FinishCount + c.RequeueCount + uint64(max(c.InFlightCount, 0))
	return c.MessageCount - min(answered, c.MessageCount)
}

// p99 is the 99th percentile, or the highest that there is, in milliseconds.
func p99(e *server.E2EStats) float64 {
	if len(e.Percentiles) == 0 {
		return 0
	}
	best := e.Percentiles[0]
	for _, p := range e.Percentiles {
		if math.Abs(p.Quantile-0.99) < math.Abs(best.Quantile-0.99) {
			best = p
		}
	}
	return tenths(best.Value / 1e6)
}

// sum makes the rows of topics and channels, the history, the alarms, and the
// row of the cluster.
func (g *folding) sum() {
	c := &g.cluster
	points := map[name]point{}
	for key, ch := range g.channels {
		t := g.topic(key.topic)
		t.Channels++
		t.Oldest = older(t.Oldest, ch.Oldest)
		t.Depth += ch.Depth
		t.Disk += ch.Disk
		t.InFlight += ch.InFlight
		t.Deferred += ch.Deferred
		t.Out += ch.Out
		t.Requeue += ch.Requeue
		t.Timeout += ch.Timeout
		t.Requeues += ch.Requeues
		t.Timeouts += ch.Timeouts
		t.Consumers += ch.Consumers
		t.P99 = max(t.P99, ch.P99)
		c.Finished += ch.Finished
		round(&ch.In, &ch.Out, &ch.Requeue, &ch.Timeout)
		points[key] = point{float32(ch.In), float32(ch.Out), float32(ch.Depth), float32(ch.InFlight), float32(ch.Requeue), float32(ch.Timeout)}
		g.draft.add(row{table: tableChannels, key: ch.Topic + "/" + ch.Channel, topic: ch.Topic, channel: ch.Channel}, ch)
	}
	c.Topics, c.Channels = len(g.topics), len(g.channels)
	for topic, t := range g.topics {
		round(&t.In, &t.Out, &t.Requeue, &t.Timeout)
		c.Depth += t.Depth
		c.Disk += t.Disk
		c.InFlight += t.InFlight
		c.Deferred += t.Deferred
		c.In += t.In
		c.Out += t.Out
		c.Requeue += t.Requeue
		c.Timeout += t.Timeout
		c.Published += t.Messages
		c.Consumers += t.Consumers
		points[name{topic, ""}] = point{float32(t.In), float32(t.Out), float32(t.Depth), float32(t.InFlight), float32(t.Requeue), float32(t.Timeout)}
		g.draft.add(row{table: tableTopics, key: topic, topic: topic}, t)
	}
	round(&c.In, &c.Out, &c.Requeue, &c.Timeout)
	points[name{}] = point{float32(c.In), float32(c.Out), float32(c.Depth), float32(c.InFlight), float32(c.Requeue), float32(c.Timeout)}
	if g.f.history.due(g.now) {
		g.f.history.add(g.now, points)
	}
	for _, p := range g.s.places {
		c.Versions = append(c.Versions, p.Version)
	}
	c.Versions = append([]string{}, sortedSet(c.Versions)...)
	c.Lookupds = append([]string{}, g.s.lookupds...)
	g.attend()
	c.Cut = g.draft.cut
	g.draft.add(row{table: tableCluster}, c)
}

func round(values ...*float64) {
	for _, v := range values {
		*v = tenths(*v)
	}
}
