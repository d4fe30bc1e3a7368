package server

import (
	"net"
	"strings"
	"testing"
)

func TestAdvertised_TheFirstThatLeadsHere(t *testing.T) {
	tcp := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 1} }
	for _, row := range []struct {
		given, host string
		route       net.Addr
		want        string
		sure        bool
	}{
		{"flag", "host", tcp("10.0.0.1"), "flag", true},
		{"", "host", tcp("10.0.0.1"), "host", true},
		{"", "", tcp("10.0.0.1"), "10.0.0.1", true},
		{"", "", tcp("fd00::1"), "fd00::1", true},
		{"", "", tcp("127.0.0.1"), "127.0.0.1", true},
		{"", "", tcp("0.0.0.0"), "127.0.0.1", false},
		{"", "", &net.UnixAddr{Name: "x", Net: "unix"}, "127.0.0.1", false},
		{"", "", (*net.TCPAddr)(nil), "127.0.0.1", false},
		{"", "", nil, "127.0.0.1", false},
	} {
		if got, sure := advertised(row.given, row.host, row.route); got != row.want || sure != row.sure {
			t.Errorf("%q %q %v: got %s %v, want %s %v", row.given, row.host, row.route, got, sure, row.want, row.sure)
		}
	}
}

// TestAdvertise_InfoNamesWhatLeadsHere: nobody but the one who asks over HTTP is
// told an address, for there is no nsqlookupd.
func TestAdvertise_InfoNamesWhatLeadsHere(t *testing.T) {
	for name, want := range map[string]string{"localhost": "localhost", "nothing.invalid": "127.0.0.1", "given.example": "given.example"} {
		s := startHTTP(t, Options{BroadcastAddress: name})
		if err := s.call(func() { s.o.broadcastGiven = name == "given.example" }); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time it is known
			if a := ask(t, s, "GET", "/info", ""); !strings.Contains(a.body, `"broadcast_address":"`+want+`"`) {
				t.Errorf("%s: %s, want %s", name, a.body, want)
			}
		}
	}
}

// TestAdvertise_NobodyWaitsForANameWhenItStops: who waits for the name is told
// what there is.
func TestAdvertise_NobodyWaitsForANameWhenItStops(t *testing.T) {
	g := newDiscoveryRig(t)
	g.start(Options{})
	called := 0
	g.l.Do(func() {
		g.s.o.broadcastGiven = false
		g.s.peers.asking = true // and no answer comes
		g.s.peers.whenKnown(func() { called++ })
		g.s.peers.whenKnown(func() { called++ })
	})
	if called != 0 {
		t.Errorf("%d were told before it was known", called)
	}
	g.l.Do(func() {
		if err := g.s.Close(); err != nil {
			t.Error(err)
		}
	})
	if called != 2 {
		t.Errorf("%d of 2 were told when it stopped", called)
	}
}

func TestAdvertise_NamesThatLeadHere(t *testing.T) {
	if !leadsHere("localhost") {
		t.Error("localhost does not lead here")
	}
	if leadsHere("nothing.invalid") {
		t.Error("a name that does not exist leads here")
	}
	_, n, err := net.ParseCIDR("10.1.2.0/24")
	if err != nil {
		t.Fatal(err)
	}
	ours := []net.Addr{&net.IPNet{IP: net.ParseIP("10.1.2.3"), Mask: n.Mask}}
	for _, row := range []struct {
		addrs []string
		want  bool
	}{{[]string{"10.1.2.4"}, false}, {[]string{"x", "10.1.2.4", "10.1.2.3"}, true}, {nil, false}} {
		if got := anyOurs(row.addrs, ours); got != row.want {
			t.Errorf("%v: got %v, want %v", row.addrs, got, row.want)
		}
	}
}
