package lookup

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrFull is returned when a registration would pass a limit.
var ErrFull = errors.New("too many registrations")

// Options are the limits and times of a Registry. All are required.
type Options struct {
	// MaxNames is how many topics and channels one producer registers.
	MaxNames int

	// MaxTotal is how many topics and channels there are, of all producers
	// and of none.
	MaxTotal int

	// Inactive is how long a producer is shown that is not heard of.
	Inactive time.Duration

	// Tombstone is how long a tombstone hides a producer.
	Tombstone time.Duration
}

// Info is what a producer says of itself, and how others find it.
type Info struct {
	RemoteAddress    string `json:"remote_address"`
	Hostname         string `json:"hostname"`
	BroadcastAddress string `json:"broadcast_address"`
	TCPPort          int    `json:"tcp_port"`
	HTTPPort         int    `json:"http_port"`
	Version          string `json:"version"`
	TopologyZone     string `json:"topology_zone"`
	TopologyRegion   string `json:"topology_region"`
}

// Node is the name of a producer in a request for a tombstone.
func (i *Info) Node() string { return i.BroadcastAddress + ":" + strconv.Itoa(i.HTTPPort) }

// Registry is who produces which topic. It is not safe for concurrent use. The
// zero value is not usable; New makes one.
type Registry struct {
	o         Options
	producers []*Producer // in the order in which they joined
	topics    map[string]*topic
	channels  int // of all topics
	names     int // that producers have registered, of all producers
}

// Producer is an nsqd that has joined.
type Producer struct {
	// Info is what it said of itself. It must not be changed.
	Info Info

	seen   time.Time
	weight int64 // of Info in an answer
	topics map[string]*topic
	names  int // topics and channels that it has registered
	gone   bool
}

// topic is a topic that is known, with its channels.
type topic struct {
	name      string
	producers []registration // in the order in which they registered
	channels  map[string]*channel
}

// registration is a producer of a topic.
type registration struct {
	p          *Producer
	tombstoned time.Time // zero: never
}

// channel is a channel that is known.
type channel struct {
	producers []*Producer // in the order in which they registered
}

// New makes an empty registry.
func New(o Options) *Registry { return &Registry{o: o, topics: map[string]*topic{}} }

// Join adds a producer.
func (r *Registry) Join(i Info, now time.Time) *Producer {
	p := &Producer{Info: i, seen: now, weight: i.weight(), topics: map[string]*topic{}}
	r.producers = append(r.producers, p)
	return p
}

// Seen notes that a producer was heard of.
func (r *Registry) Seen(p *Producer, now time.Time) { p.seen = now }

// Leave removes a producer from everything. Its topics and channels stay known.
func (r *Registry) Leave(p *Producer) {
	if p.gone {
		return
	}
	p.gone = true
	r.producers = slices.DeleteFunc(r.producers, func(o *Producer) bool { return o == p })
	for _, t := range p.topics { // the order makes no difference
		t.remove(p)
		for _, c := range t.channels {
			c.remove(p)
		}
	}
	r.note(p, -p.names)
	p.topics = nil
}

// Register notes that a producer has a topic, and a channel of it unless that
// is empty. Both are known from then on. It returns ErrFull at a limit.
func (r *Registry) Register(p *Producer, topicName, channelName string) error {
	if p.gone {
		return nil
	}
	t := r.topics[topicName]
	var c *channel
	if t != nil {
		c = t.channels[channelName]
	}
	more := 0
	if t == nil || p.topics[topicName] == nil {
		more++
	}
	if channelName != "" && (c == nil || !slices.Contains(c.producers, p)) {
		more++
	}
	if p.names+more > r.o.MaxNames {
		return ErrFull
	}
	t, c, err := r.create(topicName, channelName)
	if err != nil {
		return err
	}
	if p.topics[topicName] == nil {
		p.topics[topicName] = t
		t.producers = append(t.producers, registration{p: p})
	}
	if c != nil && !slices.Contains(c.producers, p) {
		c.producers = append(c.producers, p)
	}
	r.note(p, more)
	return nil
}

// Unregister takes a registration of a producer back: that of a channel, or,
// when channelName is empty, that of a topic and of all its channels. What is
// ephemeral is forgotten with its last producer. Unknown names are no error.
func (r *Registry) Unregister(p *Producer, topicName, channelName string) {
	t := r.topics[topicName]
	if t == nil || p.gone {
		return
	}
	if channelName != "" {
		c := t.channels[channelName]
		if c == nil {
			return
		}
		if c.remove(p) {
			r.note(p, -1)
		}
		if len(c.producers) == 0 && ephemeral(channelName) {
			r.forgetChannel(t, channelName)
		}
		return
	}
	for _, c := range t.channels { // the order makes no difference
		if c.remove(p) {
			r.note(p, -1)
		}
	}
	if t.remove(p) {
		delete(p.topics, topicName)
		r.note(p, -1)
	}
	if len(t.producers) == 0 && ephemeral(topicName) {
		r.DeleteTopic(topicName)
	}
}

// note counts n names more of a producer.
func (r *Registry) note(p *Producer, n int) {
	p.names += n
	r.names += n
}

// Size is how many topics and channels are known, and how many times one of
// them is registered by a producer.
func (r *Registry) Size() (known, registered int) { return len(r.topics) + r.channels, r.names }

// Create makes a topic known, and a channel of it unless that is empty, without
// a producer. It returns ErrFull at the limit.
func (r *Registry) Create(topicName, channelName string) error {
	_, _, err := r.create(topicName, channelName)
	return err
}

func (r *Registry) create(topicName, channelName string) (*topic, *channel, error) {
	t := r.topics[topicName]
	more := 0
	if t == nil {
		more++
	}
	if channelName != "" && (t == nil || t.channels[channelName] == nil) {
		more++
	}
	if more > 0 && len(r.topics)+r.channels+more > r.o.MaxTotal {
		return nil, nil, ErrFull
	}
	if t == nil {
		t = &topic{name: topicName, channels: map[string]*channel{}}
		r.topics[topicName] = t
	}
	if channelName == "" {
		return t, nil, nil
	}
	c := t.channels[channelName]
	if c == nil {
		c = &channel{}
		t.channels[channelName] = c
		r.channels++
	}
	return t, c, nil
}

// DeleteTopic forgets a topic and its channels. Producers that are connected
// register it again only when something changes there.
func (r *Registry) DeleteTopic(name string) {
	t := r.topics[name]
	if t == nil {
		return
	}
	for channelName := range t.channels { // the order makes no difference
		r.forgetChannel(t, channelName)
	}
	for _, g := range t.producers {
		delete(g.p.topics, name)
		r.note(g.p, -1)
	}
	delete(r.topics, name)
}

// DeleteChannel forgets a channel and reports whether it was known.
func (r *Registry) DeleteChannel(topicName, channelName string) bool {
	t := r.topics[topicName]
	if t == nil || t.channels[channelName] == nil {
		return false
	}
	r.forgetChannel(t, channelName)
	return true
}

func (r *Registry) forgetChannel(t *topic, name string) {
	for _, p := range t.channels[name].producers {
		r.note(p, -1)
	}
	delete(t.channels, name)
	r.channels--
}

// Tombstone hides the producers of a topic whose Info.Node is node.
func (r *Registry) Tombstone(topicName, node string, now time.Time) {
	t := r.topics[topicName]
	if t == nil {
		return
	}
	for i := range t.producers {
		if t.producers[i].p.Info.Node() == node {
			t.producers[i].tombstoned = now
		}
	}
}

func (t *topic) remove(p *Producer) bool {
	for i := range t.producers {
		if t.producers[i].p == p { // there is one of a producer at most
			t.producers = slices.Delete(t.producers, i, i+1)
			return true
		}
	}
	return false
}

func (c *channel) remove(p *Producer) bool {
	n := len(c.producers)
	c.producers = slices.DeleteFunc(c.producers, func(o *Producer) bool { return o == p })
	return len(c.producers) < n
}

func ephemeral(name string) bool { return strings.HasSuffix(name, "#ephemeral") }
