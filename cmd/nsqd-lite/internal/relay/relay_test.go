package relay

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/cmd/nsqd-lite/internal/pick"
	"github.com/nsqloop/nsqloop/internal/testwait"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/server/nsqtest"
	"github.com/nsqloop/nsqloop/writer"
)

// relay copies topic t from s until the test ends.
func relay(t *testing.T, s *nsqtest.Server, set func(*Options)) {
	t.Helper()
	l, err := loop.New(loop.Options{SlowCallback: -1})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Topics:   []string{"t"},
		Consumer: reader.Options{Channel: "nsq_to_nsq", NSQDs: []string{s.TCPAddr()}, MaxInFlight: 200, MaxAttempts: -1, RequeueDelay: -1, MaxBackoff: -1},
		Mode:     pick.HostPool,
		Producer: writer.Options{Timeout: 100 * time.Millisecond},
	}
	set(&o)
	if _, err := New(l, o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// left says whether n messages of the channel are not finished.
func left(s *nsqtest.Server, topic string, n int) bool {
	c := s.Channel(topic, "nsq_to_nsq")
	return c.ChannelName != "" && int(c.Depth)+c.InFlightCount+c.DeferredCount == n
}

// TestRelay_Copies is statement 335: messages are copied, and finished when
// their destination has said OK, not before.
func TestRelay_Copies(t *testing.T) {
	from, to := nsqtest.Start(t), nsqtest.Start(t)
	relay(t, from, func(o *Options) { o.NSQDs, o.Topics = []string{to.TCPAddr()}, []string{"t", "u"} })
	from.Publish("t", "a", "b")
	from.Publish("u", "c")
	testwait.Until(t, "all copied", func() bool { return to.Topic("t").Depth == 2 && to.Topic("u").Depth == 1 })
	testwait.Until(t, "all finished", func() bool { return left(from, "t", 0) && left(from, "u", 0) })

	// Without an answer there is no FIN, and the message goes back.
	from = nsqtest.Start(t)
	strict := nsqtest.Start(t, func(o *server.Options) { o.MaxMsgSize = 3 }) // it refuses what follows
	relay(t, from, func(o *Options) { o.NSQDs, o.Destination = []string{strict.TCPAddr()}, "there" })
	from.Publish("t", "too large")
	testwait.Until(t, "requeued", func() bool { return from.Channel("t", "nsq_to_nsq").RequeueCount > 2 })
	if !left(from, "t", 1) {
		t.Errorf("finished without an OK: %+v", from.Channel("t", "nsq_to_nsq"))
	}
}

// TestRelay_FailsOver: one of two destinations is not there.
func TestRelay_FailsOver(t *testing.T) {
	from, to := nsqtest.Start(t), nsqtest.Start(t)
	gone := nsqtest.Start(t)
	gone.Close()
	relay(t, from, func(o *Options) { o.NSQDs = []string{gone.TCPAddr(), to.TCPAddr()} })
	from.Publish("t", "a", "b", "c")
	testwait.Until(t, "all copied", func() bool { return to.Topic("t").Depth == 3 && left(from, "t", 0) })
}

func TestRelay_Filters(t *testing.T) {
	from, to := nsqtest.Start(t), nsqtest.Start(t)
	relay(t, from, func(o *Options) {
		o.NSQDs, o.Filter = []string{to.TCPAddr()}, Filter{RequireField: "kind", RequireValue: "x", Whitelist: []string{"n"}}
	})
	from.Publish("t", "no JSON", `{"kind":"y"}`, `{"n":1}`, `{"kind":"x","n":2}`)
	testwait.Until(t, "one copied", func() bool { return to.Topic("t").Depth == 1 })
	// The one without the field stays in the channel, where somebody may look.
	testwait.Until(t, "the others dropped", func() bool { return left(from, "t", 1) && from.Channel("t", "nsq_to_nsq").RequeueCount > 0 })
}

func TestOptions_Check(t *testing.T) {
	l, err := loop.New(loop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for want, o := range map[string]Options{
		"no topic":       {NSQDs: []string{"h:1"}},
		"no address":     {Topics: []string{"t"}},
		"topic t: ":      {Topics: []string{"t"}, NSQDs: []string{"h:1"}, Consumer: reader.Options{NSQDs: []string{"h:1"}}},
		"not-an-address": {Topics: []string{"t"}, NSQDs: []string{"not-an-address"}},
	} {
		if _, err := New(l, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}
