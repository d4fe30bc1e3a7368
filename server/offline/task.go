package offline

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/nsqloop/nsqloop/server/datapath"
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
	list   *datapath.List
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
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return fmt.Errorf("read data path: %w", err)
	}
	var dirs, strange []string
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, e.Name())
		}
	}
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
	return nil
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
func (p *path) close() { p.lock.Close() }
