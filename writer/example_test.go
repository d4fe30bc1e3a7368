package writer_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/writer"
)

// serve starts a loop of its own with n servers, in memory.
func serve(n int) (l *loop.Engine, nsqds []string, stop func()) {
	l, err := loop.New(loop.Options{})
	check(err)
	for range n {
		s, err := server.New(l, server.Options{TCPAddress: "127.0.0.1:0"})
		check(err)
		nsqds = append(nsqds, s.TCPAddr().String())
	}
	check(l.Start())
	return l, nsqds, func() { check(l.Shutdown(context.Background())) }
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// Publish, and look at the outcome.
func Example() {
	l, nsqds, stop := serve(1)
	defer stop()
	w, err := writer.New(l, writer.Options{NSQDs: nsqds})
	check(err)
	w.Publish("orders", []byte("a book"), func(r writer.Result) {
		fmt.Println(r.Topic, r.Outcome(), r.Err)
	})
	w.Publish("orders", nil, func(r writer.Result) {
		fmt.Println(r.Topic, r.Outcome(), errors.Is(r.Err, client.ErrBadMessage))
	})
	check(w.Flush(context.Background()))
	// Unordered output:
	// orders confirmed <nil>
	// orders rejected true
}

// Several nsqds and a nsqlookupd. Nothing is dialled before the loop runs.
func ExampleOptions() {
	l, err := loop.New(loop.Options{})
	check(err)
	w, err := writer.New(l, writer.Options{
		NSQDs:      []string{"nsqd-1:4150", "nsqd-2:4150"},
		Lookupds:   []string{"nsqlookupd:4161"},
		Policy:     writer.Sticky,
		Timeout:    2 * time.Second,
		MaxPending: 10_000,
		Client:     client.Options{ClientID: "shop"},
	})
	check(err)
	check(w.Close())
	check(l.Close())
	_, err = writer.New(l, writer.Options{NSQDs: []string{"nsqd-1"}})
	fmt.Println(err != nil)
	// Output: true
}

// Publish to the first nsqd that works: here it is the second one.
func ExamplePolicy() {
	l, nsqds, stop := serve(1)
	defer stop()
	w, err := writer.New(l, writer.Options{
		NSQDs:  []string{"127.0.0.1:1", nsqds[0]}, // nobody listens at the first
		Policy: writer.Sticky,
	})
	check(err)
	w.Publish("t", []byte("x"), func(r writer.Result) { fmt.Println(r.NSQD == nsqds[0], r.Err) })
	check(w.Flush(context.Background()))
	// Output: true <nil>
}

// A message that may come twice, and should not be lost when a connection is.
func ExampleRetry() {
	l, nsqds, stop := serve(1)
	defer stop()
	w, err := writer.New(l, writer.Options{NSQDs: nsqds, Retry: writer.RetryUnknown})
	check(err)
	w.Publish("t", []byte("x"), func(r writer.Result) { fmt.Println(r.Outcome(), r.Tries) })
	check(w.Flush(context.Background()))
	// Output: confirmed 1
}

// What to do after a publish.
func ExampleOutcome() {
	for _, err := range []error{
		nil,
		client.ErrBadMessage,
		writer.ErrFull,
		client.ErrUnknownOutcome,
	} {
		switch writer.OutcomeOf(err) {
		case writer.Confirmed:
			fmt.Println("done")
		case writer.Rejected:
			fmt.Println("mend the message:", err)
		case writer.NotSent:
			fmt.Println("publish again:", err)
		case writer.Unknown:
			fmt.Println("publish again, if twice does no harm:", err)
		}
	}
	// Output:
	// done
	// mend the message: E_BAD_MESSAGE
	// publish again: too many publishes are pending
	// publish again, if twice does no harm: outcome unknown: sent, but not answered
}

// Each Result says which message it is about, when the done function is made
// for it.
func ExampleResult() {
	l, nsqds, stop := serve(1)
	defer stop()
	w, err := writer.New(l, writer.Options{NSQDs: nsqds})
	check(err)
	for id := range 3 {
		w.Publish("t", fmt.Append(nil, id), func(r writer.Result) {
			fmt.Println(id, r.Outcome(), r.NSQD == nsqds[0], r.Messages, r.Latency < time.Minute)
		})
	}
	check(w.Flush(context.Background()))
	// Output:
	// 0 confirmed true 1 true
	// 1 confirmed true 1 true
	// 2 confirmed true 1 true
}

// A message that must outlive any one nsqd.
func ExampleWriter_PublishAll() {
	l, nsqds, stop := serve(3)
	defer stop()
	w, err := writer.New(l, writer.Options{NSQDs: nsqds})
	check(err)
	w.PublishAll("t", []byte("x"), 2, func(all []writer.Result) {
		for _, r := range all {
			fmt.Println(r.Outcome())
		}
		fmt.Println("two nsqds:", all[0].NSQD != all[1].NSQD)
	})
	check(w.Flush(context.Background()))
	// Output:
	// confirmed
	// confirmed
	// two nsqds: true
}

// A goroutine that produces as fast as nsqd takes it, and no faster.
func ExampleWriter_PublishWait() {
	l, nsqds, stop := serve(1)
	defer stop()
	w, err := writer.New(l, writer.Options{NSQDs: nsqds, MaxPending: 100})
	check(err)
	confirmed := 0 // belongs to the loop until Flush returns
	for range 10_000 {
		check(w.PublishWait(context.Background(), "t", []byte("x"), func(r writer.Result) {
			if r.Err == nil {
				confirmed++
			}
		}))
	}
	check(w.Flush(context.Background()))
	fmt.Println(confirmed)
	// Output: 10000
}

// Publish and wait, from a goroutine that is not the loop's.
func ExampleWriter_PublishSync() {
	l, nsqds, stop := serve(1)
	defer stop()
	w, err := writer.New(l, writer.Options{NSQDs: nsqds})
	check(err)
	fmt.Println(w.PublishSync(context.Background(), "t", []byte("x")))
	// Output: <nil>
}

// Values of one type, for reader.JSON to read.
func ExampleJSON() {
	type order struct{ Item string }
	l, nsqds, stop := serve(1)
	defer stop()
	w, err := writer.New(l, writer.Options{NSQDs: nsqds})
	check(err)
	orders := writer.JSON[order]{Writer: w, Topic: "orders"}
	fmt.Println(orders.PublishSync(context.Background(), order{"a book"}))
	// Output: <nil>
}

// What a Writer has done.
func ExampleStats() {
	l, nsqds, stop := serve(1)
	defer stop()
	w, err := writer.New(l, writer.Options{NSQDs: nsqds})
	check(err)
	check(w.MultiPublishSync(context.Background(), "t", [][]byte{[]byte("x"), []byte("y")}))
	s := w.Stats()
	fmt.Println(s.Confirmed, s.Messages, s.Bytes, s.Pending)
	// Output: 1 2 2 0
}

// The nsqds that cannot be published to, and why.
func ExampleNSQDStats() {
	l, err := loop.New(loop.Options{})
	check(err)
	check(l.Start())
	defer l.Close()
	w, err := writer.New(l, writer.Options{NSQDs: []string{"127.0.0.1:1"}})
	check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_ = w.WaitReady(ctx) // nobody listens there
	for _, n := range w.Stats().NSQDs {
		fmt.Println(n.Addr, n.Ready, n.Err != nil)
	}
	// Output: 127.0.0.1:1 false true
}

// A shutdown that may take a moment, and says what it had to leave.
func ExampleShutdownError() {
	l, err := loop.New(loop.Options{})
	check(err)
	check(l.Start())
	defer l.Close()
	w, err := writer.New(l, writer.Options{NSQDs: []string{"127.0.0.1:1"}})
	check(err)
	w.Publish("t", []byte("x"), func(r writer.Result) { fmt.Println("the message:", r.Outcome()) })
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	var left *writer.ShutdownError
	if errors.As(w.Shutdown(ctx), &left) {
		fmt.Println("left:", left.NotSent, "not sent,", left.Unknown, "unknown")
	}
	// Output:
	// the message: not sent
	// left: 1 not sent, 0 unknown
}
