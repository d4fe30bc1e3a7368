package server

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// aliveWithin is the time in which a loop that is well has turned.
const aliveWithin = 5 * time.Second

// check is one thing that a probe looks at.
type check struct {
	name  string
	wrong string // what is wrong; empty when nothing is
	mild  bool   // it is a warning: the server is ready all the same
}

// healthRoutes are those for a supervisor's probes, by the names and in the
// form that Kubernetes uses. call runs checks on the loop.
func healthRoutes(call func(func()) error, checks func() []check) []*route {
	return []*route{
		{method: "GET", path: "/livez", help: "whether the event loop turns: ?verbose lists the checks", quiet: true, needs: accessNone, run: probe(call, func() []check { return nil }, aliveWithin)},
		{method: "GET", path: "/readyz", help: "whether it takes messages: ?verbose lists the checks", quiet: true, needs: accessNone, run: probe(call, checks, aliveWithin)},
	}
}

// probe answers 200 when all checks pass, else 503. A loop that does not turn
// answers nobody, and so does not pass.
func probe(call func(func()) error, checks func() []check, within time.Duration) func(http.ResponseWriter, *http.Request) error {
	ask := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var all []check
		loop := check{name: "loop"}
		if err := call(func() { all = checks() }); err != nil {
			loop.wrong = "it is stopping"
		}
		status, text := judge(append([]check{loop}, all...), r.URL.Query().Has("verbose"))
		reply(w, status, typeText, []byte(text))
	})
	stuck := fmt.Sprintf("not well: loop: it has not turned for %v\n", within)
	bounded := http.TimeoutHandler(ask, within, stuck)
	return func(w http.ResponseWriter, r *http.Request) error {
		nsqHeader(w)
		bounded.ServeHTTP(w, r)
		return nil
	}
}

// judge makes the answer to a probe.
func judge(all []check, verbose bool) (status int, text string) {
	status = http.StatusOK
	var lines, wrong strings.Builder
	for _, c := range all {
		switch {
		case c.wrong == "":
			fmt.Fprintf(&lines, "[+]%s ok\n", c.name)
		case c.mild:
			fmt.Fprintf(&lines, "[!]%s warning: %s\n", c.name, c.wrong)
		default:
			status = http.StatusServiceUnavailable
			fmt.Fprintf(&lines, "[-]%s failed: %s\n", c.name, c.wrong)
			fmt.Fprintf(&wrong, "not well: %s: %s\n", c.name, c.wrong)
		}
	}
	switch {
	case status == http.StatusOK && verbose:
		return status, lines.String() + "well\n"
	case status == http.StatusOK:
		return status, "ok"
	case verbose:
		return status, lines.String() + "not well\n"
	}
	return status, wrong.String()
}

// checks are those of a server, on its loop. That it answers shows that its
// topics are loaded and its listeners are open.
func (s *Server) checks() []check {
	all := []check{{name: "accepting"}, {name: "disk"}}
	if s.draining {
		all[0].wrong = "the server is stopping"
	}
	if err := s.health(); err != nil {
		all[1].wrong = err.Error()
	}
	if n := len(s.peers.all); n > 0 {
		c := check{name: "lookupd", mild: true}
		if !slices.ContainsFunc(s.peers.all, (*lookupPeer).told) {
			c.wrong = fmt.Sprintf("none of the %d nsqlookupds is connected; consumers that ask them cannot find this server", n)
		}
		all = append(all, c)
	}
	return all
}
