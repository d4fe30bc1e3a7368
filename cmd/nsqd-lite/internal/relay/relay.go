// Package relay copies topics from one NSQ to another, as NSQ's nsq_to_nsq
// does. A message is finished when its destination has said OK.
package relay

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nsqloop/nsqloop/cmd/nsqd-lite/internal/pick"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/writer"
)

// Options say what is copied where.
type Options struct {
	// Topics are what to copy, Consumer says how to consume them: Topic and
	// Handler are set for each.
	Topics   []string
	Consumer reader.Options

	// Destination is the topic there, "" for the same.
	Destination string

	// NSQDs are where to. Mode says which of them gets a message. Producer
	// says how to publish: NSQDs is set for each.
	NSQDs    []string
	Mode     pick.Mode
	Producer writer.Options

	// Filter says which messages pass.
	Filter Filter

	// StatusEvery is after how many messages the log says how it goes, 0 for
	// never.
	StatusEvery int

	Logger *slog.Logger // nil is silence
}

// Relay copies. It belongs to its loop.
type Relay struct {
	l      loop.Loop
	o      Options
	pick   *pick.Picker
	out    []*writer.Writer
	since  time.Time
	copied int
	failed int
}

// New makes a Relay on l, which ends with it.
func New(l loop.Loop, o Options) (*Relay, error) {
	switch {
	case len(o.Topics) == 0:
		return nil, errors.New("no topic to copy")
	case len(o.NSQDs) == 0:
		return nil, errors.New("no address to copy to")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Relay{l: l, o: o, pick: pick.New(o.Mode, len(o.NSQDs), l.Rand())}
	for _, addr := range o.NSQDs {
		p := o.Producer
		p.NSQDs = []string{addr}
		w, err := writer.New(l, p)
		if err != nil {
			return nil, err
		}
		r.out = append(r.out, w)
	}
	for _, topic := range o.Topics {
		c, to := o.Consumer, o.Destination
		if to == "" {
			to = topic
		}
		c.Topic = topic
		c.Handler = func(m *reader.Message) error { return r.take(m, to) }
		if _, err := reader.New(l, c); err != nil {
			return nil, fmt.Errorf("topic %s: %w", topic, err)
		}
	}
	return r, nil
}

// take is the readers' handler.
func (r *Relay) take(m *reader.Message, to string) error {
	body, verdict := r.o.Filter.apply(m.Body)
	switch verdict {
	case drop:
		return nil
	case later:
		return errNotJudged
	}
	i, began := r.pick.Next(r.l.Now()), r.l.Now()
	r.out[i].Publish(to, body, func(res writer.Result) { r.done(m, i, began, res.Err) })
	return reader.Pending
}

// done answers a message that went to address i.
func (r *Relay) done(m *reader.Message, i int, began time.Time, err error) {
	now := r.l.Now()
	if err != nil {
		r.failed++
		r.o.Logger.Error("not copied", "id", m.ID.String(), "attempt", m.Attempts, "to", r.o.NSQDs[i], "err", err)
		r.pick.Failed(i, now)
		m.Requeue(reader.AutoDelay)
	} else {
		r.pick.Worked(i, now.Sub(began))
		m.Finish()
	}
	if r.since.IsZero() {
		r.since = began
	}
	r.copied++
	if r.o.StatusEvery == 0 || r.copied < r.o.StatusEvery {
		return
	}
	r.o.Logger.Info("copied", "messages", r.copied, "failed", r.failed, "in", now.Sub(r.since))
	r.since, r.copied, r.failed = now, 0, 0
}
