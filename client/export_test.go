package client

import "github.com/nsqloop/nsqloop/loop"

// AsLoopHandler is c as the loop sees it.
func AsLoopHandler(c *Conn) loop.Handler { return c.dials.first }

// ConnOf is the loop's connection of c.
func ConnOf(c *Conn) loop.Conn { return c.conn }
