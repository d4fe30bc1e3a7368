// Command deferred publishes messages that are delivered later, and requeues one
// until its time has come. nsqd-lite keeps the times through restarts.
//
//	go run ./examples/deferred -nsqd 127.0.0.1:4150 -delay 5s
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/writer"
)

func main() {
	nsqd := flag.String("nsqd", "127.0.0.1:4150", "TCP address of nsqd")
	delay := flag.Duration("delay", 5*time.Second, "how much later")
	flag.Parse()
	if err := run(context.Background(), *nsqd, *delay, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, nsqd string, delay time.Duration, out io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	l, err := loop.New(loop.Options{})
	if err != nil {
		return err
	}
	w, err := writer.New(l, writer.Options{NSQDs: []string{nsqd}})
	if err != nil {
		return err
	}
	_, err = reader.New(l, reader.Options{
		Topic: "reminders", Channel: "remind", NSQDs: []string{nsqd}, MaxInFlight: 10,
		Handler: func(m *reader.Message) error {
			if m.Attempts == 1 {
				fmt.Fprintf(out, "not yet: %s\n", m.Body)
				// It comes too early, and nothing is wrong: no backoff.
				return reader.WithoutBackoff(reader.RequeueAfter(delay, errors.New("too early")))
			}
			fmt.Fprintf(out, "reminder: %s\n", m.Body)
			stop()
			return nil
		},
	})
	if err != nil {
		return err
	}
	w.DeferredPublish("reminders", delay, []byte("buy milk"), func(res writer.Result) {
		fmt.Fprintln(out, "in a while, error:", res.Err)
	})
	return l.Run(ctx)
}
