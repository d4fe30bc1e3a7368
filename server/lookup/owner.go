package lookup

import "time"

// Claimed is a producer that is shown under an address of i's: the same host
// with the same port for clients, or for HTTP. It is nil when there is none.
func (r *Registry) Claimed(i *Info, now time.Time) *Producer {
	for _, p := range r.producers {
		if p.Info.BroadcastAddress == i.BroadcastAddress && (p.Info.TCPPort == i.TCPPort || p.Info.HTTPPort == i.HTTPPort) && r.active(p, now) {
			return p
		}
	}
	return nil
}

// Owners are the producers that a change of a topic is about: those that have
// registered it, in the order in which they did, and of them, unless node is
// empty, those whose Info.Node is node.
func (r *Registry) Owners(topicName, node string) []*Producer {
	t := r.topics[topicName]
	if t == nil {
		return nil
	}
	var owners []*Producer
	for _, g := range t.producers {
		if node == "" || g.p.Info.Node() == node {
			owners = append(owners, g.p)
		}
	}
	return owners
}

// Producers are all that have joined, in that order.
func (r *Registry) Producers() []*Producer { return r.producers }
