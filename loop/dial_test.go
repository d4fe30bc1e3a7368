package loop_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/nsqloop/nsqloop/loop"
)

func TestDial_UsesTheDialerAndTheLocalAddress(t *testing.T) {
	l := start(t, loop.Options{})
	addr := l.listen(t, echo)
	opened := make(chan loop.Conn, 2)
	h := func() *handler { return &handler{onOpen: func(c loop.Conn) { opened <- c }} }
	l.Do(t, func() {
		l.Dial("a name that only the dialer knows", loop.DialOptions{
			DialContext: func(ctx context.Context, network, name string) (net.Conn, error) {
				if name != "a name that only the dialer knows" || network != "tcp" {
					t.Errorf("dialer asked for %s %q", network, name)
				}
				return new(net.Dialer).DialContext(ctx, "tcp", addr)
			}}, h())
	})
	wait(t, "the dialer's connection", opened)
	l.Do(t, func() {
		l.Dial(addr, loop.DialOptions{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}}, h())
	})
	c := wait(t, "the connection", opened)
	l.Do(t, func() {
		if host, _, _ := net.SplitHostPort(c.LocalAddr().String()); host != "127.0.0.1" {
			t.Errorf("local address %v", c.LocalAddr())
		}
	})
}

func TestDial_RefusesWhatIsNoSocket(t *testing.T) {
	l := start(t, loop.Options{})
	failed := make(chan error, 1)
	a, b := net.Pipe()
	defer b.Close()
	l.Do(t, func() {
		l.Dial("pipe", loop.DialOptions{
			DialContext: func(context.Context, string, string) (net.Conn, error) { return a, nil },
		}, &handler{onClose: func(err error) { failed <- err }})
	})
	if err := wait(t, "the failure", failed); err == nil || !strings.Contains(err.Error(), "not a TCP or unix socket") {
		t.Errorf("error: %v", err)
	}
	if _, err := a.Write([]byte("x")); err == nil {
		t.Error("the pipe is left open")
	}
}

func TestDial_ErrorOfTheDialerNamesTheAddress(t *testing.T) {
	l := start(t, loop.Options{})
	failed := make(chan error, 1)
	mine := errors.New("proxy is down")
	l.Do(t, func() {
		l.Dial("nsqd:4150", loop.DialOptions{
			DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, mine },
		}, &handler{onClose: func(err error) { failed <- err }})
	})
	err := wait(t, "the failure", failed)
	if !errors.Is(err, mine) || err.Error() != "dial nsqd:4150: proxy is down" {
		t.Errorf("error: %v", err)
	}
}

func TestAddresses_AreOurOwn(t *testing.T) {
	zoned := &net.TCPAddr{IP: net.ParseIP("fe80::1"), Port: 4150, Zone: "eth0"}
	unix := &net.UnixAddr{Name: "/run/nsqd.sock", Net: "unix"}
	plain := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4150}
	for _, test := range []struct {
		addr net.Addr
		want string
	}{{zoned, "[fe80::1%eth0]:4150"}, {unix, "/run/nsqd.sock"}, {plain, "127.0.0.1:4150"}} {
		if got := loop.TakeAddr(test.addr); got.String() != test.want {
			t.Errorf("got %v, want %v", got, test.want)
		}
	}
	if zoned.Zone != "" {
		t.Error("the zone is left to be freed")
	}
}
