package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/nsqloop/nsqloop/internal/wire"
)

// precreateMost is how many channels a new topic is given because an
// nsqlookupd knows them.
const precreateMost = 1000

// precreate makes the channels of a new topic that the nsqlookupds know, before
// its first message goes to any channel. Consumers of such a channel are
// elsewhere in the cluster: they would miss what is published here before they
// come. Until the answers are there, at most Options.HTTPClientRequestTimeout,
// the journal is detained; publishing and subscribing go on.
func (ps *peers) precreate(t *topic) {
	s := ps.s
	asked := 0
	var names []string
	for _, p := range ps.all {
		if p.info.BroadcastAddress == "" || p.info.HTTPPort <= 0 {
			continue
		}
		from := net.JoinHostPort(p.info.BroadcastAddress, strconv.Itoa(p.info.HTTPPort))
		asked++
		s.l.Go(func() func() {
			found, err := s.askChannels(from, t.name)
			return func() {
				if err != nil {
					t.log.Warn("nsqlookupd does not say which channels the topic has elsewhere", "lookupd", p.addr, "err", err)
				}
				names = append(names, found...)
				if asked--; asked == 0 {
					t.release(names)
				}
			}
		})
	}
	if asked > 0 {
		t.j.Detain(true)
		t.touch()
	}
}

// release makes channels, and lets the messages of a new topic go.
func (t *topic) release(names []string) {
	if t.deleted || t.s.closed {
		return
	}
	slices.Sort(names)
	names = slices.Compact(names)
	names = slices.DeleteFunc(names, func(n string) bool { return !wire.ValidName(n) || wire.Ephemeral(n) })
	if len(names) > precreateMost {
		t.log.Warn("nsqlookupds know too many channels of the topic: some are left out", "known", len(names), "made", precreateMost)
		names = names[:precreateMost]
	}
	for _, name := range names {
		if _, err := t.createChannel(name); err != nil {
			t.log.Warn("channel that an nsqlookupd knows", "channel", name, "err", err)
		}
	}
	t.j.Detain(false)
	t.ahead = true
	if err := t.keep(); err != nil {
		t.log.Warn("new topic: journal cannot be written yet", "err", err)
	}
}

// askChannels asks the nsqlookupd whose HTTP API is at host which channels a
// topic has. It runs off the loop.
func (s *Server) askChannels(host, topic string) ([]string, error) {
	req, err := http.NewRequest(http.MethodGet, "http://"+host+"/channels?topic="+url.QueryEscape(topic), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/vnd.nsq; version=1.0")
	req.Header.Set("User-Agent", "nsqd/"+Version)
	transport := s.o.httpTransport
	if transport == nil {
		transport = &http.Transport{
			DialContext:       (&net.Dialer{Timeout: s.o.HTTPClientConnectTimeout}).DialContext,
			DisableKeepAlives: true, // new topics are rare
		}
	}
	hc := http.Client{
		Transport: transport, Timeout: s.o.HTTPClientRequestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := hc.Do(req)
	if err != nil {
		return nil, err // names the method and the URL
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, int64(s.o.MaxBodySize)))
	if err != nil {
		return nil, fmt.Errorf("ask %s for channels: %w", host, err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask %s for channels: status %s: %q", host, res.Status, printable(string(body), 256))
	}
	var answer struct {
		Channels []string `json:"channels"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("ask %s for channels: %w", host, err)
	}
	return answer.Channels, nil
}
