package diskqueue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// Queue is the files of one topic's queue, or of one channel's.
type Queue struct {
	Topic   string
	Channel string   // "" when it is the topic's own
	Files   []File   // with something to read, in order
	Bad     []string // files that nsqd has set aside
	Left    []string // files before the read position, which nsqd has read
	Depth   int64    // messages, as nsqd has noted: lower than what is there after a kill

	// Doubtful says that there is no note of how far the queue was read, or
	// that it makes no sense: all there is counts as unread.
	Doubtful bool

	dir, name string
	notes     bool
}

// File is a file of records.
type File struct {
	Name string
	From int64 // read before by nsqd
	Size int64

	number int64
}

// Name is the queue's name: topic, or topic:channel.
func (q *Queue) Name() string {
	if q.Channel == "" {
		return q.Topic
	}
	return q.Topic + ":" + q.Channel
}

// Unread is how many bytes there are to be read.
func (q *Queue) Unread() (n int64) {
	for _, f := range q.Files {
		n += f.Size - f.From
	}
	return n
}

// Holds reports whether there are messages in the queue, or nsqd says that there
// should be.
func (q *Queue) Holds() bool { return q.Unread() > 0 || q.Depth > 0 }

// Find finds the queues in a data path, sorted by name. An absent directory
// has none.
func Find(dir string) ([]*Queue, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	byName := map[string]*Queue{}
	var all []*Queue
	for _, e := range entries {
		name, rest, ok := cutLast(e.Name(), ".diskqueue.")
		if !ok || e.IsDir() {
			continue
		}
		q := byName[name]
		if q == nil {
			q = &Queue{dir: dir, name: name}
			q.Topic, q.Channel, _ = strings.Cut(strings.Replace(name, ";", ":", 1), ":")
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		if q.take(e.Name(), rest, info.Size()) && byName[name] == nil {
			byName[name] = q
			all = append(all, q)
		}
	}
	sort.Slice(all, func(i, j int) bool {
		a, b := all[i], all[j]
		return a.Topic < b.Topic || a.Topic == b.Topic && a.Channel < b.Channel
	})
	for _, q := range all {
		if err := q.position(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// cutLast cuts s at the last sep: a topic's name can hold one, too.
func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i <= 0 {
		return "", "", false
	}
	return s[:i], s[i+len(sep):], true
}

// take enters a file of the queue, by what follows the queue's name. It is false
// for a file that is not nsqd's.
func (q *Queue) take(name, rest string, size int64) bool {
	if rest == "meta.dat" {
		q.notes = true
		return true
	}
	digits, bad := strings.CutSuffix(rest, ".bad")
	digits, ok := strings.CutSuffix(digits, ".dat")
	number, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case !ok || err != nil || number < 0:
		return false
	case bad:
		q.Bad = append(q.Bad, name)
	default:
		q.Files = append(q.Files, File{Name: name, Size: size, number: number})
	}
	return true
}

// position applies what nsqd has noted of the queue. What was written after the
// note, before a kill, is read like the rest.
func (q *Queue) position() error {
	sort.Slice(q.Files, func(i, j int) bool { return q.Files[i].number < q.Files[j].number })
	if !q.notes {
		q.Doubtful = true
		return nil
	}
	b, err := os.ReadFile(filepath.Join(q.dir, q.name+".diskqueue.meta.dat"))
	if err != nil {
		return err
	}
	var number, at, lastNumber, end int64
	if _, err := fmt.Sscanf(string(b), "%d\n%d,%d\n%d,%d\n", &q.Depth, &number, &at, &lastNumber, &end); err != nil || number < 0 || at < 0 {
		q.Doubtful, q.Depth = true, 0
		return nil
	}
	var files []File
	for _, f := range q.Files {
		switch {
		case f.number < number:
			q.Left = append(q.Left, f.Name)
			continue
		case f.number == number:
			f.From = min(at, f.Size)
		}
		if f.From < f.Size {
			files = append(files, f)
		}
	}
	q.Files = files
	return nil
}
