//go:build linux && !poll_opt

package loop

import (
	"reflect"
	"syscall"

	"github.com/panjf2000/gnet/v2"
	"github.com/panjf2000/gnet/v2/pkg/netpoll"
)

// poller is the system's, in which gnet waits for its sockets. gnet has no way
// to put reading off; but what is not asked for is not reported, and not read.
type poller struct{ fd int }

// findPoller returns the poller of el, which the socket ours is in. What gnet
// does not export may be called otherwise in another version of it: then there
// is none, and nothing is put off.
func findPoller(el gnet.EventLoop, ours gnet.Conn) poller {
	none := poller{-1}
	v := reflect.Indirect(reflect.ValueOf(el))
	if v.Kind() != reflect.Struct {
		return none
	}
	if v = v.FieldByName("poller"); !v.IsValid() || v.Kind() != reflect.Pointer || v.IsNil() {
		return none
	}
	if v = v.Elem().FieldByName("fd"); !v.IsValid() || !v.CanInt() {
		return none
	}
	p := poller{int(v.Int())}
	if p.ask(ours.Fd(), netpoll.ReadEvents) != nil {
		return none // not the one in which it waits
	}
	return p
}

// ask has the poller look for events of a socket that is in it.
func (p poller) ask(fd int, events uint32) error {
	return syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_MOD, fd, &syscall.EpollEvent{Fd: int32(fd), Events: events})
}

// pauses says whether reading gc can be put off. A unix socket whose peer has
// gone would be closed before it was read to its end, since then there is no
// event that could be waited for.
func (p poller) pauses(gc gnet.Conn) bool {
	return p.fd >= 0 && gc.LocalAddr().Network() == "tcp"
}

// pause leaves to the system what comes for gc, and reports whether it does.
func (p poller) pause(gc gnet.Conn) bool {
	return p.pauses(gc) && p.ask(gc.Fd(), writeEvents(gc)) == nil
}

// resume ends a pause, and reports whether something has come.
func (p poller) resume(gc gnet.Conn) bool {
	return p.ask(gc.Fd(), netpoll.ReadEvents|writeEvents(gc)) == nil && p.ready(gc)
}

// writeEvents are what gnet waits for while it has output of gc.
func writeEvents(gc gnet.Conn) uint32 {
	if gc.OutboundBuffered() > 0 {
		return netpoll.WriteEvents
	}
	return 0
}

// ready says whether something has come for gc, or its end.
func (p poller) ready(gc gnet.Conn) bool {
	var one [1]byte
	_, _, err := syscall.Recvfrom(gc.Fd(), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return err != syscall.EAGAIN
}
