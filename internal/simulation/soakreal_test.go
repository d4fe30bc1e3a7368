package simulation

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/writer"
)

var realFlag = flag.Duration("soak.real", time.Second, "how long TestSoak_Real lasts")

// held is what a process holds.
type held struct {
	goroutines, descriptors int
	heap                    uint64
}

func (h held) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %d KiB of heap", h.goroutines, h.descriptors, h.heap>>10)
}

func holds() (h held) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	h.heap, h.goroutines = m.HeapAlloc, runtime.NumGoroutine()
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil { // elsewhere they are not counted
		h.descriptors = len(fds)
	}
	return h
}

// TestSoak_Real is the same on real sockets, a real clock and a real disk: rounds of
// publishing and consuming, with clients that come and go and a server that is
// stopped and started, after each of which the process must hold what it did.
func TestSoak_Real(t *testing.T) {
	dir := t.TempDir()
	var first, last held
	rounds, messages := 0, 0
	for end := time.Now().Add(*realFlag); rounds < 3 || time.Now().Before(end); rounds++ {
		messages += soakRound(t, dir)
		last = holds()
		if rounds == 1 { // what is kept from the first one on is there
			first = last
		}
	}
	t.Logf("%d rounds, %d messages: after the second %v, after the last %v", rounds, messages, first, last)
	if last.goroutines > first.goroutines+2 || last.descriptors > first.descriptors+2 || last.heap > first.heap*2+4<<20 {
		t.Errorf("after %d rounds the process holds %v, after the second one it held %v", rounds, last, first)
	}
}

// soakRound is one life of a server and its clients. It returns how many messages
// went through it.
func soakRound(t *testing.T, dir string) int {
	const messages = 2000
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	l, err := loop.New(loop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(l, server.Options{TCPAddress: "127.0.0.1:0", DataPath: dir, MaxBytesPerFile: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	clients, err := loop.New(loop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	nsqd := []string{s.TCPAddr().String()}
	w, err := writer.New(clients, writer.Options{NSQDs: nsqd})
	if err != nil {
		t.Fatal(err)
	}
	var handled, confirmed atomic.Int64
	over, done := context.WithCancel(ctx)
	defer done()
	_, err = reader.New(clients, reader.Options{Topic: "soak", Channel: "c", NSQDs: nsqd, MaxInFlight: 100,
		RequeueDelay: time.Millisecond, MaxBackoff: -1,
		Handler: func(m *reader.Message) error {
			if m.Attempts == 1 && m.Body[0]%16 == 0 {
				return fmt.Errorf("the first time it fails")
			}
			if handled.Add(1) == messages {
				done()
			}
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range messages {
		w.Publish("soak", []byte{byte(i), byte(i >> 8)}, func(res writer.Result) {
			if res.Err == nil {
				confirmed.Add(1)
			}
		})
	}
	ended := make(chan error, 2)
	serving, endServing := context.WithCancel(context.WithoutCancel(ctx))
	go func() { ended <- l.Run(serving) }()
	if err := clients.Run(over); err != nil {
		t.Error(err)
	}
	endServing()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if handled.Load() < messages || confirmed.Load() != messages {
		t.Fatalf("%d messages of %d were confirmed, %d handled", confirmed.Load(), messages, handled.Load())
	}
	return messages
}
