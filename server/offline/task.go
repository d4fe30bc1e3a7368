package offline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/nsqloop/nsqloop/server/datapath"
	"github.com/nsqloop/nsqloop/server/journal"
)

// ErrLocked is wrapped by the errors of all functions when a server has the
// data path.
var ErrLocked = datapath.ErrLocked

// Progress is told how far a task is, in bytes that were read; nil is for nobody.
// It is called often, on the caller's goroutine.
type Progress func(done, total int64)

// task is one run over a data path.
type task struct {
	ctx      context.Context
	progress Progress
	done     int64
	total    int64
}

// went notes that bytes were read, and ends the task with its context.
func (t *task) went(bytes int64) error {
	t.done += bytes
	if t.progress != nil {
		t.progress(t.done, t.total)
	}
	return t.ctx.Err()
}

// path is a data path that a task holds.
type path struct {
	dir    string
	topics []string // in the order of their directories
	roster *datapath.Roster
	list   *datapath.List
	lost   []string // topics that the roster has lost
	notes  []string
	lock   *os.File
}

// openPath takes the lock of a data path and lists its topics.
func openPath(dir string) (*path, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("open data path: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("open data path: %s is not a directory", dir)
	}
	p := &path{dir: dir}
	if p.lock, err = datapath.Lock(dir); err != nil {
		return nil, err
	}
	if err := p.read(); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// read lists the topics.
func (p *path) read() error {
	if err := datapath.RefuseForeign(p.dir); err != nil {
		return err
	}
	var err error
	if p.roster, err = datapath.OpenRoster(datapath.OSDisk(p.dir, journal.OSDir), datapath.RosterOptions{}); err != nil {
		return err
	}
	dirs, err := p.roster.List()
	if err != nil {
		return fmt.Errorf("read data path: %w", err)
	}
	var strange []string
	p.topics, strange = datapath.Topics(dirs)
	for _, dir := range strange {
		p.notes = append(p.notes, fmt.Sprintf("directory %s is no topic's", dir))
	}
	list, file, err := datapath.ReadList(p.dir)
	switch {
	case os.IsNotExist(err):
	case err != nil:
		p.notes = append(p.notes, fmt.Sprintf("%s is damaged; nothing depends on it", filepath.Base(file)))
	case list.LiteVersion == nil:
		p.notes = append(p.notes, fmt.Sprintf("%s is nsqd's", filepath.Base(file)))
	default:
		p.list = list
	}
	if p.roster.Damaged() {
		p.findLost()
	}
	return nil
}

// findLost notes what was lost with a damaged roster. A start makes it again
// from the list of topics.
func (p *path) findLost() {
	p.notes = append(p.notes, fmt.Sprintf("%s is damaged: topics that never had a message, or some of their channels, are lost", datapath.RosterDir))
	if p.list == nil {
		return
	}
	listed := make(map[string]*datapath.Topic, len(p.list.Topics))
	for i := range p.list.Topics {
		listed[p.list.Topics[i].Name] = &p.list.Topics[i]
	}
	p.lost = p.roster.Missing(listed)
	p.topics = append(p.topics, p.lost...)
}

// doubts reports whether a topic may have had more channels than its journal
// knows.
func (p *path) doubts(rec *journal.Recovery) bool {
	return rec.Doubtful || p.roster.Damaged() && rec.Segments == 0
}

// listed is what the list says of a topic; nil when it says nothing.
func (p *path) listed(topic string) *datapath.Topic {
	if p.list == nil {
		return nil
	}
	for i := range p.list.Topics {
		if p.list.Topics[i].Name == topic {
			return &p.list.Topics[i]
		}
	}
	return nil
}

func (p *path) topic(name string) string { return filepath.Join(p.dir, datapath.DirName(name)) }

// fs is the directory of a topic, with what the roster has of it.
func (p *path) fs(name string) journal.FS { return p.roster.Dir(datapath.DirName(name)) }

// overlay is the same, to be read and not changed.
func (p *path) overlay(name string) (*overlay, error) {
	small, err := p.roster.Small(datapath.DirName(name))
	if err != nil {
		return nil, err
	}
	return newOverlay(p.topic(name), small)
}

// bytes is the size of the segments of some topics.
func (p *path) bytes(topics []string) (n int64) {
	for _, topic := range topics {
		entries, err := os.ReadDir(p.topic(topic))
		if err != nil {
			continue // whoever opens it says so
		}
		for _, e := range entries {
			if info, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), ".log") {
				n += info.Size()
			}
		}
	}
	return n
}

// close gives the data path back.
func (p *path) close() error {
	var err error
	if p.roster != nil {
		err = p.roster.Close()
	}
	return errors.Join(err, p.lock.Close())
}
