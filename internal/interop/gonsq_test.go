package interop

import (
	"bytes"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	nsq "github.com/nsqio/go-nsq"
)

// publishAll publishes bodies 0 to n-1 asynchronously, and again those that
// fail, until each has been accepted.
func publishAll(t testing.TB, p *nsq.Producer, topic string, n int, accepted func(done int)) {
	t.Helper()
	const window = 1000
	results := make(chan *nsq.ProducerTransaction, window)
	var again []int
	next, pending, done := 0, 0, 0
	deadline := time.After(patience)
	for done < n {
		for pending < window && (next < n || len(again) > 0) {
			i := next
			if len(again) > 0 {
				i, again = again[0], again[1:]
			} else {
				next++
			}
			if err := p.PublishAsync(topic, body(i), results, i); err != nil {
				again = append(again, i)
				break
			}
			pending++
		}
		if pending == 0 {
			// Not connected: the producer dials anew with each attempt.
			select {
			case <-deadline:
				t.Fatalf("%d of %d messages accepted in %v", done, n, patience)
			case <-time.After(10 * time.Millisecond):
			}
			continue
		}
		select {
		case res := <-results:
			pending--
			if res.Error != nil {
				again = append(again, res.Args[0].(int))
				continue
			}
			done++
			accepted(done)
		case <-deadline:
			t.Fatalf("%d of %d messages accepted in %v", done, n, patience)
		}
	}
}

func TestGoNSQ_100000MessagesNoneLost(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 10_000
	}
	eachServer(t, func(t *testing.T, s *target) {
		got := newSeen(n)
		c := config()
		c.MaxInFlight = 2500
		consumer(t, s, "many", c, func(m *nsq.Message) error { got.add(m.Body); return nil })
		publishAll(t, producer(t, s, config()), "many", n, func(int) {})
		got.await(t)
		got.exactly(t)
	})
}

func TestGoNSQ_StoppingTheServerMidwayLosesNone(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 10_000
	}
	eachServer(t, func(t *testing.T, s *target) {
		got := newSeen(n)
		c := config()
		c.MaxInFlight = 500
		consumer(t, s, "restarted", c, func(m *nsq.Message) error { got.add(m.Body); return nil })
		publishAll(t, producer(t, s, config()), "restarted", n, func(done int) {
			if done == n/3 || done == 2*n/3 {
				s.stop(t)
				s.start(t)
			}
		})
		got.await(t)
	})
}

// The original is not held to this one: it keeps messages in memory.
func TestGoNSQ_KillingTheServerMidwayLosesNone(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 10_000
	}
	s := lite(t)
	s.start(t)
	t.Cleanup(func() { s.stop(t) })
	got := newSeen(n)
	c := config()
	c.MaxInFlight = 500
	c.MsgTimeout = time.Second // what was delivered to the old connection comes again after it
	consumer(t, s, "killed", c, func(m *nsq.Message) error { got.add(m.Body); return nil })
	publishAll(t, producer(t, s, config()), "killed", n, func(done int) {
		if done%(n/10) == n/20 {
			s.kill()
			s.start(t)
		}
	})
	got.await(t)
}

func TestGoNSQ_EveryWayToPublish(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		p := producer(t, s, config())
		if err := p.Ping(); err != nil {
			t.Fatal(err)
		}
		got := newSeen(5)
		var early atomic.Bool
		began := time.Now()
		const delay = 300 * time.Millisecond
		consumer(t, s, "ways", config(), func(m *nsq.Message) error {
			if bytes.Equal(m.Body, body(3)) && time.Since(began) < delay {
				early.Store(true)
			}
			got.add(m.Body)
			return nil
		})
		must(t, p.Publish("ways", body(0)))
		must(t, p.MultiPublish("ways", [][]byte{body(1), body(2)}))
		must(t, p.DeferredPublish("ways", delay, body(3)))
		done := make(chan *nsq.ProducerTransaction, 1)
		must(t, p.MultiPublishAsync("ways", [][]byte{body(4)}, done))
		if res := <-done; res.Error != nil {
			t.Fatal(res.Error)
		}
		got.await(t)
		got.exactly(t)
		if early.Load() {
			t.Errorf("the deferred message came before its %v were over", delay)
		}
	})
}

func TestGoNSQ_AnswersAndAttempts(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		p := producer(t, s, config())
		var attempts []uint16 // the handler is one goroutine
		var late *nsq.Message
		var ids []nsq.MessageID
		finished := make(chan struct{})
		c := config()
		c.MsgTimeout = time.Second
		consumer(t, s, "answers", c, func(m *nsq.Message) error {
			attempts = append(attempts, m.Attempts)
			ids = append(ids, m.ID)
			switch len(attempts) {
			case 1:
				return errors.New("requeued with the default delay")
			case 2:
				m.RequeueWithoutBackoff(100 * time.Millisecond)
			case 3:
				// No answer: the message times out. Touched once, it lasts
				// longer than its timeout.
				m.DisableAutoResponse()
				m.Touch()
				late = m
			default:
				late.Finish() // refused; the other client waits for it otherwise
				close(finished)
			}
			return nil
		})
		must(t, p.Publish("answers", body(0)))
		select {
		case <-finished:
		case <-time.After(patience):
			t.Fatal("the message did not come a fourth time")
		}
		for i, a := range attempts {
			if int(a) != i+1 || ids[i] != ids[0] {
				t.Errorf("delivery %d says attempts %d and id %s, want %d and %s", i+1, a, ids[i], i+1, ids[0])
			}
		}
	})
}

func TestGoNSQ_TouchKeepsAMessage(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		var deliveries atomic.Int32
		finished := make(chan struct{})
		c := config()
		c.MsgTimeout = time.Second
		consumer(t, s, "touch", c, func(m *nsq.Message) error {
			deliveries.Add(1)
			// Held for three timeouts, touched four times in each.
			tick := time.NewTicker(250 * time.Millisecond)
			defer tick.Stop()
			for range 12 {
				<-tick.C
				m.Touch()
			}
			close(finished)
			return nil
		})
		must(t, producer(t, s, config()).Publish("touch", body(0)))
		select {
		case <-finished:
		case <-time.After(patience):
			t.Fatal("the message did not come")
		}
		if got := deliveries.Load(); got != 1 {
			t.Errorf("the message came %d times, want once: TOUCH has not kept it", got)
		}
	})
}

func TestGoNSQ_Backoff(t *testing.T) {
	eachServer(t, func(t *testing.T, s *target) {
		const n = 20
		got := newSeen(n)
		var failures atomic.Int32
		c := config()
		c.MaxInFlight = 5
		c.BackoffMultiplier = 20 * time.Millisecond
		c.MaxBackoffDuration = 200 * time.Millisecond
		consumer(t, s, "backoff", c, func(m *nsq.Message) error {
			if m.Attempts == 1 && failures.Add(1) <= n/2 {
				return errors.New("fails the first time")
			}
			got.add(m.Body)
			return nil
		})
		p := producer(t, s, config())
		for i := range n {
			must(t, p.Publish("backoff", body(i)))
		}
		got.await(t)
		got.exactly(t)
	})
}

func TestGoNSQ_Refusals(t *testing.T) {
	refusals := []struct {
		name string
		do   func(p *nsq.Producer) error
		want string
	}{
		{"bad topic", func(p *nsq.Producer) error { return p.Publish("no+plus", body(0)) }, "E_BAD_TOPIC"},
		{"empty body", func(p *nsq.Producer) error { return p.Publish("t", []byte{}) }, "E_BAD_MESSAGE"},
		{"too large", func(p *nsq.Producer) error { return p.Publish("t", make([]byte, 1<<20+1)) }, "E_BAD_MESSAGE"},
		{"too long a delay", func(p *nsq.Producer) error { return p.DeferredPublish("t", 2*time.Hour, body(0)) }, "E_INVALID"},
		{"an empty one among many", func(p *nsq.Producer) error { return p.MultiPublish("t", [][]byte{body(0), nil}) }, "E_BAD_MESSAGE"},
	}
	eachServer(t, func(t *testing.T, s *target) {
		for _, r := range refusals {
			err := r.do(producer(t, s, config()))
			if err == nil || !strings.Contains(err.Error(), r.want) {
				t.Errorf("%s: got %v, want %s", r.name, err, r.want)
			}
		}
		// The server lives on.
		must(t, producer(t, s, config()).Publish("t", body(0)))
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
