package looptest_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/nsqloop/nsqloop/loop/looptest"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/writer"
)

// A server, a reader and a writer live in a world as they do on real loops. What
// is asked of them is asked inside Do; nothing may wait for a loop.
func Example_server() {
	w := looptest.New(1, looptest.Options{})
	defer w.Close()
	if _, err := server.New(w.Loop("nsqd"), server.Options{TCPAddress: ":4150"}); err != nil {
		fmt.Println(err)
		return
	}
	client := w.Loop("client")
	handle := func(m *reader.Message) error {
		fmt.Printf("%s %s, attempt %d\n", client.Now().Format("15:04"), m.Body, m.Attempts)
		if m.Attempts == 1 {
			return reader.RequeueAfter(time.Hour, errors.New("the bank is closed"))
		}
		return nil
	}
	r, err := reader.New(client, reader.Options{Topic: "orders", Channel: "billing", NSQDs: []string{"nsqd:4150"}, Handler: handle})
	if err != nil {
		fmt.Println(err)
		return
	}
	publisher, err := writer.New(client, writer.Options{NSQDs: []string{"nsqd:4150"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	client.Do(func() {
		publisher.Publish("orders", []byte("order 1"), func(res writer.Result) { fmt.Println("stored, error:", res.Err) })
	})
	finished := func() (yes bool) {
		client.Do(func() { yes = r.Stats().Finished == 1 })
		return yes
	}
	fmt.Println("finished:", w.RunUntil(finished, 2*time.Hour))
	// Output:
	// stored, error: <nil>
	// 00:00 order 1, attempt 1
	// 01:00 order 1, attempt 2
	// finished: true
}
