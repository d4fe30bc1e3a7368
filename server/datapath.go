package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/server/journal"
)

// The data path holds one directory per topic, and in it the topic's journal.
// Nothing else is needed to start again: the list of topics is the list of
// directories, and channels and pauses are in the journals.
//
//	<data path>/nsqd.dat             that list once more, for other tools
//	<data path>/topic+orders/        the topic "orders"
//	<data path>/topic++web+clicks/   the topic "WebClicks", see dirName

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
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	d := &dataPath{disk: osDisk{dir, open}, dir: dir, lock: lock}
	if err := d.refuseForeign(); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// refuseForeign returns an error when nsqd has left messages in the data path:
// starting beside them would hide them.
func (d *dataPath) refuseForeign() error {
	found, err := filepath.Glob(filepath.Join(globEscape(d.dir), "*.diskqueue.*"))
	if err != nil {
		return fmt.Errorf("open data path: %w", err)
	}
	for _, path := range found {
		if strings.HasSuffix(path, ".dat") {
			return fmt.Errorf("%w: %s holds %s and %d more; they cannot be read yet: let nsqd deliver them, or choose an empty directory",
				ErrForeignData, d.dir, filepath.Base(path), len(found)-1)
		}
	}
	return nil
}

// globEscape returns a pattern that matches path alone.
func globEscape(path string) string {
	if os.PathSeparator == '\\' {
		return path // there the backslash does not escape, and the others are rare
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
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
	for _, dir := range dirs {
		if !strings.HasPrefix(dir, dirPrefix) {
			continue
		}
		if name, ok := topicName(dir); ok {
			names = append(names, name)
		} else {
			strange = append(strange, dir)
		}
	}
	return names, strange, nil
}

// topic is the directory of a topic, which may not be there yet.
func (d *dataPath) topic(name string) journal.FS { return d.disk.Dir(dirName(name)) }

// create makes the directory of a topic, if it is not there, and returns it.
func (d *dataPath) create(topic string) (journal.FS, error) {
	if err := d.disk.Make(dirName(topic)); err != nil {
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

// Names of directories must differ on file systems that do not tell upper case
// from lower, must not be a device's name on Windows ("con", "aux.x"), and must
// not end in a dot there. '+' is in no topic's name, so it can escape.
const (
	dirPrefix = "topic+"
	escape    = '+' // +x: the letter X. +-: a dot at the end
)

// dirName is the name of a topic's directory. Different topics have different
// ones, whatever the file system thinks of case.
func dirName(topic string) string {
	b := []byte(dirPrefix)
	for i := range len(topic) {
		switch ch := topic[i]; {
		case 'A' <= ch && ch <= 'Z':
			b = append(b, escape, ch-'A'+'a')
		case ch == '.' && i == len(topic)-1:
			b = append(b, escape, '-')
		default:
			b = append(b, ch)
		}
	}
	return string(b)
}

// topicName is the topic whose directory has the name dir; ok is false when
// there is no such topic.
func topicName(dir string) (topic string, ok bool) {
	rest, ok := strings.CutPrefix(dir, dirPrefix)
	if !ok {
		return "", false
	}
	var b []byte
	for i := 0; i < len(rest); i++ {
		ch := rest[i]
		if ch == escape {
			i++
			switch {
			case i < len(rest) && 'a' <= rest[i] && rest[i] <= 'z':
				ch = rest[i] - 'a' + 'A'
			case i < len(rest) && rest[i] == '-':
				ch = '.'
			default:
				return "", false
			}
		}
		b = append(b, ch)
	}
	topic = string(b)
	return topic, wire.ValidName(topic) && !wire.Ephemeral(topic) && dirName(topic) == dir
}
