//go:build !unix

package loop

import "net"

// descriptorLimit is none: there is no small number of sockets to stay below.
func descriptorLimit() int { return 0 }

func descriptorOf(net.Conn) int { return -1 }

func nextDescriptor(net.Conn) int { return -1 }
