package reader_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nsqloop/nsqloop/reader"
)

// A handler on workers may block. Its context ends when going on has no use any
// more: when the message's time is over, its connection is lost, or the reader
// shuts down and has waited for DrainGrace.
func ExampleMessage_Context() {
	l, nsqd, stop, end := start()
	working := make(chan bool)
	_, err := reader.New(l, reader.Options{
		Topic: "films", Channel: "encode", NSQDs: nsqd, Workers: 1, DrainGrace: -1,
		Handler: func(m *reader.Message) error {
			working <- true
			select {
			case <-time.After(time.Minute): // the work
				return nil
			case <-m.Context().Done():
				fmt.Println(context.Cause(m.Context()))
				return m.Context().Err() // gives the message back at once
			}
		},
	})
	check(err)
	publish(l, nsqd, "films", "a long one")
	<-working
	stop()
	end()
	// Output: the reader is shutting down
}

// What has to happen when the answer to a message has left, whoever gives it.
func ExampleMessage_OnEnd() {
	l, nsqd, stop, end := start()
	_, err := reader.New(l, reader.Options{
		Topic: "orders", Channel: "billing", NSQDs: nsqd,
		Handler: func(m *reader.Message) error {
			m.OnEnd(func(how reader.End) {
				fmt.Println(string(m.Body), how)
				stop()
			})
			l.After(time.Millisecond, func() { m.Finish() })
			return reader.Pending
		},
	})
	check(err)
	publish(l, nsqd, "orders", "order 7")
	end()
	// Output: order 7 finished
}

// A message can be refused in several ways.
func ExampleHandler() {
	var handle reader.Handler = func(m *reader.Message) error {
		switch string(m.Body) {
		case "":
			return reader.Discard(errors.New("no order")) // it will never do
		case "early":
			return reader.WithoutBackoff(reader.RequeueAfter(time.Minute, nil)) // nothing is wrong
		case "down":
			return errors.New("the database is down") // hold back
		}
		return nil
	}
	for _, body := range []string{"order 7", "", "early", "down"} {
		fmt.Println(handle(&reader.Message{Body: []byte(body)}))
	}
	// Output:
	// <nil>
	// discard: no order
	// requeue after 1m0s without backoff
	// the database is down
}

// Pauses after failures of one's own design, left after one success; at most a
// hundred messages a second; and the messages of one customer in turn.
func ExampleOptions() {
	l, nsqd, stop, end := start()
	_, err := reader.New(l, reader.Options{
		Topic: "orders", Channel: "billing", NSQDs: nsqd, MaxInFlight: 20,
		BackoffFunc:  func(level int) time.Duration { return time.Duration(level) * 10 * time.Millisecond },
		ResumeAtOnce: true,
		OnBackoff:    func(p reader.Pause) { fmt.Printf("level %d: %v, because %v\n", p.Level, p.Duration, p.Err) },
		OnResume:     func() { fmt.Println("it works again"); stop() },
		MaxRate:      100,
		SerialBy:     func(m *reader.Message) string { return string(m.Body[:1]) },
		RequeueDelay: -1,
		Handler: func(m *reader.Message) error {
			if m.Attempts == 1 {
				return errors.New("the database is down")
			}
			return nil
		},
	})
	check(err)
	publish(l, nsqd, "orders", "7")
	end()
	// Output:
	// level 1: 10ms, because the database is down
	// it works again
}

// Why nothing comes.
func ExampleReader_Stats() {
	l, nsqd, stop, end := start()
	connected := make(chan bool)
	r, err := reader.New(l, reader.Options{
		Topic: "orders", Channel: "billing", NSQDs: nsqd,
		Handler:   func(m *reader.Message) error { return nil },
		OnConnect: func(string) { close(connected) },
	})
	check(err)
	<-connected
	check(r.Pause())
	for _, nsqd := range r.Stats().NSQDs {
		fmt.Println(nsqd.State, nsqd.Ready, nsqd.Why)
	}
	stop()
	end()
	// Output: subscribed 0 paused
}
