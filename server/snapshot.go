package server

import (
	"net"
	"time"
)

// snapshot copies what o asks for out of the running state, without the memory
// figures. It runs on the loop.
func (s *Server) snapshot(o StatsOptions) Stats {
	st := Stats{
		Version: Version, Health: "OK", StartTime: s.start, Topics: []TopicStats{},
		Sync: syncMode(&s.o), SyncWindow: syncWindow(&s.o),
		Taken: s.l.Now(), Connections: len(s.conns), measures: s.measures.copy(),
	}
	if s.wrote != nil {
		st.Health = s.wrote.Error()
	}
	s.agesLeft = agesAtOnce
	topics := s.topics
	if o.Topic != "" {
		t := s.topic(o.Topic)
		if t == nil {
			st.Topics = nil
			return st
		}
		topics = []*topic{t}
	}
	for _, t := range topics {
		if o.Channel == "" || t.channel(o.Channel) != nil {
			st.Topics = append(st.Topics, t.stats(o))
		}
	}
	if !o.ExcludeClients {
		for _, c := range s.conns {
			if len(c.all) > 0 {
				st.Producers = append(st.Producers, c.stats(o.Topic))
			}
		}
	}
	return st
}

// stats copies one topic.
func (t *topic) stats(o StatsOptions) TopicStats {
	depth := t.j.Depth() + t.j.Deferred()
	st := TopicStats{
		TopicName: t.name, Channels: []ChannelStats{},
		Depth: depth, BackendDepth: t.backend(depth),
		MessageCount: t.messages, MessageBytes: t.bytes, Paused: t.paused(),
		JournalBytes: t.j.Bytes(), CorruptRecords: t.j.Corrupt(),
	}
	var all histogram
	for _, ch := range t.channels {
		if ch.latencies != nil {
			ch.latencies.addTo(&all, t.s.now())
		}
		if o.Channel == "" || o.Channel == ch.name {
			st.Channels = append(st.Channels, ch.stats(o))
		}
	}
	if len(t.channels) > 0 {
		st.E2E = t.s.latencyStats(&all)
	}
	return st
}

// backend is how much of a depth is shown as being on disk.
func (t *topic) backend(depth int64) int64 {
	if t.ephemeral {
		return 0
	}
	return max(0, depth-int64(t.s.o.MemQueueSize))
}

// agesAtOnce is for how many channels one snapshot reads a file to find out how
// old their oldest message is. What was found out stays known while the message
// waits, so of ten thousand channels the next snapshots tell more.
const agesAtOnce = 100

// mayLook says whether the age of the channel's oldest message may be found out
// in this snapshot. A topic whose file is read for it has to be put to rest
// again.
func (ch *channel) mayLook() bool {
	s := ch.t.s
	switch {
	case ch.cur.OldestKnown():
		return true
	case s.agesLeft == 0:
		return false
	}
	s.agesLeft--
	s.idle.use(ch.t)
	return true
}

// stats copies one channel.
func (ch *channel) stats(o StatsOptions) ChannelStats {
	depth := ch.cur.Depth()
	st := ChannelStats{
		ChannelName: ch.name, Depth: depth,
		InFlightCount: ch.cur.InFlight(), DeferredCount: ch.cur.Deferred(),
		MessageCount:      ch.cur.Messages(),
		ZoneLocalMsgCount: ch.near[inZone], RegionLocalMsgCount: ch.near[inRegion], GlobalMsgCount: ch.near[anywhere],
		RequeueCount: ch.requeued, TimeoutCount: ch.timedOut,
		ClientCount: len(ch.subscribers), Paused: ch.cur.Paused(), FinishCount: ch.finished,
	}
	if !ch.ephemeral {
		st.BackendDepth = ch.t.backend(depth)
	}
	if ch.latencies != nil {
		var h histogram
		ch.latencies.addTo(&h, ch.t.s.now())
		st.E2E = ch.t.s.latencyStats(&h)
	}
	if o.Oldest && ch.mayLook() {
		if at, ok, err := ch.cur.Oldest(); err == nil && ok { // an unreadable one is told of when it is due
			st.Oldest = time.Unix(0, at)
		}
	}
	if !o.ExcludeClients {
		st.Clients = make([]ClientStats, 0, len(ch.subscribers))
		for _, c := range ch.subscribers {
			st.Clients = append(st.Clients, c.stats(o.Topic))
		}
	}
	return st
}

// stats copies one connection. topic, unless "", is the one whose publishes count.
func (c *conn) stats(topic string) ClientStats {
	remote := c.remote()
	st := ClientStats{
		Version: "V2", RemoteAddress: remote, State: int(c.rules.State),
		ReadyCount: c.rdy, InFlightCount: c.inFlight,
		MessageCount: c.delivered, FinishCount: c.finished, RequeueCount: c.requeued,
		ConnectTime: c.connected, SampleRate: int(c.sample),
	}
	if id := c.identity; id != nil {
		st.ClientID, st.Hostname, st.UserAgent = id.clientID, id.hostname, id.userAgent
		st.TopologyRegion, st.TopologyZone = id.region, id.zone
	} else {
		host, _, err := net.SplitHostPort(remote)
		if err != nil {
			host = remote
		}
		st.ClientID, st.Hostname = host, host
	}
	if c.auth != nil && len(c.auth.grants.entries) > 0 {
		st.Authed = true
		st.AuthIdentity, st.AuthIdentityURL = c.auth.grants.identity, c.auth.grants.identityURL
	}
	c.upgradeStats(&st)
	for _, p := range c.all {
		if topic == "" || p.name == topic {
			st.PubCounts = []PubCount{{Topic: p.name, Count: p.n}}
			break
		}
	}
	return st
}
