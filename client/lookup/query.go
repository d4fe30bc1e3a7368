package lookup

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/nsqloop/nsqloop/client"
	"github.com/nsqloop/nsqloop/loop"
)

// replyLimit bounds what is read of one reply. At about 200 bytes for a
// producer it is enough for tens of thousands of them.
const replyLimit = 16 << 20

// defaultClient serves queries for which no client is given. nsqlookupd
// answers from memory, so what takes ten seconds is not going to come.
var defaultClient = &http.Client{Timeout: 10 * time.Second}

// Query is a question to nsqlookupd. Producers, Nodes and Topics make one.
type Query struct {
	path  string // beside /lookup; "" is /lookup itself
	topic string
}

// Producers asks which nsqds have a topic. A topic that is not known there
// (yet) has none, which is not an error.
func Producers(topic string) Query { return Query{topic: topic} }

// Nodes asks which nsqds there are, whatever topics they have.
func Nodes() Query { return Query{path: "nodes"} }

// Topics asks which topics there are.
func Topics() Query { return Query{path: "topics"} }

// Answer is what is known of a Query.
type Answer struct {
	Producers []Producer // for Producers and Nodes: those that can be dialled
	Topics    []string   // for Topics
}

// Addrs are the addresses of the producers.
func (a Answer) Addrs() []string {
	var addrs []string
	for _, p := range a.Producers {
		addrs = append(addrs, p.Addr())
	}
	return addrs
}

// empty reports whether there is nothing in the answer.
func (a *Answer) empty() bool { return len(a.Producers) == 0 && len(a.Topics) == 0 }

// union is what answers say together, each thing once, in their order.
func union(answers []Answer) (all Answer) {
	addrs, topics := map[string]bool{}, map[string]bool{}
	for _, a := range answers {
		for _, p := range a.Producers {
			if addr := p.Addr(); !addrs[addr] {
				addrs[addr] = true
				all.Producers = append(all.Producers, p)
			}
		}
		for _, t := range a.Topics {
			if !topics[t] {
				topics[t] = true
				all.Topics = append(all.Topics, t)
			}
		}
	}
	return all
}

// Ask asks q and calls done on the loop with the answer, never before Ask has
// returned. hc makes the request, off the loop; nil means a client of its own
// with a timeout of 10 s. secret, when not empty, is sent as a bearer token.
// Ask may be called from any goroutine.
func (s Server) Ask(l loop.Loop, hc *http.Client, q Query, secret string, done func(Answer, error)) {
	if hc == nil {
		hc = defaultClient
	}
	l.Go(func() func() {
		a, err := s.get(hc, q, secret)
		return func() { done(a, err) }
	})
}

// get makes the request. It runs off the loop.
func (s Server) get(hc *http.Client, q Query, secret string) (Answer, error) {
	u := s.at(q)
	req, err := http.NewRequest(http.MethodGet, u.String(), nil)
	if err != nil {
		return Answer{}, fmt.Errorf("lookup %s: %w", u.Redacted(), err)
	}
	req.Header.Set("Accept", "application/vnd.nsq; version=1.0")
	req.Header.Set("User-Agent", "nsqloop/"+client.Version)
	if secret != "" {
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	res, err := hc.Do(req)
	if err != nil {
		return Answer{}, fmt.Errorf("lookup: %w", err) // names the method and the URL
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, replyLimit+1))
	switch {
	case err != nil:
		return Answer{}, fmt.Errorf("lookup %s: %w", u.Redacted(), err)
	case len(body) > replyLimit:
		return Answer{}, fmt.Errorf("lookup %s: the reply has more than %d bytes", u.Redacted(), replyLimit)
	case q.path == "" && (res.StatusCode == http.StatusNotFound || unknownTopic(body)):
		return Answer{}, nil
	case res.StatusCode != http.StatusOK:
		return Answer{}, fmt.Errorf("lookup %s: status %s: %.80q", u.Redacted(), res.Status, body)
	}
	a, err := parseReply(body)
	if err != nil {
		return Answer{}, fmt.Errorf("lookup %s: %w", u.Redacted(), err)
	}
	return a, nil
}

// found is what a reply may hold.
type found struct {
	Producers []Producer `json:"producers"`
	Topics    []string   `json:"topics"`
}

// reply is the reply of nsqlookupd 1.0 and later, and, with Data, the envelope
// that older ones put around it. The producers of /nodes list their topics
// under a key of their own, which is not read.
type reply struct {
	found
	StatusCode int    `json:"status_code"`
	StatusText string `json:"status_txt"`
	Data       *found `json:"data"`
}

// unknownTopic reports whether body is how servers before 1.0 say 404.
func unknownTopic(body []byte) bool {
	var r reply
	err := json.Unmarshal(body, &r)
	return err == nil && (r.StatusText == "INVALID_ARG_TOPIC" || r.StatusText == "TOPIC_NOT_FOUND")
}

// parseReply reads either shape of reply. Producers that cannot be dialled,
// and names that no topic has, are left out.
func parseReply(body []byte) (a Answer, err error) {
	var r reply
	if err := json.Unmarshal(body, &r); err != nil {
		return a, fmt.Errorf("the reply is not nsqlookupd's JSON: %w", err)
	}
	if r.StatusCode != 0 && r.StatusCode != http.StatusOK {
		return a, fmt.Errorf("status %d: %.80q", r.StatusCode, r.StatusText)
	}
	all := r.found
	if r.Data != nil {
		all = *r.Data
	}
	for _, p := range all.Producers {
		if p.usable() {
			a.Producers = append(a.Producers, p)
		}
	}
	for _, t := range all.Topics {
		if client.CheckTopic(t) == nil {
			a.Topics = append(a.Topics, t)
		}
	}
	return a, nil
}
