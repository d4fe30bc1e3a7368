package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/server/journal"
)

// metadataFile lists topics and channels in the data path, as nsqd does, for
// tools that read it there. The server has it all in its journals, and reads
// the file only when one of those is damaged: see rebuild.
const metadataFile = "nsqd.dat"

// metadataDelay is how long changes are gathered before the file is written.
const metadataDelay = 50 * time.Millisecond

// metadata is the content of the file.
type metadata struct {
	Topics      []metadataTopic `json:"topics"` // null when there are none
	Version     string          `json:"version"`
	LiteVersion string          `json:"lite_version"` // nsqd does not look at it
}

type metadataTopic struct {
	Name     string            `json:"name"`
	Paused   bool              `json:"paused"`
	Channels []metadataChannel `json:"channels"` // null when there are none
}

type metadataChannel struct {
	Name   string `json:"name"`
	Paused bool   `json:"paused"`
	Number uint32 `json:"lite_number,omitempty"` // its cursor's; nsqd does not look at it
}

// metadataWriter keeps the file like the server's state, a little later.
type metadataWriter struct {
	s       *Server
	timer   loop.Timer
	waiting bool   // timer runs
	version uint64 // of the state
	failed  bool
	listed  map[string]*metadataTopic // what the file said at the start

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
		m.timer = m.s.l.After(metadataDelay, m.write)
	default:
		m.timer.Reset(metadataDelay)
	}
	m.waiting = true
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
func (m *metadataWriter) save(state *metadata, version uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if version <= m.written {
		return nil
	}
	data, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("encode metadata: %w", err)
	}
	if err := replaceFile(filepath.Join(m.s.path.dir, metadataFile), data); err != nil {
		return fmt.Errorf("write metadata: %w", err)
	}
	m.written = version
	return nil
}

// note says when the file cannot be written any more. Nothing depends on it.
func (m *metadataWriter) note(err error) {
	if err != nil && !m.failed {
		m.s.log.Warn("list of topics for other tools cannot be written", "file", metadataFile, "err", err)
	}
	m.failed = err != nil
}

// metadataState is what there is to be written.
func (s *Server) metadataState() *metadata {
	m := &metadata{Version: Version, LiteVersion: s.o.LiteVersion}
	for _, t := range s.topics {
		if t.ephemeral {
			continue
		}
		mt := metadataTopic{Name: t.name, Paused: t.paused()}
		for _, ch := range t.channels {
			if !ch.ephemeral {
				mt.Channels = append(mt.Channels, metadataChannel{ch.name, ch.cur.Paused(), ch.cur.Number()})
			}
		}
		m.Topics = append(m.Topics, mt)
	}
	return m
}

// checkMetadata looks at the file that is there, before it is overwritten. One
// that another program wrote is kept under another name.
func (s *Server) checkMetadata() {
	path := filepath.Join(s.path.dir, metadataFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var found struct {
		Topics      []metadataTopic `json:"topics"`
		LiteVersion *string         `json:"lite_version"`
	}
	if err == nil {
		err = json.Unmarshal(data, &found)
	}
	if err != nil {
		s.log.Warn("list of topics is damaged: it is written again from the journals", "file", path, "err", err)
		return
	}
	if found.LiteVersion == nil {
		aside := path + ".nsqd"
		s.log.Warn("list of topics is another program's: its topics are not here", "file", path, "keptAs", aside, "err", os.Rename(path, aside))
		return
	}
	s.metadata.listed = make(map[string]*metadataTopic, len(found.Topics))
	for i := range found.Topics {
		s.metadata.listed[found.Topics[i].Name] = &found.Topics[i]
	}
}

// rebuild makes the channels that a damaged journal does not know any more and
// the list for other tools does. The list can be a little older than the
// journal: a channel that the journal has known and does not have was deleted,
// unless the journal is doubtful. What a channel that is made again had read
// and finished is not known, so it is given all that is on disk once more. It
// touches nothing but t.
func (t *topic) rebuild(listed *metadataTopic) {
	if listed == nil {
		return
	}
	last := t.j.LastCursor()
	known := map[string]bool{}
	for _, cur := range t.j.Cursors() {
		known[cur.Name()] = true
	}
	for _, ch := range listed.Channels {
		if known[ch.Name] || ch.Number <= last && !t.doubtful || !wire.ValidName(ch.Name) || wire.Ephemeral(ch.Name) {
			continue
		}
		cur := t.j.CreateCursor(ch.Name, journal.CursorOptions{})
		cur.Rewind(t.j.Start(), func(uint64, uint32) {}) // nothing of it is in flight
		cur.SetPaused(ch.Paused)
		t.log.Error("the journal has lost a channel: it is made again from the list of topics, and given all that is on disk",
			"channel", ch.Name, "depth", cur.Depth())
	}
	if listed.Paused && t.doubtful && len(known) == 0 {
		t.j.Hold(true)
	}
}

// replaceFile writes a file so that at any moment there is the old one or the
// new one.
func replaceFile(path string, data []byte) error {
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the first error says what is wrong
	}
	return err
}
