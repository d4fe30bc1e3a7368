package server

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"unicode/utf8"

	"github.com/nsqloop/nsqloop/server/journal"
)

// What one look at messages may ask for, and how many may be going on.
const (
	peekCount    = 10
	peekCountMax = 1000
	peekBytes    = 1 << 20
	peekBytesMax = 4 << 20
	peeksAtOnce  = 16
)

// peekRoutes are the routes that show messages. They consume nothing, count no
// attempt and keep nothing from being delivered.
func (h *httpServer) peekRoutes() []*route {
	return []*route{
		{method: "GET", path: "/topic/peek", help: "look at a topic's messages: ?topic=&count=&max_bytes=&from=last|first|waiting&format=raw", needs: accessSubscribe, run: h.shown(h.topicPeek)},
		{method: "GET", path: "/channel/peek", help: "look at what a channel holds: ?topic=&channel=&count=&max_bytes=&state=", needs: accessSubscribe, scope: ofChannel, run: h.shown(h.channelPeek)},
	}
}

// shown guards a route that shows the bodies of messages: fewer than
// peeksAtOnce requests may be at it, and a page in a browser that found its
// way here by a forged name may not.
func (h *httpServer) shown(run func(http.ResponseWriter, url.Values) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := h.guard.checkShown(r); err != nil {
			return err
		}
		query, err := parseQuery(r)
		if err != nil {
			return err
		}
		defer h.peeks.Add(-1)
		if h.peeks.Add(1) > peeksAtOnce {
			return refuse(http.StatusServiceUnavailable, "BUSY", "Too many are looking at messages at the moment; try again.")
		}
		return run(w, query)
	}
}

// peekLimits are count and max_bytes of a request.
func peekLimits(query url.Values) (count int, most int64, err error) {
	bytes := peekBytes
	if count, err = intArg(query, "count", peekCount, 1, peekCountMax); err == nil {
		bytes, err = intArg(query, "max_bytes", peekBytes, 1, peekBytesMax)
	}
	return count, int64(bytes), err
}

// intArg is a whole number of the query.
func intArg(query url.Values, name string, standard, least, most int) (int, error) {
	if !query.Has(name) {
		return standard, nil
	}
	n, err := strconv.Atoi(query.Get(name))
	if err != nil || n < least || n > most {
		return 0, refuse(http.StatusBadRequest, "INVALID_ARG",
			"The parameter "+name+" is a number from "+strconv.Itoa(least)+" to "+strconv.Itoa(most)+".")
	}
	return n, nil
}

// messageJSON is a message as it is shown. Times are unix nanoseconds, age is
// in nanoseconds.
type messageJSON struct {
	ID        string `json:"id"`
	Timestamp int64  `json:"timestamp"`           // when it was published
	Attempts  uint16 `json:"attempts,omitempty"`  // deliveries so far
	Due       int64  `json:"due,omitempty"`       // deferred: until when
	Delivered int64  `json:"delivered,omitempty"` // in flight: since when
	Deadline  int64  `json:"deadline,omitempty"`  // in flight: until when
	Age       int64  `json:"age,omitempty"`       // in flight: for how long
	Client    string `json:"client,omitempty"`    // in flight: who has it, if he is still there
	Size      int    `json:"size"`
	Encoding  string `json:"encoding"` // text or base64
	Body      string `json:"body"`
}

// showMessage copies a message that was looked at.
func showMessage(p *journal.Peeked) messageJSON {
	id := formatID(p.Seq)
	m := messageJSON{ID: string(id[:]), Timestamp: p.Timestamp, Due: p.Due, Size: len(p.Body), Encoding: "text"}
	if utf8.Valid(p.Body) {
		m.Body = string(p.Body)
	} else {
		m.Encoding, m.Body = "base64", base64.StdEncoding.EncodeToString(p.Body)
	}
	return m
}

// topicPeekJSON is the body of /topic/peek.
type topicPeekJSON struct {
	Topic    string        `json:"topic"`
	From     string        `json:"from"`
	Waiting  int64         `json:"waiting"` // messages that no channel was given, deferred ones included
	Messages []messageJSON `json:"messages"`
}

// topicPeek shows messages of a topic that are still in its files, in the order
// in which they were published, whatever the channels have done with them.
func (h *httpServer) topicPeek(w http.ResponseWriter, query url.Values) error {
	count, most, err := peekLimits(query)
	if err != nil {
		return err
	}
	if !query.Has("topic") {
		return errNoTopic
	}
	from := query.Get("from")
	switch from {
	case "":
		from = "last"
	case "last", "first", "waiting":
	default:
		return refuse(http.StatusBadRequest, "INVALID_ARG", "The parameter from is last, first or waiting.")
	}
	out := topicPeekJSON{Topic: query.Get("topic"), From: from, Messages: []messageJSON{}}
	raw := query.Get("format") == "raw"
	var lines []byte
	stopped := h.s.call(func() {
		t := h.s.topic(out.Topic)
		if t == nil {
			err = errTopicUnknown
			return
		}
		out.Waiting = t.j.Depth() + t.j.Deferred()
		err = t.peek(from, count, most, func(p *journal.Peeked) {
			if raw {
				lines = append(append(lines, p.Body...), '\n')
				return
			}
			out.Messages = append(out.Messages, showMessage(p))
		})
	})
	switch {
	case stopped != nil:
		return errExiting
	case err != nil:
		return err
	case raw:
		nsqHeader(w)
		reply(w, http.StatusOK, "application/octet-stream", lines)
		return nil
	}
	return replyJSON(w, out)
}

// peek calls f with messages of the topic: the last ones, the first ones still
// there, or the first that no channel was given.
func (t *topic) peek(from string, count int, most int64, f func(*journal.Peeked)) error {
	t.s.idle.use(t) // reading opens files, which are to be closed again
	at := t.j.Start()
	switch from {
	case "waiting":
		at = t.j.Frontier()
	case "last":
		var err error
		if at, err = t.j.Before(count, most); err != nil {
			return err
		}
		most = peekBytesMax * 2 // Before has seen to it
	}
	_, err := t.j.Peek(at, count, most, f)
	return err
}

// channelPeekJSON is the body of /channel/peek. Each list has at most count
// messages; more names those that are longer.
type channelPeekJSON struct {
	Topic         string        `json:"topic"`
	Channel       string        `json:"channel"`
	Depth         int64         `json:"depth"`
	InFlightCount int           `json:"in_flight_count"`
	DeferredCount int           `json:"deferred_count"`
	Paused        bool          `json:"paused"`
	InFlight      []messageJSON `json:"in_flight"` // the next to time out first
	Requeued      []messageJSON `json:"requeued"`  // in the order of delivery
	Deferred      []messageJSON `json:"deferred"`  // the next to be due first
	Waiting       []messageJSON `json:"waiting"`   // never delivered, in the order of publishing
	More          []string      `json:"more"`
}

// channelPeek shows what a channel holds.
func (h *httpServer) channelPeek(w http.ResponseWriter, query url.Values) error {
	topicName, channelName, err := channelNames(query)
	if err != nil {
		return err
	}
	count, most, err := peekLimits(query)
	if err != nil {
		return err
	}
	none := []messageJSON{}
	out := channelPeekJSON{Topic: topicName, Channel: channelName, InFlight: none, Requeued: none, Deferred: none, Waiting: none, More: []string{}}
	lists := []struct {
		state string
		which journal.Standing
		list  *[]messageJSON
	}{
		{"in_flight", journal.InFlight, &out.InFlight},
		{"requeued", journal.Requeued, &out.Requeued},
		{"deferred", journal.Deferred, &out.Deferred},
		{"waiting", journal.Fresh, &out.Waiting},
	}
	state, known := query.Get("state"), !query.Has("state")
	for _, l := range lists {
		known = known || l.state == state
	}
	if !known {
		return refuse(http.StatusBadRequest, "INVALID_ARG", "The parameter state is in_flight, requeued, deferred or waiting.")
	}
	stopped := h.s.call(func() {
		var ch *channel
		if ch, err = h.s.find(topicName, channelName); err != nil {
			return
		}
		out.Depth, out.InFlightCount, out.DeferredCount = ch.cur.Depth(), ch.cur.InFlight(), ch.cur.Deferred()
		out.Paused = ch.cur.Paused()
		for _, l := range lists {
			if state != "" && l.state != state {
				continue
			}
			var more bool
			if more, err = ch.peek(l.which, count, most, l.list); err != nil {
				return
			}
			if more {
				out.More = append(out.More, l.state)
			}
			for i := range *l.list {
				most -= int64((*l.list)[i].Size)
			}
		}
	})
	if stopped != nil {
		return errExiting
	}
	if err != nil {
		return err
	}
	return replyJSON(w, out)
}

// peek appends messages of one standing to list.
func (ch *channel) peek(which journal.Standing, count int, most int64, list *[]messageJSON) (more bool, err error) {
	s := ch.t.s
	s.idle.use(ch.t)
	now := s.now()
	return ch.cur.Peek(which, count, most, func(p *journal.Pending) {
		m := showMessage(&p.Peeked)
		m.Attempts, m.Due = p.Attempts, 0
		switch which {
		case journal.Deferred:
			m.Due = p.At
		case journal.InFlight:
			m.Delivered, m.Deadline, m.Age = p.Since, p.At, now-p.Since
			if c := s.subscribers[p.Owner]; c != nil {
				m.Client = c.remote()
			}
		}
		*list = append(*list, m)
	})
}

// find returns a channel by the names of it and its topic.
func (s *Server) find(topicName, channelName string) (*channel, error) {
	t := s.topic(topicName)
	if t == nil {
		return nil, errTopicUnknown
	}
	ch := t.channel(channelName)
	if ch == nil {
		return nil, errChannelUnknown
	}
	return ch, nil
}
