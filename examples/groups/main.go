// Command groups consumes every topic whose name begins with "orders.", those too
// that come later, with one budget of messages in flight for all of them.
//
//	go run ./examples/groups -lookupd 127.0.0.1:4161
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
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *lookupd, time.Second, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, lookupd string, poll time.Duration, out io.Writer) error {
	l, err := loop.New(loop.Options{})
	if err != nil {
		return err
	}
	_, err = reader.NewGroup(l, reader.GroupOptions{
		Match: regexp.MustCompile(`^orders\.`).MatchString,
		Options: reader.Options{
			Channel: "billing", Lookupds: []string{lookupd}, LookupdPollInterval: poll,
			MaxInFlight: 20, // over all topics
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
