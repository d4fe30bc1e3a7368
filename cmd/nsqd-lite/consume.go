package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"unicode/utf8"

	"github.com/nsqloop/nsqloop/cmd/nsqd-lite/internal/show"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/spf13/pflag"
)

// showFlags are those of nsq_tail and of sub.
type showFlags struct {
	from       consumerFlags
	log        logFlags
	topics     []string
	count      int
	printTopic bool
	asJSON     bool
	raw        bool
}

func (p process) nsqTailVerb() verb {
	f := new(showFlags)
	return verb{
		use: "nsq_tail", short: "consume topics and print the messages", group: groupNSQ,
		long: "Consume topics through a channel of its own and print the messages, a line each. The channel goes\n" +
			"with the program. As the first one of its topic it takes what waits there; nsqd-lite tail takes nothing.",
		example: `  nsq_tail --topic=test -n 10 --lookupd-http-address=127.0.0.1:4161`,
		flags: func(fs *pflag.FlagSet) {
			f.from.flags(fs, "")
			f.log.flags(fs, "nsq_tail", slog.LevelWarn)
			fs.Lookup("channel").Usage = "channel to consume (default tail, six digits, and #ephemeral)"
			fs.StringArrayVar(&f.topics, "topic", nil, "topic to consume. May be given many times")
			fs.IntVarP(&f.count, "n", "n", 0, "end after so many messages, 0 for never")
			fs.BoolVar(&f.printTopic, "print-topic", false, "begin each line with the topic")
		},
		run: func(ctx context.Context, _ []string) error {
			if len(f.topics) == 0 {
				return usagef("name a --topic")
			}
			return p.show(ctx, f, "nsq_tail")
		},
	}
}

func (p process) subVerb() verb {
	f := new(showFlags)
	return verb{
		use: "sub TOPIC CHANNEL", short: "consume a channel and print the messages", group: groupMessages,
		long: "Consume a channel and print the messages, a line each. What is printed is finished, so nobody else\n" +
			"gets it from this channel. The channel stays, unless its name ends in #ephemeral.",
		example: `  nsqd-lite sub orders billing -n 1
  nsqd-lite sub orders 'look#ephemeral' --json`,
		least: 2, most: 2, missing: "name one topic and one channel",
		flags: func(fs *pflag.FlagSet) {
			f.from.flags(fs, "")
			f.log.flags(fs, "nsqd-lite sub", slog.LevelWarn)
			if err := fs.MarkHidden("channel"); err != nil {
				panic(err) // the flag is there
			}
			fs.IntVarP(&f.count, "n", "n", 0, "end after so many messages, 0 for never")
			fs.BoolVar(&f.printTopic, "print-topic", false, "begin each line with the topic")
			fs.BoolVar(&f.asJSON, "json", false, "print messages with id, time and attempts, as JSON")
			fs.BoolVar(&f.raw, "raw", false, "print the bytes of messages and nothing between them")
		},
		run: func(ctx context.Context, args []string) error {
			f.topics, f.from.channel = args[:1], args[1]
			if len(f.from.nsqds) == 0 && len(f.from.lookupds) == 0 {
				f.from.nsqds = []string{"127.0.0.1:4150"}
			}
			if f.asJSON && f.raw {
				return usagef("--json and --raw do not go together")
			}
			return p.show(ctx, f, "nsqd-lite sub")
		},
	}
}

// show consumes and prints.
func (p process) show(ctx context.Context, f *showFlags, program string) error {
	log := f.log.logger(p)
	consumer, err := f.from.reader(log, program)
	switch {
	case err != nil:
		return err
	case f.count < 0:
		return usagef("-n must not be negative")
	}
	return onLoop(ctx, log, func(l loop.Loop, end func(error)) error {
		if consumer.Channel == "" {
			digits := l.Rand().IntN(1_000_000)
			consumer.Channel = fmt.Sprintf("tail%06d#ephemeral", digits)
		}
		_, err := show.New(l, show.Options{
			Topics: f.topics, Consumer: consumer, Count: f.count, Done: end,
			Show: func(topic string, m *reader.Message) error { return f.print(p.stdout, topic, m) },
		})
		if err != nil {
			return usageError{err}
		}
		return nil
	})
}

// shown is a message as JSON, by the names of tail.
type shown struct {
	Topic     string `json:"topic"`
	ID        string `json:"id"`
	Timestamp int64  `json:"timestamp"` // nanoseconds of Unix time
	Attempts  uint16 `json:"attempts"`
	NSQD      string `json:"nsqd"`
	Size      int    `json:"size"`
	Encoding  string `json:"encoding"` // text or base64
	Body      string `json:"body"`
}

// print prints a message in one write.
func (f *showFlags) print(w io.Writer, topic string, m *reader.Message) error {
	var line []byte
	if f.printTopic {
		line = append(line, topic+" | "...)
	}
	if f.asJSON {
		s := shown{
			Topic: topic, ID: m.ID.String(), Timestamp: m.Timestamp.UnixNano(), Attempts: m.Attempts, NSQD: m.NSQD,
			Size: len(m.Body), Encoding: "text", Body: string(m.Body),
		}
		if !utf8.Valid(m.Body) {
			s.Encoding, s.Body = "base64", base64.StdEncoding.EncodeToString(m.Body)
		}
		text, err := json.Marshal(s)
		if err != nil {
			return err
		}
		line = append(line, text...)
	} else {
		line = append(line, m.Body...)
	}
	if !f.raw {
		line = append(line, '\n')
	}
	_, err := w.Write(line)
	return err
}
