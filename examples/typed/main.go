// Command typed publishes and consumes values instead of bytes: JSON on the wire,
// a Go type in the handler. A body that does not fit is discarded with a warning.
//
//	go run ./examples/typed -nsqd 127.0.0.1:4150
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/writer"
)

// Order is what the topic orders is about.
type Order struct {
	ID     int      `json:"id"`
	Items  []string `json:"items"`
	Urgent bool     `json:"urgent,omitempty"`
}

func main() {
	nsqd := flag.String("nsqd", "127.0.0.1:4150", "TCP address of nsqd")
	flag.Parse()
	if err := run(context.Background(), *nsqd, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, nsqd string, out io.Writer) error {
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
	seen := 0
	_, err = reader.New(l, reader.Options{
		Topic: "orders", Channel: "pack", NSQDs: []string{nsqd}, MaxInFlight: 10,
		Logger: slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Handler: reader.JSON(func(m *reader.Message, o Order) error {
			fmt.Fprintf(out, "order %d: %d items, urgent %t\n", o.ID, len(o.Items), o.Urgent)
			if seen++; seen == 2 {
				stop()
			}
			return nil
		}),
	})
	if err != nil {
		return err
	}
	publish := func(o Order) {
		body, err := json.Marshal(o)
		if err != nil {
			fmt.Fprintln(out, err)
			return
		}
		w.Publish("orders", body, nil) // a failure nobody looks at is logged
	}
	w.Publish("orders", []byte("no JSON"), nil)
	publish(Order{ID: 1, Items: []string{"tea", "milk"}})
	publish(Order{ID: 2, Urgent: true})
	return l.Run(ctx)
}
