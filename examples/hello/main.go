// Command hello publishes one message and consumes it. It is the program of the
// README; its arguments are the addresses of nsqds.
package main

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/writer"
)

func main() {
	ctx, stop := context.WithCancel(context.Background())
	l, err := loop.New(loop.Options{Logger: slog.Default()})
	check(err)
	w, err := writer.New(l, writer.Options{NSQDs: os.Args[1:], Logger: slog.Default()})
	check(err)
	_, err = reader.New(l, reader.Options{
		Topic: "greetings", Channel: "print", MaxInFlight: 9, NSQDs: os.Args[1:], Logger: slog.Default(),
		Handler: func(m *reader.Message) error {
			fmt.Printf("received %s\n", m.Body)
			stop()
			return nil // finishes the message; an error would requeue it
		},
	})
	check(err)
	w.Publish("greetings", []byte("hello world"), func(res writer.Result) {
		fmt.Println("published, error:", res.Err)
	})
	check(l.Run(ctx)) // until stop is called, and all is answered
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
