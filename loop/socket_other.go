//go:build !unix

package loop

import (
	"net"

	"github.com/panjf2000/gnet/v2"
)

// pair returns two sockets that are connected to each other.
func pair() (a, b net.Conn, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer ln.Close()
	if a, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		return nil, nil, err
	}
	for {
		if b, err = ln.Accept(); err != nil {
			a.Close()
			return nil, nil, err
		}
		if b.RemoteAddr().String() == a.LocalAddr().String() {
			return a, b, nil
		}
		b.Close() // a stranger who was quicker
	}
}

// closeWrite does nothing: gnet does not say which socket it is. The
// connection closes when Linger is over, or when the peer closes.
func closeWrite(gnet.Conn) {}
