package admin

import (
	"slices"
	"sort"
	"time"

	"github.com/nsqloop/nsqloop/server"
)

// allNodes is nsqadmin's name for the sum over all nsqds.
const allNodes = "*"

// topicView is a topic as nsqadmin shows it: on one nsqd, or the sum of all, with
// one each in Nodes.
type topicView struct {
	Node             string         `json:"node"`
	Hostname         string         `json:"hostname"`
	TopicName        string         `json:"topic_name"`
	Depth            int64          `json:"depth"`
	MemoryDepth      int64          `json:"memory_depth"`
	BackendDepth     int64          `json:"backend_depth"`
	MessageCount     uint64         `json:"message_count"`
	DeliveryMsgCount uint64         `json:"delivery_msg_count"`
	Nodes            []*topicView   `json:"nodes"`
	Channels         []*channelView `json:"channels"`
	Paused           bool           `json:"paused"`
	E2E              *latencyView   `json:"e2e_processing_latency"`
	Message          *string        `json:"message,omitempty"`
}

// channelView is a channel in the same manner.
type channelView struct {
	Node                string         `json:"node"`
	Hostname            string         `json:"hostname"`
	TopicName           string         `json:"topic_name"`
	ChannelName         string         `json:"channel_name"`
	Depth               int64          `json:"depth"`
	MemoryDepth         int64          `json:"memory_depth"`
	BackendDepth        int64          `json:"backend_depth"`
	InFlightCount       int            `json:"in_flight_count"`
	DeferredCount       int            `json:"deferred_count"`
	RequeueCount        uint64         `json:"requeue_count"`
	TimeoutCount        uint64         `json:"timeout_count"`
	MessageCount        uint64         `json:"message_count"`
	DeliveryMsgCount    uint64         `json:"delivery_msg_count"`
	ZoneLocalMsgCount   uint64         `json:"zone_local_msg_count"`
	RegionLocalMsgCount uint64         `json:"region_local_msg_count"`
	GlobalMsgCount      uint64         `json:"global_msg_count"`
	ClientCount         int            `json:"client_count"`
	Nodes               []*channelView `json:"nodes"`
	Clients             []*clientView  `json:"clients"`
	Paused              bool           `json:"paused"`
	E2E                 *latencyView   `json:"e2e_processing_latency"`
	Message             *string        `json:"message,omitempty"`
}

// clientView is a connection as nsqadmin shows it.
type clientView struct {
	Node string `json:"node"`
	server.ClientStats
	Connected          int64  `json:"connected"` // for how many nanoseconds
	NodeTopologyRegion string `json:"node_topology_region"`
	NodeTopologyZone   string `json:"node_topology_zone"`
}

// latencyView is the times from publish to finish, of one nsqd or several.
type latencyView struct {
	Count       int              `json:"count"`
	Percentiles []percentileView `json:"percentiles"`
	Topic       string           `json:"topic"`
	Channel     string           `json:"channel"`
	Host        string           `json:"host"`
}

// percentileView is one quantile, in nanoseconds.
type percentileView struct {
	Quantile float64 `json:"quantile"`
	Value    float64 `json:"value"` // the highest of all nsqds
	Min      float64 `json:"min"`
	Max      float64 `json:"max"`
	Average  float64 `json:"average"`
	Count    int     `json:"count"` // of nsqds
}

// latencyOf is one nsqd's.
func latencyOf(e *server.E2EStats, topic, channel, host string) *latencyView {
	l := &latencyView{Count: e.Count, Topic: topic, Channel: channel, Host: host}
	for _, p := range e.Percentiles {
		l.Percentiles = append(l.Percentiles, percentileView{p.Quantile, p.Value, p.Value, p.Value, p.Value, 1})
	}
	return l
}

// add takes another nsqd's in.
func (l *latencyView) add(o *latencyView) {
	l.Count += o.Count
	for _, p := range o.Percentiles {
		i := slices.IndexFunc(l.Percentiles, func(q percentileView) bool { return q.Quantile == p.Quantile })
		if i < 0 {
			l.Percentiles = append(l.Percentiles, p)
			continue
		}
		q := &l.Percentiles[i]
		q.Average = (q.Average*float64(q.Count) + p.Average*float64(p.Count)) / float64(q.Count+p.Count)
		q.Count += p.Count
		q.Min, q.Max = min(q.Min, p.Min), max(q.Max, p.Max)
		q.Value = q.Max
	}
}

// viewTopic is a topic of one nsqd.
func viewTopic(p *place, t *server.TopicStats, now time.Time) *topicView {
	v := &topicView{
		Node: p.Node(), Hostname: p.Hostname, TopicName: t.TopicName,
		Depth: t.Depth, MemoryDepth: t.Depth - t.BackendDepth, BackendDepth: t.BackendDepth,
		MessageCount: t.MessageCount, Nodes: []*topicView{}, Channels: []*channelView{}, Paused: t.Paused,
		E2E: latencyOf(&t.E2E, t.TopicName, "", p.Node()),
	}
	for i := range t.Channels {
		c := viewChannel(p, t.TopicName, &t.Channels[i], now)
		v.DeliveryMsgCount += c.DeliveryMsgCount
		v.Channels = append(v.Channels, c)
	}
	return v
}

// viewChannel is a channel of one nsqd.
func viewChannel(p *place, topic string, c *server.ChannelStats, now time.Time) *channelView {
	v := &channelView{
		Node: p.Node(), Hostname: p.Hostname, TopicName: topic, ChannelName: c.ChannelName,
		Depth: c.Depth, MemoryDepth: c.Depth - c.BackendDepth, BackendDepth: c.BackendDepth,
		InFlightCount: c.InFlightCount, DeferredCount: c.DeferredCount,
		RequeueCount: c.RequeueCount, TimeoutCount: c.TimeoutCount, MessageCount: c.MessageCount,
		ZoneLocalMsgCount: c.ZoneLocalMsgCount, RegionLocalMsgCount: c.RegionLocalMsgCount, GlobalMsgCount: c.GlobalMsgCount,
		DeliveryMsgCount: c.ZoneLocalMsgCount + c.RegionLocalMsgCount + c.GlobalMsgCount,
		ClientCount:      c.ClientCount, Nodes: []*channelView{}, Clients: []*clientView{}, Paused: c.Paused,
		E2E: latencyOf(&c.E2E, topic, c.ChannelName, p.Node()),
	}
	for _, client := range c.Clients {
		v.Clients = append(v.Clients, &clientView{
			Node: p.Node(), ClientStats: client,
			Connected:          max(0, int64(now.Sub(time.Unix(client.ConnectTime, 0)))),
			NodeTopologyRegion: p.TopologyRegion, NodeTopologyZone: p.TopologyZone,
		})
	}
	return v
}

// sumTopic is the sum of a topic over nsqds, nil of none.
func sumTopic(parts []*topicView) *topicView {
	if len(parts) == 0 {
		return nil
	}
	sum := &topicView{Node: allNodes, TopicName: parts[0].TopicName, Nodes: parts, E2E: &latencyView{Topic: parts[0].TopicName, Host: allNodes}}
	channels := map[string][]*channelView{}
	for _, t := range parts {
		sum.Depth += t.Depth
		sum.MemoryDepth += t.MemoryDepth
		sum.BackendDepth += t.BackendDepth
		sum.MessageCount += t.MessageCount
		sum.DeliveryMsgCount += t.DeliveryMsgCount
		sum.Paused = sum.Paused || t.Paused
		sum.E2E.add(t.E2E)
		for _, c := range t.Channels {
			channels[c.ChannelName] = append(channels[c.ChannelName], c)
		}
	}
	sum.Channels = []*channelView{}
	for _, parts := range channels {
		sum.Channels = append(sum.Channels, sumChannel(parts))
	}
	sort.Slice(sum.Channels, func(i, j int) bool { return sum.Channels[i].ChannelName < sum.Channels[j].ChannelName })
	return sum
}

// sumChannel is the sum of a channel over nsqds, nil of none.
func sumChannel(parts []*channelView) *channelView {
	if len(parts) == 0 {
		return nil
	}
	sum := &channelView{
		Node: allNodes, TopicName: parts[0].TopicName, ChannelName: parts[0].ChannelName,
		Nodes: parts, Clients: []*clientView{},
		E2E: &latencyView{Topic: parts[0].TopicName, Channel: parts[0].ChannelName, Host: allNodes},
	}
	for _, c := range parts {
		sum.Depth += c.Depth
		sum.MemoryDepth += c.MemoryDepth
		sum.BackendDepth += c.BackendDepth
		sum.InFlightCount += c.InFlightCount
		sum.DeferredCount += c.DeferredCount
		sum.RequeueCount += c.RequeueCount
		sum.TimeoutCount += c.TimeoutCount
		sum.MessageCount += c.MessageCount
		sum.DeliveryMsgCount += c.DeliveryMsgCount
		sum.ZoneLocalMsgCount += c.ZoneLocalMsgCount
		sum.RegionLocalMsgCount += c.RegionLocalMsgCount
		sum.GlobalMsgCount += c.GlobalMsgCount
		sum.ClientCount += c.ClientCount
		sum.Clients = append(sum.Clients, c.Clients...)
		sum.Paused = sum.Paused || c.Paused
		sum.E2E.add(c.E2E)
	}
	sort.SliceStable(sum.Clients, func(i, j int) bool { return sum.Clients[i].Hostname < sum.Clients[j].Hostname })
	return sum
}

// nodeView is an nsqd in nsqadmin's list.
type nodeView struct {
	RemoteAddresses  []string `json:"remote_addresses"`
	RemoteAddress    string   `json:"remote_address"`
	Hostname         string   `json:"hostname"`
	BroadcastAddress string   `json:"broadcast_address"`
	TCPPort          int      `json:"tcp_port"`
	HTTPPort         int      `json:"http_port"`
	Version          string   `json:"version"`
	Topics           []held   `json:"topics"`
	OutOfDate        bool     `json:"out_of_date"`
	TopologyZone     string   `json:"topology_zone"`
	TopologyRegion   string   `json:"topology_region"`
}

func viewNode(p *place, old bool) nodeView {
	v := nodeView{
		RemoteAddresses: append([]string{}, p.remotes...), RemoteAddress: p.RemoteAddress, Hostname: p.Hostname,
		BroadcastAddress: p.BroadcastAddress, TCPPort: p.TCPPort, HTTPPort: p.HTTPPort, Version: p.Version,
		Topics: append([]held{}, p.topics...), OutOfDate: old,
		TopologyZone: p.TopologyZone, TopologyRegion: p.TopologyRegion,
	}
	return v
}
