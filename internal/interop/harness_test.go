package interop

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	nsq "github.com/nsqio/go-nsq"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/server"
)

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// target is a running server that can be stopped and started again on the same
// addresses and data.
type target struct {
	tcp, http, data string
	start           func(t testing.TB)
	stop            func(t testing.TB)
	kill            func() // nil when it is not a process
}

// eachServer runs a test against each kind of server that there is.
func eachServer(t *testing.T, f func(t *testing.T, s *target)) {
	kinds := []struct {
		name string
		make func(t *testing.T) *target
	}{
		{"embedded", embedded},
		{"nsqd-lite", lite},
		{"nsqd", original},
	}
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			s := kind.make(t)
			s.start(t)
			t.Cleanup(func() { s.stop(t) })
			f(t, s)
		})
	}
}

// newTarget picks addresses and a directory.
func newTarget(t *testing.T) *target {
	t.Helper()
	addrs := make([]string, 2)
	for i := range addrs {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		addrs[i] = l.Addr().String()
	}
	return &target{tcp: addrs[0], http: addrs[1], data: t.TempDir()}
}

// embedded is our server in this process.
func embedded(t *testing.T) *target {
	s := newTarget(t)
	var running *server.Server
	s.start = func(t testing.TB) {
		t.Helper()
		var err error
		running, err = server.Start(server.Options{TCPAddress: s.tcp, HTTPAddress: s.http, DataPath: s.data})
		if err != nil {
			t.Fatal(err)
		}
	}
	s.stop = func(t testing.TB) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := running.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	}
	return s
}

// built is nsqd-lite as a program, built once.
var built = sync.OnceValues(func() (string, error) {
	bin := filepath.Join(scratch, "nsqd-lite")
	build := exec.Command("go", "build", "-o", bin, "./cmd/nsqd-lite")
	build.Dir = filepath.Join("..", "..") // the module that it belongs to knows what it needs
	out, err := build.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build nsqd-lite: %w\n%s", err, out)
	}
	return bin, nil
})

// scratch is a directory for what is built or installed once.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "nsqloop-interop-"); err != nil {
		log.Fatal(err)
	}
	code := m.Run()
	os.RemoveAll(scratch)
	os.Exit(code)
}

// lite is our server as a program.
func lite(t *testing.T) *target {
	bin, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return program(t, bin, "nsqd")
}

// original is the nsqd on PATH.
func original(t *testing.T) *target {
	bin, err := exec.LookPath("nsqd")
	if err != nil {
		t.Skip("there is no nsqd on PATH to compare with")
	}
	return program(t, bin)
}

// program is a server that is a process.
func program(t *testing.T, bin string, args ...string) *target {
	s := newTarget(t)
	args = append(args, "-tcp-address="+s.tcp, "-http-address="+s.http, "-data-path="+s.data)
	var cmd *exec.Cmd
	var said bytes.Buffer
	s.start = func(t testing.TB) {
		t.Helper()
		cmd = exec.Command(bin, args...)
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the server listens", func() bool {
			c, err := net.Dial("tcp", s.tcp)
			if err != nil {
				return false
			}
			c.Close()
			return true
		})
	}
	s.kill = func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	s.stop = func(t testing.TB) {
		t.Helper()
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("stop %s: %v\n%s", bin, err, said.String())
		}
	}
	return s
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-deadline.C:
			t.Fatalf("waited %v in vain: %s", patience, what)
		case <-again.C:
		}
	}
}

// startLoop runs a loop of ours for as long as the test.
func startLoop(t testing.TB) loop.Loop {
	t.Helper()
	l, err := loop.New(loop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
	return l
}

// seen collects bodies and how often each came. It is used from any goroutine.
type seen struct {
	mu     sync.Mutex
	times  map[string]int
	passed chan struct{} // closed when want different bodies have come
	want   int
}

func newSeen(want int) *seen {
	return &seen{times: make(map[string]int, want), passed: make(chan struct{}), want: want}
}

func (s *seen) add(body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.times[string(body)]++
	if len(s.times) == s.want && s.times[string(body)] == 1 {
		close(s.passed)
	}
}

func (s *seen) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.times)
}

// await waits until all different bodies have come.
func (s *seen) await(t testing.TB) {
	t.Helper()
	select {
	case <-s.passed:
	case <-time.After(patience):
		t.Fatalf("%d of %d messages came in %v", s.count(), s.want, patience)
	}
}

// exactly fails the test when a body other than body(0..want-1) came, or one
// came twice.
func (s *seen) exactly(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.want {
		if got := s.times[string(body(i))]; got != 1 {
			t.Fatalf("message %d came %d times, want once", i, got)
		}
	}
	if len(s.times) != s.want {
		t.Fatalf("%d different messages came, want %d", len(s.times), s.want)
	}
}

// body is the i-th message's.
func body(i int) []byte { return strconv.AppendInt([]byte("message "), int64(i), 10) }

// config is the other client's, reconnecting fast and quiet.
func config() *nsq.Config {
	c := nsq.NewConfig()
	c.LookupdPollInterval = 50 * time.Millisecond
	c.LookupdPollJitter = 0
	c.DefaultRequeueDelay = 0
	c.MaxBackoffDuration = 0
	return c
}

var silence = log.New(io.Discard, "", 0)

// producer is the other client's producer.
func producer(t testing.TB, s *target, c *nsq.Config) *nsq.Producer {
	t.Helper()
	p, err := nsq.NewProducer(s.tcp, c)
	if err != nil {
		t.Fatal(err)
	}
	p.SetLogger(silence, nsq.LogLevelError)
	t.Cleanup(p.Stop)
	return p
}

// consumer is the other client's consumer on the channel "c", stopped with the
// test.
func consumer(t testing.TB, s *target, topic string, c *nsq.Config, handle nsq.HandlerFunc) *nsq.Consumer {
	t.Helper()
	k, err := nsq.NewConsumer(topic, "c", c)
	if err != nil {
		t.Fatal(err)
	}
	k.SetLogger(silence, nsq.LogLevelError)
	k.AddHandler(handle)
	if err := k.ConnectToNSQD(s.tcp); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopConsumer(t, k) })
	return k
}

// stopConsumer stops cleanly: CLS is answered and the connection ends.
func stopConsumer(t testing.TB, k *nsq.Consumer) {
	t.Helper()
	k.Stop()
	select {
	case <-k.StopChan:
	case <-time.After(patience):
		t.Errorf("the consumer did not stop in %v", patience)
	}
}
