// Package tofile writes topics to files, a message a line, as NSQ's nsq_to_file
// does. A message is finished when the disk has it.
//
// Reading and deciding happen on the loop; the file is written on a goroutine
// of the loop's, one job at a time, and what arrives meanwhile goes into the
// next job. So messages are gathered just when the disk is slow.
package tofile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
)

// Options say what is written where. Names and defaults are nsq_to_file's;
// there are none here: whoever parses flags knows them.
type Options struct {
	// Topics are what to write. Without them, or with a Pattern, Discover is
	// asked for topics at the start and each Refresh, and those that match
	// are written too.
	Topics   []string
	Pattern  *regexp.Regexp // nil matches all
	Refresh  time.Duration
	Discover func(context.Context) ([]string, error) // off the loop; nil: Topics are all

	// Consumer says how to consume. Topic and Handler are set for each topic.
	Consumer reader.Options

	// Dir is where files end up, WorkDir where they are written. They may be
	// the same.
	Dir     string
	WorkDir string

	// Format is a file's name, with <TOPIC>, <HOST>, <PID>, <DATETIME> and
	// <REV>. DateTime is strftime's format of <DATETIME>. HostIdentifier is
	// <HOST>, with <SHORT_HOST> and <HOSTNAME>; "" is <SHORT_HOST>. Host is
	// this machine's name, PID this process.
	Format         string
	DateTime       string
	HostIdentifier string
	Host           string
	PID            int

	// Gzip compresses, at GzipLevel 1 to 9.
	Gzip      bool
	GzipLevel int

	// A file is left for the next one at RotateSize bytes before compression,
	// and after RotateInterval; 0 for neither.
	RotateSize     int64
	RotateInterval time.Duration

	// SyncInterval is how long a message may wait for the disk. IdleSync is
	// the same while no further message comes; 0 means 1 s.
	SyncInterval time.Duration
	IdleSync     time.Duration

	// SkipEmptyFiles makes no file for an interval without messages.
	SkipEmptyFiles bool

	// Fail is called on the loop, once, when a file cannot be written. What
	// has not been synced is then not finished, and will be delivered again.
	Fail func(error)

	// Logger hears of topics and of questions that were not answered. nil is
	// silence.
	Logger *slog.Logger

	syncFile func(*os.File) error // a test's
}

// exclusive says whether each file is opened once in its life.
func (o *Options) exclusive() bool { return o.Gzip || o.RotateInterval > 0 }

func (o *Options) idle() time.Duration {
	if o.IdleSync > 0 {
		return o.IdleSync
	}
	return time.Second
}

// check looks at what would not mean what it says.
func (o *Options) check() error {
	switch {
	case len(o.Topics) == 0 && o.Discover == nil:
		return errors.New("no topic to write")
	case o.Gzip && (o.GzipLevel < 1 || o.GzipLevel > 9):
		return fmt.Errorf("gzip level %d: want 1 to 9", o.GzipLevel)
	case o.SyncInterval <= 0:
		return fmt.Errorf("sync interval %v: want more than 0", o.SyncInterval)
	case o.Discover != nil && o.Refresh <= 0:
		return fmt.Errorf("topic refresh %v: want more than 0", o.Refresh)
	case o.RotateSize < 0 || o.RotateInterval < 0:
		return errors.New("rotation: want a positive size and interval, or 0 for none")
	}
	_, err := newNaming(o, "topic")
	return err
}

// Archiver writes topics. It is made by New and ends with its loop.
type Archiver struct {
	l        loop.Loop
	o        Options
	archives []*archive
	asking   bool
	failed   bool
}

// New makes an Archiver on l. Its errors are about the options.
func New(l loop.Loop, o Options) (*Archiver, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.WorkDir == "" {
		o.WorkDir = o.Dir
	}
	if o.syncFile == nil {
		o.syncFile = (*os.File).Sync
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	a := &Archiver{l: l, o: o}
	for _, topic := range o.Topics {
		if err := a.add(topic); err != nil {
			return nil, err
		}
	}
	if o.Discover != nil {
		if err := l.Post(a.refresh); err != nil {
			return nil, err
		}
		l.Every(o.Refresh, a.refresh)
	}
	return a, nil
}

// add writes one more topic.
func (a *Archiver) add(topic string) error {
	for _, w := range a.archives {
		if w.topic == topic {
			return nil
		}
	}
	w, err := newArchive(a, topic)
	if err != nil {
		return fmt.Errorf("topic %s: %w", topic, err)
	}
	a.archives = append(a.archives, w)
	a.o.Logger.Info("writing", "topic", topic)
	return nil
}

// refresh asks which topics there are. A topic that is gone is written on: it
// may come back.
func (a *Archiver) refresh() {
	if a.asking {
		return // the last question is still open
	}
	a.asking = true
	a.l.Go(func() func() {
		topics, err := a.o.Discover(context.Background()) // the caller bounds it
		return func() { a.found(topics, err) }
	})
}

func (a *Archiver) found(topics []string, err error) {
	a.asking = false
	if err != nil {
		a.o.Logger.Error("ask for topics", "err", err)
	}
	for _, topic := range topics {
		if a.o.Pattern != nil && !a.o.Pattern.MatchString(topic) {
			continue
		}
		if err := a.add(topic); err != nil {
			a.o.Logger.Error("cannot be written", "err", err)
		}
	}
}

// Reopen syncs and closes all files. The next messages open theirs again. It
// may be called from any goroutine.
func (a *Archiver) Reopen() {
	_ = a.l.Post(func() { // without a loop nothing is open
		for _, w := range a.archives {
			w.do(wish{close: true})
		}
	})
}

// fail ends it all.
func (a *Archiver) fail(err error) {
	if !a.failed {
		a.failed = true
		a.o.Fail(err)
	}
}
