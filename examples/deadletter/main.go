// Command deadletter puts messages aside that it cannot process, into a topic of
// their own, and finishes them only when they are safe there. Around its handler
// stand others that recover from panics and forget messages that are too old.
//
//	go run ./examples/deadletter -nsqd 127.0.0.1:4150
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/reader/middleware"
	"github.com/nsqloop/nsqloop/writer"
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

func run(ctx context.Context, nsqd string, out io.Writer) error {
	l, err := loop.New(loop.Options{})
	if err != nil {
		return err
	}
	// The writer comes first: what is made later drains earlier.
	w, err := writer.New(l, writer.Options{NSQDs: []string{nsqd}})
	if err != nil {
		return err
	}
	handle := func(m *reader.Message) error {
		var order struct{ ID, Amount int }
		if err := json.Unmarshal(m.Body, &order); err != nil {
			return reader.Discard(err) // it will never be JSON: put it aside at once
		}
		if order.Amount < 0 {
			return fmt.Errorf("order %d: the amount %d is negative", order.ID, order.Amount)
		}
		fmt.Fprintf(out, "billed order %d: %d\n", order.ID, 100/order.Amount*order.Amount)
		return nil
	}
	aside := middleware.DeadLetterOptions{
		MaxAttempts: 3,
		Publish: func(m *reader.Message, why error, done func(error)) {
			fmt.Fprintf(out, "put aside: %s: %v\n", m.Body, why)
			w.Publish("orders.dead", m.Body, func(res writer.Result) { done(res.Err) })
		},
	}
	_, err = reader.New(l, reader.Options{
		Topic: "orders", Channel: "billing", NSQDs: []string{nsqd}, MaxInFlight: 10,
		MaxAttempts:  -1, // giving up is the middleware's
		RequeueDelay: 10 * time.Millisecond,
		MaxBackoff:   -1,
		Handler: middleware.Chain(handle, // the first one is the outermost
			middleware.MaxAge(24*time.Hour, func(m *reader.Message) { fmt.Fprintf(out, "too old: %s\n", m.Body) }),
			middleware.DeadLetter(aside),
			middleware.Recover(func(m *reader.Message, value any, _ []byte) { fmt.Fprintf(out, "panic: %v\n", value) }),
		),
	})
	if err != nil {
		return err
	}
	return l.Run(ctx)
}
