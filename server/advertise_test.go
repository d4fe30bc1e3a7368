package server

import (
	"net"
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
