package server

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestGuard_Mutation: a browser on a stranger's page is refused, programs and
// the server's own page are not.
func TestGuard_Mutation(t *testing.T) {
	loopback := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4151}
	everywhere := &net.TCPAddr{IP: net.IPv4zero, Port: 4151}
	socket := &net.UnixAddr{Name: "/run/nsqd.sock", Net: "unix"}
	for _, row := range []struct {
		name   string
		bound  net.Addr
		host   string
		header map[string]string
		method string
		ok     bool
	}{
		{"curl", loopback, "127.0.0.1:4151", nil, "POST", true},
		{"localhost", loopback, "localhost:4151", nil, "POST", true},
		{"another name of loopback", loopback, "localhost.localdomain:4151", nil, "POST", true},
		{"another name of loopback, IPv6", loopback, "ip6-localhost:4151", nil, "POST", true},
		{"sub.localhost", loopback, "nsq.localhost:4151", nil, "POST", true},
		{"final dot", loopback, "LOCALHOST.:4151", nil, "POST", true},
		{"IPv6", loopback, "[::1]:4151", nil, "POST", true},
		{"no port", loopback, "127.0.0.1", nil, "POST", true},
		{"no host", loopback, "", nil, "POST", true},
		{"broadcast address", loopback, "Orders.Example:4151", nil, "POST", true},
		{"rebound name", loopback, "evil.example:4151", nil, "POST", false},
		{"rebound name, PUT", loopback, "evil.example:4151", nil, "PUT", false},
		{"name like ours", loopback, "localhost.evil.example", nil, "POST", false},
		{"rebound name with matching origin", loopback, "evil.example:4151", map[string]string{"Origin": "http://evil.example:4151", "Sec-Fetch-Site": "same-origin"}, "POST", false},
		{"any name where all may come", everywhere, "nsq.example:4151", nil, "POST", true},
		{"rebound name with matching origin, where all may come", everywhere, "evil.example:4151", map[string]string{"Origin": "http://evil.example:4151"}, "POST", false},
		{"any name on a unix socket", socket, "whatever", nil, "POST", true},
		{"cross-site", loopback, "127.0.0.1:4151", map[string]string{"Sec-Fetch-Site": "cross-site"}, "POST", false},
		{"same-site", everywhere, "nsq.example:4151", map[string]string{"Sec-Fetch-Site": "same-site"}, "POST", false},
		{"same-origin", loopback, "127.0.0.1:4151", map[string]string{"Sec-Fetch-Site": "same-origin"}, "POST", true},
		{"typed by the user", loopback, "127.0.0.1:4151", map[string]string{"Sec-Fetch-Site": "none"}, "POST", true},
		{"foreign origin of an old browser", everywhere, "nsq.example:4151", map[string]string{"Origin": "http://evil.example"}, "POST", false},
		{"sandboxed frame", loopback, "127.0.0.1:4151", map[string]string{"Origin": "null"}, "POST", false},
		{"own origin of an old browser", loopback, "127.0.0.1:4151", map[string]string{"Origin": "http://127.0.0.1:4151"}, "POST", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := httptest.NewRequest(row.method, "/pub?topic=t", nil)
			r.Host = row.host
			for k, v := range row.header {
				r.Header.Set(k, v)
			}
			err := newGuard(row.bound, "orders.example").checkMutation(r)
			if (err == nil) != row.ok {
				t.Errorf("let in: %v (%v), want %v", err == nil, err, row.ok)
			}
		})
	}
}

// TestGuard_Routes: every route that changes something is guarded, with nothing
// done; reading stays open.
func TestGuard_Routes(t *testing.T) {
	s := startHTTP(t, Options{})
	for _, rt := range newHTTPServer(s, s.HTTPAddr()).routes {
		target := rt.path + "?topic=t&channel=c"
		if rt.path == configPath+"{opt}" {
			target = configPath + "log_level"
		}
		if rt.method == "GET" {
			continue
		}
		for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Host", "evil.example"}} {
			a := ask(t, s, rt.method, target, "debug", header...)
			if a.status != http.StatusForbidden || a.code(t) != "FORBIDDEN" {
				t.Errorf("%s %s with %v: %d %s, want 403", rt.method, rt.path, header, a.status, a.body)
			}
		}
	}
	if a := ask(t, s, "GET", "/stats?format=json&include_mem=false", "", "Sec-Fetch-Site", "cross-site"); a.status != 200 {
		t.Errorf("stats: %d", a.status)
	}
	st, err := s.Stats(StatsOptions{})
	if err != nil || len(st.Topics) != 0 {
		t.Errorf("%d topics were made by refused requests (%v)", len(st.Topics), err)
	}
}

// TestGuard_Debug: profiles are for this machine alone, unless the option says
// otherwise.
func TestGuard_Debug(t *testing.T) {
	for _, row := range []struct {
		name, remote, host string
		anyone, ok         bool
	}{
		{"from here", "127.0.0.1:5000", "127.0.0.1:4151", false, true},
		{"from here, IPv6", "[::1]:5000", "localhost:4151", false, true},
		{"from here, mapped", "[::ffff:127.0.0.1]:5000", "localhost:4151", false, true},
		{"unix socket", "@", "localhost", false, true},
		{"from elsewhere", "192.0.2.1:5000", "127.0.0.1:4151", false, false},
		{"rebound name", "127.0.0.1:5000", "evil.example", false, false},
		{"asked for", "192.0.2.1:5000", "nsq.example", true, true},
	} {
		r := httptest.NewRequest("GET", pprofPath, nil)
		r.RemoteAddr, r.Host = row.remote, row.host
		if err := newGuard(nil).checkDebug(r, row.anyone); (err == nil) != row.ok {
			t.Errorf("%s: %v, want let in %v", row.name, err, row.ok)
		}
	}
}

// TestHTTP_Debug is 260, and the two routes that nsqd answers with 500.
func TestHTTP_Debug(t *testing.T) {
	s := startHTTP(t, Options{})
	a := ask(t, s, "GET", "/debug/pprof/", "")
	if a.status != 200 || a.header.Get("Content-Type") != "text/html; charset=utf-8" || a.header.Get("X-Nsq-Content-Type") != "" {
		t.Errorf("index: %d %v", a.status, a.header)
	}
	for _, name := range []string{"cmdline", "symbol", "heap", "goroutine", "block", "threadcreate"} {
		if a := ask(t, s, "GET", pprofPath+name, ""); a.status != 200 {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	if a := ask(t, s, "PUT", "/debug/setblockrate?rate=0", ""); a.status != 200 || a.body != "" {
		t.Errorf("setblockrate: %d %q", a.status, a.body)
	}
	a = ask(t, s, "PUT", "/debug/setblockrate?rate=x", "")
	if want := `invalid block rate : strconv.Atoi: parsing "x": invalid syntax`; a.status != 400 || a.body != want {
		t.Errorf("setblockrate: %d %q, want 400 %q", a.status, a.body, want)
	}
	if a := ask(t, s, "POST", "/debug/freememory", ""); a.status != 200 || a.body != "" {
		t.Errorf("freememory: %d %q", a.status, a.body)
	}
}
