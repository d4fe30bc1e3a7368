package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/nsqloop/nsqloop/cmd/nsqd-lite/internal/api"
	"github.com/spf13/pflag"
)

// tailOptions are what tail is told by its flags.
type tailOptions struct {
	server  nsqdHTTP
	history int
	count   int
	asJSON  bool
	consume bool // be the first channel of a topic, where there is no other way
}

func (p process) tailVerb() verb {
	o := new(tailOptions)
	return verb{
		use: "tail TOPIC", short: "show messages as they are published, and consume none", group: groupMessages,
		long: "Show the last messages of a topic and those that come, and consume none: no channel is made,\n" +
			"nothing is taken from those that there are. An nsqd of NSQ's own shows messages to consumers alone: there\n" +
			"what comes is shown through an ephemeral channel, and no history.",
		example: `  nsqd-lite tail test
  nsqd-lite tail test -n 0 --json`,
		least: 1, most: 1, missing: "name one topic",
		flags: func(fs *pflag.FlagSet) {
			o.server.flag(fs)
			fs.IntVarP(&o.history, "n", "n", 10, "show so many of the last messages first")
			fs.IntVar(&o.count, "count", 0, "end after so many messages, 0 for never")
			fs.BoolVar(&o.asJSON, "json", false, "show messages with id, time and size, as JSON")
			fs.BoolVar(&o.consume, "consume", false, "at an nsqd of NSQ's own: be the topic's first channel, which takes what waits there")
		},
		run: func(ctx context.Context, args []string) error { return p.tail(ctx, o, args[0]) },
	}
}

// tail shows the last messages of a topic and those that come.
func (p process) tail(ctx context.Context, o *tailOptions, topic string) error {
	if topic == "" {
		return usagef("the topic has no name")
	}
	fail := func(err error) error {
		if err == nil || ctx.Err() != nil {
			return nil // nobody is looking any more
		}
		return fmt.Errorf("topic %s: %w", topic, err)
	}
	client := o.server.client()
	// The stream first, so that nothing falls between it and the history.
	stream, err := client.Do(ctx, http.MethodGet, "/topic/tap", ofTopic(topic), nil)
	if tcp, ok := nsqdOfNSQ(ctx, client, err); ok {
		return fail(p.tailPlain(ctx, o, client, tcp, topic))
	}
	if err != nil {
		return fail(err)
	}
	defer stream.Body.Close()
	out := &tailOutput{process: p, left: o.count, asJSON: o.asJSON}
	if o.history > 0 {
		if err := out.history(ctx, client, topic, o.history); err != nil {
			return fail(err)
		}
	}
	lines := bufio.NewReader(stream.Body)
	for !out.full {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			fmt.Fprintln(p.stderr, "nsqd-lite tail: the server has ended the stream")
			return nil
		}
		if err == nil {
			err = out.show(line)
		}
		if err != nil {
			return fail(err)
		}
	}
	return nil
}

// tailed is a message of the server's, or how many were lost.
type tailed struct {
	ID       string `json:"id"`
	Encoding string `json:"encoding"`
	Body     string `json:"body"`
	Lost     int64  `json:"lost"`
}

// tailOutput shows messages, each once.
type tailOutput struct {
	process
	last   string // id of the last one shown
	left   int    // to be shown still, 0 for any number
	full   bool
	asJSON bool
}

// history shows the last n messages.
func (o *tailOutput) history(ctx context.Context, client *api.Client, topic string, n int) error {
	query := ofTopic(topic)
	query.Set("count", strconv.Itoa(n))
	var reply struct{ Messages []json.RawMessage }
	if err := client.Get(ctx, "/topic/peek", query, &reply); err != nil {
		return err
	}
	for _, m := range reply.Messages {
		if err := o.show(m); err != nil {
			return err
		}
	}
	return nil
}

// show shows one message, unless it was shown. Ids of a topic ascend.
func (o *tailOutput) show(line []byte) error {
	var m tailed
	if err := json.Unmarshal(line, &m); err != nil {
		return fmt.Errorf("read a message: %w", err)
	}
	if m.Lost > 0 {
		fmt.Fprintf(o.stderr, "nsqd-lite tail: %d messages lost: they come faster than they are shown\n", m.Lost)
		return nil
	}
	if m.ID <= o.last || o.full {
		return nil
	}
	o.last = m.ID
	text := []byte(m.Body)
	if o.asJSON {
		text = bytes.TrimSpace(line)
	} else if m.Encoding == "base64" {
		var err error
		if text, err = base64.StdEncoding.DecodeString(m.Body); err != nil {
			return fmt.Errorf("read message %s: %w", m.ID, err)
		}
	}
	if _, err := o.stdout.Write(append(text, '\n')); err != nil {
		return err
	}
	if o.left > 0 {
		o.left--
		o.full = o.left == 0
	}
	return nil
}
