package server

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/server/lookup"
)

// lookupdHTTP is the HTTP API of an nsqlookupd. Each request crosses to the
// loop once.
type lookupdHTTP struct{ d *Lookupd }

// newLookupdHTTP makes the routes of d, guarded as a listener bound to addr
// needs it.
func newLookupdHTTP(d *Lookupd, addr net.Addr) *httpServer {
	h := &httpServer{
		l: d.l, log: d.log, remote: d.o.DebugRemote,
		title:  fmt.Sprintf("nsqlookupd of nsqd-lite %s, speaking as nsqlookupd %s", d.o.LiteVersion, Version),
		guard:  newGuard(addr, d.o.BroadcastAddress),
		budget: &d.budget, origins: &d.origins,
	}
	h.handle(lookupdHTTP{d}.routes(), healthRoutes(d.call, func() []check { return nil }), h.lookupdMetricsRoutes(d), h.debugRoutes())
	return h
}

// Handler returns the HTTP routes of d, for a program that serves them itself.
func (d *Lookupd) Handler() http.Handler { return newLookupdHTTP(d, nil) }

func (h lookupdHTTP) routes() []*route {
	return []*route{
		{method: "GET", path: "/ping", polled: true, help: "OK", run: h.ping},
		{method: "GET", path: "/info", polled: true, help: "version", run: h.info},
		{method: "GET", path: "/lookup", polled: true, help: "who has a topic, and its channels: ?topic=", heavy: true, run: h.lookup},
		{method: "GET", path: "/topics", polled: true, help: "all topics", heavy: true, run: h.topics},
		{method: "GET", path: "/channels", polled: true, help: "the channels of a topic: ?topic=", heavy: true, run: h.channels},
		{method: "GET", path: "/nodes", polled: true, help: "all nsqds with their topics", heavy: true, run: h.nodes},
		{method: "GET", path: "/debug", polled: true, help: "all registrations", heavy: true, run: h.debug},
		{method: "POST", path: "/topic/create", help: "make a topic known: ?topic=", run: h.topicCreate},
		{method: "POST", path: "/topic/delete", help: "forget a topic and its channels: ?topic=", run: h.topicDelete},
		{method: "POST", path: "/topic/tombstone", help: "hide an nsqd from those who look for a topic, for a while: ?topic=&node=<address>:<HTTP port>", run: h.tombstone},
		{method: "POST", path: "/channel/create", help: "make a channel and its topic known: ?topic=&channel=", run: h.channelCreate},
		{method: "POST", path: "/channel/delete", help: "forget a channel: ?topic=&channel=", run: h.channelDelete},
	}
}

// ask runs f on the loop, with the registry and the time.
func (h lookupdHTTP) ask(f func(r *lookup.Registry, now time.Time)) error {
	if stopped := h.d.call(func() { f(h.d.reg, h.d.l.Now()) }); stopped != nil {
		return refuse(http.StatusServiceUnavailable, "EXITING", "The nsqlookupd is stopping.")
	}
	return nil
}

// textCost is what a reply takes while it is made, for each byte of text in it:
// copies of what it lists, and buffers that grow.
const textCost = 4

// askMuch is ask for a reply that lists everything there is, if there is room
// for n bytes of text in it. What was reserved is given back by release.
func (h lookupdHTTP) askMuch(n func(r *lookup.Registry) int64, f func(r *lookup.Registry, now time.Time)) (release func(), err error) {
	var held int64
	room := false
	err = h.ask(func(r *lookup.Registry, now time.Time) {
		held = n(r) * textCost
		if room = h.d.budget.take(held); room {
			f(r, now)
		}
	})
	switch {
	case err != nil:
		return nil, err
	case !room:
		return nil, errTooMuch
	}
	return func() { h.d.budget.add(-held) }, nil
}

var errTooMuch = &httpError{http.StatusServiceUnavailable, "TOO_BUSY",
	"There is not enough memory for so long an answer (--max-memory); ask for less, or try again."}

// change runs f on the loop, if r may change what is known of a topic, or of
// one of its nodes, and answers with the result, an empty body for nil.
func (h lookupdHTTP) change(w http.ResponseWriter, r *http.Request, topic, node string, f func(r *lookup.Registry, now time.Time) error) error {
	var err error
	stopped := h.ask(func(reg *lookup.Registry, now time.Time) {
		if err = h.mayChange(r, reg, topic, node); err == nil {
			err = f(reg, now)
			h.d.weigh()
		}
	})
	switch {
	case stopped != nil:
		return stopped
	case errors.Is(err, lookup.ErrFull):
		return refuse(http.StatusServiceUnavailable, "TOO_MANY_REGISTRATIONS",
			"The nsqlookupd knows as many topics and channels as it is allowed to; delete some, or raise --max-registrations.")
	case err != nil:
		return err
	}
	replyEmpty(w)
	return nil
}

func (h lookupdHTTP) ping(w http.ResponseWriter, r *http.Request) error {
	if err := h.ask(func(*lookup.Registry, time.Time) {}); err != nil {
		return err
	}
	reply(w, http.StatusOK, typeText, []byte(wire.OK))
	return nil
}

func (h lookupdHTTP) info(w http.ResponseWriter, r *http.Request) error {
	return replyJSON(w, struct {
		Version     string `json:"version"`
		LiteVersion string `json:"lite_version,omitempty"`
	}{Version, h.d.o.LiteVersion})
}

// lookup answers who has a topic. A topic that is known and that nobody has is
// no error: go-nsq waits for it then.
func (h lookupdHTTP) lookup(w http.ResponseWriter, r *http.Request) error {
	topic, err := lookupdTopic(r)
	if err != nil {
		return err
	}
	var found bool
	var answer struct {
		Channels  []string      `json:"channels"`
		Producers []lookup.Info `json:"producers"`
	}
	weigh := func(r *lookup.Registry) int64 { return r.WeighTopic(topic) }
	release, err := h.askMuch(weigh, func(r *lookup.Registry, now time.Time) {
		answer.Producers, found = r.Find(topic, now)
		answer.Channels = r.Channels(topic)
	})
	if err != nil {
		return err
	}
	defer release()
	if !found {
		return refuse(http.StatusNotFound, "TOPIC_NOT_FOUND", "No nsqd has registered that topic here; GET /topics lists those that are known.")
	}
	return replyJSON(w, answer)
}

func (h lookupdHTTP) topics(w http.ResponseWriter, r *http.Request) error {
	var answer struct {
		Topics []string `json:"topics"`
	}
	release, err := h.askMuch((*lookup.Registry).WeighTopics, func(r *lookup.Registry, _ time.Time) { answer.Topics = r.Topics() })
	if err != nil {
		return err
	}
	defer release()
	return replyJSON(w, answer)
}

func (h lookupdHTTP) channels(w http.ResponseWriter, r *http.Request) error {
	topic, err := lookupdTopic(r)
	if err != nil {
		return err
	}
	var answer struct {
		Channels []string `json:"channels"`
	}
	weigh := func(r *lookup.Registry) int64 { return r.WeighTopic(topic) }
	release, err := h.askMuch(weigh, func(r *lookup.Registry, _ time.Time) { answer.Channels = r.Channels(topic) })
	if err != nil {
		return err
	}
	defer release()
	return replyJSON(w, answer)
}

// nodes answers with all nsqds. nsqadmin reads tombstones and topics side by
// side and does not survive it when one is shorter.
func (h lookupdHTTP) nodes(w http.ResponseWriter, r *http.Request) error {
	var answer struct {
		Producers []lookup.Node `json:"producers"`
	}
	release, err := h.askMuch((*lookup.Registry).WeighNodes, func(r *lookup.Registry, now time.Time) { answer.Producers = r.Nodes(now) })
	if err != nil {
		return err
	}
	defer release()
	return replyJSON(w, answer)
}

// debugEntry is one producer in one registration.
type debugEntry struct {
	BroadcastAddress string `json:"broadcast_address"`
	Hostname         string `json:"hostname"`
	HTTPPort         int    `json:"http_port"`
	ID               string `json:"id"`
	LastUpdate       int64  `json:"last_update"` // unix nanoseconds
	TCPPort          int    `json:"tcp_port"`
	Tombstoned       bool   `json:"tombstoned"`
	TombstonedAt     int64  `json:"tombstoned_at"` // unix nanoseconds
	TopologyRegion   string `json:"topology_region"`
	TopologyZone     string `json:"topology_zone"`
	Version          string `json:"version"`
}

// debug answers with all registrations by "<kind>:<topic>:<channel>".
func (h lookupdHTTP) debug(w http.ResponseWriter, r *http.Request) error {
	var entries []lookup.Entry
	release, err := h.askMuch((*lookup.Registry).WeighEntries, func(r *lookup.Registry, now time.Time) { entries = r.Entries(now) })
	if err != nil {
		return err
	}
	defer release()
	answer := map[string][]debugEntry{} // JSON sorts the keys
	for _, e := range entries {
		key := e.Kind + ":" + e.Topic + ":" + e.Channel
		// Of a time that never was, the original shows the same absurd number.
		at := e.Tombstoned.UnixNano()
		answer[key] = append(answer[key], debugEntry{
			BroadcastAddress: e.Info.BroadcastAddress, Hostname: e.Info.Hostname, HTTPPort: e.Info.HTTPPort, ID: e.Info.RemoteAddress,
			LastUpdate: e.Seen.UnixNano(), TCPPort: e.Info.TCPPort, Tombstoned: !e.Tombstoned.IsZero(), TombstonedAt: at,
			TopologyRegion: e.Info.TopologyRegion, TopologyZone: e.Info.TopologyZone, Version: e.Info.Version,
		})
	}
	return replyJSON(w, answer)
}

func (h lookupdHTTP) topicCreate(w http.ResponseWriter, r *http.Request) error {
	topic, err := lookupdTopic(r)
	if err != nil {
		return err
	}
	if !wire.ValidName(topic) {
		return refuse(http.StatusBadRequest, "INVALID_ARG_TOPIC", nameRule)
	}
	return h.change(w, r, topic, "", func(r *lookup.Registry, _ time.Time) error { return h.create(r, topic, "") })
}

// create makes a topic or channel known, if there is memory for it.
func (h lookupdHTTP) create(r *lookup.Registry, topic, channel string) error {
	if !h.d.budget.has(2 * knownCost) {
		return lookup.ErrFull
	}
	return r.Create(topic, channel)
}

// topicDelete forgets a topic. Its name is a name: the original takes "*" for
// all of them.
func (h lookupdHTTP) topicDelete(w http.ResponseWriter, r *http.Request) error {
	topic, err := lookupdTopic(r)
	if err != nil {
		return err
	}
	return h.change(w, r, topic, "", func(r *lookup.Registry, _ time.Time) error { r.DeleteTopic(topic); return nil })
}

func (h lookupdHTTP) tombstone(w http.ResponseWriter, r *http.Request) error {
	topic, err := lookupdTopic(r)
	if err != nil {
		return err
	}
	query, err := parseQuery(r)
	if err != nil {
		return err
	}
	if !query.Has("node") {
		return refuse(http.StatusBadRequest, "MISSING_ARG_NODE", "Name the nsqd in the query, by its broadcast address and HTTP port, as in ?topic=test&node=host:4151.")
	}
	node := query.Get("node")
	return h.change(w, r, topic, node, func(r *lookup.Registry, now time.Time) error { r.Tombstone(topic, node, now); return nil })
}

func (h lookupdHTTP) channelCreate(w http.ResponseWriter, r *http.Request) error {
	topic, channel, err := channelArgs(r)
	if err != nil {
		return err
	}
	return h.change(w, r, topic, "", func(r *lookup.Registry, _ time.Time) error { return h.create(r, topic, channel) })
}

func (h lookupdHTTP) channelDelete(w http.ResponseWriter, r *http.Request) error {
	topic, channel, err := channelArgs(r)
	if err != nil {
		return err
	}
	return h.change(w, r, topic, "", func(r *lookup.Registry, _ time.Time) error {
		if !r.DeleteChannel(topic, channel) {
			return refuse(http.StatusNotFound, "CHANNEL_NOT_FOUND", "No such channel of that topic is known here; GET /channels?topic= lists those that are.")
		}
		return nil
	})
}

// lookupdTopic returns the topic parameter of r, valid or not.
func lookupdTopic(r *http.Request) (string, error) {
	topic, err := topicArg(r)
	if errors.Is(err, errNoTopic) {
		err = refuse(http.StatusBadRequest, errNoTopic.code, "Name the topic in the query, as in "+r.URL.Path+"?topic=test.")
	}
	return topic, err
}
