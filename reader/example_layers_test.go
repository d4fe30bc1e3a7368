package reader_test

import (
	"context"
	"fmt"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/writer"
)

// A program that would rather have a for statement than a handler.
func ExampleMessages() {
	l, nsqd, stop, end := start()
	r, messages, err := reader.Messages(l, reader.Options{
		Topic: "orders", Channel: "billing", NSQDs: nsqd,
	})
	check(err)
	publish(l, nsqd, "orders", "one", "two")
	seen := 0
	for m := range messages {
		fmt.Println(string(m.Body))
		m.Answer(nil)
		if seen++; seen == 2 {
			break
		}
	}
	check(r.Shutdown(context.Background()))
	stop()
	end()
	// Output:
	// one
	// two
}

// Rows that are written together.
func ExampleBatch() {
	l, nsqd, stop, end := start()
	_, err := reader.New(l, reader.Options{
		Topic: "rows", Channel: "archive", NSQDs: nsqd, MaxInFlight: 100,
		Batch: reader.Batch{Size: 3, MaxWait: time.Minute, Handler: func(rows []*reader.Message) error {
			for _, m := range rows {
				fmt.Println(string(m.Body))
			}
			stop()
			return nil // finishes all of them
		}},
	})
	check(err)
	publish(l, nsqd, "rows", "a", "b", "c")
	end()
	// Output:
	// a
	// b
	// c
}

// Bodies that are JSON.
func ExampleJSON() {
	type order struct{ ID, Cents int }
	l, nsqd, stop, end := start()
	_, err := reader.New(l, reader.Options{
		Topic: "orders", Channel: "billing", NSQDs: nsqd,
		Handler: reader.JSON(func(m *reader.Message, o order) error {
			fmt.Printf("order %d: %d cents\n", o.ID, o.Cents)
			stop()
			return nil
		}),
	})
	check(err)
	publish(l, nsqd, "orders", `{"id":7,"cents":995}`)
	end()
	// Output: order 7: 995 cents
}

// All topics about orders, with ten messages in flight altogether.
func ExampleGroup() {
	l, nsqd, stop, end := start()
	g, err := reader.NewGroup(l, reader.GroupOptions{
		Options: reader.Options{
			Channel: "audit", NSQDs: nsqd, MaxInFlight: 10,
			Handler: func(m *reader.Message) error {
				fmt.Printf("%s: %s\n", m.Topic(), m.Body)
				if m.Topic() == "orders.us" {
					stop()
				} else {
					publish(l, nsqd, "orders.us", "8")
				}
				return nil
			},
		},
		Topics: []string{"orders.eu", "orders.us"},
	})
	check(err)
	defer g.Close()
	publish(l, nsqd, "orders.eu", "7")
	end()
	// Output:
	// orders.eu: 7
	// orders.us: 8
}

// A group follows a list of topics that changes while it runs.
func ExampleGroup_SetTopics() {
	l, nsqd, stop, end := start()
	g, err := reader.NewGroup(l, reader.GroupOptions{
		Options: reader.Options{
			Channel: "audit", NSQDs: nsqd,
			Handler: func(m *reader.Message) error {
				fmt.Printf("%s: %s\n", m.Topic(), m.Body)
				stop()
				return nil
			},
		},
		Topics: []string{"orders.eu"},
	})
	check(err)
	defer g.Close()
	publish(l, nsqd, "orders.asia", "9")
	check(g.SetTopics([]string{"orders.us", "orders.asia"}))
	end()
	// Output: orders.asia: 9
}

// start runs a loop with a server. stop lets the loop end, and end waits for
// it.
func start() (l *loop.Engine, nsqd []string, stop, end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	l, err := loop.New(loop.Options{})
	check(err)
	s, err := server.New(l, server.Options{TCPAddress: "127.0.0.1:0"})
	check(err)
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	return l, []string{s.TCPAddr().String()}, cancel, func() {
		select {
		case err = <-done:
		case <-time.After(20 * time.Second):
			cancel()
			err = <-done
		}
		check(err)
	}
}

// publish publishes bodies to a topic, together.
func publish(l loop.Loop, nsqd []string, topic string, bodies ...string) {
	w, err := writer.New(l, writer.Options{NSQDs: nsqd})
	check(err)
	var all [][]byte
	for _, b := range bodies {
		all = append(all, []byte(b))
	}
	w.MultiPublish(topic, all, func(res writer.Result) { check(res.Err) })
}
