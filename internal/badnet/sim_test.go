package badnet

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/internal/testcert"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/loop/looptest"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/server/journal/journaltest"
	"github.com/nsqloop/nsqloop/server/nsqtest"
	"github.com/nsqloop/nsqloop/writer"
)

// TestSimulatedBadNetwork is TestBadNetwork on virtual time, where a schedule
// takes milliseconds.
func TestSimulatedBadNetwork(t *testing.T) {
	from, runs := uint64(1), *runsFlag
	switch {
	case *seedFlag != 0:
		from, runs = *seedFlag, 1
	case runs == 0 && testing.Short():
		runs = 20
	case runs == 0:
		runs = 100
	}
	keys := newSimKeys(t)
	var (
		sum   tally
		next  atomic.Uint64
		wait  sync.WaitGroup
		began = time.Now()
	)
	next.Store(from)
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for seed := next.Add(1) - 1; seed < from+runs && !t.Failed(); seed = next.Add(1) - 1 {
				s := newSimSystem(t, seed, keys)
				s.run()
				sum.add(&s.tally)
			}
		})
	}
	wait.Wait()
	t.Logf("%v in %v", &sum, time.Since(began).Round(time.Millisecond))
}

// simKeys are the certificates of all schedules.
type simKeys struct {
	ca        *testcert.Authority
	cert, key string
}

func newSimKeys(t *testing.T) simKeys {
	ca := testcert.New(t, "authority")
	cert, key, _ := ca.Files(ca.Issue("nsqd", "net"))
	return simKeys{ca, cert, key}
}

const (
	simPublishes = 150
	slowest      = 5*time.Second + 10*time.Millisecond // the Writer's Timeout, and a little
)

// simSystem is two servers, a network between and a program, in a world.
type simSystem struct {
	t       *testing.T
	seed    uint64
	rng     *rand.Rand
	keys    simKeys
	guard   guard
	w       *looptest.World
	app     *looptest.Loop
	net     *looptest.Loop
	nodes   [2]simNode
	proxies []*simProxy
	wr      *writer.Writer
	r       *reader.Reader
	ledger
}

// simNode is a server and its disk, which outlives it.
type simNode struct {
	name string
	disk *journaltest.Disk
	loop *looptest.Loop
}

func newSimSystem(t *testing.T, seed uint64, keys simKeys) *simSystem {
	s := &simSystem{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), keys: keys, guard: guard(seed % 4), ledger: newLedger()}
	s.w = looptest.New(seed, looptest.Options{})
	s.app, s.net = s.w.Loop("app"), s.w.Loop("net")
	return s
}

// must ends the schedule when something that cannot fail does.
func (s *simSystem) must(err error) {
	if err != nil {
		panic(fmt.Sprintf("seed %d: %v", s.seed, err))
	}
}

func (s *simSystem) run() {
	s.start()
	for range 8 + s.rng.IntN(8) {
		s.w.Run(time.Duration(10+s.rng.IntN(400)) * time.Millisecond)
		s.fault()
	}
	s.net.Do(func() {
		for _, p := range s.proxies {
			p.refuse = false
			p.set(nsqtest.Both, nsqtest.Fault{})
		}
	})
	done := func() bool { return s.ended() == simPublishes && s.missing() == 0 }
	if !s.w.RunUntil(done, time.Minute) {
		s.t.Errorf("seed %d: after a minute %d of %d publishes have ended, and %d messages are missing", s.seed, s.ended(), simPublishes, s.missing())
	}
	s.w.Run(10 * time.Second) // and nothing happens twice
	if s.tally.slowest > slowest {
		s.t.Errorf("seed %d: a done ran after %v, want %v at the latest", s.seed, s.tally.slowest, slowest)
	}
	if !s.check(s.t, s.seed) {
		s.t.Errorf("to repeat: go test ./internal/badnet -run TestSimulatedBadNetwork -seed %d", s.seed)
	}
	s.stop()
}

// start makes everything.
func (s *simSystem) start() {
	for i := range s.nodes {
		s.nodes[i] = simNode{name: fmt.Sprint("nsqd", i), disk: journaltest.New(s.rng)}
		s.boot(&s.nodes[i])
	}
	o := client.Options{HeartbeatInterval: time.Second, DialTimeout: time.Second, MsgTimeout: 2 * time.Second, Hostname: "app"}
	s.guard.ask(&o, s.keys.ca)
	var out, in []string
	for i := range s.nodes {
		for j, to := range []*[]string{&out, &in} {
			port := fmt.Sprint(":", 5000+10*i+j)
			p, err := newSimProxy(s.net, s.rng, port, s.nodes[i].name+":4150")
			s.must(err)
			s.proxies = append(s.proxies, p)
			*to = append(*to, "net"+port)
		}
	}
	var err error
	s.wr, err = writer.New(s.app, writer.Options{NSQDs: out, Client: o, MaxReconnectDelay: 200 * time.Millisecond})
	s.must(err)
	s.r, err = reader.New(s.app, reader.Options{
		Topic: "t", Channel: "c", NSQDs: in, Client: o, MaxInFlight: 50, MaxAttempts: -1, MaxBackoff: -1,
		RequeueDelay: time.Millisecond, MaxReconnectDelay: 200 * time.Millisecond, Handler: s.handle,
	})
	s.must(err)
	s.publish()
}

// boot starts a server on its disk.
func (s *simSystem) boot(n *simNode) {
	n.loop = s.w.Loop(n.name)
	o := server.Options{TCPAddress: ":4150", BroadcastAddress: n.name}
	if s.guard == byTLS {
		o.TLSCert, o.TLSKey = s.keys.cert, s.keys.key
	}
	_, err := server.NewOnDisk(n.loop, o, n.disk)
	s.must(err)
}

// publish publishes a message now and then.
func (s *simSystem) publish() {
	n := 0
	var timer loop.Timer
	timer = s.app.Every(10*time.Millisecond, func() {
		if n++; n > simPublishes {
			timer.Stop()
			return
		}
		id := fmt.Sprint("async-", n)
		body := text(id, s.app.Rand().IntN(2000))
		done := func(res writer.Result) { s.done(id, res.Err, res.Latency) }
		switch s.app.Rand().IntN(10) {
		case 0:
			s.wr.DeferredPublish("t", time.Duration(s.app.Rand().IntN(100))*time.Millisecond, body, done)
		case 1:
			s.wr.MultiPublish("t", [][]byte{body}, done)
		default:
			s.wr.Publish("t", body, done)
		}
	})
}

// fault lets one thing go wrong, or some of what went wrong end.
func (s *simSystem) fault() {
	s.tally.faults++
	what := s.rng.IntN(11)
	if what == 7 {
		n := &s.nodes[s.rng.IntN(len(s.nodes))]
		n.disk.Kill()
		s.w.Crash(n.loop)
		s.w.Run(time.Duration(s.rng.IntN(300)) * time.Millisecond)
		s.boot(n)
		return
	}
	p, d := s.proxies[s.rng.IntN(len(s.proxies))], nsqtest.Direction(s.rng.IntN(3))
	s.net.Do(func() {
		switch what {
		case 0:
			p.set(d, nsqtest.Fault{Delay: time.Duration(s.rng.IntN(500)) * time.Millisecond})
		case 1:
			p.set(d, nsqtest.Fault{Throttle: 5_000 + s.rng.IntN(100_000)})
		case 2:
			p.set(d, nsqtest.Fault{Hold: true})
		case 3:
			p.set(d, nsqtest.Fault{ResetAfter: 1 + s.rng.IntN(5000)})
		case 4:
			p.reset()
		case 5:
			p.halfClose(d)
		case 6:
			p.refuse = true
			p.reset()
		case 8:
			if s.guard.sees() {
				p.set(d, nsqtest.Fault{Corrupt: 0.1})
			}
		default:
			p.refuse = false
			p.set(nsqtest.Both, nsqtest.Fault{})
		}
	})
}

// stop ends everything that holds more than memory.
func (s *simSystem) stop() {
	for _, n := range s.nodes {
		s.w.Crash(n.loop)
	}
	s.w.Crash(s.app)
	s.w.Crash(s.net)
}
