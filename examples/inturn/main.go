// Command inturn handles the messages of each customer one after another, those
// of different customers at once, each order only once, and no more of them a
// second than the bank behind it takes.
//
//	go run ./examples/inturn -nsqd 127.0.0.1:4150
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strings"
	"sync"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/reader/middleware"
)

func main() {
	nsqd := flag.String("nsqd", "127.0.0.1:4150", "TCP address of nsqd")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *nsqd, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// A body is "customer order".
func run(ctx context.Context, nsqd string, out io.Writer) error {
	l, err := loop.New(loop.Options{})
	if err != nil {
		return err
	}
	var lock sync.Mutex // the workers share the output
	say := func(format string, args ...any) {
		lock.Lock()
		defer lock.Unlock()
		fmt.Fprintf(out, format, args...)
	}
	handle := func(m *reader.Message) error {
		customer, order, _ := strings.Cut(string(m.Body), " ")
		say("%s: order %s begins\n", customer, order)
		select { // the bank takes its time
		case <-time.After(5 * time.Millisecond):
		case <-m.Context().Done():
			return m.Context().Err()
		}
		say("%s: order %s is done\n", customer, order)
		return nil
	}
	_, err = reader.New(l, reader.Options{
		Topic: "orders", Channel: "billing", NSQDs: []string{nsqd},
		MaxInFlight: 100, Workers: 8, MaxRate: 1000,
		SerialBy: func(m *reader.Message) string { return strings.Fields(string(m.Body) + " -")[0] },
		Handler: middleware.Chain(handle, middleware.Dedupe(middleware.DedupeOptions{
			Key:         func(m *reader.Message) string { return string(m.Body) },
			OnDuplicate: func(m *reader.Message) { say("%s came again\n", m.Body) },
		})),
	})
	if err != nil {
		return err
	}
	return l.Run(ctx)
}
