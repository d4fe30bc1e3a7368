package badnet

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/internal/testcert"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/server/nsqtest"
	"github.com/nsqloop/nsqloop/writer"
)

const (
	publishes = 400             // of one schedule, besides those that block
	blocking  = 40              // PublishSync, by two goroutines
	patience  = 2 * time.Minute // until everything must have drained, also on a machine that does other things
)

// system is two servers and a program that talks to them through proxies of its
// own for publishing and for consuming.
type system struct {
	t       *testing.T
	rng     *rand.Rand
	guard   guard
	servers []*nsqtest.Server
	proxies []*nsqtest.Proxy
	l       *loop.Engine
	w       *writer.Writer
	calls   sync.WaitGroup

	ledger
}

func run(t *testing.T, seed uint64, sum *tally) {
	s := &system{
		t: t, rng: rand.New(rand.NewPCG(seed, 0)), guard: guard(seed % 4), ledger: newLedger(),
	}
	s.start()
	for range 8 + s.rng.IntN(8) {
		s.fault()
		s.wait(time.Duration(10+s.rng.IntN(150)) * time.Millisecond)
	}
	s.heal()
	s.settled()
	s.check(t, seed)
	sum.add(&s.tally)
}

// start makes everything.
func (s *system) start() {
	o := client.Options{HeartbeatInterval: time.Second, DialTimeout: time.Second, MsgTimeout: 2 * time.Second}
	option := func(*server.Options) {}
	ca := testcert.New(s.t, "authority")
	if s.guard == byTLS {
		cert, key, _ := ca.Files(ca.Issue("nsqd", "127.0.0.1"))
		option = func(o *server.Options) { o.TLSCert, o.TLSKey = cert, key }
	}
	s.guard.ask(&o, ca)
	var out, in []string
	for range 2 {
		srv := nsqtest.Start(s.t, option)
		s.servers = append(s.servers, srv)
		toWriter, toReader := srv.Faults(nsqtest.Fault{}), srv.Faults(nsqtest.Fault{})
		s.proxies = append(s.proxies, toWriter, toReader)
		out, in = append(out, toWriter.TCPAddr()), append(in, toReader.TCPAddr())
	}
	var err error
	if s.l, err = loop.New(loop.Options{}); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := s.l.Close(); err != nil {
			s.t.Error(err)
		}
	})
	s.w, err = writer.New(s.l, writer.Options{NSQDs: out, Client: o, MaxReconnectDelay: 200 * time.Millisecond})
	if err != nil {
		s.t.Fatal(err)
	}
	_, err = reader.New(s.l, reader.Options{
		Topic: "t", Channel: "c", NSQDs: in, Client: o, MaxInFlight: 50, MaxAttempts: -1, MaxBackoff: -1,
		RequeueDelay: time.Millisecond, MaxReconnectDelay: 200 * time.Millisecond, Handler: s.handle,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.publish()
	if err := s.l.Start(); err != nil {
		s.t.Fatal(err)
	}
	for g := range 2 {
		s.calls.Go(func() { s.block(g) })
	}
}

// publish publishes on the loop, a few messages each few milliseconds.
func (s *system) publish() {
	choice := rand.New(rand.NewPCG(s.rng.Uint64(), 0)) // the loop's own
	n := 0
	var timer loop.Timer
	timer = s.l.Every(3*time.Millisecond, func() {
		if n++; n > publishes {
			timer.Stop()
			return
		}
		id := fmt.Sprint("async-", n)
		body := text(id, choice.IntN(2000))
		done := func(res writer.Result) { s.done(id, res.Err, res.Latency) }
		switch choice.IntN(10) {
		case 0:
			s.w.DeferredPublish("t", time.Duration(choice.IntN(100))*time.Millisecond, body, done)
		case 1:
			s.w.MultiPublish("t", [][]byte{body}, done)
		default:
			s.w.Publish("t", body, done)
		}
	})
}

// block publishes with calls that wait.
func (s *system) block(g int) {
	for i := range blocking / 2 {
		id := fmt.Sprint("sync-", g, "-", i)
		began := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		err := s.w.PublishSync(ctx, "t", text(id, 0))
		cancel()
		s.done(id, err, time.Since(began))
	}
}

// fault lets one thing go wrong, or some of what went wrong end.
func (s *system) fault() {
	s.tally.faults++
	p := s.proxies[s.rng.IntN(len(s.proxies))]
	d := nsqtest.Direction(s.rng.IntN(3))
	switch s.rng.IntN(11) {
	case 0:
		p.Set(d, nsqtest.Fault{Delay: time.Duration(s.rng.IntN(100)) * time.Millisecond})
	case 1:
		p.Set(d, nsqtest.Fault{Throttle: 20_000 + s.rng.IntN(100_000)})
	case 2:
		p.Set(d, nsqtest.Fault{Hold: true})
	case 3:
		p.Set(d, nsqtest.Fault{ResetAfter: 1 + s.rng.IntN(5000)})
	case 4:
		p.Reset()
	case 5:
		p.HalfClose(d)
	case 6:
		p.Refuse(true)
		p.Reset()
	case 7:
		s.servers[s.rng.IntN(len(s.servers))].Restart()
	case 8:
		if s.guard.sees() {
			p.Set(d, nsqtest.Fault{Corrupt: 0.1})
		}
	default:
		p.Refuse(false)
		p.Set(nsqtest.Both, nsqtest.Fault{})
	}
}

// heal ends all that went wrong.
func (s *system) heal() {
	for _, p := range s.proxies {
		p.Refuse(false)
		p.Set(nsqtest.Both, nsqtest.Fault{})
	}
}

// wait lets real time pass.
func (s *system) wait(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	<-t.C
}

// settled waits until all publishes have ended and nothing is left on the
// servers.
func (s *system) settled() {
	s.t.Helper()
	end := time.Now().Add(patience)
	for {
		ended := s.ended()
		left := ""
		for _, srv := range s.servers {
			topic, ch := srv.Topic("t"), srv.Channel("t", "c")
			if topic.Depth+ch.Depth+int64(ch.InFlightCount+ch.DeferredCount) > 0 {
				left += fmt.Sprintf("; topic %d, depth %d, in flight %d, deferred %d", topic.Depth, ch.Depth, ch.InFlightCount, ch.DeferredCount)
			}
		}
		if ended == publishes+blocking && left == "" {
			break
		}
		if time.Now().After(end) {
			s.t.Fatalf("%d of %d publishes have ended after %v%s; the writer: %+v", ended, publishes+blocking, patience, left, s.w.Stats())
		}
		s.wait(5 * time.Millisecond)
	}
	s.calls.Wait()
}

// guard is what a schedule's connections have against bits that flip. Only with
// one are bits flipped: NSQ's protocol has nothing by itself.
type guard uint64

const (
	byTLS guard = iota
	unguarded
	byChecksum
)

// sees reports whether a flipped bit is noticed.
func (g guard) sees() bool { return g == byTLS || g == byChecksum }

// ask sets the options of a client.
func (g guard) ask(o *client.Options, ca *testcert.Authority) {
	switch g {
	case byTLS:
		o.TLSConfig, o.Snappy = &tls.Config{RootCAs: ca.Pool()}, true
	case byChecksum:
		o.Checksum = true
	}
}
