// Package mocklookupd answers for nsqlookupds in tests of the SDK, by script
// and without sockets: it is the transport of an http.Client.
package mocklookupd

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Servers are nsqlookupds, and what they were asked. Whoever is not there
// refuses connections.
type Servers struct {
	Answers map[string]func() (status int, body string) // by host:port
	Asked   []string                                    // URLs, in order
	Headers []http.Header                               // of the same requests
}

// New returns nobody yet.
func New() *Servers {
	return &Servers{Answers: map[string]func() (int, string){}}
}

// RoundTrip is http.RoundTripper's.
func (s *Servers) RoundTrip(req *http.Request) (*http.Response, error) {
	s.Asked = append(s.Asked, req.URL.String())
	s.Headers = append(s.Headers, req.Header)
	answer := s.Answers[req.URL.Host]
	if answer == nil {
		return nil, errors.New("connection refused")
	}
	status, body := answer()
	return &http.Response{
		StatusCode: status,
		Status:     fmt.Sprint(status),
		Body:       io.NopCloser(strings.NewReader(body)),
		Request:    req,
	}, nil
}

// Name makes the nsqlookupd at host answer with these addresses of nsqds.
func (s *Servers) Name(host string, addrs ...string) {
	s.Answers[host] = func() (int, string) { return http.StatusOK, Producers(addrs...) }
}

// Producers is the body of an answer that names addresses of nsqds.
func Producers(addrs ...string) string {
	var all []string
	for _, addr := range addrs {
		host, port, _ := strings.Cut(addr, ":")
		all = append(all, fmt.Sprintf(`{"broadcast_address":%q,"hostname":"h","remote_address":"r:1","tcp_port":%s,"http_port":4151,"version":"1.3.0"}`, host, port))
	}
	return `{"channels":["channel"],"producers":[` + strings.Join(all, ",") + `]}`
}
