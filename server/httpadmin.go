package server

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/nsqloop/nsqloop/internal/wire"
)

// adminRoutes are the routes that make, empty, pause and delete topics and
// channels, under their names and under those of NSQ before 1.0. Their bodies
// are not read.
func (h *httpServer) adminRoutes() []*route {
	var routes []*route
	for _, a := range []struct {
		path, old, help string
		run             func(http.ResponseWriter, *http.Request) error
	}{
		{"/topic/create", "/create_topic", "make a topic: ?topic=", h.topicCreate},
		{"/topic/delete", "/delete_topic", "delete a topic, its channels and their messages: ?topic=",
			h.onTopic(nil, func(t *topic) error { return h.s.deleteTopic(t) })},
		{"/topic/empty", "/empty_topic", "drop the messages that no channel has yet: ?topic=",
			h.onTopic(validTopic, func(t *topic) error { t.empty(); return nil })},
		{"/topic/pause", "/pause_topic", "hold messages back from the channels: ?topic=",
			h.onTopic(nil, func(t *topic) error { return t.pause(true) })},
		{"/topic/unpause", "/unpause_topic", "let messages go to the channels: ?topic=",
			h.onTopic(nil, func(t *topic) error { return t.pause(false) })},
		{"/channel/create", "/create_channel", "make a channel: ?topic=&channel=", h.channelCreate},
		{"/channel/delete", "/delete_channel", "delete a channel and its messages: ?topic=&channel=",
			h.onChannel(func(t *topic, c *channel) error { t.deleteChannel(c); return nil })},
		{"/channel/empty", "/empty_channel", "drop the channel's messages: ?topic=&channel=",
			h.onChannel(func(_ *topic, c *channel) error { c.empty(); return nil })},
		{"/channel/pause", "/pause_channel", "stop deliveries: ?topic=&channel=",
			h.onChannel(func(_ *topic, c *channel) error { return c.pause(true) })},
		{"/channel/unpause", "/unpause_channel", "go on with deliveries: ?topic=&channel=",
			h.onChannel(func(_ *topic, c *channel) error { return c.pause(false) })},
	} {
		of := ofTopic
		if strings.HasPrefix(a.path, "/channel/") {
			of = ofChannel
		}
		routes = append(routes,
			&route{method: "POST", path: a.path, help: a.help, scope: of, run: a.run},
			&route{method: "POST", path: a.old, help: "old name of " + a.path, scope: of, run: a.run})
	}
	return routes
}

// validTopic refuses what cannot name a topic.
func validTopic(name string) error {
	if !wire.ValidName(name) {
		return refuse(http.StatusBadRequest, "INVALID_TOPIC", nameRule)
	}
	return nil
}

// topicCreate makes a topic; one that exists is left as it is.
func (h *httpServer) topicCreate(w http.ResponseWriter, r *http.Request) error {
	name, err := topicArg(r)
	if err != nil {
		return err
	}
	if err := validTopic(name); err != nil {
		return err
	}
	makes := func() bool { return h.s.topic(name) == nil }
	return h.actMaking(w, makes, func() error {
		_, err := h.s.makeTopic(name, h.s.origins.of(r.RemoteAddr))
		return err
	})
}

// onTopic makes the handler that does something to a topic that exists. valid,
// where nsqd looks at the name first, says so before the topic is looked for;
// elsewhere an impossible name is merely unknown.
func (h *httpServer) onTopic(valid func(string) error, do func(*topic) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		name, err := topicArg(r)
		if err == nil && valid != nil {
			err = valid(name)
		}
		if err != nil {
			return err
		}
		return h.act(w, func() error {
			t := h.s.topic(name)
			if t == nil {
				return errTopicUnknown
			}
			return do(t)
		})
	}
}

// channelCreate makes a channel of a topic that exists.
func (h *httpServer) channelCreate(w http.ResponseWriter, r *http.Request) error {
	topicName, channelName, err := channelArgs(r)
	if err != nil {
		return err
	}
	makes := func() bool {
		t := h.s.topic(topicName)
		return t != nil && t.channel(channelName) == nil
	}
	return h.actMaking(w, makes, func() error {
		t := h.s.topic(topicName)
		if t == nil {
			return errTopicUnknown
		}
		_, err := t.makeChannel(channelName, h.s.origins.of(r.RemoteAddr))
		return err
	})
}

// onChannel makes the handler that does something to a channel that exists.
func (h *httpServer) onChannel(do func(*topic, *channel) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		topicName, channelName, err := channelArgs(r)
		if err != nil {
			return err
		}
		return h.act(w, func() error {
			t := h.s.topic(topicName)
			if t == nil {
				return errTopicUnknown
			}
			c := t.channel(channelName)
			if c == nil {
				return errChannelUnknown
			}
			return do(t, c)
		})
	}
}

// act runs do on the loop and answers with its result, an empty body for nil.
func (h *httpServer) act(w http.ResponseWriter, do func() error) error {
	return h.actMaking(w, func() bool { return false }, do)
}

// actMaking is act for what may make something.
func (h *httpServer) actMaking(w http.ResponseWriter, makes func() bool, do func() error) error {
	var err error
	if stopped := h.s.callMaking(makes, func() { err = do() }); stopped != nil {
		return errExiting
	}
	if errors.Is(err, errLimit) {
		return refuse(http.StatusServiceUnavailable, "LIMIT_REACHED", "Not done: "+err.Error()+".")
	}
	if err != nil {
		return err
	}
	replyEmpty(w)
	return nil
}

// topicArg returns the topic parameter of r, valid or not.
func topicArg(r *http.Request) (string, error) {
	query, err := parseQuery(r)
	if err != nil {
		return "", err
	}
	if !query.Has("topic") {
		return "", errNoTopic
	}
	return query.Get("topic"), nil
}

// channelArgs returns the topic and channel parameters of r, both valid. The
// order of the checks is nsqd's.
func channelArgs(r *http.Request) (topic, channel string, err error) {
	query, err := parseQuery(r)
	if err != nil {
		return "", "", err
	}
	return channelNames(query)
}

// channelNames is channelArgs for a query that was parsed.
func channelNames(query url.Values) (topic, channel string, err error) {
	switch {
	case !query.Has("topic"):
		return "", "", errNoTopic
	case !wire.ValidName(query.Get("topic")):
		return "", "", refuse(http.StatusBadRequest, "INVALID_ARG_TOPIC", nameRule)
	case !query.Has("channel"):
		return "", "", errNoChannel
	case !wire.ValidName(query.Get("channel")):
		return "", "", refuse(http.StatusBadRequest, "INVALID_ARG_CHANNEL", nameRule)
	}
	return query.Get("topic"), query.Get("channel"), nil
}
