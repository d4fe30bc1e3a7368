package server

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/loop"
)

// startReal starts a server on sockets.
func startReal(t *testing.T, o Options) *Server {
	t.Helper()
	if o.TCPAddress == "" {
		o.TCPAddress = "127.0.0.1:0"
	}
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestServer_ShutdownKeepsEverything(t *testing.T) {
	o := Options{DataPath: t.TempDir(), HTTPAddress: "127.0.0.1:0"}
	s := startReal(t, o)
	if err := s.Publish("t", []byte("a"), []byte("b")); err != nil {
		t.Fatal(err)
	}
	c := dialRaw(t, s.TCPAddr().String(), wire.AppendRdy(wire.AppendSub(nil, "t", "c"), 1))
	for want := range 2 { // OK, a
		if _, _, err := c.frame(); err != nil {
			t.Fatalf("frame %d: %v", want, err)
		}
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if _, _, err := c.frame(); !errors.Is(err, io.EOF) {
		t.Errorf("the client's connection ends with %v", err)
	}
	if err := s.Publish("t", []byte("late")); !errors.Is(err, ErrClosed) {
		t.Errorf("Publish after Shutdown: %v", err)
	}
	if _, err := s.Stats(StatsOptions{}); !errors.Is(err, ErrClosed) {
		t.Errorf("Stats after Shutdown: %v", err)
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Errorf("second Shutdown: %v", err)
	}

	s = startReal(t, o)
	st, err := s.Stats(StatsOptions{Topic: "t"})
	if err != nil {
		t.Fatal(err)
	}
	if ch := st.Topics[0].Channels[0]; ch.Depth != 2 || ch.InFlightCount != 0 {
		t.Errorf("after the restart: depth %d, in flight %d", ch.Depth, ch.InFlightCount)
	}
}

func TestServer_PublishChecksWhatItIsGiven(t *testing.T) {
	s := startReal(t, Options{MaxMsgSize: 10})
	for _, tc := range []struct {
		topic, body string
		want        error
	}{{"a b", "x", ErrBadName}, {"t", "", ErrBadSize}, {"t", "12345678901", ErrBadSize}, {"t", "1234567890", nil}} {
		if err := s.Publish(tc.topic, []byte(tc.body)); !errors.Is(err, tc.want) {
			t.Errorf("Publish(%q, %q) = %v, want %v", tc.topic, tc.body, err, tc.want)
		}
	}
}

// What waits for the loop says so on the loop instead of waiting for itself.
func TestServer_CallsOnItsOwnLoop(t *testing.T) {
	l, err := loop.New(loop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start(); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := New(l, Options{TCPAddress: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan []error, 1)
	if err := l.Post(func() {
		_, stats := s.Stats(StatsOptions{})
		got <- []error{stats, s.Publish("t", []byte("x")), s.Shutdown(context.Background()), s.Close()}
	}); err != nil {
		t.Fatal(err)
	}
	errs := <-got
	for i, err := range errs[:3] {
		if !errors.Is(err, ErrOnLoop) {
			t.Errorf("call %d on the loop: %v", i, err)
		}
	}
	if errs[3] != nil {
		t.Errorf("Close on the loop: %v", errs[3])
	}
	if _, err := net.Dial("tcp", s.TCPAddr().String()); err == nil {
		t.Error("the server accepts after Close")
	}
}

// A server on somebody else's loop ends with it, in order.
func TestServer_EndsWithItsLoop(t *testing.T) {
	l, err := loop.New(loop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{TCPAddress: "127.0.0.1:0", DataPath: t.TempDir()}
	s, err := New(l, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- l.Run(ctx) }()
	if err := s.Publish("t", []byte("x")); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ran; err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close after the loop's end: %v", err)
	}
	startReal(t, o) // the data path is free again
}

func TestServer_PortTakenNamesItAndFreesTheDataPath(t *testing.T) {
	s := startReal(t, Options{})
	addr := s.TCPAddr().String()
	o := Options{DataPath: t.TempDir()}
	for _, bad := range []Options{
		{DataPath: o.DataPath, TCPAddress: addr},
		{DataPath: o.DataPath, TCPAddress: "127.0.0.1:0", HTTPAddress: addr},
	} {
		if _, err := Start(bad); err == nil || !strings.Contains(err.Error(), addr) {
			t.Errorf("a taken port: %v", err)
		}
	}
	startReal(t, o)
}

func TestServer_ListensOnAUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nsq.sock")
	s := startReal(t, Options{TCPAddress: path})
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(wire.AppendPub([]byte(wire.MagicV2), "t", []byte("x"))); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, len(wire.OKFrame))); err != nil {
		t.Fatal(err)
	}
	st, err := s.Stats(StatsOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := st.Producers[0].RemoteAddress; got != "@" {
		t.Errorf("remote_address %q, want @", got)
	}
}

// A hundred clients that come and go at once leave nothing behind.
func TestServer_ManyClientsLeaveNothingBehind(t *testing.T) {
	s := startReal(t, Options{})
	done := make(chan error)
	for range 100 {
		go func() {
			c, err := net.Dial("tcp", s.TCPAddr().String())
			if err == nil {
				defer c.Close()
				in := wire.AppendPub([]byte(wire.MagicV2), "t", []byte("x"))
				if _, err = c.Write(wire.AppendSub(in, "t", "c#ephemeral")); err == nil {
					_, err = io.ReadFull(c, make([]byte, 2*len(wire.OKFrame)))
				}
			}
			done <- err
		}()
	}
	for range 100 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		st, err := s.Stats(StatsOptions{ExcludeMemory: true})
		if err != nil {
			t.Fatal(err)
		}
		if st.Connections == 0 && len(st.Topics[0].Channels) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d connections, %d channels are left", st.Connections, len(st.Topics[0].Channels))
		}
	}
}
