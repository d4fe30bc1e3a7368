package offline

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sort"
	"strings"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/server/datapath"
	"github.com/nsqloop/nsqloop/server/diskqueue"
)

// plan is what nsqd has left: the topics and channels of its list, and those
// that there are queues of.
type plan struct {
	topics []*plannedTopic // sorted by name
	notes  []string
}

// plannedTopic is a topic of nsqd's.
type plannedTopic struct {
	name      string
	paused    bool
	channels  []datapath.Channel
	byChannel map[string]*diskqueue.Queue // "" is the topic's own; for looking up, never ranged over
}

// queues are the topic's queues: its own, and its channels' in their order.
func (p *plannedTopic) queues() []*diskqueue.Queue {
	var all []*diskqueue.Queue
	if q := p.byChannel[""]; q != nil {
		all = append(all, q)
	}
	for _, ch := range p.channels {
		if q := p.byChannel[ch.Name]; q != nil {
			all = append(all, q)
		}
	}
	return all
}

// survey lists what nsqd has left in a directory.
func survey(dir string) (*plan, error) {
	p := new(plan)
	list, file, err := datapath.ReadList(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.note("there is no %s: topics and channels are those of the queue files, and none is paused", datapath.ListFile)
	case err != nil:
		p.note("%v: topics and channels are those of the queue files, and none is paused", err)
	case list.LiteVersion != nil:
		return nil, fmt.Errorf("%s is a data path of nsqd-lite's: it needs no import", dir)
	default:
		p.listed(list)
	}
	queues, err := diskqueue.Find(dir)
	if err != nil {
		return nil, err
	}
	if len(queues) == 0 && list == nil {
		return nil, fmt.Errorf("%s holds nothing of nsqd's: neither %s nor queue files", dir, file)
	}
	for _, q := range queues {
		p.add(q)
	}
	sort.Slice(p.topics, func(i, j int) bool { return p.topics[i].name < p.topics[j].name })
	return p, nil
}

func (p *plan) note(format string, args ...any) {
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

// listed enters what nsqd's list says.
func (p *plan) listed(list *datapath.List) {
	for _, t := range list.Topics {
		if !lasting(t.Name) {
			p.note("topic %q has no valid name", t.Name)
			continue
		}
		top := p.topic(t.Name)
		top.paused = t.Paused
		for _, ch := range t.Channels {
			if !lasting(ch.Name) {
				p.note("channel %q of topic %s has no valid name", ch.Name, t.Name)
				continue
			}
			top.channels = append(top.channels, datapath.Channel{Name: ch.Name, Paused: ch.Paused})
		}
	}
}

// add enters a queue. nsqd would not look at one whose topic or channel is not
// in its list; here what is in it is kept.
func (p *plan) add(q *diskqueue.Queue) {
	if !lasting(q.Topic) || q.Channel != "" && !lasting(q.Channel) {
		p.note("queue %s has no valid name: its %d bytes are not read", q.Name(), q.Unread())
		return
	}
	known := len(p.topics)
	top := p.topic(q.Topic)
	missing := known < len(p.topics)
	if q.Channel != "" && !slices.ContainsFunc(top.channels, func(c datapath.Channel) bool { return c.Name == q.Channel }) {
		missing = true
		top.channels = append(top.channels, datapath.Channel{Name: q.Channel})
	}
	if missing {
		p.note("queue %s is not in nsqd's list; it is taken all the same", q.Name())
	}
	if len(q.Left) > 0 {
		p.note("nsqd had read %s and left it", strings.Join(q.Left, ", "))
	}
	top.byChannel[q.Channel] = q
}

// topic is the topic of a name, made if need be.
func (p *plan) topic(name string) *plannedTopic {
	for _, t := range p.topics {
		if t.name == name {
			return t
		}
	}
	t := &plannedTopic{name: name, byChannel: map[string]*diskqueue.Queue{}}
	p.topics = append(p.topics, t)
	return t
}

// lasting reports whether a name is that of a topic or channel on disk.
func lasting(name string) bool { return wire.ValidName(name) && !wire.Ephemeral(name) }
