// Command graceful ends well: at a signal it takes no more messages, lets the
// handlers that run come to their end, gives back what none has begun, waits for
// the results of publishes, and says what is left when the time is over.
//
//	go run ./examples/graceful -nsqd 127.0.0.1:4150
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/writer"
)

func main() {
	nsqd := flag.String("nsqd", "127.0.0.1:4150", "TCP address of nsqd")
	limit := flag.Duration("limit", 10*time.Second, "time for the end")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *nsqd, *limit, work, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// work takes a while, and stops early when that is asked for.
func work(ctx context.Context, body []byte) error {
	select {
	case <-time.After(time.Second):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func run(ctx context.Context, nsqd string, limit time.Duration, work func(context.Context, []byte) error, out io.Writer) error {
	l, err := loop.New(loop.Options{DrainTimeout: limit})
	if err != nil {
		return err
	}
	// What is made later drains earlier: the reader, whose handler publishes,
	// before the writer.
	w, err := writer.New(l, writer.Options{NSQDs: []string{nsqd}})
	if err != nil {
		return err
	}
	r, err := reader.New(l, reader.Options{
		Topic: "work", Channel: "do", NSQDs: []string{nsqd}, MaxInFlight: 8, Workers: 4,
		DrainGrace: limit / 2, // handlers go on undisturbed for so long; then m.Context ends
		Handler: func(m *reader.Message) error {
			fmt.Fprintf(out, "started %s\n", m.Body)
			if err := work(m.Context(), m.Body); err != nil {
				return err // after the end of m.Context: back to nsqd, at once
			}
			w.Publish("done", m.Body, func(res writer.Result) { m.Answer(res.Err) })
			return reader.Pending
		},
	})
	if err != nil {
		return err
	}
	err = l.Run(ctx)
	rs, ws := r.Stats(), w.Stats()
	fmt.Fprintf(out, "finished %d, given back %d, in flight %d; published %d, not sent %d, unknown %d\n",
		rs.Finished, rs.Returned, rs.InFlight, ws.Confirmed, ws.NotSent, ws.Unknown)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("the time for the end was too short: %w", err)
	}
	return err
}
