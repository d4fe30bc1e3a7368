package nsqtest_test

import (
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/server/nsqtest"
)

// A test starts a server, gives its address to what it tests, and waits for what
// should have happened. Nothing has to be closed.
func ExampleStart() {
	_ = func(t *testing.T) {
		s := nsqtest.Start(t)
		startBilling(s.TCPAddr())
		s.Publish("orders", `{"id":1}`, `{"id":2}`)
		s.WaitFinished("orders", "billing", 2)
	}
}

// Deferred messages and timeouts need no waiting.
func ExampleServer_Advance() {
	_ = func(t *testing.T) {
		s := nsqtest.Start(t)
		startBilling(s.TCPAddr())
		s.Publish("orders", "a message that is requeued for an hour")
		s.Advance(time.Hour)
		s.WaitFinished("orders", "billing", 1)
	}
}

// A server that dies comes back at the same address, with what it had
// acknowledged.
func ExampleServer_Restart() {
	_ = func(t *testing.T) {
		s := nsqtest.Start(t)
		s.Publish("orders", "kept")
		s.Restart()
		startBilling(s.TCPAddr())
		s.WaitFinished("orders", "billing", 1)
	}
}

// What is tested talks to the server through a bad network.
func ExampleProxy() {
	_ = func(t *testing.T) {
		s := nsqtest.Start(t)
		p := s.Faults(nsqtest.Fault{Delay: 20 * time.Millisecond})
		startBilling(p.TCPAddr())
		s.Publish("orders", "slow")
		p.Reset()                                          // the connection breaks
		p.Set(nsqtest.ToServer, nsqtest.Fault{Hold: true}) // and the next one says nothing
		p.Set(nsqtest.Both, nsqtest.Fault{})               // for a while
		s.WaitFinished("orders", "billing", 1)
	}
}

// Discovery is tested with an nsqlookupd that the server registers with.
func ExampleStartLookupd() {
	_ = func(t *testing.T) {
		d := nsqtest.StartLookupd(t)
		s := nsqtest.Start(t, nsqtest.Registered(d))
		s.Publish("orders", "found")
		startBilling(d.HTTPAddr())
		s.WaitFinished("orders", "billing", 1)
	}
}

// startBilling stands for what is tested.
func startBilling(string) {}
