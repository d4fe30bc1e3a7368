package client

import "fmt"

// EventKind is what an Event tells of.
type EventKind uint8

// What happens to a connection, in this order. EventAuth and EventAuthorized
// are left out when the server asks for no secret, heartbeats come at any time
// after EventConnect, and whatever comes first, EventClose comes last and once.
const (
	EventConnect    EventKind = iota // the socket is open
	EventIdentify                    // IDENTIFY is written
	EventIdentified                  // its answer is here: see Event.Info
	EventAuth                        // AUTH is written
	EventAuthorized                  // its answer is here: see Info.Identity
	EventReady                       // commands may be given
	EventHeartbeat                   // the server has asked for a sign of life, and got it
	EventClose                       // it is over, also a dial that failed: see Event.Err
)

// String is the kind's name in lower case.
func (k EventKind) String() string {
	switch k {
	case EventConnect:
		return "connect"
	case EventIdentify:
		return "identify"
	case EventIdentified:
		return "identified"
	case EventAuth:
		return "auth"
	case EventAuthorized:
		return "authorized"
	case EventReady:
		return "ready"
	case EventHeartbeat:
		return "heartbeat"
	case EventClose:
		return "close"
	}
	return fmt.Sprintf("EventKind(%d)", uint8(k))
}

// Event is what Options.OnEvent hears of.
type Event struct {
	Kind EventKind
	NSQD string // the address, as it was configured or found
	Info Info   // what is agreed so far; complete from EventReady on
	Err  error  // of EventClose: nil when this side asked for it
}

// tell tells Options.OnEvent, if there is one.
func (c *Conn) tell(k EventKind, err error) {
	if c.o.OnEvent != nil {
		c.o.OnEvent(Event{Kind: k, NSQD: c.addr, Info: c.info, Err: err})
	}
}
