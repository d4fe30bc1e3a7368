package lookup

import (
	"maps"
	"slices"
	"time"
)

// Topics are the names of all topics, sorted.
func (r *Registry) Topics() []string { return sortedKeys(r.topics) }

// Channels are the names of a topic's channels, sorted; none for an unknown
// topic. Names are names: "*" is not a pattern.
func (r *Registry) Channels(topicName string) []string {
	if t := r.topics[topicName]; t != nil {
		return sortedKeys(t.channels)
	}
	return []string{}
}

// Find returns the producers of a topic that are shown, in the order in which
// they registered. ok is false when the topic is not known.
func (r *Registry) Find(topicName string, now time.Time) (producers []Info, ok bool) {
	t := r.topics[topicName]
	if t == nil {
		return nil, false
	}
	producers = []Info{}
	for _, g := range t.producers {
		if r.active(g.p, now) && !r.hidden(g, now) {
			producers = append(producers, g.p.Info)
		}
	}
	return producers, true
}

// Node is a producer with its topics. Tombstones[i] says whether it is hidden
// from those who ask for Topics[i].
type Node struct {
	Info
	Tombstones []bool   `json:"tombstones"`
	Topics     []string `json:"topics"`
}

// Nodes are the producers that are shown, in the order in which they joined,
// with their topics sorted by name.
func (r *Registry) Nodes(now time.Time) []Node {
	nodes := []Node{}
	for _, p := range r.producers {
		if !r.active(p, now) {
			continue
		}
		n := Node{Info: p.Info, Topics: sortedKeys(p.topics)}
		n.Tombstones = make([]bool, len(n.Topics))
		for i, name := range n.Topics {
			for _, g := range p.topics[name].producers {
				if g.p == p {
					n.Tombstones[i] = r.hidden(g, now)
				}
			}
		}
		nodes = append(nodes, n)
	}
	return nodes
}

// Entry is one producer in one registration.
type Entry struct {
	Kind           string // "client", "topic" or "channel"
	Topic, Channel string
	Info           Info
	Seen           time.Time // when it was last heard of
	Tombstoned     time.Time // zero: never
	Hidden         bool      // the tombstone is in force
}

// Entries are all registrations with their producers, whether they are shown
// or not: clients in the order in which they joined, then topics by name, each
// with its channels by name.
func (r *Registry) Entries(now time.Time) []Entry {
	var all []Entry
	for _, p := range r.producers {
		all = append(all, Entry{Kind: "client", Info: p.Info, Seen: p.seen})
	}
	for _, name := range r.Topics() {
		t := r.topics[name]
		for _, g := range t.producers {
			all = append(all, Entry{Kind: "topic", Topic: name, Info: g.p.Info, Seen: g.p.seen,
				Tombstoned: g.tombstoned, Hidden: r.hidden(g, now)})
		}
		for _, channelName := range sortedKeys(t.channels) {
			for _, p := range t.channels[channelName].producers {
				all = append(all, Entry{Kind: "channel", Topic: name, Channel: channelName, Info: p.Info, Seen: p.seen})
			}
		}
	}
	return all
}

// Counts is how much there is: producers, topics, channels, and tombstones in
// force.
type Counts struct{ Producers, Topics, Channels, Tombstones int }

// Count counts. It looks at every producer of every topic.
func (r *Registry) Count(now time.Time) Counts {
	c := Counts{Producers: len(r.producers), Topics: len(r.topics), Channels: r.channels}
	for _, t := range r.topics { // the order makes no difference
		for _, g := range t.producers {
			if r.hidden(g, now) {
				c.Tombstones++
			}
		}
	}
	return c
}

func (r *Registry) active(p *Producer, now time.Time) bool { return now.Sub(p.seen) <= r.o.Inactive }

func (r *Registry) hidden(g registration, now time.Time) bool {
	return !g.tombstoned.IsZero() && now.Sub(g.tombstoned) < r.o.Tombstone
}

// sortedKeys is the keys of a map in order; empty, not nil, when there are
// none.
func sortedKeys[V any](m map[string]V) []string {
	keys := slices.AppendSeq(make([]string, 0, len(m)), maps.Keys(m))
	slices.Sort(keys)
	return keys
}
