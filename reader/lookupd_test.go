package reader

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

// A reader that knows nothing but an nsqlookupd receives what is published to
// two servers, one of which gets the topic later, and goes on when nsqlookupd
// is gone.
func TestReader_FindsServersThroughLookupd(t *testing.T) {
	d := nsqtest.StartLookupd(t)
	one, two := nsqtest.Start(t, nsqtest.Registered(d)), nsqtest.Start(t, nsqtest.Registered(d))
	one.Publish("t", "a", "b")
	l, err := loop.New(loop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	var mu sync.Mutex // the loop writes, the test reads
	got := map[string]bool{}
	came := make(chan struct{}, 100)
	_, err = New(l, Options{
		Topic: "t", Channel: "c", MaxInFlight: 10, Lookupds: []string{d.HTTPAddr()}, LookupdPollInterval: 50 * time.Millisecond,
		Handler: func(m *Message) error {
			mu.Lock()
			defer mu.Unlock()
			got[string(m.Body)] = true
			came <- struct{}{}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	await := func(n int) {
		t.Helper()
		deadline := time.After(30 * time.Second)
		for {
			mu.Lock()
			have := len(got)
			mu.Unlock()
			if have == n {
				return
			}
			select {
			case <-came:
			case <-deadline:
				t.Fatalf("%d messages came, want %d: %v", have, n, got)
			}
		}
	}
	await(2)
	two.Publish("t", "c", "d")
	await(4)
	d.Close()
	one.Publish("t", "e")
	two.Publish("t", "f")
	await(6)
	for i, s := range []*nsqtest.Server{one, two} {
		if n := len(s.Topic("t").Channels); n != 1 {
			t.Errorf("server %d has %d channels: %s", i, n, fmt.Sprint(s.Topic("t").Channels))
		}
	}
}
