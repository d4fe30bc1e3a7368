package admin

import (
	"context"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/server/lookup"
)

// cluster finds nsqds and asks them. It may be used from any goroutine.
type cluster struct {
	up       *upstream
	lookupds atomic.Pointer[[]string] // bases
	nsqds    []string                 // bases
}

// place is an nsqd: how it calls itself, and where it is asked.
type place struct {
	lookup.Info
	base    string   // URL
	remotes []string // "<lookupd>/<address of its connection there>"
	topics  []held   // sorted by name
}

// held is a topic that an nsqlookupd says a place has.
type held struct {
	Topic      string `json:"topic"`
	Tombstoned bool   `json:"tombstoned"`
}

func newCluster(o *Options, up *upstream) *cluster {
	c := &cluster{up: up}
	c.setLookupds(o.LookupdHTTPAddresses)
	for _, addr := range o.NSQDHTTPAddresses {
		base, _ := baseOf(addr) // was checked
		c.nsqds = append(c.nsqds, base)
	}
	return c
}

// setLookupds changes the nsqlookupds; the addresses have been checked.
func (c *cluster) setLookupds(addrs []string) {
	bases := []string{}
	for _, addr := range addrs {
		base, _ := baseOf(addr)
		bases = append(bases, base)
	}
	c.lookupds.Store(&bases)
}

// asksLookupds says whether the nsqds are found through nsqlookupds.
func (c *cluster) asksLookupds() bool { return len(*c.lookupds.Load()) > 0 }

// hostOf is a base without its scheme, for people.
func hostOf(base string) string {
	_, host, _ := strings.Cut(base, "://")
	return host
}

// baseFor is where an nsqd is asked that an nsqlookupd has named.
func baseFor(i *lookup.Info) string {
	host := i.BroadcastAddress
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		host = "[" + host + "]"
	}
	return "http://" + host + ":" + strconv.Itoa(i.HTTPPort)
}

// places are all nsqds, sorted by their names.
func (c *cluster) places(ctx context.Context) ([]*place, outcome) {
	found := gather{}
	var out outcome
	if lookupds := *c.lookupds.Load(); len(lookupds) > 0 {
		answers := make([]struct {
			Producers []lookup.Node `json:"producers"`
		}, len(lookupds))
		out = ask(len(lookupds), func(i int) error {
			return c.up.get(ctx, lookupds[i], "/nodes", nil, &answers[i])
		})
		for i, a := range answers {
			for _, n := range a.Producers {
				p := found.add(n.Info, baseFor(&n.Info), hostOf(lookupds[i]))
				for j, topic := range n.Topics {
					p.hold(topic, j < len(n.Tombstones) && n.Tombstones[j])
				}
			}
		}
	}
	out.join(c.named(ctx, found))
	return found.sorted(), out
}

// named adds the nsqds that were named by their addresses.
func (c *cluster) named(ctx context.Context, found gather) outcome {
	infos := make([]lookup.Info, len(c.nsqds))
	stats := make([]server.Stats, len(c.nsqds))
	out := ask(len(c.nsqds), func(i int) error {
		if err := c.up.get(ctx, c.nsqds[i], "/info", nil, &infos[i]); err != nil {
			return err
		}
		query := url.Values{"format": {"json"}, "include_clients": {"false"}, "include_mem": {"false"}}
		return c.up.get(ctx, c.nsqds[i], "/stats", query, &stats[i])
	})
	for i, info := range infos {
		if info.Version == "" {
			continue
		}
		p := found.add(info, c.nsqds[i], "")
		p.base = c.nsqds[i] // this address was given to us
		for _, t := range stats[i].Topics {
			p.hold(t.TopicName, false)
		}
	}
	return out
}

// producers are the nsqds that have a topic. Where there are nsqlookupds, they
// say so; a topic unknown to one counts as its failure, as for nsqadmin.
func (c *cluster) producers(ctx context.Context, topic string) ([]*place, outcome) {
	lookupds := *c.lookupds.Load()
	if len(lookupds) == 0 {
		all, out := c.places(ctx)
		return slices.DeleteFunc(all, func(p *place) bool {
			return !slices.ContainsFunc(p.topics, func(h held) bool { return h.Topic == topic })
		}), out
	}
	answers := make([]struct {
		Producers []lookup.Info `json:"producers"`
	}, len(lookupds))
	out := ask(len(lookupds), func(i int) error {
		return c.up.get(ctx, lookupds[i], "/lookup", url.Values{"topic": {topic}}, &answers[i])
	})
	found := gather{}
	for i, a := range answers {
		for _, info := range a.Producers {
			found.add(info, baseFor(&info), hostOf(lookupds[i]))
		}
	}
	return found.sorted(), out
}

// topics are the names of all topics, sorted.
func (c *cluster) topics(ctx context.Context) ([]string, outcome) {
	names := []string{}
	lookupds := *c.lookupds.Load()
	answers := make([]struct {
		Topics []string `json:"topics"`
	}, len(lookupds))
	out := ask(len(lookupds), func(i int) error {
		return c.up.get(ctx, lookupds[i], "/topics", nil, &answers[i])
	})
	for _, a := range answers {
		names = append(names, a.Topics...)
	}
	if len(c.nsqds) > 0 {
		found := gather{}
		out.join(c.named(ctx, found))
		for _, p := range found {
			for _, h := range p.topics {
				names = append(names, h.Topic)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), out
}

// stats asks places for their statistics, in their order. A place that did not
// answer has nil Topics and no Version.
func (c *cluster) stats(ctx context.Context, places []*place, query url.Values) ([]server.Stats, outcome) {
	stats := make([]server.Stats, len(places))
	query.Set("format", "json")
	out := ask(len(places), func(i int) error {
		return c.up.get(ctx, places[i].base, "/stats", query, &stats[i])
	})
	return stats, out
}

// gather merges what several nsqlookupds say about the same nsqds.
type gather map[string]*place

// add notes an nsqd that lookupd has named.
func (g gather) add(info lookup.Info, base, lookupd string) *place {
	p := g[info.Node()]
	if p == nil {
		p = &place{Info: info, base: base}
		g[info.Node()] = p
	}
	if lookupd != "" {
		p.remotes = append(p.remotes, lookupd+"/"+info.RemoteAddress)
	}
	return p
}

// sorted are the places by name.
func (g gather) sorted() []*place {
	all := make([]*place, 0, len(g))
	for _, p := range g {
		all = append(all, p)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Node() < all[j].Node() })
	return all
}

// hold notes a topic of a place. It is tombstoned if one nsqlookupd says so.
func (p *place) hold(topic string, tombstoned bool) {
	i := sort.Search(len(p.topics), func(i int) bool { return p.topics[i].Topic >= topic })
	if i < len(p.topics) && p.topics[i].Topic == topic {
		p.topics[i].Tombstoned = p.topics[i].Tombstoned || tombstoned
		return
	}
	p.topics = append(p.topics, held{})
	copy(p.topics[i+1:], p.topics[i:])
	p.topics[i] = held{topic, tombstoned}
}

// outdated are the versions that are lower than the highest of places. What is
// no version counts as the lowest.
func outdated(places []*place) map[string]bool {
	var highest [3]int
	for _, p := range places {
		if v := versionOf(p.Version); slices.Compare(v[:], highest[:]) > 0 {
			highest = v
		}
	}
	old := map[string]bool{}
	for _, p := range places {
		v := versionOf(p.Version)
		old[p.Version] = slices.Compare(v[:], highest[:]) < 0
	}
	return old
}

// versionOf is the three numbers of a version.
func versionOf(text string) (v [3]int) {
	text, _, _ = strings.Cut(text, "-")
	for i, part := range strings.SplitN(text, ".", 3) {
		v[i], _ = strconv.Atoi(part) // 0 for what is no number
	}
	return v
}
