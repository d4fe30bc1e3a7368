package offline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/nsqloop/nsqloop/server/datapath"
	"github.com/nsqloop/nsqloop/server/journal"
)

// Report is what Verify and Repair found. Its JSON names stay.
type Report struct {
	DataPath string        `json:"data_path"`
	Whole    bool          `json:"whole"` // nothing is damaged, and nothing is lost
	Repaired bool          `json:"repaired"`
	Lost     int64         `json:"lost"` // messages that somebody waits for, as often as there are channels that do
	Topics   []TopicReport `json:"topics"`
	Notes    []string      `json:"notes"`
}

// TopicReport is what was found of a topic.
type TopicReport struct {
	Topic    string          `json:"topic"`
	Paused   bool            `json:"paused"`
	Segments int             `json:"segments"`
	Bytes    int64           `json:"bytes"`
	Messages int64           `json:"messages"` // whole ones on disk, finished ones included
	Depth    int64           `json:"depth"`    // given to no channel yet
	Deferred int64           `json:"deferred"` // the same, for later
	Lost     int64           `json:"lost"`     // of those
	Torn     int64           `json:"torn"`     // bytes of a write that was not finished, and never acknowledged
	Channels []ChannelReport `json:"channels"`
	Damage   []DamageReport  `json:"damage"`
	SetAside []string        `json:"set_aside"` // files that hold what was damaged
	Notes    []string        `json:"notes"`     // what a start would tell its operator
	Error    string          `json:"error,omitempty"`

	bad bool // one of the notes is of damage
}

// ChannelReport is what was found of a channel.
type ChannelReport struct {
	Channel  string `json:"channel"`
	Paused   bool   `json:"paused"`
	Depth    int64  `json:"depth"` // what was in flight waits again
	Deferred int64  `json:"deferred"`
	Lost     int64  `json:"lost"`
	Rebuilt  bool   `json:"rebuilt"` // its journal did not know it any more: it is given all that is on disk
}

// DamageReport is a piece of a file that cannot be read.
type DamageReport struct {
	File     string `json:"file"`
	Offset   int64  `json:"offset"`
	Bytes    int64  `json:"bytes"` // 0: the file ends too early, or the one before it is missing
	Messages int64  `json:"messages"`
}

// Verify reads a data path as a start would, and then all the rest of it, and
// reports what is there, what is damaged, and what would be lost. It changes
// nothing.
func Verify(ctx context.Context, dir string, progress Progress) (*Report, error) {
	return examine(ctx, dir, progress, false)
}

// Repair makes of a data path what a start would make of it, and passes over
// what is damaged: the bytes are kept aside, nobody waits for the messages that
// were in them any longer, and a Verify after it finds nothing. The report is of
// what was found before.
func Repair(ctx context.Context, dir string, progress Progress) (*Report, error) {
	return examine(ctx, dir, progress, true)
}

func examine(ctx context.Context, dir string, progress Progress, repair bool) (*Report, error) {
	p, err := openPath(dir)
	if err != nil {
		return nil, err
	}
	defer p.close() // the second time, if all goes well
	t := &task{ctx: ctx, progress: progress, total: p.bytes(p.topics)}
	r := &Report{DataPath: dir, Whole: !p.roster.Damaged(), Repaired: repair, Topics: []TopicReport{}, Notes: append([]string{}, p.notes...)}
	for _, topic := range p.topics {
		found, err := t.examine(p, topic, repair)
		if err != nil {
			return nil, fmt.Errorf("topic %s: %w", topic, err)
		}
		r.Topics = append(r.Topics, *found)
		r.Whole = r.Whole && found.whole()
		r.Lost += found.lost()
	}
	if repair {
		return r, errors.Join(p.roster.Mend(), p.close())
	}
	return r, nil
}

func (r *TopicReport) whole() bool {
	for _, c := range r.Channels {
		if c.Rebuilt || c.Lost > 0 {
			return false
		}
	}
	return len(r.Damage) == 0 && r.Lost == 0 && len(r.SetAside) == 0 && !r.bad && r.Error == ""
}

func (r *TopicReport) lost() int64 {
	n := r.Lost
	for _, c := range r.Channels {
		n += c.Lost
	}
	return n
}

// examine opens the journal of a topic and looks at all of it.
func (t *task) examine(p *path, topic string, repair bool) (*TopicReport, error) {
	r := &TopicReport{Topic: topic, Channels: []ChannelReport{}, Damage: []DamageReport{}, SetAside: []string{}, Notes: []string{}}
	fs := p.fs(topic)
	if repair {
		if err := p.roster.Make(datapath.DirName(topic)); err != nil { // it was lost
			return nil, err
		}
	} else {
		o, err := p.overlay(topic)
		if err != nil {
			return nil, err
		}
		defer o.close()
		fs = o
	}
	j, rec, err := openJournal(fs, 0, func(level slog.Level, note string) {
		r.Notes = append(r.Notes, note)
		r.bad = r.bad || level >= slog.LevelError
	})
	if err != nil {
		r.Error = err.Error() // a directory that cannot be read; the others can
		return r, nil
	}
	if repair {
		defer j.Close() // the second time, if all goes well
	}
	found, err := j.Survey(t.went)
	if err != nil {
		return nil, err
	}
	lost := j.Lost(&found)
	r.damage(&found)
	r.Messages, r.Torn, r.SetAside = found.Messages, rec.Torn, append(r.SetAside, rec.SetAside...)
	if repair && len(r.Damage) > 0 {
		aside, err := j.Mend(&found)
		if err != nil {
			return nil, err
		}
		r.SetAside = append(r.SetAside, aside...)
	}
	rebuilt := map[*journal.Cursor]bool{}
	for _, cur := range datapath.Rebuild(j, p.doubts(&rec), p.listed(topic)) {
		rebuilt[cur] = true
	}
	r.counts(j, lost, rebuilt)
	if !repair {
		return r, nil
	}
	return r, j.Close()
}

// damage notes the missing pieces that somebody waits for something in, and
// those that stand in files.
func (r *TopicReport) damage(found *journal.Survey) {
	for _, m := range found.Missing {
		if m.Bytes > 0 || m.Needed {
			r.Damage = append(r.Damage, DamageReport{m.Segment, m.Offset, m.Bytes, m.Messages})
		}
	}
}

// counts notes what there is of the topic and its channels.
func (r *TopicReport) counts(j *journal.Journal, lost []journal.Lost, rebuilt map[*journal.Cursor]bool) {
	missed := map[*journal.Cursor]int64{}
	for _, l := range lost {
		missed[l.Cursor] = l.Messages
	}
	r.Paused, r.Segments, r.Bytes = j.Held(), j.Segments(), j.Bytes()
	r.Depth, r.Deferred, r.Lost = j.Depth(), j.Deferred(), missed[nil]
	for _, c := range j.Cursors() {
		r.Channels = append(r.Channels, ChannelReport{c.Name(), c.Paused(), c.Depth(), int64(c.Deferred()), missed[c], rebuilt[c]})
	}
}

// openJournal opens a journal and gathers what it tells its operator.
func openJournal(fs journal.FS, serial uint64, note func(slog.Level, string)) (*journal.Journal, journal.Recovery, error) {
	return journal.Open(journal.Options{
		FS:       fs,
		FirstSeq: serial << datapath.SequenceBits,
		MaxBody:  datapath.MaxBody,
		Log: func(level slog.Level, msg string, args ...any) {
			if level < slog.LevelWarn {
				return
			}
			var b strings.Builder
			b.WriteString(msg)
			for i := 0; i+1 < len(args); i += 2 {
				fmt.Fprintf(&b, " %v=%v", args[i], args[i+1])
			}
			note(level, b.String())
		},
	})
}
