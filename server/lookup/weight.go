package lookup

// An answer's weight is about how many bytes of JSON it makes, and not less. It
// is for answers that can be large, before they are made.

// WeighTopics is that of Topics.
func (r *Registry) WeighTopics() (n int64) {
	for name := range r.topics { // the order makes no difference
		n += int64(len(name)) + perText
	}
	return n
}

// WeighTopic is that of Find and Channels together.
func (r *Registry) WeighTopic(topicName string) (n int64) {
	t := r.topics[topicName]
	if t == nil {
		return 0
	}
	for _, g := range t.producers {
		n += g.p.weight
	}
	for name := range t.channels { // the order makes no difference
		n += int64(len(name)) + perText
	}
	return n
}

// WeighNodes is that of Nodes.
func (r *Registry) WeighNodes() (n int64) {
	for _, p := range r.producers {
		n += p.weight
		for name := range p.topics { // the order makes no difference
			n += int64(len(name)) + perText
		}
	}
	return n
}

// WeighEntries is that of Entries, at most.
func (r *Registry) WeighEntries() (n int64) {
	const names = 2 * (64 + perText)
	for _, p := range r.producers {
		n += int64(p.names+1) * (p.weight + names)
	}
	return n
}

// perText is what a text has around it in JSON.
const perText = 10

// weight is that of what a producer says of itself.
func (i *Info) weight() int64 {
	n := int64(192) // the names of all fields, and the numbers
	for _, text := range [...]string{i.RemoteAddress, i.Hostname, i.BroadcastAddress, i.Version, i.TopologyZone, i.TopologyRegion} {
		n += int64(len(text))
		for _, c := range []byte(text) {
			if c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
				n += 5 // it may be escaped, as in \u003c
			}
		}
	}
	return n
}
