package main

import (
	"flag"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var halfOpen = flag.Int("halfopen", 0, "connections of each kind in TestHalfOpen, which takes 40 s")

// TestHalfOpen: connections that say nothing, or begin something and do not go
// on, are closed: those of which nothing whole has come after 10 s, those that
// are in the middle of something 30 s later.
func TestHalfOpen(t *testing.T) {
	if *halfOpen == 0 {
		t.Skip("takes 40 s of waiting: -halfopen=200")
	}
	p := start(t, t.TempDir(), nil, nsqd()...)
	tcp, http := p.ready()
	go func() { // the log, which must not fill the pipe
		for ok := true; ok; {
			_, ok = p.next()
		}
	}()
	const most = 42 * time.Second
	var left atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	for _, kind := range []struct{ name, addr, says string }{
		{"nothing", tcp, ""},
		{"half a magic", tcp, "  "},
		{"a magic", tcp, "  V2"},
		{"half a command", tcp, "  V2PUB t\n\x00\x00\x00\x05x"},
		{"nothing over HTTP", http, ""},
		{"half a header", http, "GET /stats HTTP/1.1\r\nHost: local"},
		{"half a body", http, "POST /pub?topic=t HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nx"},
	} {
		for range *halfOpen {
			nc, err := net.Dial("tcp", kind.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			if _, err := io.WriteString(nc, kind.says); err != nil {
				t.Fatal(err)
			}
			_ = nc.SetReadDeadline(began.Add(most))
			all.Go(func() {
				if _, err := io.Copy(io.Discard, nc); isTimeout(err) {
					left.Add(1)
					t.Errorf("open after %v: %s", most, kind.name)
				}
			})
		}
	}
	all.Wait()
	t.Logf("%d of %d are left; the last one was closed after %v", left.Load(), 7**halfOpen, time.Since(began).Round(100*time.Millisecond))
}

// isTimeout says whether a connection was still open at its deadline.
func isTimeout(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}
