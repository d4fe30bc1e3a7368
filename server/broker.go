package server

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/server/datapath"
	"github.com/nsqloop/nsqloop/server/journal"
)

// topic returns the topic of that name; nil when there is none.
func (s *Server) topic(name string) *topic { return s.byName[name] }

// createTopic returns the topic of that name and makes it first if there is
// none.
func (s *Server) createTopic(name string) (*topic, error) { return s.makeTopic(name, nil) }

// makeTopic is createTopic for somebody who may make only so many.
func (s *Server) makeTopic(name string, from *origin) (*topic, error) {
	if t := s.byName[name]; t != nil {
		return t, nil
	}
	if s.closed {
		return nil, ErrClosed
	}
	if !wire.ValidName(name) {
		return nil, fmt.Errorf("create topic %q: %w", name, ErrBadName)
	}
	if err := s.mayMakeTopic(from); err != nil {
		return nil, err
	}
	t, err := s.openTopic(name)
	if err != nil {
		s.noteWrite(err)
		return nil, err
	}
	t.maker = from
	from.count(1, 0)
	if t.onDisk {
		s.noteWrite(nil)
		s.fsync.pathChanged()
		s.turn.schedule()
		s.metadata.changed()
	}
	s.origins.tell(from, s.log, slog.LevelInfo, "topic created", "topic", name)
	s.peers.register(name, "")
	s.peers.precreate(t)
	return t, nil
}

// Publish publishes messages to a topic, which is made if there is none, and
// returns when they are kept: all of them, or with an error none. The bodies
// are copied; none may be empty. It is for programs that have a server inside
// them; it may be called from any goroutine but the loop's, which must have been
// started: else it returns ErrNotStarted.
func (s *Server) Publish(topic string, bodies ...[]byte) error {
	for i, body := range bodies {
		if len(body) == 0 || len(body) > s.o.MaxMsgSize {
			return fmt.Errorf("publish to topic %s: message %d has %d bytes: %w", topic, i, len(body), ErrBadSize)
		}
	}
	told := make(chan error, 1)
	err := s.ask(func() {
		t, err := s.createTopic(topic)
		if err != nil {
			told <- err
			return
		}
		t.publish(bodies, 0, func(err error) { told <- err })
	})
	if err == nil {
		err = <-told
	}
	if err != nil {
		return fmt.Errorf("publish to topic %s: %w", topic, err)
	}
	return nil
}

// openTopic opens the journal of a topic that is not there yet, makes the topic
// and its channels, and enters it.
func (s *Server) openTopic(name string) (*topic, error) {
	if err := s.removeRemains(name); err != nil {
		return nil, fmt.Errorf("create topic %s: remove what is left of the one that was deleted: %w", name, err)
	}
	t := s.newTopic(name)
	fs := journal.Memory()
	if s.path != nil && !t.ephemeral {
		dir, err := s.path.create(name)
		if err != nil {
			return nil, fmt.Errorf("create topic %s: %w", name, err)
		}
		fs, t.onDisk = dir, true
	}
	if err := t.open(fs, s.serial+1); err != nil {
		return nil, err
	}
	s.enter(t)
	return t, nil
}

// newTopic makes a topic without a journal.
func (s *Server) newTopic(name string) *topic {
	return &topic{s: s, name: name, ephemeral: wire.Ephemeral(name), log: s.log.With("topic", name)}
}

// open opens the topic's journal. serial is the topic's if the journal is a new
// one. It touches nothing but t.
func (t *topic) open(fs journal.FS, serial uint64) error {
	o := &t.s.o
	segment := o.MaxBytesPerFile
	if !t.onDisk {
		segment = 0 // small ones: what was read is memory to be given back
	}
	var age, bytes int64
	var later func(work func())
	if t.onDisk {
		age, bytes = int64(o.RetainAge), o.RetainBytes
		later = t.later
	}
	j, found, err := journal.Open(journal.Options{
		FS:           fs,
		FirstSeq:     serial << datapath.SequenceBits,
		SegmentBytes: segment,
		RetainAge:    age,
		RetainBytes:  bytes,
		Volatile:     !t.onDisk,
		NeverSync:    !t.onDisk || o.Sync == SyncNever,
		MaxBody:      max(datapath.MaxBody, o.MaxMsgSize),
		Blocks:       &t.s.blocks,
		Later:        later,
		Log: func(level slog.Level, msg string, args ...any) {
			t.log.Log(context.Background(), level, msg, args...)
		},
	})
	if err != nil {
		return fmt.Errorf("open journal of topic %s: %w", t.name, err)
	}
	if found.Torn > 0 || found.Corrupt > 0 {
		t.log.Warn("journal was damaged", "tornBytes", found.Torn, "corruptRecords", found.Corrupt)
	}
	t.j, t.doubtful = j, found.Doubtful
	return nil
}

// later has work of the journal done that waits for the disk, and the journal go on
// when it is done.
func (t *topic) later(work func()) {
	t.s.l.Go(func() (then func()) {
		work()
		return func() {
			if !t.deleted && !t.s.closed && t.j.Dirty() {
				t.touch()
			}
		}
	})
}

// enter makes the channels of a topic whose journal is open, and puts it in its
// place.
func (s *Server) enter(t *topic) {
	s.serial = max(s.serial, t.j.NextSeq()>>datapath.SequenceBits)
	for _, cur := range t.j.Cursors() {
		t.enter(newChannel(t, cur))
	}
	i, _ := s.search(t.name)
	s.topics = insert(s.topics, i, t)
	s.byName[t.name] = t
	s.budget.add(topicCost)
	t.weigh()
}

// recoverTopics opens every topic that the data path holds, while the list of
// topics is read.
func (s *Server) recoverTopics() error {
	var topics []*topic
	var err error
	sideBySide(2, func(i int) {
		if i == 0 {
			s.checkMetadata()
		} else {
			topics, err = s.openTopics()
		}
	})
	if err == nil {
		err = s.enterTopics(topics)
	}
	if err == nil {
		err = s.restoreTopics()
	}
	if len(topics) > 0 && err == nil {
		s.fsync.pathChanged() // an earlier process may have died before it forced that to the disk
		s.log.Info("topics recovered", "topics", len(topics))
	}
	s.metadata.listed = nil
	return err
}

// openTopics opens the journals that the data path holds, several at a time.
// After an error those that were opened are closed.
func (s *Server) openTopics() ([]*topic, error) {
	if err := s.path.read(&s.o); err != nil {
		return nil, err
	}
	names, strange, err := s.path.topics()
	if err != nil {
		return nil, err
	}
	for _, dir := range strange {
		s.log.Warn("directory in the data path is no topic's: left alone", "dir", dir)
	}
	topics, errs := make([]*topic, len(names)), make([]error, len(names))
	sideBySide(len(names), func(i int) {
		topics[i] = s.newTopic(names[i])
		topics[i].onDisk = true
		errs[i] = topics[i].open(s.path.topic(names[i]), 0)
	})
	for i := range errs {
		if err == nil {
			err = errs[i]
		}
	}
	if err != nil {
		for i, t := range topics {
			if errs[i] == nil {
				t.j.Close()
			}
		}
	}
	return topics, err
}

// enterTopics puts the topics in their places. One to which nothing was ever
// published may have no serial number in its files; those are numbered when the
// numbers of all others are known.
func (s *Server) enterTopics(topics []*topic) error {
	numbered := func(t *topic) bool { return t.j.NextSeq()>>datapath.SequenceBits > 0 }
	for _, t := range topics {
		if numbered(t) {
			s.enterFound(t)
		}
	}
	for _, t := range topics {
		if numbered(t) {
			continue
		}
		if err := t.open(s.path.topic(t.name), s.serial+1); err != nil {
			return err
		}
		s.enterFound(t)
	}
	return nil
}

// enterFound enters a topic with what the list knows of it and its journal does
// not.
func (s *Server) enterFound(t *topic) {
	t.doubtful = t.doubtful || s.path.doubts(t)
	t.rebuild(s.metadata.listed[t.name])
	t.j.Idle() // until it is used
	s.enter(t)
}

// restoreTopics makes the topics that a damaged roster has lost and the list of
// topics knows.
func (s *Server) restoreTopics() error {
	for _, name := range s.path.lost(s.metadata.listed) {
		t, err := s.openTopic(name)
		if err != nil {
			return err
		}
		t.doubtful = true
		t.rebuild(s.metadata.listed[name])
		for _, cur := range t.j.Cursors() {
			t.enter(newChannel(t, cur))
		}
		if err := t.j.WriteEvents(); err != nil {
			return fmt.Errorf("write journal of topic %s: %w", name, err)
		}
		s.fsync.cover(t, true)
		t.log.Error("the topic was lost: it is made again from the list of topics")
	}
	return nil
}

// deleteTopic closes the subscribers of all its channels, drops its messages
// and removes its files. Publishers whose messages are not stored yet are told
// so; a later publish makes the topic again. With an error it is gone too, but
// files of it are left: see remains.
func (s *Server) deleteTopic(t *topic) error {
	if t.deleted {
		return nil
	}
	i, _ := s.search(t.name)
	s.topics = slices.Delete(s.topics, i, i+1)
	delete(s.byName, t.name)
	t.deleted = true
	s.larges.drop(t)
	s.peers.unregister(t.name, "")
	for _, ch := range t.channels {
		s.peers.unregister(t.name, ch.name)
		ch.drop()
		ch.forget()
	}
	t.channels = nil
	t.maker.count(-1, 0)
	s.budget.add(-topicCost - t.held)
	t.forgetMarks()
	s.taps.endOf(t)
	s.turn.fail(t, 0, t.generation+1, errGone)
	s.origins.tell(t.maker, s.log, slog.LevelInfo, "topic deleted", "topic", t.name)
	s.metadata.changed()
	s.remains = append(s.remains, t)
	if err := s.removeRemains(t.name); err != nil {
		return fmt.Errorf("delete topic %s: it is gone, but not all of its files, which are removed when it is made again or the server stops: %w", t.name, err)
	}
	return nil
}

// removeRemains removes the files of the topic of that name that was deleted, if
// there are any. The next topic of that name must not find them: it would have
// messages and a pause that were deleted.
func (s *Server) removeRemains(name string) error {
	i := slices.IndexFunc(s.remains, func(t *topic) bool { return t.name == name })
	if i < 0 {
		return nil
	}
	t := s.remains[i]
	if err := t.j.Remove(); err != nil {
		return err
	}
	s.remains = slices.Delete(s.remains, i, i+1)
	if t.onDisk {
		s.fsync.pathChanged()
		s.turn.schedule()
	}
	return nil
}
