package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"sort"

	"github.com/nsqloop/nsqloop/server"
)

// lookRoutes are the page's routes that ask the servers when they are called.
func (a *Admin) lookRoutes() []route {
	return []route{
		{"GET", "/api/v1/about", answers(a.about)},
		{"GET", "/api/v1/peek", answers(a.peek)},
		{"GET", "/api/v1/tap", a.tap},
		{"GET", "/api/v1/lookup", answers(a.lookup)},
		{"GET", "/api/v1/config", answers(a.config)},
	}
}

// aboutView is what the page has to know of the program that serves it.
type aboutView struct {
	Version  string   `json:"version"`
	Lite     string   `json:"lite"`
	Lookupds []string `json:"lookupds"`
	NSQDs    []string `json:"nsqds"`
	ReadOnly bool     `json:"read_only"`
	May      bool     `json:"may"` // whoever asks may change something
	User     string   `json:"user"`
	Header   string   `json:"acl_http_header"`
}

func (a *Admin) about(r *http.Request) (any, error) {
	v := aboutView{
		Version: server.Version, Lite: a.o.LiteVersion, Lookupds: []string{}, NSQDs: append([]string{}, a.o.NSQDHTTPAddresses...),
		ReadOnly: a.o.ReadOnly, May: a.mayChange(r) == nil, User: a.user(r), Header: a.o.ACLHTTPHeader,
	}
	for _, base := range *a.cluster.lookupds.Load() {
		v.Lookupds = append(v.Lookupds, hostOf(base))
	}
	return v, nil
}

// placesOf are the places that have a topic, by what was polled last: or just
// the one with a name.
func (a *Admin) placesOf(r *http.Request, topic, node string) ([]*place, error) {
	if node != "" {
		p, _, err := a.cluster.find(r.Context(), node)
		if err != nil {
			return nil, err
		}
		return []*place{p}, nil
	}
	places, out := a.cluster.producers(r.Context(), topic)
	if len(places) == 0 {
		if err := out.failure(); err != nil {
			return nil, err
		}
		return nil, nobodyHas("topic", topic)
	}
	return places, nil
}

// peeked is what one nsqd shows of its messages.
type peeked struct {
	Node   string          `json:"node"`
	Error  string          `json:"error,omitempty"`
	Answer json.RawMessage `json:"answer,omitempty"` // of /topic/peek or /channel/peek
}

// peek looks at messages of a topic, or of a channel, on all nsqds that have it
// or on one. None is consumed.
func (a *Admin) peek(r *http.Request) (any, error) {
	query := r.URL.Query()
	if err := a.guard(r); err != nil { // bodies are not for a stranger's page
		return nil, &apiError{http.StatusForbidden, "FORBIDDEN", err.Error()}
	}
	topic, channel := query.Get("topic"), query.Get("channel")
	places, err := a.placesOf(r, topic, query.Get("node"))
	if err != nil {
		return nil, err
	}
	path, pass := "/topic/peek", url.Values{"topic": {topic}}
	keys := []string{"count", "max_bytes", "from"}
	if channel != "" {
		path, keys = "/channel/peek", []string{"count", "max_bytes", "state"}
		pass.Set("channel", channel)
	}
	for _, key := range keys {
		if query.Has(key) {
			pass.Set(key, query.Get(key))
		}
	}
	all := make([]peeked, len(places))
	each(len(places), func(i int) {
		all[i].Node = places[i].Node()
		if err := a.up.get(r.Context(), places[i].base, path, pass, &all[i].Answer); err != nil {
			all[i].Error = unable(err)
		}
	})
	return struct {
		Nodes []peeked `json:"nodes"`
	}{all}, nil
}

// unable is the error of something that only nsqd-lite does.
func unable(err error) string {
	var r *refusal
	if errors.As(err, &r) && r.status == http.StatusNotFound && (r.message == "NOT_FOUND" || r.message == "") {
		return "This is an nsqd, which cannot do that; nsqd-lite can."
	}
	return err.Error()
}

// tap passes on what is published to a topic on one nsqd, as events.
func (a *Admin) tap(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	if err := a.guard(r); err != nil {
		return &apiError{http.StatusForbidden, "FORBIDDEN", err.Error()}
	}
	places, err := a.placesOf(r, query.Get("topic"), query.Get("node"))
	if err != nil {
		return err
	}
	res, err := a.up.do(r.Context(), a.up.stream, http.MethodGet, places[0].base, "/topic/tap",
		url.Values{"topic": {query.Get("topic")}, "format": {"sse"}}, nil)
	if err != nil {
		return &apiError{http.StatusBadGateway, "UPSTREAM_ERROR: " + unable(err), ""}
	}
	defer res.Body.Close()
	rc, done, err := a.openStream(w)
	if err != nil {
		return err
	}
	defer done()
	buf := make([]byte, 32<<10)
	for {
		if rc.Flush() != nil {
			return nil // nobody is left to be told
		}
		n, err := res.Body.Read(buf)
		if n > 0 {
			_ = rc.SetWriteDeadline(a.now().Add(writeMost)) // see openStream
			if _, err := w.Write(buf[:n]); err != nil {
				return nil
			}
		}
		if err != nil {
			return nil // the nsqd has ended it; the browser asks again
		}
	}
}

// registered is what one nsqlookupd knows.
type registered struct {
	Lookupd string                     `json:"lookupd"`
	Error   string                     `json:"error,omitempty"`
	Debug   map[string][]registeredFor `json:"registrations"` // by "<kind>:<topic>:<channel>"
}

// registeredFor is an nsqd in a registration.
type registeredFor struct {
	Broadcast    string `json:"broadcast_address"`
	HTTP         int    `json:"http_port"`
	Seen         int64  `json:"last_update"`   // unix nanoseconds
	Tombstoned   bool   `json:"tombstoned"`    //
	TombstonedAt int64  `json:"tombstoned_at"` // unix nanoseconds
}

// lookup shows what each nsqlookupd knows.
func (a *Admin) lookup(r *http.Request) (any, error) {
	bases := *a.cluster.lookupds.Load()
	all := make([]registered, len(bases))
	each(len(bases), func(i int) {
		all[i].Lookupd, all[i].Debug = hostOf(bases[i]), map[string][]registeredFor{}
		if err := a.up.get(r.Context(), bases[i], "/debug", nil, &all[i].Debug); err != nil {
			all[i].Error = err.Error()
			return
		}
		a.registeredAlone(r, bases[i], &all[i])
	})
	return struct {
		Lookupds []registered `json:"lookupds"`
		Now      int64        `json:"now"`
	}{all, a.now().UnixMilli()}, nil
}

// registeredAlone adds the topics that no nsqd has: /debug leaves them out.
func (a *Admin) registeredAlone(r *http.Request, base string, known *registered) {
	var topics struct {
		Topics []string `json:"topics"`
	}
	if a.up.get(r.Context(), base, "/topics", nil, &topics) != nil {
		return // what /debug has said has to do
	}
	for _, topic := range topics.Topics {
		if _, there := known.Debug["topic:"+topic+":"]; !there {
			known.Debug["topic:"+topic+":"] = nil
		}
	}
}

// setting is an option of an nsqd.
type setting struct {
	Name   string          `json:"name"`
	Value  json.RawMessage `json:"value"`
	Source string          `json:"source,omitempty"` // flag, environment, file or default; "" when it does not say
}

// plainOptions are the options that an nsqd is asked for one by one.
var plainOptions = []string{"log_level", "nsqlookupd_tcp_addresses", "max_msg_size", "max_rdy_count", "msg_timeout", "mem_queue_size", "data_path"}

// config shows the options of an nsqd.
func (a *Admin) config(r *http.Request) (any, error) {
	p, _, err := a.cluster.find(r.Context(), r.URL.Query().Get("node"))
	if err != nil {
		return nil, err
	}
	var all struct {
		Options []setting `json:"options"`
	}
	err = a.up.get(r.Context(), p.base, "/lite/config", nil, &all)
	if refused(err, http.StatusNotFound) {
		for _, name := range plainOptions {
			var value json.RawMessage
			if a.up.get(r.Context(), p.base, "/config/"+name, nil, &value) == nil { // those that it does not know are left out
				all.Options = append(all.Options, setting{Name: name, Value: value})
			}
		}
		err = nil
	}
	sort.Slice(all.Options, func(i, j int) bool { return all.Options[i].Name < all.Options[j].Name })
	return all, err
}
