package reader_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/writer"
)

// A handler that processes messages one at a time, on the loop.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	l, err := loop.New(loop.Options{})
	check(err)
	s, err := server.New(l, server.Options{TCPAddress: "127.0.0.1:0"})
	check(err)
	nsqd := []string{s.TCPAddr().String()}

	w, err := writer.New(l, writer.Options{NSQDs: nsqd})
	check(err)
	_, err = reader.New(l, reader.Options{
		Topic: "orders", Channel: "billing", NSQDs: nsqd,
		Handler: func(m *reader.Message) error {
			switch order := string(m.Body); {
			case order == "":
				return reader.Discard(errors.New("no order"))
			case order == "early" && m.Attempts == 1:
				fmt.Println("not yet")
				return reader.WithoutBackoff(reader.RequeueAfter(0, nil))
			default:
				fmt.Printf("billed %s, attempt %d\n", order, m.Attempts)
				stop()
				return nil
			}
		},
	})
	check(err)
	w.Publish("orders", []byte("early"), nil)
	check(l.Run(ctx))
	// Output:
	// not yet
	// billed early, attempt 2
}

// Messages are kept, and answered three at a time: what pynsq calls an
// asynchronous handler.
func Example_pending() {
	ctx, stop := context.WithCancel(context.Background())
	l, err := loop.New(loop.Options{})
	check(err)
	s, err := server.New(l, server.Options{TCPAddress: "127.0.0.1:0"})
	check(err)
	nsqd := []string{s.TCPAddr().String()}

	var buf []*reader.Message
	_, err = reader.New(l, reader.Options{
		Topic: "orders", Channel: "batch", MaxInFlight: 9, NSQDs: nsqd,
		Handler: func(m *reader.Message) error {
			buf = append(buf, m)
			if len(buf) < 3 {
				return reader.Pending
			}
			for _, m := range buf {
				fmt.Println(string(m.Body))
				m.Finish()
			}
			buf = nil
			stop()
			return reader.Pending // it has been answered with the others
		},
	})
	check(err)
	w, err := writer.New(l, writer.Options{NSQDs: nsqd})
	check(err)
	w.MultiPublish("orders", [][]byte{[]byte("one"), []byte("two"), []byte("three")}, nil)
	check(l.Run(ctx))
	// Output:
	// one
	// two
	// three
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
