package server

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/nsqloop/nsqloop/server/datapath"
	"github.com/nsqloop/nsqloop/server/journal"
)

// dataPath is a data path that this process holds.
type dataPath struct {
	disk journal.Disk
	dir  string   // "" when the disk is not the operating system's
	lock *os.File // nil then
}

// osDisk is a directory of the operating system. open makes the file system of
// one in it.
type osDisk struct {
	dir  string
	open func(dir string) journal.FS
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
	d := &dataPath{disk: osDisk{dir, open}, dir: dir, lock: lock}
	if err := datapath.RefuseForeign(dir); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// close gives the data path back.
func (d *dataPath) close() error {
	if d == nil || d.lock == nil {
		return nil
	}
	return d.lock.Close()
}

// topics returns the names of the topics that are there, in the order of their
// directories, and the directories that look like one but name none.
func (d *dataPath) topics() (names, strange []string, err error) {
	dirs, err := d.disk.List()
	if err != nil {
		return nil, nil, fmt.Errorf("read data path: %w", err)
	}
	names, strange = datapath.Topics(dirs)
	return names, strange, nil
}

// topic is the directory of a topic, which may not be there yet.
func (d *dataPath) topic(name string) journal.FS { return d.disk.Dir(datapath.DirName(name)) }

// create makes the directory of a topic, if it is not there, and returns it.
func (d *dataPath) create(topic string) (journal.FS, error) {
	if err := d.disk.Make(datapath.DirName(topic)); err != nil {
		return nil, err
	}
	return d.topic(topic), nil
}

// sync makes the list of topics safe from a power loss. It may be called from
// any goroutine.
func (d *dataPath) sync() error { return d.disk.Sync() }

func (d osDisk) List() ([]string, error) {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, e.Name())
		}
	}
	return dirs, nil
}

func (d osDisk) Make(name string) error {
	if err := os.Mkdir(filepath.Join(d.dir, name), 0o700); err != nil && !os.IsExist(err) {
		return err
	}
	return nil
}

func (d osDisk) Dir(name string) journal.FS { return d.open(filepath.Join(d.dir, name)) }

func (d osDisk) Sync() error {
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
