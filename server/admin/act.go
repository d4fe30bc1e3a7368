package admin

import (
	"context"
	"net/http"
	"net/url"

	"github.com/nsqloop/nsqloop/internal/wire"
)

// change is something that is to be done to topics and channels.
type change struct {
	do      string // create, delete, empty, pause, unpause
	topic   string
	channel string // "" when it is about the topic
	nodes   []string
}

// path is the route of nsqd and nsqlookupd that does it.
func (c change) path() string {
	if c.channel == "" {
		return "/topic/" + c.do
	}
	return "/channel/" + c.do
}

// query names what it is done to.
func (c change) query() url.Values {
	query := url.Values{"topic": {c.topic}}
	if c.channel != "" {
		query.Set("channel", c.channel)
	}
	return query
}

// name is nsqadmin's name for it in notifications.
func (c change) name() string {
	if c.channel == "" {
		return c.do + "_topic"
	}
	return c.do + "_channel"
}

// valid refuses names that cannot be made. What exists has a possible name.
func (c change) valid() error {
	if !wire.ValidName(c.topic) {
		return &apiError{http.StatusBadRequest, "INVALID_TOPIC", nameRule}
	}
	if c.channel != "" && !wire.ValidName(c.channel) {
		return &apiError{http.StatusBadRequest, "INVALID_CHANNEL", nameRule}
	}
	return nil
}

// on keeps the places that a change is meant for.
func (c change) on(places []*place) []*place {
	if len(c.nodes) == 0 {
		return places
	}
	var meant []*place
	for _, p := range places {
		for _, name := range c.nodes {
			if p.Node() == name {
				meant = append(meant, p)
			}
		}
	}
	return meant
}

// make makes a topic, and a channel of it where one is named: known to all
// nsqlookupds, and on the nsqds that have the topic. Without nsqlookupds, or
// when nodes are named, on these.
func (cl *cluster) make(ctx context.Context, c change) outcome {
	lookupds := *cl.lookupds.Load()
	topic := change{do: "create", topic: c.topic}
	var out outcome
	if len(lookupds) > 0 {
		out = ask(len(lookupds), func(i int) error {
			if err := cl.up.post(ctx, lookupds[i], topic.path(), topic.query(), ""); err != nil || c.channel == "" {
				return err
			}
			return cl.up.post(ctx, lookupds[i], c.path(), c.query(), "")
		})
	}
	var places []*place
	if len(lookupds) == 0 || len(c.nodes) > 0 {
		all, more := cl.places(ctx)
		if more.failure() != nil {
			return more
		}
		places = c.on(all)
		out.join(ask(len(places), func(i int) error {
			return cl.up.post(ctx, places[i].base, topic.path(), topic.query(), "")
		}))
	} else if c.channel != "" {
		places, _ = cl.producers(ctx, c.topic) // none yet is none to ask
	}
	if c.channel != "" {
		out.join(ask(len(places), func(i int) error {
			return cl.up.post(ctx, places[i].base, c.path(), c.query(), "")
		}))
	}
	return out
}

// apply does a change that is not making: deleting on nsqlookupds too.
func (cl *cluster) apply(ctx context.Context, c change) outcome {
	places, out := cl.producers(ctx, c.topic)
	if out.failure() != nil {
		return out
	}
	if c.do == "delete" && len(c.nodes) == 0 {
		lookupds := *cl.lookupds.Load()
		out.join(ask(len(lookupds), func(i int) error {
			err := cl.up.post(ctx, lookupds[i], c.path(), c.query(), "")
			if refused(err, http.StatusNotFound) {
				return nil // it is gone there
			}
			return err
		}))
	}
	places = c.on(places)
	if len(places) == 0 && (c.do != "delete" || !cl.asksLookupds() || len(c.nodes) > 0) {
		out = outcome{} // that others were asked for the way makes it no success
		out.add(nobodyHas("topic", c.topic))
	}
	out.join(ask(len(places), func(i int) error {
		return cl.up.post(ctx, places[i].base, c.path(), c.query(), "")
	}))
	return out
}

// tombstone hides an nsqd from those who look for a topic, on all nsqlookupds,
// and deletes the topic there.
func (cl *cluster) tombstone(ctx context.Context, topic, node string) (outcome, error) {
	p, out, err := cl.find(ctx, node)
	if err != nil {
		return out, err
	}
	lookupds := *cl.lookupds.Load()
	out.join(ask(len(lookupds), func(i int) error {
		return cl.up.post(ctx, lookupds[i], "/topic/tombstone", url.Values{"topic": {topic}, "node": {node}}, "")
	}))
	out.add(cl.up.post(ctx, p.base, "/topic/delete", url.Values{"topic": {topic}}, ""))
	return out, nil
}
