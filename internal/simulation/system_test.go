package simulation

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop/looptest"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/writer"
)

const topic = "orders"

// system is one server, some Writers and some Readers in a world.
type system struct {
	tb    testing.TB
	log   func(format string, args ...any)
	rand  *rand.Rand
	plan  plan
	model model
	tally tally

	world  *looptest.World
	begin  time.Time
	host   *looptest.Loop // the server's; nil while it is down
	server *server.Server
	dir    string // its data path

	writers []*writer.Writer
	readers []*member
	fate    *looptest.Loop // carries the plan's timers
	todo    []func() error // what the driver has to do
	trace   uint64         // of the world when it came to rest
}

// member is one Reader and what its handler holds.
type member struct {
	s      *system
	plan   readerPlan
	name   string
	held   int  // handed over and not answered, on the connection that is there
	ready  bool // connected
	lives  int  // connections that were lost
	reader *reader.Reader
}

func newSystem(tb testing.TB, seed uint64, log func(string, ...any)) *system {
	s := &system{tb: tb, log: log, rand: rand.New(rand.NewPCG(seed, 0x73696d))}
	s.plan = makePlan(s.rand)
	s.world = looptest.New(seed, looptest.Options{MinLatency: s.plan.minLatency, MaxLatency: s.plan.maxLatency})
	s.begin = s.world.Now()
	s.fate = s.world.Loop("fate")
	s.model = model{tally: &s.tally, plan: &s.plan, say: s.say}
	return s
}

// say tells what happens, when one seed is looked at.
func (s *system) say(format string, args ...any) {
	if s.log != nil {
		s.log("%9.4f  %s", s.world.Now().Sub(s.begin).Seconds(), fmt.Sprintf(format, args...))
	}
}

// run goes through the schedule and returns the first thing that is wrong.
func (s *system) run() error {
	defer s.world.Close()
	s.say("plan %+v", s.plan)
	s.dir = scratch(s.tb)
	if err := s.startServer(); err != nil {
		return err
	}
	if err := s.startClients(); err != nil {
		return err
	}
	if !s.world.RunUntil(s.allReady, time.Minute) {
		return fmt.Errorf("the readers did not connect to a healthy server within a minute")
	}
	s.world.SetFaults(s.plan.faults)
	s.schedule()
	if err := s.drive(); err != nil {
		return err
	}
	s.tally.virtual, s.trace = s.world.Now().Sub(s.begin), s.world.Trace()
	return s.atRest()
}

// patience is how long it may take until all is at rest after the last fault: a
// connection that fell silent is noticed after two heartbeats of 30 s, and the
// messages that went down with it wait for their timeout.
const patience = 5 * time.Minute

// drive lets time pass and does what cannot be done inside a callback, until
// all is at rest.
func (s *system) drive() error {
	end := s.world.Now().Add(s.plan.chaos + patience)
	for {
		s.world.RunUntil(func() bool { return len(s.todo) > 0 || s.model.err != nil || s.quiet() }, end.Sub(s.world.Now()))
		switch {
		case s.model.err != nil:
			return s.model.err
		case len(s.todo) > 0:
			do := s.todo[0]
			s.todo = s.todo[1:]
			if err := do(); err != nil {
				return err
			}
		case s.quiet():
			return nil
		default:
			return fmt.Errorf("not at rest %v after the last fault: %s", patience, s.model.missing())
		}
	}
}

// quiet says whether everything that must happen has happened.
func (s *system) quiet() bool {
	if !s.model.calm || s.server == nil {
		return false
	}
	for _, m := range s.readers {
		if m.held > 0 {
			return false
		}
	}
	return s.model.missing() == ""
}

// startServer starts a server on the data path as it is.
func (s *system) startServer() (err error) {
	s.host = s.world.Loop("server")
	s.server, err = server.New(s.host, server.Options{
		TCPAddress: ":4150", DataPath: s.dir, Sync: s.plan.sync,
		MsgTimeout: s.plan.msgTimeout, MaxBytesPerFile: 16 << 10,
	})
	if err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	s.say("server is up")
	return nil
}

// startClients starts the Writers on one host and the Readers on another.
func (s *system) startClients() error {
	const addr = "server:4150"
	wl, rl := s.world.Loop("writer"), s.world.Loop("reader")
	for i := range s.plan.writers {
		w, err := writer.New(wl, writer.Options{NSQDs: []string{addr}, Name: fmt.Sprint("w", i)})
		if err != nil {
			return err
		}
		s.writers = append(s.writers, w)
	}
	for i, p := range s.plan.readers {
		m := &member{s: s, plan: p, name: fmt.Sprint("r", i)}
		s.readers = append(s.readers, m)
		var err error
		m.reader, err = reader.New(rl, reader.Options{
			Topic: topic, Channel: p.channel, MaxInFlight: p.maxInFlight, NSQDs: []string{addr},
			MaxAttempts: -1, RequeueDelay: 100 * time.Millisecond, MaxBackoff: 2 * time.Second,
			MaxReconnectDelay: 2 * time.Second,
			Handler:           m.handle,
			OnConnect:         func(string) { m.ready = true; s.say("%s connected", m.name) },
			OnDisconnect: func(_ string, err error) {
				m.ready, m.held = false, 0
				m.lives++
				s.say("%s disconnected: %v", m.name, err)
			},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *system) allReady() bool {
	for _, m := range s.readers {
		if !m.ready {
			return false
		}
	}
	return true
}

// schedule sets timers for everything in the plan, on a loop that nothing
// happens to.
func (s *system) schedule() {
	for i := range s.plan.messages {
		at := time.Duration(s.rand.Float64() * float64(s.plan.chaos))
		var delay time.Duration
		if s.rand.IntN(8) == 0 {
			delay = time.Duration(1+s.rand.IntN(10_000)) * time.Millisecond
		}
		w := s.writers[s.rand.IntN(len(s.writers))]
		s.fate.After(at, func() { s.publish(w, i, delay) })
	}
	for _, e := range s.plan.events {
		s.fate.After(e.at, func() { s.meet(e) })
	}
	s.fate.After(s.plan.chaos, func() {
		s.world.SetFaults(looptest.Faults{})
		s.model.calm, s.model.calmAt = true, s.world.Now()
		s.say("no more faults")
	})
}

// meet lets an event happen. What stops a loop is left to the driver.
func (s *system) meet(e event) {
	switch e.kind {
	case cut:
		s.tally.cuts++
		s.say("connections of %s are cut", e.host)
		for _, k := range s.world.Links(e.host, "server") {
			k.Reset()
		}
	case partition:
		s.tally.partitions++
		s.say("%s and server are parted for %v", e.host, e.last)
		s.world.Partition(e.host, "server")
		s.fate.After(e.last, func() { s.world.Heal(e.host, "server") })
	case crash, restart:
		s.todo = append(s.todo, func() error { return s.stopServer(e) })
	}
}

// stopServer kills the server, or stops it in order, and brings it back later
// on the files as they are.
func (s *system) stopServer(e event) error {
	if s.server == nil {
		return nil // down already
	}
	s.say("server goes down, event %d, for %v", e.kind, e.last)
	began := s.world.Now()
	switch e.kind {
	case crash:
		s.tally.crashes++
		dir := scratch(s.tb)
		if err := copyDir(s.dir, dir); err != nil {
			return err
		}
		s.world.Crash(s.host)
		os.RemoveAll(s.dir)
		s.dir = dir
	case restart:
		s.tally.restarts++
		if err := s.host.Shutdown(time.Minute); err != nil {
			return fmt.Errorf("stop the server: %w", err)
		}
	}
	s.server = nil
	s.model.downs = append(s.model.downs, span{began, s.world.Now()})
	s.fate.After(e.last, func() {
		s.todo = append(s.todo, s.startServer)
	})
	return nil
}

// publish hands message i to a Writer.
func (s *system) publish(w *writer.Writer, i int, delay time.Duration) {
	s.tally.publishes++
	p := s.model.publish(i, s.world.Now(), delay)
	done := func(res writer.Result) { s.model.done(p, s.world.Now(), res) }
	if delay > 0 {
		w.DeferredPublish(topic, delay, []byte(p.body), done)
		return
	}
	w.Publish(topic, []byte(p.body), done)
}

// handle is a Reader's handler.
func (m *member) handle(msg *reader.Message) error {
	s := m.s
	s.tally.deliveries++
	d := s.model.deliver(m, string(msg.Body), s.world.Now())
	if m.held++; m.held > m.plan.maxInFlight {
		s.model.fail("%s holds %d messages, max in flight is %d", m.name, m.held, m.plan.maxInFlight)
	}
	fails, forgets, x := m.plan.fails, m.plan.forgets, s.rand.Float64()
	if s.model.calm {
		fails, forgets = fails/5, 0
	}
	switch {
	case x < fails:
		m.held--
		return reader.RequeueAfter(time.Duration(s.rand.IntN(500))*time.Millisecond, errors.New("fails"))
	case x < fails+forgets:
		m.release(msg, s.plan.msgTimeout, func() {})
		return reader.Pending
	case x < fails+forgets+m.plan.later:
		m.release(msg, time.Duration(s.rand.IntN(1000))*time.Millisecond, func() {
			if msg.Finish() {
				s.model.finish(d, s.world.Now())
			}
		})
		return reader.Pending
	}
	m.held--
	s.model.finish(d, s.world.Now())
	return nil
}

// release answers a message after a while. From then on it does not count as
// held, nor from just before its time is over, nor when its connection was lost:
// it will come again.
func (m *member) release(msg *reader.Message, after time.Duration, answer func()) {
	fate, life := m.s.fate, m.lives
	left := msg.Deadline().Sub(m.s.world.Now()) - time.Millisecond
	fate.After(min(after, left), func() {
		if life == m.lives {
			m.held--
		}
	})
	fate.After(after, answer)
}

// scratch is a new directory, in memory where the system has such.
func scratch(tb testing.TB) string {
	base := ""
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		base = "/dev/shm"
	}
	dir, err := os.MkdirTemp(base, "nsqloop-simulation-")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// copyDir copies a data path as a kill would leave it: the killed server's
// object still holds the lock of the old one.
func copyDir(from, to string) error {
	return filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	})
}
