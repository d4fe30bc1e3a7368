package admin

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"

	"github.com/nsqloop/nsqloop/server"
)

// publishMost is how many bytes of a message are taken from the page.
const publishMost = 1 << 20

// changeRoutes are the page's routes that change something.
func (a *Admin) changeRoutes() []route {
	return []route{
		{"POST", "/api/v1/publish", answers(a.publish)},
		{"POST", "/api/v1/act", answers(a.act)},
	}
}

// publish publishes the body of a request to ?topic= on one nsqd: ?node=, or
// else the first that has the topic, or else the first that there is. ?defer=
// is in milliseconds.
func (a *Admin) publish(r *http.Request) (any, error) {
	query := r.URL.Query()
	topic := query.Get("topic")
	if err := (change{topic: topic}).valid(); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, publishMost+1))
	switch {
	case err != nil:
		return nil, &apiError{http.StatusBadRequest, "INVALID_BODY", err.Error()}
	case len(body) == 0:
		return nil, &apiError{http.StatusBadRequest, "MSG_EMPTY", "A message has a body of one byte at least."}
	case len(body) > publishMost:
		return nil, &apiError{http.StatusRequestEntityTooLarge, "MSG_TOO_BIG", "Messages of up to 1 MiB can be published here."}
	}
	p, err := a.publishTo(r, topic, query.Get("node"))
	if err != nil {
		return nil, err
	}
	pass := url.Values{"topic": {topic}}
	if query.Has("defer") {
		pass.Set("defer", query.Get("defer"))
	}
	var out outcome
	out.add(a.up.post(r.Context(), p.base, "/pub", pass, string(body)))
	a.audit(r, "publish", topic, "", p.Node(), &out)
	a.hurry()
	if err := out.failure(); err != nil {
		return nil, err
	}
	return struct {
		Node string `json:"node"`
	}{p.Node()}, nil
}

// publishTo is the nsqd that a message is published to.
func (a *Admin) publishTo(r *http.Request, topic, node string) (*place, error) {
	if node == "" {
		if places, _ := a.cluster.producers(r.Context(), topic); len(places) > 0 {
			return places[0], nil
		}
		all, out := a.cluster.places(r.Context())
		if len(all) > 0 {
			return all[0], nil
		}
		if err := out.failure(); err != nil {
			return nil, err
		}
		return nil, &apiError{http.StatusBadGateway, "UPSTREAM_ERROR: there is no nsqd", "Start one that registers with the nsqlookupds."}
	}
	p, _, err := a.cluster.find(r.Context(), node)
	return p, err
}

// action is the body of /api/v1/act.
type action struct {
	Action  string   `json:"action"`
	Topic   string   `json:"topic"`
	Channel string   `json:"channel"`
	Nodes   []string `json:"nodes"`   // on these alone; all when there are none
	Client  string   `json:"client"`  // close: the remote address
	To      string   `json:"to"`      // rewind: beginning or a time; replay: the topic; log_level: the level
	Lookupd string   `json:"lookupd"` // unregister: where, as /api/v1/lookup names it
	Depth   *int64   `json:"depth"`   // only if the depth is at most this: what the page showed
}

// act does what the page's buttons say.
func (a *Admin) act(r *http.Request) (any, error) {
	var b action
	if err := readJSON(r, &b); err != nil {
		return nil, &apiError{http.StatusBadRequest, "INVALID_BODY", err.Error()}
	}
	c := change{do: b.Action, topic: b.Topic, channel: b.Channel, nodes: b.Nodes}
	if err := a.expect(r, &b); err != nil {
		return nil, err
	}
	switch b.Action {
	case "create":
		if err := c.valid(); err != nil {
			return nil, err
		}
		return a.perform(r, c)
	case "delete", "empty", "pause", "unpause":
		return a.perform(r, c)
	case "tombstone":
		if err := one(b.Nodes); err != nil {
			return nil, err
		}
		return a.hide(r, b.Topic, b.Nodes[0])
	case "replay":
		return a.replay(r, &b)
	case "discard":
		return a.discard(r, c)
	case "unregister":
		return a.unregister(r, &b)
	case "rewind":
		return a.rewind(r, &b)
	case "close":
		return a.onNode(r, &b, http.MethodPost, "/lite/client/close", url.Values{"client": {b.Client}}, "")
	case "log_level":
		return a.onNode(r, &b, http.MethodPut, "/config/log_level", nil, b.To)
	}
	return nil, &apiError{http.StatusBadRequest, "INVALID_ACTION", "The actions are create, delete, empty, pause, unpause, tombstone, replay, discard, unregister, rewind, close and log_level."}
}

// one refuses anything but a single node.
func one(nodes []string) error {
	if len(nodes) != 1 {
		return &apiError{http.StatusBadRequest, "INVALID_NODE", "Name one node, by its broadcast address and HTTP port."}
	}
	return nil
}

// expect refuses a change when there is more to lose than the page showed.
func (a *Admin) expect(r *http.Request, b *action) error {
	if b.Depth == nil {
		return nil
	}
	places, err := a.placesOf(r, b.Topic, "")
	if err != nil {
		return err
	}
	query := url.Values{"topic": {b.Topic}, "include_clients": {"false"}, "include_mem": {"false"}}
	if b.Channel != "" {
		query.Set("channel", b.Channel)
	}
	stats, out := a.cluster.stats(r.Context(), change{nodes: b.Nodes}.on(places), query)
	if err := out.failure(); err != nil {
		return err
	}
	if depth := depthOf(stats, b.Channel); depth > *b.Depth {
		return &apiError{http.StatusPreconditionFailed, "CHANGED",
			fmt.Sprintf("There are %d messages now; the page showed %d. Look again.", depth, *b.Depth)}
	}
	return nil
}

// depthOf is how many messages a topic with all its channels holds, or one of
// its channels: waiting, in flight and deferred.
func depthOf(stats []server.Stats, channel string) (depth int64) {
	for _, s := range stats {
		for i := range s.Topics {
			if channel == "" {
				depth += s.Topics[i].Depth
			}
			for _, c := range s.Topics[i].Channels {
				depth += c.Depth + int64(c.InFlightCount) + int64(c.DeferredCount)
			}
		}
	}
	return depth
}

// rewind sets a channel back, on all nsqds that have it or on some.
func (a *Admin) rewind(r *http.Request, b *action) (any, error) {
	places, err := a.placesOf(r, b.Topic, "")
	if err != nil {
		return nil, err
	}
	places = change{nodes: b.Nodes}.on(places)
	query := url.Values{"topic": {b.Topic}, "channel": {b.Channel}, "to": {b.To}}
	counts := make([]struct {
		Messages int64 `json:"messages"`
	}, len(places))
	out := ask(len(places), func(i int) error {
		err := a.up.send(r.Context(), http.MethodPost, places[i].base, "/channel/rewind", query, "", &counts[i])
		if err != nil {
			return errors.New(places[i].Node() + ": " + unable(err))
		}
		return nil
	})
	a.audit(r, "rewind_channel", b.Topic, b.Channel, "", &out)
	a.hurry()
	if err := out.failure(); err != nil {
		return nil, err
	}
	var total int64
	for _, c := range counts {
		total += c.Messages
	}
	return struct {
		done
		Messages int64 `json:"messages"`
	}{done{out.warning()}, total}, nil
}

// unregister has one nsqlookupd forget a topic, or a channel of it. The nsqds
// are not told: those that have it register it when they connect again.
func (a *Admin) unregister(r *http.Request, b *action) (any, error) {
	c := change{do: "delete", topic: b.Topic, channel: b.Channel}
	if err := c.valid(); err != nil {
		return nil, err
	}
	bases := *a.cluster.lookupds.Load()
	i := slices.IndexFunc(bases, func(base string) bool { return hostOf(base) == b.Lookupd })
	if i < 0 {
		return nil, &apiError{http.StatusBadRequest, "INVALID_LOOKUPD", "Name one of the nsqlookupds that are asked, as /api/v1/lookup names it."}
	}
	var out outcome
	out.add(a.up.post(r.Context(), bases[i], c.path(), c.query(), ""))
	a.audit(r, "unregister", b.Topic, b.Channel, b.Lookupd, &out)
	a.hurry()
	return result(out)
}

// onNode has one nsqd do something.
func (a *Admin) onNode(r *http.Request, b *action, method, path string, query url.Values, body string) (any, error) {
	if err := one(b.Nodes); err != nil {
		return nil, err
	}
	p, _, err := a.cluster.find(r.Context(), b.Nodes[0])
	if err != nil {
		return nil, err
	}
	var out outcome
	if err := a.up.send(r.Context(), method, p.base, path, query, body, nil); err != nil {
		err = errors.New(p.Node() + ": " + unable(err))
		out.add(err)
	} else {
		out.add(nil)
	}
	a.audit(r, b.Action, b.Topic, b.Channel, p.Node(), &out)
	a.hurry()
	return result(out)
}
