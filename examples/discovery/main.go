// Command discovery finds its nsqds through nsqlookupd: the Writer publishes to
// all that there are, the Reader consumes from all that have the topic, also from
// those that come later. Where nsqlookupd is, the environment says:
//
//	NSQ_LOOKUPD_HTTP_ADDRESSES=127.0.0.1:4161 go run ./examples/discovery
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/writer"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) error {
	where, err := client.FromEnv()
	if err != nil {
		return err
	}
	l, err := loop.New(loop.Options{})
	if err != nil {
		return err
	}
	w, err := writer.New(l, writer.Options{NSQDs: where.NSQDs, Lookupds: where.Lookupds, Client: where.Client})
	if err != nil {
		return err
	}
	_, err = reader.New(l, reader.Options{
		Topic: "ticks", Channel: "print", NSQDs: where.NSQDs, Lookupds: where.Lookupds, Client: where.Client,
		LookupdPollInterval: 15 * time.Second, // how long a new nsqd may go unnoticed
		Handler: func(m *reader.Message) error {
			fmt.Fprintf(out, "%s from %s\n", m.Body, m.NSQD)
			return nil
		},
		OnError: func(err error) { fmt.Fprintln(out, err) },
	})
	if err != nil {
		return err
	}
	n := 0
	l.Every(100*time.Millisecond, func() {
		n++
		w.Publish("ticks", fmt.Appendf(nil, "tick %d", n), func(res writer.Result) {
			if res.Err != nil {
				fmt.Fprintln(out, res.Err)
			}
		})
	})
	return l.Run(ctx)
}
