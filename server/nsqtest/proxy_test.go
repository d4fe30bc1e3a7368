package nsqtest_test

import (
	"errors"
	"io"
	"math/bits"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/testwait"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

// echoes starts a server that sends back what it gets, and closes its half when
// the peer has closed its own.
func echoes(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			})
		}
	})
	t.Cleanup(func() { ln.Close(); all.Wait() })
	return ln.Addr().String()
}

// through dials a proxy in front of a server that echoes.
func through(t *testing.T, f nsqtest.Fault) (*nsqtest.Proxy, *net.TCPConn) {
	t.Helper()
	to := echoes(t)
	p := nsqtest.NewProxy(t, to, f)
	c, err := net.Dial("tcp", p.TCPAddr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return p, c.(*net.TCPConn)
}

// swap sends a text and reads as many bytes back.
func swap(c net.Conn, text string) (string, error) {
	if _, err := io.WriteString(c, text); err != nil {
		return "", err
	}
	p := make([]byte, len(text))
	n, err := io.ReadFull(c, p)
	return string(p[:n]), err
}

func TestProxy_PassesEverything(t *testing.T) {
	_, c := through(t, nsqtest.Fault{})
	text := strings.Repeat("0123456789", 100_000)
	if got, err := swap(c, text); err != nil || got != text {
		t.Errorf("%d of %d bytes, %v", len(got), len(text), err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(c); err != nil || len(rest) > 0 {
		t.Errorf("after the end: %q, %v", rest, err)
	}
}

func TestProxy_DelaysBothWaysAndKeepsTheOrder(t *testing.T) {
	_, c := through(t, nsqtest.Fault{Delay: 40 * time.Millisecond})
	began := time.Now()
	for _, text := range []string{"one ", "two ", "three"} {
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
	}
	p := make([]byte, len("one two three"))
	if _, err := io.ReadFull(c, p); err != nil || string(p) != "one two three" {
		t.Errorf("%q, %v", p, err)
	}
	if took := time.Since(began); took < 80*time.Millisecond {
		t.Errorf("it took %v, want 80ms or more", took)
	}
}

func TestProxy_ThrottlesOneDirection(t *testing.T) {
	p, c := through(t, nsqtest.Fault{})
	p.Set(nsqtest.ToServer, nsqtest.Fault{Throttle: 10_000})
	began := time.Now()
	if got, err := swap(c, strings.Repeat("x", 1000)); err != nil || len(got) != 1000 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if took := time.Since(began); took < 100*time.Millisecond {
		t.Errorf("1000 bytes at 10,000 a second took %v", took)
	}
}

func TestProxy_HoldsAndLetsGo(t *testing.T) {
	p, c := through(t, nsqtest.Fault{})
	p.Set(nsqtest.ToClients, nsqtest.Fault{Hold: true})
	if _, err := io.WriteString(c, "held"); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(30 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4)
	var timeout net.Error
	if n, err := c.Read(b); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("read %q, %v while it is held", b[:n], err)
	}
	p.Set(nsqtest.Both, nsqtest.Fault{})
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "held" {
		t.Errorf("read %q, %v after it", b, err)
	}
}

func TestProxy_FlipsOneBit(t *testing.T) {
	p, c := through(t, nsqtest.Fault{})
	p.Set(nsqtest.ToServer, nsqtest.Fault{Corrupt: 1})
	got, err := swap(c, "message")
	if err != nil {
		t.Fatal(err)
	}
	flipped := 0
	for i := range got {
		flipped += bits.OnesCount8(got[i] ^ "message"[i])
	}
	if flipped != 1 {
		t.Errorf("%q came back, with %d bits flipped, want 1", got, flipped)
	}
}

func TestProxy_ResetsAfterSomeBytes(t *testing.T) {
	p, c := through(t, nsqtest.Fault{})
	p.Set(nsqtest.ToServer, nsqtest.Fault{ResetAfter: 6})
	if got, err := swap(c, "1234"); err != nil || got != "1234" {
		t.Fatalf("%q, %v", got, err)
	}
	if got, err := swap(c, "5678"); err == nil || len(got) > 2 {
		t.Errorf("%q, %v, want an end after two more bytes at most", got, err)
	}
	testwait.Until(t, "no connection", func() bool { return p.Connections() == 0 })
}

func TestProxy_ResetHalfCloseRefuse(t *testing.T) {
	p, c := through(t, nsqtest.Fault{})
	if _, err := swap(c, "x"); err != nil {
		t.Fatal(err)
	}
	p.HalfClose(nsqtest.ToServer) // which answers by closing its own half
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read %v, want the end", err)
	}
	for _, cut := range []func(){p.Reset, func() { p.HalfClose(nsqtest.ToClients) }} {
		again, err := net.Dial("tcp", p.TCPAddr())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := swap(again, "x"); err != nil {
			t.Fatal(err)
		}
		cut()
		if _, err := again.Read(make([]byte, 1)); err == nil {
			t.Error("it goes on")
		}
		again.Close()
	}
	p.Refuse(true)
	if again, err := net.Dial("tcp", p.TCPAddr()); err == nil {
		if _, err := swap(again, "x"); err == nil {
			t.Error("a connection that should be refused works")
		}
		again.Close()
	}
	p.Refuse(false)
	again, err := net.Dial("tcp", p.TCPAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, err := swap(again, "x"); err != nil {
		t.Error(err)
	}
}

// A client goes on through a proxy that cuts it off and a server that dies.
func TestFaults_ClientsComeBack(t *testing.T) {
	s := nsqtest.Start(t)
	p := s.Faults(nsqtest.Fault{})
	c := consume(t, p.TCPAddr(), func(o *reader.Options) { o.MaxReconnectDelay = 50 * time.Millisecond })
	s.Publish("t", "first")
	c.all("first")
	p.Reset()
	s.Publish("t", "second")
	c.all("second")
	s.Kill()
	testwait.Until(t, "no connection", func() bool { return p.Connections() == 0 })
	s.Restart()
	s.Publish("t", "third")
	c.all("third")
	s.WaitDepth("t", "c", 0)
}
