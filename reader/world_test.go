package reader

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/mocklookupd"
	"github.com/nsqloop/nsqloop/loop/looptest"
)

// world is a reader, brokers and nsqlookupd in virtual time.
type world struct {
	*looptest.World
	t       testing.TB
	l       *looptest.Loop // the reader's
	brokers []*broker
	lookups *mocklookupd.Servers
	events  []string // of the reader made by world.reader
}

func newWorld(t testing.TB, o looptest.Options) *world {
	t.Helper()
	w := &world{World: looptest.Test(t, o), t: t}
	w.l = w.Loop("reader")
	w.lookups = mocklookupd.New()
	return w
}

// broker starts a broker with the given name, to be found at name:4150.
func (w *world) broker(name string) *broker {
	b := newBroker(w.t, w.Loop(name), ":4150")
	b.addr = name + ":4150"
	w.brokers = append(w.brokers, b)
	return b
}

// on runs f as a turn of the broker.
func (b *broker) on(f func()) { b.l.(*looptest.Loop).Do(f) }

// send publishes from outside.
func (b *broker) send(bodies ...string) { b.on(func() { b.publish(bodies...) }) }

// reader makes a reader, of all brokers there are unless the options name
// others, that writes its events down.
func (w *world) reader(o Options) *Reader {
	w.t.Helper()
	if o.Topic == "" {
		o.Topic, o.Channel = "topic", "channel"
	}
	if len(o.NSQDs) == 0 && len(o.Lookupds) == 0 {
		for _, b := range w.brokers {
			o.NSQDs = append(o.NSQDs, b.addr)
		}
	}
	if o.Handler == nil && o.Batch.Handler == nil {
		o.Handler = func(*Message) error { return nil }
	}
	if o.HTTPClient == nil {
		o.HTTPClient = &http.Client{Transport: w.lookups}
	}
	event := func(format string, args ...any) { w.events = append(w.events, fmt.Sprintf(format, args...)) }
	o.OnConnect = func(addr string) { event("connect %s", addr) }
	o.OnDisconnect = func(addr string, err error) { event("disconnect %s", addr) }
	o.OnBackoff = func(p Pause) { event("backoff %d %v %v", p.Level, p.Duration, p.Err) }
	o.OnResume = func() { event("resume") }
	if o.OnError == nil {
		o.OnError = func(err error) { event("error %v", err) }
	}
	r, err := New(w.l, o)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// until runs until a condition holds, for at most a virtual minute.
func (w *world) until(what string, holds func() bool) {
	w.t.Helper()
	w.within(time.Minute, what, holds)
}

func (w *world) within(limit time.Duration, what string, holds func() bool) {
	w.t.Helper()
	if !w.RunUntil(holds, limit) {
		w.t.Fatalf("not within %v: %s", limit, what)
	}
}

// connected waits for n subscriptions, and for what follows them to arrive.
func (w *world) connected(r *Reader, n int) {
	w.t.Helper()
	w.until(fmt.Sprintf("%d connections", n), func() bool { return len(r.ready.slots) == n })
	w.Run(10 * time.Millisecond)
}

// wantEvents compares and forgets the events so far.
func (w *world) wantEvents(want ...string) {
	w.t.Helper()
	if got := strings.Join(w.events, "\n"); got != strings.Join(want, "\n") {
		w.t.Errorf("events are\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	w.events = nil
}
