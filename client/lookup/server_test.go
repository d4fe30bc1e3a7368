package lookup

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nsqloop/nsqloop/loop"
)

// Statements 178, 179, 184, 188 and 189: how an nsqlookupd may be written.
func TestParse_Notations_178_179_184_189(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:4161":                    "http://127.0.0.1:4161/lookup",
		"http://127.0.0.1:4161":             "http://127.0.0.1:4161/lookup",
		"http://127.0.0.1:4161/":            "http://127.0.0.1:4161/lookup",
		"http://127.0.0.1:4161/path/lookup": "http://127.0.0.1:4161/path/lookup",
		"https://lookup.example:443?a=b":    "https://lookup.example:443/lookup?a=b",
		"[::1]:4161":                        "http://[::1]:4161/lookup",
		"http://user:pw@host:4161":          "http://user:xxxxx@host:4161/lookup",
		"":                                  "",
		"localhost":                         "",
		"http://localhost":                  "",
		":4161":                             "",
		"localhost:lookup":                  "",
		"localhost:0":                       "",
		"ftp://localhost:4161":              "",
	} {
		d, err := Parse(addr)
		if (err == nil) != (want != "") {
			t.Errorf("%q: got error %v, want %q", addr, err, want)
			continue
		}
		if err == nil && d.String() != want {
			t.Errorf("%q: got %q, want %q", addr, d, want)
		}
	}
}

// roundTrip answers HTTP requests in a test.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// ask asks addr for the producers of orders and returns the answer, and the request that was made.
func ask(t *testing.T, addr, secret string, status int, body string, fail error) ([]Producer, *http.Request, error) {
	t.Helper()
	d, err := Parse(addr)
	if err != nil {
		t.Fatal(err)
	}
	e, err := loop.New(loop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(); err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var request *http.Request
	hc := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		request = r
		if fail != nil {
			return nil, fail
		}
		return &http.Response{
			StatusCode: status,
			Status:     http.StatusText(status),
			Header:     http.Header{},
			Body:       io.NopCloser(strings.NewReader(body)),
			Request:    r,
		}, nil
	})}
	type answer struct {
		producers []Producer
		err       error
		onLoop    bool
	}
	got := make(chan answer, 1)
	d.Ask(e, hc, Producers("orders"), secret, func(a Answer, err error) { got <- answer{a.Producers, err, e.OnLoop()} })
	a := <-got
	if !a.onLoop {
		t.Error("done was not called on the loop")
	}
	return a.producers, request, a.err
}

const (
	oneProducer = `{"remote_address":"10.0.0.7:51234","hostname":"seven","broadcast_address":"seven.example","tcp_port":4150,"http_port":4151,"version":"1.3.0"}`
	bareReply   = `{"channels":["a"],"producers":[` + oneProducer + `]}`
	oldReply    = `{"status_code":200,"status_txt":"OK","data":{"channels":[],"producers":[` + oneProducer + `]}}`
)

// Statements 181, 182, 183, 187 and 188: the request, and both shapes of reply.
func TestServer_Ask_182_183_187(t *testing.T) {
	seven := []Producer{{
		RemoteAddress: "10.0.0.7:51234", Hostname: "seven", BroadcastAddress: "seven.example",
		TCPPort: 4150, HTTPPort: 4151, Version: "1.3.0",
	}}
	for _, row := range []struct {
		name   string
		status int
		body   string
		want   []Producer
		failed bool
	}{
		{"bare", 200, bareReply, seven, false},
		{"wrapped", 200, oldReply, seven, false},
		{"none", 200, `{"channels":[],"producers":[]}`, nil, false},
		{"unknown topic", 404, `{"message":"TOPIC_NOT_FOUND"}`, nil, false},
		{"unknown topic, old", 500, `{"status_code":500,"status_txt":"INVALID_ARG_TOPIC","data":null}`, nil, false},
		{"failed", 500, `oops`, nil, true},
		{"failed, wrapped", 200, `{"status_code":500,"status_txt":"INTERNAL","data":null}`, nil, true},
		{"not JSON", 200, `<html>`, nil, true},
		{"no port", 200, `{"producers":[{"broadcast_address":"a","tcp_port":0}]}`, nil, false},
		{"no host", 200, `{"producers":[{"tcp_port":4150}]}`, nil, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, _, err := ask(t, "127.0.0.1:4161", "", row.status, row.body, nil)
			if (err != nil) != row.failed {
				t.Errorf("got error %v, want failed %v", err, row.failed)
			}
			if d := cmp.Diff(row.want, got); d != "" {
				t.Errorf("producers (-want +got):\n%s", d)
			}
		})
	}
}

func TestServer_Request_181_188(t *testing.T) {
	_, r, err := ask(t, "http://127.0.0.1:4161?cluster=a", "s3cret", 200, bareReply, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.Method+" "+r.URL.String(), "GET http://127.0.0.1:4161/lookup?cluster=a&topic=orders"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := r.Header.Get("Accept"), "application/vnd.nsq; version=1.0"; got != want {
		t.Errorf("Accept: got %q, want %q", got, want)
	}
	if got, want := r.Header.Get("Authorization"), "Bearer s3cret"; got != want {
		t.Errorf("Authorization: got %q, want %q", got, want)
	}
	cause := errors.New("no route")
	if _, _, err := ask(t, "127.0.0.1:4161", "", 0, "", cause); !errors.Is(err, cause) {
		t.Errorf("got %v, want it to wrap %v", err, cause)
	}
	if _, r, _ := ask(t, "127.0.0.1:4161", "", 200, bareReply, nil); r.Header.Get("Authorization") != "" {
		t.Error("a bearer token without a secret")
	}
}

func TestProducer_Addr(t *testing.T) {
	for want, p := range map[string]Producer{
		"b:4150":     {BroadcastAddress: "b", Hostname: "h", TCPPort: 4150},
		"h:1":        {Hostname: "h", TCPPort: 1},
		"[::1]:4150": {BroadcastAddress: "::1", TCPPort: 4150},
	} {
		if got := p.Addr(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
