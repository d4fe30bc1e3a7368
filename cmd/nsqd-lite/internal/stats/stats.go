// Package stats asks nsqds what they hold and adds it up. The nsqds are named,
// or found through nsqlookupds.
package stats

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"time"

	"github.com/nsqloop/nsqloop/cmd/nsqd-lite/internal/api"
)

// Topic is a topic on all nsqds together. The JSON names of it and of Channel
// are those of nsqd's /stats, and stay.
type Topic struct {
	Name         string    `json:"topic_name"`
	Depth        int64     `json:"depth"` // held by the topic itself: no channel has them
	BackendDepth int64     `json:"backend_depth"`
	MessageCount int64     `json:"message_count"`
	Paused       bool      `json:"paused"`
	Channels     []Channel `json:"channels"`
}

// Channel is a channel on all nsqds together.
type Channel struct {
	Name          string `json:"channel_name"`
	Depth         int64  `json:"depth"`
	BackendDepth  int64  `json:"backend_depth"`
	InFlightCount int64  `json:"in_flight_count"`
	DeferredCount int64  `json:"deferred_count"`
	RequeueCount  int64  `json:"requeue_count"`
	TimeoutCount  int64  `json:"timeout_count"`
	MessageCount  int64  `json:"message_count"`
	ClientCount   int64  `json:"client_count"`
	Paused        bool   `json:"paused"`
}

// Stats is what all nsqds hold, sorted by name.
type Stats struct {
	Nodes  []string `json:"nodes"` // the nsqds asked
	Topics []Topic  `json:"topics"`
}

// Source is where to ask.
type Source struct {
	NSQDs    []*api.Client
	Lookupds []*api.Client
	Node     func(addr string) *api.Client // of an nsqd that an nsqlookupd names
}

// Nodes is every nsqd, named or found.
func (s *Source) Nodes(ctx context.Context) ([]*api.Client, error) {
	nodes := slices.Clone(s.NSQDs)
	var failures []error
	for _, d := range s.Lookupds {
		var reply struct {
			Producers []struct {
				BroadcastAddress string `json:"broadcast_address"`
				HTTPPort         int    `json:"http_port"`
			}
		}
		if err := d.Get(ctx, "/nodes", nil, &reply); err != nil {
			failures = append(failures, err)
			continue
		}
		for _, p := range reply.Producers {
			node := s.Node(net.JoinHostPort(p.BroadcastAddress, strconv.Itoa(p.HTTPPort)))
			if !slices.ContainsFunc(nodes, func(c *api.Client) bool { return c.Address() == node.Address() }) {
				nodes = append(nodes, node)
			}
		}
	}
	if len(failures) > 0 && len(failures) == len(s.Lookupds) {
		return nil, errors.Join(failures...)
	}
	if len(nodes) == 0 {
		return nil, errors.New("no nsqd: the nsqlookupds name none")
	}
	return nodes, nil
}

// Poll asks every nsqd. topic and channel may be empty, for all.
func (s *Source) Poll(ctx context.Context, topic, channel string) (*Stats, error) {
	nodes, err := s.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	all := &Stats{Topics: []Topic{}}
	query := url.Values{"format": {"json"}, "include_clients": {"false"}, "include_mem": {"false"}}
	if topic != "" {
		query.Set("topic", topic)
	}
	if channel != "" {
		query.Set("channel", channel)
	}
	for _, node := range nodes {
		var one Stats
		if err := node.Get(ctx, "/stats", query, &one); err != nil {
			return nil, fmt.Errorf("%s: %w", node.Address(), err)
		}
		all.Nodes = append(all.Nodes, node.Address())
		for _, t := range one.Topics {
			all.add(t)
		}
	}
	sort.Slice(all.Topics, func(i, j int) bool { return all.Topics[i].Name < all.Topics[j].Name })
	for i := range all.Topics {
		channels := all.Topics[i].Channels
		sort.Slice(channels, func(i, j int) bool { return channels[i].Name < channels[j].Name })
	}
	return all, nil
}

// add adds one nsqd's part of a topic.
func (s *Stats) add(t Topic) {
	at := slices.IndexFunc(s.Topics, func(x Topic) bool { return x.Name == t.Name })
	if at < 0 {
		if t.Channels == nil {
			t.Channels = []Channel{}
		}
		s.Topics = append(s.Topics, t)
		return
	}
	sum := &s.Topics[at]
	sum.Depth += t.Depth
	sum.BackendDepth += t.BackendDepth
	sum.MessageCount += t.MessageCount
	sum.Paused = sum.Paused || t.Paused
	for _, c := range t.Channels {
		sum.addChannel(c)
	}
}

func (t *Topic) addChannel(c Channel) {
	at := slices.IndexFunc(t.Channels, func(x Channel) bool { return x.Name == c.Name })
	if at < 0 {
		t.Channels = append(t.Channels, c)
		return
	}
	sum := &t.Channels[at]
	sum.Depth += c.Depth
	sum.BackendDepth += c.BackendDepth
	sum.InFlightCount += c.InFlightCount
	sum.DeferredCount += c.DeferredCount
	sum.RequeueCount += c.RequeueCount
	sum.TimeoutCount += c.TimeoutCount
	sum.MessageCount += c.MessageCount
	sum.ClientCount += c.ClientCount
	sum.Paused = sum.Paused || c.Paused
}

// Find is a channel of a topic.
func (s *Stats) Find(topic, channel string) (Channel, bool) {
	for _, t := range s.Topics {
		for _, c := range t.Channels {
			if t.Name == topic && c.Name == channel {
				return c, true
			}
		}
	}
	return Channel{}, false
}

// Topic is the topic of that name; the zero value when there is none.
func (s *Stats) Topic(name string) Topic {
	for _, t := range s.Topics {
		if t.Name == name {
			return t
		}
	}
	return Topic{}
}

// Held is how many messages a topic and its channels have not finished.
func (t *Topic) Held() int64 {
	n := t.Depth
	for _, c := range t.Channels {
		n += c.Held()
	}
	return n
}

// Held is how many messages a channel has not finished.
func (c *Channel) Held() int64 { return c.Depth + c.InFlightCount + c.DeferredCount }

// Rates are messages per second between two polls of a channel.
type Rates struct {
	In  float64 `json:"in_per_second"`
	Out float64 `json:"out_per_second"`
}

// Rate is how fast c moved since before, over so many seconds.
func (c *Channel) Rate(before Channel, seconds float64) Rates {
	in := float64(c.MessageCount - before.MessageCount)
	return Rates{In: in / seconds, Out: (in - float64(c.Depth-before.Depth)) / seconds}
}

// Every calls f now and then each interval, until it returns false or an error,
// or ctx is done, which is no error.
func Every(ctx context.Context, interval time.Duration, f func() (bool, error)) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		more, err := f()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil || !more {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
