// Command topics consumes all topics whose names begin with "orders." and that
// nsqlookupd knows, the new ones too, with fifty messages in flight altogether.
//
//	go run ./examples/topics -lookupd 127.0.0.1:4161
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"regexp"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
)

func main() {
	lookupd := flag.String("lookupd", "127.0.0.1:4161", "HTTP address of nsqlookupd")
	interval := flag.Duration("interval", time.Minute, "how often to look for topics")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *lookupd, *interval, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, lookupd string, interval time.Duration, out io.Writer) error {
	l, err := loop.New(loop.Options{})
	if err != nil {
		return err
	}
	_, err = reader.NewGroup(l, reader.GroupOptions{
		Match: regexp.MustCompile(`^orders\.`).MatchString,
		Options: reader.Options{
			Channel: "audit", Lookupds: []string{lookupd}, LookupdPollInterval: interval,
			MaxInFlight: 50, // shared by all topics, by need
			Handler: func(m *reader.Message) error {
				fmt.Fprintf(out, "%s: %s\n", m.Topic(), m.Body)
				return nil
			},
		},
	})
	if err != nil {
		return err
	}
	return l.Run(ctx)
}
