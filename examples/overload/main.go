// Command overload pauses its Reader while something else has too much to do,
// and resumes it when there is room again. nsqd keeps the messages meanwhile.
//
//	go run ./examples/overload -nsqd 127.0.0.1:4150
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
)

func main() {
	nsqd := flag.String("nsqd", "127.0.0.1:4150", "TCP address of nsqd")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *nsqd, func(m *reader.Message) { m.Finish() }, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// The backlog from which on nothing more is taken, and at which it goes on.
const (
	high = 6
	low  = 2
)

// backlog is work that was taken and is not done. It lives on the loop.
type backlog struct {
	r      *reader.Reader
	n      int
	paused bool
	out    io.Writer
}

// add counts work in, or out, and pauses or resumes the reader.
func (b *backlog) add(n int) {
	b.n += n
	switch {
	case !b.paused && b.n >= high:
		b.paused = true
		b.r.Pause()
		fmt.Fprintf(b.out, "paused at %d\n", b.n)
	case b.paused && b.n <= low:
		b.paused = false
		b.r.Resume()
		fmt.Fprintf(b.out, "resumed at %d\n", b.n)
	}
}

// run consumes, and has work done by whoever calls Finish when it is.
func run(ctx context.Context, nsqd string, work func(*reader.Message), out io.Writer) error {
	l, err := loop.New(loop.Options{})
	if err != nil {
		return err
	}
	b := &backlog{out: out}
	b.r, err = reader.New(l, reader.Options{
		Topic: "jobs", Channel: "do", NSQDs: []string{nsqd}, MaxInFlight: 20,
		Handler: func(m *reader.Message) error {
			b.add(1)
			m.OnEnd(func(reader.End) { b.add(-1) })
			work(m)
			return reader.Pending
		},
	})
	if err != nil {
		return err
	}
	return l.Run(ctx)
}
