package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/reader/middleware"
	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/writer"
)

// A middleware of one's own is a function.
func ExampleMiddleware() {
	var logged middleware.Middleware = func(next reader.Handler) reader.Handler {
		return func(m *reader.Message) error {
			err := next(m)
			fmt.Printf("%s: %v\n", m.Body, err)
			return err
		}
	}
	h := logged(func(m *reader.Message) error { return errors.New("no stock") })
	h(&reader.Message{Body: []byte("order 7")})
	// Output: order 7: no stock
}

// Orders that are too old are dropped, those that come twice are processed
// once, and a panic is an error for what is further out.
func ExampleChain() {
	h := middleware.Chain(
		func(m *reader.Message) error {
			fmt.Println("billed", string(m.Body))
			return nil
		},
		middleware.MaxAge(time.Hour, nil),
		middleware.Dedupe(middleware.DedupeOptions{
			Key: func(m *reader.Message) string { return string(m.Body) },
		}),
		middleware.Recover(nil),
	)
	for _, order := range []string{"7", "8", "7"} {
		m := &reader.Message{Body: []byte(order)}
		m.Answer(h(m)) // what a reader does
	}
	// Output:
	// billed 7
	// billed 8
}

// What cannot be processed goes to another topic, and is finished when it is
// safe there.
func ExampleDeadLetter() {
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	l, err := loop.New(loop.Options{})
	check(err)
	s, err := server.New(l, server.Options{TCPAddress: "127.0.0.1:0"})
	check(err)
	nsqd := []string{s.TCPAddr().String()}
	w, err := writer.New(l, writer.Options{NSQDs: nsqd})
	check(err)

	handle := func(m *reader.Message) error { return errors.New("no such customer") }
	_, err = reader.New(l, reader.Options{
		Topic: "orders", Channel: "billing", NSQDs: nsqd,
		MaxAttempts: -1, MaxBackoff: -1, RequeueDelay: -1,
		Handler: middleware.Chain(handle, middleware.DeadLetter(middleware.DeadLetterOptions{
			MaxAttempts: 2,
			Publish: func(m *reader.Message, why error, done func(error)) {
				fmt.Printf("attempt %d: %v\n", m.Attempts, why)
				w.Publish("orders.dead", m.Body, func(res writer.Result) { done(res.Err) })
			},
		})),
	})
	check(err)
	_, err = reader.New(l, reader.Options{
		Topic: "orders.dead", Channel: "morgue", NSQDs: nsqd,
		Handler: func(m *reader.Message) error {
			fmt.Println("dead:", string(m.Body))
			stop()
			return nil
		},
	})
	check(err)
	w.Publish("orders", []byte("order 7"), nil)
	check(l.Run(ctx))
	// Output:
	// attempt 2: no such customer
	// dead: order 7
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
