package server

import (
	cmdline "flag"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
)

var hostileSockets = cmdline.Int("hostile.sockets", 1000, "connections of TestServer_HostileSockets")

// What hostile clients send over sockets, of which each has one, and which they
// leave without a word, harms nobody, and nothing of it is left.
func TestServer_HostileSockets(t *testing.T) {
	s := startReal(t, Options{DataPath: t.TempDir(), MaxMsgSize: 1 << 10, MaxBodySize: 4 << 10})
	addr := s.TCPAddr().String()
	canary := dialRaw(t, addr, wire.AppendRdy(wire.AppendSub(nil, "canary", "ch"), 1))
	if _, _, err := canary.frame(); err != nil { // OK
		t.Fatal(err)
	}
	sing := func() time.Duration {
		began := time.Now()
		if err := s.Publish("canary", []byte("tweet")); err != nil {
			t.Fatal(err)
		}
		_, data, err := canary.frame()
		for string(data) == wire.Heartbeat {
			_, err = canary.Write(wire.AppendNop(nil))
			if err == nil {
				_, data, err = canary.frame()
			}
		}
		if err != nil || string(data[26:]) != "tweet" {
			t.Fatalf("the canary hears %q, %v", data, err)
		}
		took := time.Since(began)
		if _, err := canary.Write(wire.AppendFin(nil, wire.ID(data[10:26]))); err != nil {
			t.Fatal(err)
		}
		return took
	}
	var quiet, loud []time.Duration
	for range 200 {
		quiet = append(quiet, sing())
	}
	const attackers = 8
	var wg sync.WaitGroup
	over := make(chan struct{})
	for i := range attackers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 5))
			for range *hostileSockets / attackers {
				if err := attack(r, addr); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	go func() { wg.Wait(); close(over) }()
	for singing := true; singing; {
		select {
		case <-over:
			singing = false
		case <-time.After(5 * time.Millisecond):
			loud = append(loud, sing())
		}
	}
	loud = append(loud, sing())
	tick, end := time.Tick(time.Millisecond), time.After(30*time.Second)
	for connections(s) != 1 {
		select {
		case <-tick:
		case <-end:
			t.Fatalf("%d connections are left, want the canary's", connections(s))
		}
	}
	slices.Sort(quiet)
	slices.Sort(loud)
	p99 := func(d []time.Duration) time.Duration { return d[len(d)*99/100] }
	t.Logf("%d conversations; the canary: %v quiet, %v among them, at most %v (p99)", *hostileSockets, p99(quiet), p99(loud), loud[len(loud)-1])
}

// connections is how many connections a server has.
func connections(s *Server) (n int) {
	_ = s.call(func() { n = len(s.conns) })
	return n
}

// attack sends a damaged conversation. Every other time it stays until the server
// has said something, or closes.
func attack(r *rand.Rand, addr string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.(*net.TCPConn).SetLinger(0) // or the machine runs out of ports
	_, _ = c.Write(hostile(r))        // the server may have closed in the midst of it
	if r.IntN(2) == 0 {
		_ = c.SetReadDeadline(time.Now().Add(2 * time.Millisecond))
		_, _ = c.Read(make([]byte, 512))
	}
	return nil
}
