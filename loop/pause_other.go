//go:build !linux || poll_opt

package loop

import "github.com/panjf2000/gnet/v2"

// poller is nothing where reading cannot be put off.
type poller struct{}

func findPoller(gnet.EventLoop, gnet.Conn) poller { return poller{} }

func (poller) pauses(gnet.Conn) bool { return false }
func (poller) pause(gnet.Conn) bool  { return false }
func (poller) resume(gnet.Conn) bool { return false }
func (poller) ready(gnet.Conn) bool  { return true }
