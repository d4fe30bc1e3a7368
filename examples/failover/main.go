// Command failover publishes lines to the first of several nsqds that works. It
// goes on with the next one when that dies, and goes back when it returns. What
// provably no nsqd has is published elsewhere by the Writer; what may have been
// stored is the program's to decide, and is said.
//
//	go run ./examples/failover 127.0.0.1:4150 127.0.0.1:5150 < FILE
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/writer"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, nsqds []string, in io.Reader, out io.Writer) error {
	l, err := loop.New(loop.Options{})
	if err != nil {
		return err
	}
	w, err := writer.New(l, writer.Options{
		NSQDs:        nsqds,
		Policy:       writer.Sticky,
		OnConnect:    func(nsqd string) { fmt.Fprintln(out, "connected to", nsqd) },
		OnDisconnect: func(nsqd string, err error) { fmt.Fprintln(out, "lost", nsqd) },
	})
	if err != nil {
		return err
	}
	if err := l.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		line := lines.Text()
		w.Publish("lines", []byte(line), func(res writer.Result) {
			switch res.Outcome() {
			case writer.Confirmed:
				fmt.Fprintf(out, "%s: stored by %s\n", line, res.NSQD)
			case writer.Unknown:
				fmt.Fprintf(out, "%s: may be stored, publish it again if twice does no harm: %v\n", line, res.Err)
			default: // rejected, or not sent to any of them in 5 s
				fmt.Fprintf(out, "%s: not stored: %v\n", line, res.Err)
			}
		})
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return l.Shutdown(ctx) // waits for the results
}
