package server

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop/looptest"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/server/journal/journaltest"
	"github.com/nsqloop/nsqloop/writer"
)

// onceRun is a Writer with writer.RetryOnce, a server, and connections that break
// at any byte, in either direction.
type onceRun struct {
	t        *testing.T
	seed     uint64
	dice     *rand.Rand
	w        *looptest.World
	client   *looptest.Loop
	writer   *writer.Writer
	disk     *journaltest.Disk
	o        Options
	sick     bool // the disk fails at times
	vague    bool // results need not know what became of messages
	ended    map[string]writer.Outcome
	sent     int
	tries    int
	received map[string]int
}

// startOnce starts one.
func startOnce(t *testing.T, seed uint64, sick bool) *onceRun {
	r := &onceRun{t: t, seed: seed, sick: sick, dice: rand.New(rand.NewPCG(seed, 3)), w: looptest.New(seed, looptest.Options{}),
		ended: map[string]writer.Outcome{}, received: map[string]int{}}
	r.disk = journaltest.New(rand.New(rand.NewPCG(seed, 4)))
	r.o = Options{TCPAddress: ":4150", Sync: []Sync{SyncAlways, SyncInterval}[r.dice.IntN(2)], MaxBytesPerFile: 2 << 10}
	r.vague = sick
	r.serve()
	r.client = r.w.Loop("client")
	w, err := writer.New(r.client, writer.Options{NSQDs: []string{"server:4150"}, Retry: writer.RetryOnce, Timeout: time.Minute,
		Batch: r.dice.IntN(2) * r.dice.IntN(10), Window: 1 + r.dice.IntN(50), ReconnectDelay: time.Millisecond, MaxReconnectDelay: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	r.writer = w
	return r
}

// serve starts the server, at first and after it has ended.
func (r *onceRun) serve() {
	if _, err := NewOnDisk(r.w.Loop("server"), r.o, r.disk); err != nil {
		r.t.Fatal(err)
	}
}

// restart ends the server, in order or at once, and starts it again after a while.
func (r *onceRun) restart(kill bool) {
	if l := r.w.Loop("server"); kill {
		r.w.Crash(l)
		r.disk.Kill()
	} else if err := l.Shutdown(time.Minute); err != nil {
		r.t.Errorf("seed %d: %v", r.seed, err)
	}
	r.w.Run(time.Duration(r.dice.IntN(300)) * time.Millisecond)
	r.serve()
}

// publish publishes a few messages of every kind.
func (r *onceRun) publish() {
	for range r.dice.IntN(6) {
		var bodies [][]byte
		for range 1 + r.dice.IntN(3) {
			r.sent++
			bodies = append(bodies, fmt.Append(nil, "m", r.sent))
		}
		done := func(res writer.Result) {
			r.tries += res.Tries - 1
			for _, body := range bodies {
				if _, twice := r.ended[string(body)]; twice {
					r.t.Errorf("seed %d: done ran twice for %s", r.seed, body)
				}
				r.ended[string(body)] = res.Outcome()
			}
		}
		topic := []string{"t", "u"}[r.dice.IntN(2)]
		switch {
		case len(bodies) > 1:
			r.writer.MultiPublish(topic, bodies, done)
		case r.dice.IntN(4) == 0:
			r.writer.DeferredPublish(topic, time.Second, bodies[0], done)
		default:
			r.writer.Publish(topic, bodies[0], done)
		}
	}
}

// trouble breaks a connection now, after some bytes, or for one side alone; and the
// disk.
func (r *onceRun) trouble() {
	links := r.w.Links("client", "server")
	if len(links) == 0 {
		return
	}
	k := links[r.dice.IntN(len(links))]
	switch r.dice.IntN(6) {
	case 0:
		k.Reset()
	case 1, 2:
		k.ResetAfter(r.dice.IntN(300))
	case 3:
		k.Vanish()
	}
	if !r.sick {
		return
	}
	op := []string{"write", "sync", ""}[r.dice.IntN(3)]
	r.disk.Fail(func(got, _ string) error {
		if got == op && r.dice.IntN(4) == 0 {
			return errFull
		}
		return nil
	})
}

// drain consumes what is stored.
func (r *onceRun) drain() {
	for _, topic := range []string{"t", "u"} {
		_, err := reader.New(r.client, reader.Options{Topic: topic, Channel: "c", NSQDs: []string{"server:4150"}, MaxInFlight: 100,
			Handler: func(m *reader.Message) error {
				r.received[string(m.Body)]++
				return nil
			}})
		if err != nil {
			r.t.Fatal(err)
		}
	}
	r.w.Run(20 * time.Second)
}

// check holds what was received against what the results say.
func (r *onceRun) check() {
	if len(r.ended) != r.sent {
		r.t.Errorf("seed %d: %d of %d messages have a result", r.seed, len(r.ended), r.sent)
	}
	for body, outcome := range r.ended {
		n := r.received[body]
		ok := outcome == writer.Confirmed && n == 1 || r.vague && (outcome == writer.NotSent && n == 0 || outcome == writer.Unknown && n <= 1)
		if !ok {
			r.t.Errorf("seed %d: %s is %v, and was received %d times", r.seed, body, outcome, n)
		}
	}
}

// A topic that is deleted while its publishers have no answer costs them one
// connection, however many publishes that is about.
func TestRetryOnce_DeletedTopicCostsOneConnection(t *testing.T) {
	const unsure = 200
	w := looptest.Test(t, looptest.Options{})
	l := w.Loop("server")
	s, err := New(l, Options{TCPAddress: ":4150"})
	if err != nil {
		t.Fatal(err)
	}
	client := w.Loop("client")
	p, err := writer.New(client, writer.Options{NSQDs: []string{"server:4150"}, Retry: writer.RetryOnce})
	if err != nil {
		t.Fatal(err)
	}
	w.Run(time.Second)
	link := w.Links("client", "server")[0]
	link.Deaf("client", true)
	results := map[string]int{}
	publish := func(topic string) {
		client.Do(func() {
			p.Publish(topic, []byte("x"), func(r writer.Result) { results[fmt.Sprint(r.Topic, " ", r.Outcome(), " ", r.Tries)]++ })
		})
	}
	for range unsure {
		publish("deleted")
		publish("stays")
	}
	w.Run(100 * time.Millisecond)
	l.Do(func() {
		if err := s.deleteTopic(s.topic("deleted")); err != nil {
			t.Error(err)
		}
	})
	link.Reset()
	w.Run(time.Second)
	publish("deleted")
	w.Run(time.Second)
	want := map[string]int{"deleted unknown 2": unsure, "stays confirmed 2": unsure, "deleted confirmed 1": 1}
	if !maps.Equal(results, want) {
		t.Errorf("results %v, want %v", results, want)
	}
	client.Do(func() {
		if n := p.Stats().NSQDs[0].Connects; n != 2 {
			t.Errorf("%d connections, want 2", n)
		}
	})
	l.Do(func() {
		if got := fmt.Sprint(s.topic("deleted").messages, " ", s.topic("stays").messages); got != fmt.Sprint("1 ", unsure) {
			t.Errorf("stored %s, want 1 %d", got, unsure)
		}
	})
}

// TestRetryOnce_NothingTwice: however connections break, each message is stored
// once, and its result says so. When the disk fails as well, results need not know,
// but are right, and nothing is stored twice.
func TestRetryOnce_NothingTwice(t *testing.T) {
	seeds := uint64(300)
	if testing.Short() {
		seeds = 60
	}
	tries := 0
	for seed := range seeds {
		r := startOnce(t, seed, seed%3 == 2)
		for range 100 {
			r.client.Do(r.publish)
			if r.dice.IntN(2) == 0 {
				r.trouble()
			}
			r.w.Run(time.Duration(r.dice.IntN(60)) * time.Millisecond)
		}
		r.disk.Fail(nil)
		r.w.Run(2 * time.Minute)
		r.drain()
		r.check()
		tries += r.tries
		r.w.Close()
		if t.Failed() {
			break
		}
	}
	if tries < int(seeds) {
		t.Errorf("in %d runs publishes were tried again only %d times", seeds, tries)
	}
}

// TestRetryOnce_Restarts: a server that is stopped in order remembers what it has,
// and one that is killed says that it does not, so that nothing is stored twice
// either way. After orderly stops every result is known, but for what a fsync was
// about that was running then.
func TestRetryOnce_Restarts(t *testing.T) {
	seeds := uint64(200)
	if testing.Short() {
		seeds = 40
	}
	tries, unknown, kept := 0, 0, 0
	for seed := range seeds {
		r := startOnce(t, seed, false)
		kills := seed%3 == 2
		r.vague = kills || r.o.Sync == SyncAlways
		for range 40 {
			r.client.Do(r.publish)
			if r.dice.IntN(3) == 0 {
				r.trouble()
			}
			r.w.Run(time.Duration(r.dice.IntN(60)) * time.Millisecond)
			r.client.Do(r.publish)
			if r.dice.IntN(4) == 0 {
				r.w.Run(time.Duration(r.dice.IntN(4000)) * time.Microsecond)
				r.restart(kills && r.dice.IntN(2) == 0)
			}
		}
		r.w.Run(2 * time.Minute)
		r.drain()
		r.check()
		for _, outcome := range r.ended {
			if outcome == writer.Unknown {
				unknown++
			}
		}
		if !r.vague {
			kept += r.tries
		}
		tries += r.tries
		r.w.Close()
		if t.Failed() {
			break
		}
	}
	t.Logf("tried again %d times, %d of them in runs where all is known; %d messages unknown", tries, kept, unknown)
	if kept < int(seeds) || unknown == 0 {
		t.Errorf("in %d runs publishes were tried again %d times where all is known, and %d messages are unknown elsewhere", seeds, kept, unknown)
	}
}
