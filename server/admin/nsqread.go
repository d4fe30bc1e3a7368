package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// readRoutes are the routes of nsqadmin that show something.
func (a *Admin) readRoutes() []route {
	return []route{
		{"GET", "/ping", a.ping},
		{"GET", "/api/topics", answers(a.nsqTopics)},
		{"GET", "/api/topics/{topic}", answers(a.nsqTopic)},
		{"GET", "/api/topics/{topic}/{channel}", answers(a.nsqChannel)},
		{"GET", "/api/nodes", answers(a.nsqNodes)},
		{"GET", "/api/nodes/{node}", answers(a.nsqNode)},
		{"GET", "/api/counter", answers(a.nsqCounter)},
	}
}

// answers makes a route of a function whose result is the answer, as JSON.
func answers(f func(r *http.Request) (any, error)) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		v, err := f(r)
		if err != nil {
			return err
		}
		return replyJSON(w, r, v)
	}
}

func (a *Admin) ping(w http.ResponseWriter, r *http.Request) error {
	reply(w, r, http.StatusOK, typeText, []byte("OK"))
	return nil
}

// nsqTopics lists the topics, or those without an nsqd that has them.
func (a *Admin) nsqTopics(r *http.Request) (any, error) {
	ctx := r.Context()
	names, out := a.cluster.topics(ctx)
	if err := out.failure(); err != nil {
		return nil, err
	}
	if inactive := r.URL.Query().Get("inactive"); inactive != "true" {
		return struct {
			Topics  []string `json:"topics"`
			Message string   `json:"message"`
		}{names, out.warning()}, nil
	}
	idle := map[string][]string{}
	lookupds := *a.cluster.lookupds.Load()
	if len(lookupds) > 0 {
		all, more := a.cluster.places(ctx)
		out.join(more)
		had := map[string]bool{}
		for _, p := range all {
			for _, h := range p.topics {
				had[h.Topic] = had[h.Topic] || !h.Tombstoned
			}
		}
		for _, name := range names {
			if had[name] {
				continue
			}
			channels, more := a.cluster.channels(ctx, name)
			out.join(more)
			idle[name] = channels
		}
	}
	return struct {
		Topics  map[string][]string `json:"topics"`
		Message string              `json:"message"`
	}{idle, out.warning()}, nil
}

// channels are the channels of a topic that nsqlookupds know.
func (c *cluster) channels(ctx context.Context, topic string) ([]string, outcome) {
	lookupds := *c.lookupds.Load()
	answers := make([]struct {
		Channels []string `json:"channels"`
	}, len(lookupds))
	out := ask(len(lookupds), func(i int) error {
		return c.up.get(ctx, lookupds[i], "/channels", url.Values{"topic": {topic}}, &answers[i])
	})
	names := []string{}
	for _, a := range answers {
		names = append(names, a.Channels...)
	}
	return sortedSet(names), out
}

// nsqTopic shows a topic.
func (a *Admin) nsqTopic(r *http.Request) (any, error) {
	topic := r.PathValue("topic")
	producers, out := a.cluster.producers(r.Context(), topic)
	if err := out.failure(); err != nil {
		return nil, err
	}
	parts, more := a.topicOn(r.Context(), producers, url.Values{"topic": {topic}, "include_clients": {"false"}, "include_mem": {"false"}})
	out.join(more)
	if err := more.failure(); err != nil {
		return nil, err
	}
	sum := sumTopic(parts)
	if sum == nil {
		return nil, nobodyHas("topic", topic)
	}
	message := out.warning()
	sum.Message = &message
	return sum, nil
}

// nobodyHas is nsqadmin's answer for what no nsqd has.
func nobodyHas(kind, name string) error {
	return &apiError{http.StatusBadGateway, "UPSTREAM_ERROR: no nsqd has " + kind + " " + name,
		"It may be known to nsqlookupd alone; GET /api/topics?inactive=true lists such topics."}
}

// topicOn is a topic on each of the places that have it.
func (a *Admin) topicOn(ctx context.Context, places []*place, query url.Values) ([]*topicView, outcome) {
	stats, out := a.cluster.stats(ctx, places, query)
	now := a.now()
	parts := []*topicView{}
	for i, s := range stats {
		for j := range s.Topics {
			parts = append(parts, viewTopic(places[i], &s.Topics[j], now))
		}
	}
	return parts, out
}

// nsqChannel shows a channel. One that is unknown is nsqadmin's 500.
func (a *Admin) nsqChannel(r *http.Request) (any, error) {
	topic, channel := r.PathValue("topic"), r.PathValue("channel")
	producers, out := a.cluster.producers(r.Context(), topic)
	if err := out.failure(); err != nil {
		return nil, err
	}
	topics, more := a.topicOn(r.Context(), producers, url.Values{"topic": {topic}, "channel": {channel}, "include_mem": {"false"}})
	out.join(more)
	if err := more.failure(); err != nil {
		return nil, err
	}
	var parts []*channelView
	for _, t := range topics {
		for _, c := range t.Channels {
			if c.ChannelName == channel {
				parts = append(parts, c)
			}
		}
	}
	sum := sumChannel(parts)
	if sum == nil {
		return nil, &apiError{http.StatusInternalServerError, "INTERNAL_ERROR", fmt.Sprintf("No nsqd has channel %s of topic %s.", channel, topic)}
	}
	message := out.warning()
	sum.Message = &message
	return sum, nil
}

// nsqNodes lists the nsqds.
func (a *Admin) nsqNodes(r *http.Request) (any, error) {
	places, out := a.cluster.places(r.Context())
	if err := out.failure(); err != nil {
		return nil, err
	}
	old := outdated(places)
	nodes := []nodeView{}
	for _, p := range places {
		nodes = append(nodes, viewNode(p, old[p.Version]))
	}
	return struct {
		Nodes   []nodeView `json:"nodes"`
		Message string     `json:"message"`
	}{nodes, out.warning()}, nil
}

// find is the nsqd with a name, "<broadcast address>:<HTTP port>".
func (c *cluster) find(ctx context.Context, name string) (*place, outcome, error) {
	places, out := c.places(ctx)
	for _, p := range places {
		if p.Node() == name {
			return p, out, nil
		}
	}
	if err := out.failure(); err != nil {
		return nil, out, err
	}
	return nil, out, &apiError{http.StatusNotFound, "NODE_NOT_FOUND", "No nsqd is known by that name; GET /api/nodes lists them, by broadcast_address and http_port."}
}

// nsqNode shows what an nsqd has.
func (a *Admin) nsqNode(r *http.Request) (any, error) {
	p, out, err := a.cluster.find(r.Context(), r.PathValue("node"))
	if err != nil {
		return nil, err
	}
	topics, more := a.topicOn(r.Context(), []*place{p}, url.Values{})
	if err := more.failure(); err != nil {
		return nil, err
	}
	var messages uint64
	clients := 0
	for _, t := range topics {
		messages += t.MessageCount
		for _, c := range t.Channels {
			clients += c.ClientCount
		}
	}
	return struct {
		Node     string       `json:"node"`
		Topics   []*topicView `json:"topics"`
		Messages uint64       `json:"total_messages"`
		Clients  int          `json:"total_clients"`
		Message  string       `json:"message"`
	}{p.Node(), topics, messages, clients, out.warning()}, nil
}

// counted is one channel of one nsqd in nsqadmin's counter.
type counted struct {
	Node     string `json:"node"`
	Topic    string `json:"topic_name"`
	Channel  string `json:"channel_name"`
	Messages uint64 `json:"message_count"`
}

// nsqCounter lists what channels have been given.
func (a *Admin) nsqCounter(r *http.Request) (any, error) {
	places, out := a.cluster.places(r.Context())
	if err := out.failure(); err != nil {
		return nil, err
	}
	topics, more := a.topicOn(r.Context(), places, url.Values{"include_clients": {"false"}, "include_mem": {"false"}})
	out.join(more)
	if err := more.failure(); err != nil {
		return nil, err
	}
	stats := map[string]counted{}
	for _, t := range topics {
		for _, c := range t.Channels {
			stats[c.TopicName+":"+c.ChannelName+":"+c.Node] = counted{c.Node, c.TopicName, c.ChannelName, c.MessageCount}
		}
	}
	return struct {
		Stats   map[string]counted `json:"stats"`
		Message string             `json:"message"`
	}{stats, out.warning()}, nil
}

// now is the loop's time. Where the loop has stopped, so has time.
func (a *Admin) now() (now time.Time) {
	_ = a.call(func() { now = a.l.Now() })
	return now
}
