// Command messages consumes with a for statement instead of a handler, and ends
// after some messages.
//
//	go run ./examples/messages -nsqd 127.0.0.1:4150 -n 10
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
)

func main() {
	nsqd := flag.String("nsqd", "127.0.0.1:4150", "TCP address of nsqd")
	n := flag.Int("n", 10, "messages to print")
	flag.Parse()
	if err := run(context.Background(), *nsqd, *n, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, nsqd string, n int, out io.Writer) error {
	l, err := loop.New(loop.Options{})
	if err != nil {
		return err
	}
	r, messages, err := reader.Messages(l, reader.Options{
		Topic: "words", Channel: "print", MaxInFlight: 5, NSQDs: []string{nsqd},
	})
	if err != nil {
		return err
	}
	if err := l.Start(); err != nil {
		return err
	}
	// The range ends with the reader, and the reader with the context.
	defer context.AfterFunc(ctx, func() { r.Close() })()
	for m := range messages {
		fmt.Fprintf(out, "%s\n", m.Body)
		m.Finish()
		if n--; n == 0 {
			break // after the answer: what is unanswered holds up the shutdown, what waits goes back to nsqd
		}
	}
	return l.Shutdown(context.WithoutCancel(ctx))
}
