//go:build unix

package loop

import (
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/testwait"
)

// TestKeepReserve: peers wait while there are descriptors left for files alone,
// in the kernel's queue, and are let in when there are more; one line says so.
func TestKeepReserve(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log := &testwait.Buffer{}
	l := KeepReserve(ln, slog.New(slog.NewTextHandler(log, nil))).(*reserveListener)
	if l.limit < 64 {
		t.Fatalf("descriptors from %d on are reserved", l.limit)
	}
	dial := func() net.Conn {
		nc, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		return nc
	}
	first := dial()
	l.limit = nextDescriptor(first) + 8 // room for four peers of both ends
	accepted, ended := make(chan net.Conn, 100), make(chan error, 1)
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				ended <- err
				return
			}
			accepted <- nc
		}
	}()
	for range 20 {
		dial()
	}
	deadline := time.After(30 * time.Second)
	let := func() net.Conn {
		select {
		case nc := <-accepted:
			return nc
		case <-deadline:
			t.Fatal("nobody is let in")
			return nil
		}
	}
	in := []net.Conn{let()}
	log.Await(t, errReserve.Error())
	for len(accepted) > 0 {
		in = append(in, let())
	}
	if len(in) > 8 {
		t.Fatalf("%d peers were let in before it was enough", len(in))
	}
	// Those that go make room for those that wait.
	for range 10 {
		for _, nc := range in {
			if descriptorOf(nc) >= l.limit {
				t.Errorf("a peer has a descriptor that is reserved: %d, from %d on", descriptorOf(nc), l.limit)
			}
			nc.Close()
		}
		in = []net.Conn{let()}
	}
	in[0].Close()
	if n := strings.Count(log.String(), "\n"); n > 30 {
		t.Errorf("%d lines of log", n)
	}
	l.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept ends with %v", err)
	}
	for len(accepted) > 0 {
		(<-accepted).Close()
	}
}

// TestKeepReserve_CloseEndsAWait: whoever waits for descriptors is not waited
// for.
func TestKeepReserve_CloseEndsAWait(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log := &testwait.Buffer{}
	l := KeepReserve(ln, slog.New(slog.NewTextHandler(log, nil))).(*reserveListener)
	l.limit = 1
	ended := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	log.Await(t, errReserve.Error())
	l.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept ends with %v", err)
	}
	if _, err := nc.Read(make([]byte, 1)); err == nil {
		t.Error("a peer that waited was not closed")
	}
}
