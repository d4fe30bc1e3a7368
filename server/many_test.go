package server

import (
	"bufio"
	cmdline "flag"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"
)

var manyTopics = cmdline.Int("many.topics", 300, "topics of TestServer_ManyTopics, with two channels each; the figures are of 10000")

// A server with many topics starts, stops and rests quickly, without a
// descriptor or a goroutine for each of them. The log has the figures; run it
// with -many.topics=10000 -v for those of docs/performance.md.
func TestServer_ManyTopics(t *testing.T) {
	dir, n := t.TempDir(), *manyTopics
	o := Options{DataPath: dir, HTTPAddress: "127.0.0.1:0", TCPAddress: "127.0.0.1:0"}
	o.MaxTopicsPerClient, o.MaxChannelsPerClient, o.MaxMemory = n+1, 2*n+1, minMemory+int64(n)<<13
	took := func(what string, from time.Time) {
		t.Logf("%-28s %v", what, time.Since(from).Round(100*time.Microsecond))
	}
	start := func() *Server {
		t.Helper()
		from := time.Now()
		s, err := Start(o)
		if err != nil {
			t.Fatal(err)
		}
		took("start", from)
		return s
	}
	stop := func(s *Server) {
		t.Helper()
		from := time.Now()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		took("stop", from)
	}

	base := heap()
	s := start()
	from := time.Now()
	if n > 10_000 {
		createHere(t, s, n)
	} else {
		createMany(t, s.HTTPAddr().String(), n)
	}
	took("create", from)
	t.Logf("heap %d KiB, goroutines %d", (heap()-base)>>10, runtime.NumGoroutine())
	stop(s)

	for range 2 {
		s = start()
		var topics, channels int
		if err := s.call(func() {
			topics = len(s.topics)
			for _, tp := range s.topics {
				channels += len(tp.channels)
			}
		}); err != nil {
			t.Fatal(err)
		}
		if topics != n || channels != 2*n {
			t.Errorf("after a restart there are %d topics and %d channels, want %d and %d", topics, channels, n, 2*n)
		}
		t.Logf("heap %d KiB, goroutines %d", (heap()-base)>>10, runtime.NumGoroutine())
		stop(s)
	}
	runtime.KeepAlive(s)
}

// heap is what is in use after a collection.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// createHere makes them without HTTP.
func createHere(t *testing.T, s *Server, n int) {
	t.Helper()
	for i := range n {
		err := s.call(func() {
			tp, err := s.createTopic(fmt.Sprintf("t%d", i))
			for _, name := range []string{"a", "b"} {
				if err == nil {
					_, err = tp.createChannel(name)
				}
			}
			if err != nil {
				t.Error(err)
			}
		})
		if err != nil || t.Failed() {
			t.Fatal("not made", err)
		}
	}
}

// createMany makes n topics with two channels each over one HTTP connection,
// several requests at a time.
func createMany(t *testing.T, addr string, n int) {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	w, r := bufio.NewWriter(nc), bufio.NewReader(nc)
	for i := range n {
		for _, path := range []string{"topic/create?topic=t%d", "channel/create?topic=t%d&channel=a", "channel/create?topic=t%d&channel=b"} {
			fmt.Fprintf(w, "POST /"+path+" HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\n\r\n", i, addr)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			res, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != http.StatusOK {
				t.Fatalf("creating: %s", res.Status)
			}
		}
	}
}
