package offline

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"

	"github.com/nsqloop/nsqloop/server/datapath"
	"github.com/nsqloop/nsqloop/server/journal"
)

// ExportOptions say what to export. The zero value is everything.
type ExportOptions struct {
	Topic    string   // "": all of them
	Channel  string   // what waits in this channel alone; it needs Topic
	Raw      bool     // bodies alone, each with a newline behind it
	Progress Progress // told how far it is; nil is for nobody
}

// Exported is what Export wrote. Its JSON names stay.
type Exported struct {
	Topics   int      `json:"topics"`
	Messages int64    `json:"messages"`
	Lost     int64    `json:"lost"`  // could not be read: Verify says more
	Notes    []string `json:"notes"` // what the journals said when they were opened
}

// exportBuffer is how much is gathered before it is written, in bytes.
const exportBuffer = 256 << 10

// Export writes the messages of a data path that somebody waits for, each once
// whoever waits, and changes nothing. Its lines are what Import takes; what was
// finished, and is kept for looking back, is not among them.
func Export(ctx context.Context, dir string, w io.Writer, o ExportOptions) (*Exported, error) {
	p, err := openPath(dir)
	if err != nil {
		return nil, err
	}
	defer p.close()
	topics := p.topics
	if o.Topic != "" {
		if !slices.Contains(topics, o.Topic) {
			return nil, fmt.Errorf("there is no topic %s in %s", o.Topic, dir)
		}
		topics = []string{o.Topic}
	}
	x := &export{w: w, o: o, task: task{ctx: ctx, progress: o.Progress, total: p.bytes(topics)}, sum: Exported{Notes: []string{}}}
	for _, topic := range topics {
		if err := x.topic(p, topic); err != nil {
			return &x.sum, fmt.Errorf("export topic %s: %w", topic, err)
		}
	}
	return &x.sum, x.flush()
}

// export is one run of Export.
type export struct {
	task
	w   io.Writer
	o   ExportOptions
	buf []byte
	sum Exported
}

// topic exports one topic.
func (x *export) topic(p *path, topic string) error {
	o, err := p.overlay(topic)
	if err != nil {
		return err
	}
	defer o.close()
	j, rec, err := openJournal(o, 0, func(_ slog.Level, note string) {
		x.sum.Notes = append(x.sum.Notes, topic+": "+note)
	})
	if err != nil {
		return err
	}
	datapath.Rebuild(j, p.doubts(&rec), p.listed(topic))
	if x.o.Channel != "" && !slices.ContainsFunc(j.Cursors(), func(c *journal.Cursor) bool { return c.Name() == x.o.Channel }) {
		return fmt.Errorf("there is no channel %s", x.o.Channel)
	}
	if err := x.head(topic, j); err != nil {
		return err
	}
	found, err := j.Survey(nil)
	if err != nil {
		return err
	}
	for _, l := range j.Lost(&found) {
		if x.o.Channel == "" || l.Cursor != nil && l.Cursor.Name() == x.o.Channel {
			x.sum.Lost += l.Messages
		}
	}
	x.sum.Topics++
	return j.Each(x.went, func(h *journal.Held) error { return x.message(topic, h) })
}

// head writes the line of a topic.
func (x *export) head(topic string, j *journal.Journal) (err error) {
	if x.o.Raw {
		return nil
	}
	channels := []channelLine{}
	for _, c := range j.Cursors() {
		if x.o.Channel == "" || x.o.Channel == c.Name() {
			channels = append(channels, channelLine{c.Name(), c.Paused()})
		}
	}
	x.buf, err = (&line{Topic: topic, Paused: j.Held(), Channels: &channels}).appendTo(x.buf)
	return err
}

// message writes a message, if it is wanted.
func (x *export) message(topic string, h *journal.Held) error {
	waits := make([]waitLine, 0, len(h.Shares))
	for _, s := range h.Shares {
		if x.o.Channel == "" || x.o.Channel == s.Cursor.Name() {
			waits = append(waits, waitLine{s.Cursor.Name(), s.Attempts, s.Due})
		}
	}
	if x.o.Channel != "" && len(waits) == 0 {
		return nil
	}
	x.sum.Messages++
	if x.o.Raw {
		x.buf = append(append(x.buf, h.Body...), '\n')
	} else {
		l := line{Topic: topic, ID: fmt.Sprintf("%016x", h.Seq), Timestamp: h.Timestamp, For: waits}
		if len(waits) == 0 {
			l.Due = h.Due
		}
		l.setBody(h.Body)
		var err error
		if x.buf, err = l.appendTo(x.buf); err != nil {
			return err
		}
	}
	if len(x.buf) < exportBuffer {
		return nil
	}
	return x.flush()
}

// flush writes what was gathered.
func (x *export) flush() error {
	_, err := x.w.Write(x.buf)
	x.buf = x.buf[:0]
	return err
}
