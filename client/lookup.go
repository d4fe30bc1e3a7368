package client

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nsqloop/nsqloop/loop"
)

// lookupLimit bounds what is read of one reply. At about 200 bytes for a
// producer it is enough for tens of thousands of them.
const lookupLimit = 16 << 20

// defaultLookupClient serves queries for which no client is given. nsqlookupd
// answers from memory, so what takes ten seconds is not going to come.
var defaultLookupClient = &http.Client{Timeout: 10 * time.Second}

// Lookupd is the address of one nsqlookupd.
type Lookupd struct {
	url url.URL
}

// Producer is an nsqd that has a topic, as nsqlookupd describes it.
type Producer struct {
	BroadcastAddress string `json:"broadcast_address"`
	Hostname         string `json:"hostname"`
	RemoteAddress    string `json:"remote_address"`
	TCPPort          int    `json:"tcp_port"`
	HTTPPort         int    `json:"http_port"`
	Version          string `json:"version"`
	TopologyZone     string `json:"topology_zone"`
	TopologyRegion   string `json:"topology_region"`
}

// Addr is the address to dial: the broadcast address, or the host name for
// servers that have none, and the TCP port.
func (p Producer) Addr() string {
	host := p.BroadcastAddress
	if host == "" {
		host = p.Hostname
	}
	return net.JoinHostPort(host, strconv.Itoa(p.TCPPort))
}

// ParseLookupd reads the address of an nsqlookupd: "host:port" or an http or
// https URL. The path is /lookup unless another one is given; parameters of a
// URL are kept.
func ParseLookupd(addr string) (Lookupd, error) {
	text := addr
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return Lookupd{}, fmt.Errorf("nsqlookupd address %q: %w", addr, err)
	case u.Scheme != "http" && u.Scheme != "https":
		return Lookupd{}, fmt.Errorf("nsqlookupd address %q: want http or https, not %s", addr, u.Scheme)
	case u.Hostname() == "":
		return Lookupd{}, fmt.Errorf("nsqlookupd address %q: the host is missing", addr)
	case u.Port() == "":
		return Lookupd{}, fmt.Errorf("nsqlookupd address %q: the port is missing (nsqlookupd's HTTP port is 4161 unless configured otherwise)", addr)
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || n == 0 {
		return Lookupd{}, fmt.Errorf("nsqlookupd address %q: the port is not a number from 1 to 65535", addr)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/lookup"
	}
	u.Fragment = ""
	return Lookupd{url: *u}, nil
}

// String is the URL that is asked, without the topic and without a password.
func (d Lookupd) String() string { return d.url.Redacted() }

// Lookup asks which nsqds have topic and calls done on the loop with the
// answer, never before it has returned. A topic that is not known there (yet)
// has no producers, which is not an error. hc makes the request, off the loop;
// nil means a client of its own with a timeout of 10 s. secret, when not
// empty, is sent as a bearer token. Lookup may be called from any goroutine.
func (d Lookupd) Lookup(l loop.Loop, hc *http.Client, topic, secret string, done func([]Producer, error)) {
	if hc == nil {
		hc = defaultLookupClient
	}
	l.Go(func() func() {
		producers, err := d.get(hc, topic, secret)
		return func() { done(producers, err) }
	})
}

// get makes the request. It runs off the loop.
func (d Lookupd) get(hc *http.Client, topic, secret string) ([]Producer, error) {
	u := d.url
	q := u.Query()
	q.Set("topic", topic)
	u.RawQuery = q.Encode()
	req, err := http.NewRequest(http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("lookup %s: %w", d, err)
	}
	req.Header.Set("Accept", "application/vnd.nsq; version=1.0")
	req.Header.Set("User-Agent", "nsqloop/"+Version)
	if secret != "" {
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	res, err := hc.Do(req)
	if err != nil {
		return nil, fmt.Errorf("lookup: %w", err) // names the method and the URL
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, lookupLimit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("lookup %s: %w", d, err)
	case len(body) > lookupLimit:
		return nil, fmt.Errorf("lookup %s: the reply has more than %d bytes", d, lookupLimit)
	case res.StatusCode == http.StatusNotFound || unknownTopic(body):
		return nil, nil
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("lookup %s: status %s: %q", d, res.Status, clip(string(body)))
	}
	producers, err := parseLookup(body)
	if err != nil {
		return nil, fmt.Errorf("lookup %s: %w", d, err)
	}
	return producers, nil
}

// lookupReply is the reply of nsqlookupd 1.0 and later, and, with Data, the
// envelope that older ones put around it.
type lookupReply struct {
	Producers  []Producer `json:"producers"`
	StatusCode int        `json:"status_code"`
	StatusText string     `json:"status_txt"`
	Data       *struct {
		Producers []Producer `json:"producers"`
	} `json:"data"`
}

// unknownTopic reports whether body is how servers before 1.0 say 404.
func unknownTopic(body []byte) bool {
	var r lookupReply
	err := json.Unmarshal(body, &r)
	return err == nil && (r.StatusText == "INVALID_ARG_TOPIC" || r.StatusText == "TOPIC_NOT_FOUND")
}

// parseLookup reads either shape of reply. Producers that cannot be dialled
// are left out.
func parseLookup(body []byte) ([]Producer, error) {
	var r lookupReply
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, fmt.Errorf("the reply is not nsqlookupd's JSON: %w", err)
	}
	if r.StatusCode != 0 && r.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d: %q", r.StatusCode, clip(r.StatusText))
	}
	all := r.Producers
	if r.Data != nil {
		all = r.Data.Producers
	}
	var usable []Producer
	for _, p := range all {
		if (p.BroadcastAddress != "" || p.Hostname != "") && 0 < p.TCPPort && p.TCPPort < 1<<16 {
			usable = append(usable, p)
		}
	}
	return usable, nil
}
