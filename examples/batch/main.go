// Command batch gathers messages and handles them many at a time, as a database
// likes its rows: here a file is the database, and one write and one fsync store
// a whole batch. Nothing is finished before it is stored.
//
//	go run ./examples/batch -nsqd 127.0.0.1:4150 -o rows.txt
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
)

func main() {
	nsqd := flag.String("nsqd", "127.0.0.1:4150", "TCP address of nsqd")
	path := flag.String("o", "rows.txt", "file to append to")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *nsqd, *path, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, nsqd, path string, out io.Writer) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	l, err := loop.New(loop.Options{})
	if err != nil {
		return err
	}
	_, err = reader.New(l, reader.Options{
		Topic: "rows", Channel: "store", NSQDs: []string{nsqd},
		MaxInFlight: 500, // what a batch is made of has to be in flight
		Workers:     1,   // an fsync would hold the loop
		Batch: reader.Batch{
			Size: 200, MaxWait: 100 * time.Millisecond,
			Handler: func(messages []*reader.Message) error {
				var rows bytes.Buffer
				for _, m := range messages {
					fmt.Fprintf(&rows, "%s\n", m.Body)
				}
				if _, err := f.Write(rows.Bytes()); err != nil {
					return err // requeues all of them
				}
				fmt.Fprintf(out, "stored %d\n", len(messages))
				return f.Sync() // nil finishes all of them
			},
		},
	})
	if err != nil {
		return err
	}
	return l.Run(ctx)
}
