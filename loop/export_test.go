package loop

// TakeAddr is takeAddr, for tests.
var TakeAddr = takeAddr

// Descriptor is the file descriptor of an Engine's connection.
func Descriptor(c Conn) int { return c.(*conn).sock.gc.Fd() }
