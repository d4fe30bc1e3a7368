package lookup

import (
	"fmt"
	"net"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Server is the address of one nsqlookupd. Two Servers are equal when they are
// the same address, in whatever notation it was given.
type Server struct {
	text string // a URL that Parse has found valid
}

// Parse reads the address of an nsqlookupd: "host:port" or an http or https
// URL. The path is /lookup unless another one is given, which then stands for
// it; parameters of a URL are kept.
func Parse(addr string) (Server, error) {
	text := addr
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return Server{}, fmt.Errorf("nsqlookupd address %q: %w", addr, err)
	case u.Scheme != "http" && u.Scheme != "https":
		return Server{}, fmt.Errorf("nsqlookupd address %q: want http or https, not %s", addr, u.Scheme)
	case u.Hostname() == "":
		return Server{}, fmt.Errorf("nsqlookupd address %q: the host is missing", addr)
	case u.Port() == "":
		return Server{}, fmt.Errorf("nsqlookupd address %q: the port is missing (nsqlookupd's HTTP port is 4161 unless configured otherwise)", addr)
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || n == 0 {
		return Server{}, fmt.Errorf("nsqlookupd address %q: the port is not a number from 1 to 65535", addr)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/lookup"
	}
	u.Fragment = ""
	return Server{u.String()}, nil
}

// ParseAll reads several addresses. The same one in two notations is one.
func ParseAll(addrs []string) ([]Server, error) {
	var all []Server
	for _, addr := range addrs {
		s, err := Parse(addr)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all, nil
}

// String is the URL that is asked for producers, without the topic and without
// a password.
func (s Server) String() string { return s.url().Redacted() }

func (s Server) url() *url.URL {
	u, err := url.Parse(s.text)
	if err != nil {
		panic("lookup: " + err.Error()) // Parse has read it
	}
	return u
}

// at is the URL that is asked q. The other questions live beside /lookup.
func (s Server) at(q Query) *url.URL {
	u := s.url()
	if q.path != "" {
		u.Path, u.RawPath = path.Join(path.Dir(u.Path), q.path), ""
		return u
	}
	parameters := u.Query()
	parameters.Set("topic", q.topic)
	u.RawQuery = parameters.Encode()
	return u
}

// Producer is an nsqd, as nsqlookupd describes it.
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

// usable reports whether the producer can be dialled.
func (p Producer) usable() bool {
	return (p.BroadcastAddress != "" || p.Hostname != "") && 0 < p.TCPPort && p.TCPPort < 1<<16
}
