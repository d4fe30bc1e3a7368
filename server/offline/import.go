package offline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/nsqloop/nsqloop/server/datapath"
	"github.com/nsqloop/nsqloop/server/diskqueue"
	"github.com/nsqloop/nsqloop/server/journal"
)

// ImportOptions say how to import.
type ImportOptions struct {
	// Bad reads also the files that nsqd has set aside because it could not
	// read them. What it had delivered of them comes again.
	Bad bool

	// Progress is told how far it is; nil is for nobody.
	Progress Progress
}

// Imported is what Import did. Its JSON names stay.
type Imported struct {
	From     string          `json:"from"`
	DataPath string          `json:"data_path"`
	Messages int64           `json:"messages"` // of topics and channels together
	Topics   []ImportedTopic `json:"topics"`
	Notes    []string        `json:"notes"`
	Lost     bool            `json:"lost"` // damage was passed over, other than a last write that was not finished
}

// ImportedTopic is what was imported of a topic.
type ImportedTopic struct {
	Topic    string            `json:"topic"`
	Paused   bool              `json:"paused"`
	Messages int64             `json:"messages"` // given to no channel yet
	Channels []ImportedChannel `json:"channels"`
	Damage   []DamageReport    `json:"damage"` // what could not be read
	Bad      []string          `json:"bad"`    // files that nsqd has set aside
}

// ImportedChannel is what was imported of a channel.
type ImportedChannel struct {
	Channel  string `json:"channel"`
	Paused   bool   `json:"paused"`
	Messages int64  `json:"messages"`
}

// commitEvery is how many bytes of bodies are gathered for one write.
const commitEvery = 1 << 20

// Import makes a data path of what nsqd has left in the directory from, which
// it takes the lock of and does not change. to must be missing or empty; it is
// made in a directory beside it, to.import, which gets its name when everything
// is on the disk. After an error there is nothing of it.
//
// Each channel has the messages that were in its queue, with their attempts; a
// topic has those that no channel was given. Ids are new ones.
func Import(ctx context.Context, from, to string, o ImportOptions) (*Imported, error) {
	lock, err := datapath.Lock(from)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	plan, err := survey(from)
	if err != nil {
		return nil, err
	}
	total := int64(0)
	for _, p := range plan.topics {
		for _, q := range p.queues() {
			total += q.Unread()
		}
	}
	im := &importer{task: task{ctx: ctx, progress: o.Progress, total: total}, o: o}
	im.sum = Imported{From: from, DataPath: to, Topics: []ImportedTopic{}, Notes: append([]string{}, plan.notes...)}
	err = im.stage(to, func() error {
		for _, p := range plan.topics {
			if err := im.nsqdTopic(p); err != nil {
				return fmt.Errorf("import topic %s: %w", p.name, err)
			}
		}
		return nil
	})
	return &im.sum, err
}

// importer fills a data path.
type importer struct {
	task
	o      ImportOptions
	dir    string // that is being filled
	serial uint64
	list   datapath.List
	sum    Imported

	// The topic that is being filled.
	j        *journal.Journal
	top      *ImportedTopic
	cursors  map[string]*journal.Cursor
	counts   map[string]int64
	gathered int // bytes that were not committed
}

// stage lets fill make the data path beside to, and gives it its name.
func (im *importer) stage(to string, fill func() error) (err error) {
	if err := datapath.Empty(to); err != nil {
		return fmt.Errorf("import: %w; name a directory that is not there yet", err)
	}
	im.dir = filepath.Clean(to) + ".import"
	if err := clearStaging(im.dir); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	defer func() {
		if err != nil {
			if im.j != nil {
				_ = im.j.Close()
			}
			_ = os.RemoveAll(im.dir) // the first error says what is wrong
		}
	}()
	marker := filepath.Join(im.dir, datapath.Staging)
	if err := os.MkdirAll(im.dir, 0o700); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	if err := os.WriteFile(marker, nil, 0o600); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	if err := fill(); err != nil {
		return err
	}
	im.list.LiteVersion = new(string)
	if err := datapath.WriteList(im.dir, &im.list); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	if err := os.Remove(marker); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	if err := os.Remove(to); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("import: %w; name a directory that is not there yet", err)
	}
	if err := os.Rename(im.dir, to); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	return syncDirs(to, filepath.Dir(filepath.Clean(to)))
}

// clearStaging removes what an earlier import has left in its directory.
func clearStaging(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, datapath.Staging)); err == nil {
		return os.RemoveAll(dir)
	}
	return datapath.Empty(dir)
}

// syncDirs makes names durable.
func syncDirs(dirs ...string) error {
	for _, dir := range dirs {
		if err := journal.OSDir(dir).SyncDir(); err != nil {
			return err
		}
	}
	return nil
}

// begin makes a topic and its channels, in this order.
func (im *importer) begin(topic string, paused bool, channels []datapath.Channel) error {
	dir := filepath.Join(im.dir, datapath.DirName(topic))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	im.serial++
	var err error
	im.j, _, err = openJournal(journal.OSDir(dir), im.serial, func(_ slog.Level, note string) {
		im.sum.Notes = append(im.sum.Notes, topic+": "+note)
	})
	if err != nil {
		return err
	}
	im.top = &ImportedTopic{Topic: topic, Paused: paused, Channels: []ImportedChannel{}, Damage: []DamageReport{}, Bad: []string{}}
	im.cursors, im.counts = map[string]*journal.Cursor{}, map[string]int64{}
	for _, ch := range channels {
		cur := im.j.CreateCursor(ch.Name, journal.CursorOptions{})
		cur.SetPaused(ch.Paused)
		im.cursors[ch.Name] = cur
	}
	return nil
}

// share adds a message for some channels alone.
func (im *importer) share(timestamp int64, body []byte, shares ...journal.Share) error {
	im.j.AppendShared(timestamp, body, shares...)
	for _, s := range shares {
		im.counts[s.Cursor.Name()]++
		im.sum.Messages++
	}
	return im.gather(len(body))
}

// add adds a message that no channel was given yet. There is no share after it.
func (im *importer) add(timestamp, due int64, body []byte) error {
	if im.top.Messages == 0 {
		if err := im.commit(); err != nil {
			return err
		}
		im.j.Hold(im.top.Paused)
	}
	im.j.Append(timestamp, due, body)
	im.top.Messages++
	im.sum.Messages++
	return im.gather(len(body))
}

// gather writes now and then.
func (im *importer) gather(n int) error {
	if im.gathered += n; im.gathered < commitEvery {
		return nil
	}
	return im.commit()
}

func (im *importer) commit() error {
	im.gathered = 0
	return im.j.Commit()
}

// end forces the topic to the disk and notes what there is.
func (im *importer) end() error {
	err := im.commit()
	im.j.Hold(im.top.Paused)
	listed := datapath.Topic{Name: im.top.Topic, Paused: im.top.Paused}
	for _, cur := range im.j.Cursors() {
		im.top.Channels = append(im.top.Channels, ImportedChannel{cur.Name(), cur.Paused(), im.counts[cur.Name()]})
		listed.Channels = append(listed.Channels, datapath.Channel{Name: cur.Name(), Paused: cur.Paused(), Number: cur.Number()})
	}
	im.list.Topics = append(im.list.Topics, listed)
	im.sum.Topics = append(im.sum.Topics, *im.top)
	err = errors.Join(err, im.j.Close())
	im.j, im.top = nil, nil
	return err
}

// nsqdTopic imports a topic of nsqd's.
func (im *importer) nsqdTopic(p *plannedTopic) error {
	if err := im.begin(p.name, p.paused, p.channels); err != nil {
		return err
	}
	for _, ch := range p.channels {
		cur := im.cursors[ch.Name]
		if err := im.queue(p.byChannel[ch.Name], func(m *diskqueue.Message) error {
			return im.share(m.Timestamp, m.Body, journal.Share{Cursor: cur, Attempts: m.Attempts})
		}); err != nil {
			return err
		}
	}
	if err := im.queue(p.byChannel[""], func(m *diskqueue.Message) error {
		return im.add(m.Timestamp, 0, m.Body)
	}); err != nil {
		return err
	}
	return im.end()
}

// queue reads a queue, which may be nil.
func (im *importer) queue(q *diskqueue.Queue, f func(*diskqueue.Message) error) error {
	if q == nil {
		return nil
	}
	note := func(text string) { im.sum.Notes = append(im.sum.Notes, q.Name()+": "+text) }
	im.top.Bad = append(im.top.Bad, q.Bad...)
	if im.o.Bad {
		n, damaged, err := q.ReadBad(f, nil)
		if err != nil {
			return err
		}
		im.damage(damaged)
		if len(q.Bad) > 0 {
			note(fmt.Sprintf("%d messages are from files that nsqd has set aside", n))
		}
	} else if len(q.Bad) > 0 {
		note(fmt.Sprintf("%d files that nsqd has set aside are not read; --bad reads them", len(q.Bad)))
	}
	n, damaged, err := q.Read(f, im.went)
	if err != nil {
		return err
	}
	im.damage(damaged)
	switch {
	case q.Doubtful && n > 0:
		note("nsqd's note of how far it had read is missing or damaged: everything in the files is taken, and some may come again")
	case n < q.Depth:
		note(fmt.Sprintf("nsqd has noted %d messages and %d are there", q.Depth, n))
	}
	return nil
}

// damage notes what could not be read.
func (im *importer) damage(damaged []diskqueue.Damage) {
	for _, d := range damaged {
		im.top.Damage = append(im.top.Damage, DamageReport{File: d.File, Offset: d.Offset, Bytes: d.Bytes})
		what := "damaged bytes were passed over"
		if d.Torn {
			what = "the last write was not finished"
		} else {
			im.sum.Lost = true
		}
		im.sum.Notes = append(im.sum.Notes, fmt.Sprintf("%s: %s: %d at %d", d.File, what, d.Bytes, d.Offset))
	}
}
