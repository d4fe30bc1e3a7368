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

	"github.com/nsqloop/nsqloop/loop"
)

// metadataFile lists topics and channels in the data path, as nsqd does, for
// tools that read it there. The server does not: what it knows is in the
// journals.
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
}

// metadataWriter keeps the file like the server's state, a little later.
type metadataWriter struct {
	s       *Server
	timer   loop.Timer
	waiting bool   // timer runs
	version uint64 // of the state
	failed  bool

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
				mt.Channels = append(mt.Channels, metadataChannel{ch.name, ch.cur.Paused()})
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
		LiteVersion *string `json:"lite_version"`
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
