package offline

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/nsqloop/nsqloop/server/datapath"
	"github.com/nsqloop/nsqloop/server/journal"
)

// longestLine bounds a line of an export, in bytes: a body of MaxBody whose
// every byte is escaped does not come from there, one in base64 does.
const longestLine = 2 * datapath.MaxBody

// ImportLines makes a data path of what Export has written, as Import does of
// what nsqd has left. size is how long it is, in bytes, for the progress; 0 if
// that is not known. What stands of one topic must stand together, as it does
// there.
func ImportLines(ctx context.Context, r io.Reader, size int64, from, to string, o ImportOptions) (*Imported, error) {
	im := &importer{task: task{ctx: ctx, progress: o.Progress, total: size}, o: o}
	im.sum = Imported{From: from, DataPath: to, Topics: []ImportedTopic{}, Notes: []string{}}
	err := im.stage(to, func() error { return im.lines(r) })
	return &im.sum, err
}

// lines reads all lines.
func (im *importer) lines(r io.Reader) error {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 64<<10), longestLine)
	for n := 1; in.Scan(); n++ {
		text := in.Bytes()
		if err := im.went(int64(len(text) + 1)); err != nil {
			return err
		}
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		if err := im.line(text); err != nil {
			return fmt.Errorf("import line %d: %w", n, err)
		}
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	if im.j != nil {
		return im.end()
	}
	return nil
}

// line imports one line.
func (im *importer) line(text []byte) error {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return err
	}
	if !lasting(l.Topic) {
		return fmt.Errorf("topic %q has no valid name", l.Topic)
	}
	if l.Channels != nil {
		return im.head(&l)
	}
	if im.j == nil || im.top.Topic != l.Topic {
		return fmt.Errorf("a message of topic %s stands before the line that tells of the topic", l.Topic)
	}
	body := l.body()
	if len(body) == 0 {
		return errors.New("a message has no body")
	}
	if len(l.For) == 0 {
		return im.add(l.Timestamp, l.Due, body)
	}
	if im.top.Messages > 0 {
		return errors.New("a message that channels were given stands behind one that none was")
	}
	shares := make([]journal.Share, 0, len(l.For))
	for _, w := range l.For {
		cur := im.cursors[w.Channel]
		if cur == nil {
			return fmt.Errorf("a message is for channel %s, which the line of its topic does not name", strconv.Quote(w.Channel))
		}
		shares = append(shares, journal.Share{Cursor: cur, Attempts: w.Attempts, Due: w.Due})
	}
	return im.share(l.Timestamp, body, shares...)
}

// head begins the topic of a line.
func (im *importer) head(l *line) error {
	if im.j != nil {
		if err := im.end(); err != nil {
			return err
		}
	}
	channels := make([]datapath.Channel, 0, len(*l.Channels))
	for _, ch := range *l.Channels {
		if !lasting(ch.Name) {
			return fmt.Errorf("channel %q has no valid name", ch.Name)
		}
		channels = append(channels, datapath.Channel{Name: ch.Name, Paused: ch.Paused})
	}
	return im.begin(l.Topic, l.Paused, channels)
}
