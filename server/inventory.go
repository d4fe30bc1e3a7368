package server

import (
	"net"
	"slices"
	"time"
)

// channelsWhole is how many channels of a topic are looked at in one turn, with
// the topic: so many agree with each other.
const channelsWhole = 256

// inventory is Stats in the making. It takes as many turns as there is much to look
// at, and what is new since it began is not in it. Each topic is of one moment, but
// for one with very many channels.
type inventory struct {
	s  *Server
	o  StatsOptions
	st Stats

	topics   []*topic   // to be looked at yet
	channels []*channel // the same, of the last one of st.Topics
	latency  histogram  // of that one's channels so far
	conns    []*conn    // to be looked at yet
	agesLeft int        // see mayLook
	cost     int        // of this piece so far
}

// newInventory begins to look at what o asks for, without the memory figures. It runs
// on the loop, as does all else of it.
func (s *Server) newInventory(o StatsOptions) *inventory {
	v := &inventory{s: s, o: o, agesLeft: agesAtOnce}
	v.st = Stats{
		Version: Version, Health: "OK", StartTime: s.start, Topics: []TopicStats{},
		Sync: syncMode(&s.o), SyncWindow: syncWindow(&s.o),
		Connections: len(s.conns), measures: s.measures.copy(),
	}
	if s.wrote != nil {
		v.st.Health = s.wrote.Error()
	}
	if o.Topic == "" {
		v.topics = slices.Clone(s.topics)
	} else if t := s.topic(o.Topic); t != nil {
		v.topics = []*topic{t}
	} else {
		v.st.Topics = nil
		return v
	}
	if !o.ExcludeClients {
		v.conns = slices.Clone(s.conns)
	}
	return v
}

// piece looks at some more. It is a chore's.
func (v *inventory) piece() (cost int, last bool) {
	v.cost = 0
	for v.cost < pieceMost {
		switch {
		case len(v.channels) > 0:
			v.channels = v.show(v.channels)
		case len(v.topics) > 0:
			t := v.topics[0]
			v.topics = v.topics[1:]
			v.topic(t)
		case len(v.conns) > 0:
			c := v.conns[0]
			v.conns = v.conns[1:]
			if len(c.all) > 0 && !c.closing {
				v.st.Producers = append(v.st.Producers, v.client(c))
			}
		default:
			v.st.Taken = v.s.l.Now()
			return v.cost, true
		}
		v.cost += showCost
	}
	return v.cost, false
}

// topic copies one topic, and as many of its channels as go with it.
func (v *inventory) topic(t *topic) {
	if t.deleted || v.o.Channel != "" && t.channel(v.o.Channel) == nil {
		return
	}
	depth := t.j.Depth() + t.j.Deferred()
	v.st.Topics = append(v.st.Topics, TopicStats{
		TopicName: t.name, Channels: []ChannelStats{},
		Depth: depth, BackendDepth: t.backend(depth),
		MessageCount: t.messages, MessageBytes: t.bytes, Paused: t.paused(),
		JournalBytes: t.j.Bytes(), CorruptRecords: t.j.Corrupt(),
	})
	v.latency = histogram{}
	all := t.channels
	if len(all) > channelsWhole {
		all = slices.Clone(all)
	}
	v.channels = v.show(all)
}

// show copies the next channels of the topic that was copied last, and returns
// those that are left for another piece.
func (v *inventory) show(all []*channel) (left []*channel) {
	st := &v.st.Topics[len(v.st.Topics)-1]
	if len(all) > channelsWhole {
		all, left = all[:channelsWhole], all[channelsWhole:]
	}
	for _, ch := range all {
		if ch.dropped {
			continue
		}
		if ch.latencies != nil {
			ch.latencies.addTo(&v.latency, v.s.now())
		}
		if v.o.Channel == "" || v.o.Channel == ch.name {
			st.Channels = append(st.Channels, v.channel(ch))
		}
		v.cost += showCost
	}
	if len(left) == 0 && len(all) > 0 {
		st.E2E = v.s.latencyStats(&v.latency)
	}
	return left
}

// backend is how much of a depth is shown as being on disk.
func (t *topic) backend(depth int64) int64 {
	if t.ephemeral {
		return 0
	}
	return max(0, depth-int64(t.s.o.MemQueueSize))
}

// agesAtOnce is for how many channels one inventory reads a file to find out how
// old their oldest message is. What was found out stays known while the message
// waits, so of ten thousand channels the next inventories tell more.
const agesAtOnce = 100

// mayLook says whether the age of the channel's oldest message may be found out
// in this inventory. A topic whose file is read for it has to be put to rest
// again.
func (v *inventory) mayLook(ch *channel) bool {
	switch {
	case ch.cur.OldestKnown():
		return true
	case v.agesLeft == 0:
		return false
	}
	v.agesLeft--
	v.cost += lookCost
	v.s.idle.use(ch.t)
	return true
}

// channel copies one channel.
func (v *inventory) channel(ch *channel) ChannelStats {
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
		ch.latencies.addTo(&h, v.s.now())
		st.E2E = v.s.latencyStats(&h)
	}
	if v.o.Oldest && v.mayLook(ch) {
		if at, ok, err := ch.cur.Oldest(); err == nil && ok { // an unreadable one is told of when it is due
			st.Oldest = time.Unix(0, at)
		}
	}
	if !v.o.ExcludeClients {
		st.Clients = make([]ClientStats, 0, len(ch.subscribers))
		for _, c := range ch.subscribers {
			st.Clients = append(st.Clients, v.client(c))
		}
	}
	return st
}

// client copies one connection.
func (v *inventory) client(c *conn) ClientStats {
	v.cost += showCost
	return c.stats(v.o.Topic)
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
