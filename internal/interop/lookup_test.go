package interop

import (
	"context"
	"testing"

	nsq "github.com/nsqio/go-nsq"

	"github.com/nsqloop/nsqloop/server"
)

// A consumer of the other client that is told nothing but our nsqlookupd finds
// what two servers have, one of which gets the topic later.
func TestGoNSQ_FindsServersThroughLookupd(t *testing.T) {
	d, err := server.StartLookupd(server.LookupdOptions{TCPAddress: "127.0.0.1:0", HTTPAddress: "127.0.0.1:0"})
	must(t, err)
	var servers []*server.Server
	for range 2 {
		s, err := server.Start(server.Options{
			TCPAddress: "127.0.0.1:0", HTTPAddress: "127.0.0.1:0", BroadcastAddress: "127.0.0.1",
			LookupdTCPAddresses: []string{d.TCPAddr().String()},
		})
		must(t, err)
		servers = append(servers, s)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		for _, s := range servers {
			if err := s.Shutdown(ctx); err != nil {
				t.Error(err)
			}
		}
		if err := d.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	got := newSeen(20)
	k, err := nsq.NewConsumer("found", "c", config())
	must(t, err)
	k.SetLogger(silence, nsq.LogLevelError)
	k.AddHandler(nsq.HandlerFunc(func(m *nsq.Message) error { got.add(m.Body); return nil }))
	must(t, servers[0].Publish("found", body(0)))
	must(t, k.ConnectToNSQLookupd(d.HTTPAddr().String()))
	t.Cleanup(func() { stopConsumer(t, k) })
	eventually(t, "the first message comes", func() bool { return got.count() == 1 })
	for i := 1; i < 20; i++ {
		must(t, servers[i%2].Publish("found", body(i)))
	}
	got.await(t)
	got.exactly(t)
}
