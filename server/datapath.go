package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/nsqloop/nsqloop/server/datapath"
	"github.com/nsqloop/nsqloop/server/journal"
)

// dataPath is a data path that this process holds.
type dataPath struct {
	disk   journal.Disk
	roster *datapath.Roster // of the disk
	dir    string           // "" when the disk is not the operating system's
	lock   *os.File         // nil then
}

// openDataPath locks dir, which must exist, and refuses it when it holds the
// messages of another program.
func openDataPath(dir string, open func(dir string) journal.FS) (*dataPath, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("open data path: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("open data path: %s is not a directory", dir)
	}
	lock, err := datapath.Lock(dir)
	if err != nil {
		return nil, err
	}
	d := &dataPath{disk: datapath.OSDisk(dir, open), dir: dir, lock: lock}
	if err := datapath.RefuseForeign(dir); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// read finds out which topics there are.
func (d *dataPath) read(o *Options) (err error) {
	d.roster, err = datapath.OpenRoster(d.disk, datapath.RosterOptions{
		NeverSync: o.Sync == SyncNever,
		Log: func(level slog.Level, msg string, args ...any) {
			o.Logger.Log(context.Background(), level, msg, args...)
		},
	})
	return err
}

// close gives the data path back.
func (d *dataPath) close() error {
	if d == nil {
		return nil
	}
	var err error
	if d.roster != nil {
		err = d.roster.Close()
	}
	return errors.Join(err, d.unlock())
}

// unlock lets another process have the data path.
func (d *dataPath) unlock() error {
	if d == nil || d.lock == nil {
		return nil
	}
	return d.lock.Close()
}

// topics returns the names of the topics that are there, in the order of their
// directories, and the directories that look like one but name none.
func (d *dataPath) topics() (names, strange []string, err error) {
	dirs, err := d.roster.List()
	if err != nil {
		return nil, nil, fmt.Errorf("read data path: %w", err)
	}
	names, strange = datapath.Topics(dirs)
	return names, strange, nil
}

// doubts reports whether a topic that was found may have had more channels: it
// has never had a message, and stands where something was damaged.
func (d *dataPath) doubts(t *topic) bool { return d.roster.Damaged() && t.j.Segments() == 0 }

// lost returns the topics of a list that are not there because the roster was
// damaged, in the order of their names.
func (d *dataPath) lost(listed map[string]*datapath.Topic) []string {
	if !d.roster.Damaged() {
		return nil
	}
	return d.roster.Missing(listed)
}

// topic is the directory of a topic, which may not be there yet.
func (d *dataPath) topic(name string) journal.FS { return d.roster.Dir(datapath.DirName(name)) }

// create makes the directory of a topic, if it is not there, and returns it.
func (d *dataPath) create(topic string) (journal.FS, error) {
	if err := d.roster.Make(datapath.DirName(topic)); err != nil {
		return nil, err
	}
	return d.topic(topic), nil
}

// sync makes the list of topics safe from a power loss. It may be called from
// any goroutine.
func (d *dataPath) sync() error { return d.roster.Sync() }
