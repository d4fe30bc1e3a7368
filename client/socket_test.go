package client_test

import (
	"net"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/loop"
	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

// startLoop starts a loop on real sockets, until the test is over.
func startLoop(t *testing.T) *loop.Engine {
	t.Helper()
	l, err := loop.New(loop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// Statement 178: an IPv6 address in brackets is dialled as it stands.
func TestConn_OverIPv6(t *testing.T) {
	if ln, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skipf("no IPv6 here: %v", err)
	} else {
		ln.Close()
	}
	s := nsqtest.Start(t, func(o *server.Options) { o.TCPAddress = "[::1]:0" })
	l := startLoop(t)
	o, err := client.Options{}.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	ready, closed := make(chan struct{}), make(chan error, 1)
	r := &recorder{onReady: func(*client.Conn) { close(ready) }}
	if err := l.Post(func() { client.Dial(l, s.TCPAddr(), o, closing{r, closed}) }); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ready:
	case err := <-closed:
		t.Fatalf("%s: %v", s.TCPAddr(), err)
	case <-time.After(10 * time.Second):
		t.Fatal("not ready after 10 s")
	}
}

// closing tells of the end of a connection too.
type closing struct {
	*recorder
	end chan error
}

func (c closing) OnClose(err error) { c.end <- err }
