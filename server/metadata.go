package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/server/datapath"
	"github.com/nsqloop/nsqloop/server/journal"
)

// metadataDelay is how long changes are gathered before the list of topics for
// other tools is written. The server has it all in its journals, and reads the
// list only when one of those is damaged, see rebuild, or when nsqd has
// written it, see adopt.
const metadataDelay = 50 * time.Millisecond

// metadataEach is how many topics make that delay longer by its length once
// more: a long list takes time to write, and should not be written all the time
// while ten thousand topics are made.
const metadataEach = 500

// metadataWriter keeps the file like the server's state, a little later.
type metadataWriter struct {
	s           *Server
	timer       loop.Timer
	waiting     bool   // timer runs
	version     uint64 // of the state
	failed      bool
	listed      map[string]*datapath.Topic // what the file said, until the topics are recovered
	foreign     []datapath.Topic           // what nsqd has left there
	foreignPath string                     // where

	// mu makes writing one thing at a time: off the loop, and at the end on
	// it. It guards written, the version in the file.
	mu      sync.Mutex
	written uint64
}

// changed has the file written soon.
func (m *metadataWriter) changed() {
	if m.s.path == nil || m.s.path.dir == "" || m.s.closed {
		return
	}
	m.version++
	switch {
	case m.waiting:
		return
	case m.timer == nil:
		m.timer = m.s.l.After(m.delay(), m.write)
	default:
		m.timer.Reset(m.delay())
	}
	m.waiting = true
}

// delay is how long changes are gathered.
func (m *metadataWriter) delay() time.Duration {
	return metadataDelay * time.Duration(1+len(m.s.topics)/metadataEach)
}

// write writes the file, off the loop.
func (m *metadataWriter) write() {
	m.waiting = false
	state, version := m.s.metadataState(), m.version
	m.s.l.Go(func() (then func()) {
		err := m.save(state, version)
		return func() { m.note(err) }
	})
}

// finish writes the file as the server leaves it.
func (m *metadataWriter) finish() {
	if m.timer != nil {
		m.timer.Stop()
	}
	if m.s.path != nil && m.s.path.dir != "" {
		m.version++
		m.note(m.save(m.s.metadataState(), m.version))
	}
}

// save writes a version of the state unless a newer one is there.
func (m *metadataWriter) save(state *datapath.List, version uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if version <= m.written {
		return nil
	}
	if err := datapath.WriteList(m.s.path.dir, state); err != nil {
		return fmt.Errorf("write metadata: %w", err)
	}
	m.written = version
	return nil
}

// note says when the file cannot be written any more. Nothing depends on it.
func (m *metadataWriter) note(err error) {
	if err != nil && !m.failed {
		m.s.log.Warn("list of topics for other tools cannot be written", "file", datapath.ListFile, "err", err)
	}
	m.failed = err != nil
}

// metadataState is what there is to be written.
func (s *Server) metadataState() *datapath.List {
	m := &datapath.List{Version: Version, LiteVersion: &s.o.LiteVersion}
	for _, t := range s.topics {
		if t.ephemeral {
			continue
		}
		mt := datapath.Topic{Name: t.name, Paused: t.paused()}
		for _, ch := range t.channels {
			if !ch.ephemeral {
				mt.Channels = append(mt.Channels, datapath.Channel{Name: ch.name, Paused: ch.cur.Paused(), Number: ch.cur.Number()})
			}
		}
		m.Topics = append(m.Topics, mt)
	}
	return m
}

// checkMetadata looks at the list that is there, before it is overwritten. One
// that nsqd wrote is kept under another name.
func (s *Server) checkMetadata() {
	if s.path.dir == "" {
		return
	}
	list, path, err := datapath.ReadList(s.path.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return
	case err != nil:
		s.log.Warn("list of topics is damaged: it is written again from the journals", "file", path, "err", err)
		return
	case list.LiteVersion == nil:
		s.metadata.foreign, s.metadata.foreignPath = list.Topics, path
		return
	}
	s.metadata.listed = make(map[string]*datapath.Topic, len(list.Topics))
	for i := range list.Topics {
		s.metadata.listed[list.Topics[i].Name] = &list.Topics[i]
	}
}

// adopt makes the topics and channels that nsqd has left, which has left no
// messages in them, or the server would not have started. It runs before there
// are clients.
func (s *Server) adopt() error {
	path := s.metadata.foreignPath
	if path == "" {
		return nil
	}
	for _, topic := range s.metadata.foreign {
		if !wire.ValidName(topic.Name) || wire.Ephemeral(topic.Name) {
			s.log.Warn("topic of nsqd's is not made: its name is not valid", "topic", topic.Name)
			continue
		}
		t := s.byName[topic.Name]
		if t == nil {
			var err error
			if t, err = s.openTopic(topic.Name); err != nil {
				return err
			}
		}
		for _, ch := range topic.Channels {
			if !wire.ValidName(ch.Name) || wire.Ephemeral(ch.Name) {
				s.log.Warn("channel of nsqd's is not made: its name is not valid", "topic", topic.Name, "channel", ch.Name)
				continue
			}
			if t.channel(ch.Name) == nil {
				cur := t.j.CreateCursor(ch.Name, journal.CursorOptions{})
				cur.SetPaused(ch.Paused)
				t.enter(newChannel(t, cur))
			}
		}
		if topic.Paused {
			t.j.Hold(true)
		}
		if err := t.j.WriteEvents(); err != nil {
			return fmt.Errorf("write journal of topic %s: %w", topic.Name, err)
		}
		s.fsync.cover(t, true)
	}
	aside := path + ".nsqd"
	s.log.Warn("list of topics was nsqd's: its topics and channels have been made here", "file", path, "topics", len(s.metadata.foreign), "keptAs", aside, "err", os.Rename(path, aside))
	s.metadata.foreign = nil
	return nil
}

// rebuild makes the channels that a damaged journal does not know any more and
// the list for other tools does. It touches nothing but t.
func (t *topic) rebuild(listed *datapath.Topic) {
	for _, cur := range datapath.Rebuild(t.j, t.doubtful, listed) {
		t.log.Error("the journal has lost a channel: it is made again from the list of topics, and given all that is on disk",
			"channel", cur.Name(), "depth", cur.Depth())
	}
}
