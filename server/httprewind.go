package server

import (
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/nsqloop/nsqloop/server/journal"
)

// rewindStep is how many bytes of a file are read on the loop at a time while
// a message is searched for.
const rewindStep = 4 << 20

// retainRoutes are the routes around messages that were finished and are still
// on disk.
func (h *httpServer) retainRoutes() []*route {
	return []*route{
		{method: "POST", path: "/channel/rewind", help: "deliver again: ?topic=&channel=&to=beginning|<RFC 3339>|<unix seconds>", scope: ofChannel, run: h.channelRewind},
		{method: "GET", path: "/lite/topics", help: "what the topics' files hold: ?topic=", needs: accessStats, run: h.liteTopics},
	}
}

// rewindJSON is the body of /channel/rewind.
type rewindJSON struct {
	Topic    string `json:"topic"`
	Channel  string `json:"channel"`
	Messages int64  `json:"messages"` // that are delivered again; 0 when none of that time was delivered yet
}

// channelRewind has a channel receive again what was published at a time and
// later, as far as it is on disk. Finding the first message of that time takes
// as many turns as it takes; the channel goes on meanwhile.
func (h *httpServer) channelRewind(w http.ResponseWriter, r *http.Request) error {
	query, err := parseQuery(r)
	if err != nil {
		return err
	}
	out := rewindJSON{}
	if out.Topic, out.Channel, err = channelNames(query); err != nil {
		return err
	}
	to, err := timeArg(query)
	if err != nil {
		return err
	}
	var search *journal.Search
	var ch *channel
	for done := false; !done; {
		if r.Context().Err() != nil {
			return r.Context().Err() // nobody waits for it any more
		}
		stopped := h.s.call(func() {
			found, lost := h.s.find(out.Topic, out.Channel)
			if lost != nil {
				done, err = true, lost
				return
			}
			if found != ch { // or it was deleted and made again
				ch, search = found, found.t.j.Search(to)
			}
			h.s.idle.use(ch.t)
			var at journal.Spot
			if at, done, err = search.Step(rewindStep); done && err == nil {
				out.Messages, err = ch.rewind(at)
			}
			done = done || err != nil
		})
		if stopped != nil {
			return errExiting
		}
	}
	if err != nil {
		return err
	}
	return replyJSON(w, out)
}

// timeArg is the parameter to of a query, in unix nanoseconds.
func timeArg(query url.Values) (int64, error) {
	to := query.Get("to")
	if to == "" {
		return 0, refuse(http.StatusBadRequest, "MISSING_ARG_TO", "Say how far back: to=beginning, or a time.")
	}
	if to == "beginning" {
		return math.MinInt64, nil
	}
	if seconds, err := strconv.ParseFloat(to, 64); err == nil && math.Abs(seconds) < 9e9 {
		whole, part := math.Modf(seconds)
		return int64(whole)*int64(time.Second) + int64(part*float64(time.Second)), nil
	}
	at, err := time.Parse(time.RFC3339, to)
	if err != nil || at.Year() < 1700 || at.Year() > 2255 {
		return 0, refuse(http.StatusBadRequest, "INVALID_ARG",
			"The parameter to is beginning, unix seconds, or a time such as 2026-01-31T08:00:00Z; a + in it is written %2B.")
	}
	return at.UnixNano(), nil
}

// rewind puts the channel back to a spot of its journal. It is kept when rewind
// returns.
func (ch *channel) rewind(to journal.Spot) (messages int64, err error) {
	// What was appended in this turn came before.
	if err := ch.t.commit(); err != nil {
		ch.t.log.Warn("rewind channel: journal cannot be written yet", "channel", ch.name, "err", err)
	}
	messages = ch.cur.Rewind(to, func(seq uint64, owner uint32) {
		ch.returned(seq)
		if c := ch.t.s.subscribers[owner]; c != nil { // else it has gone
			c.inFlight--
			c.updateReady()
		}
	})
	ch.t.log.Info("channel set back", "channel", ch.name, "messages", messages)
	ch.wake()
	return messages, ch.t.keep()
}

// liteTopicsJSON is the body of /lite/topics.
type liteTopicsJSON struct {
	RetainAge   int64           `json:"retain_age"` // nanoseconds, 0 when off
	RetainBytes int64           `json:"retain_bytes"`
	Topics      []liteTopicJSON `json:"topics"`
}

// liteTopicJSON is what the files of one topic hold.
type liteTopicJSON struct {
	Topic          string `json:"topic"`
	JournalBytes   int64  `json:"journal_bytes"`
	Segments       int    `json:"segments"`
	FirstID        string `json:"first_id"` // about the oldest message that can be read; next_id when there is none
	NextID         string `json:"next_id"`  // the next message gets it
	Oldest         int64  `json:"oldest,omitempty"`
	CorruptRecords int64  `json:"corrupt_records"`
}

// liteTopics says what the files hold. The time of the oldest message has to be
// read from the disk and is given for a single topic only.
func (h *httpServer) liteTopics(w http.ResponseWriter, r *http.Request) error {
	query, err := parseQuery(r)
	if err != nil {
		return err
	}
	out := liteTopicsJSON{RetainAge: int64(h.s.o.RetainAge), RetainBytes: h.s.o.RetainBytes, Topics: []liteTopicJSON{}}
	one, name := query.Has("topic"), query.Get("topic")
	var topics []*topic
	begun := false
	stopped := h.s.callChore(func() (cost int, last bool) {
		switch t := h.s.topic(name); {
		case one && t == nil:
			err = errTopicUnknown
			return 0, true
		case one:
			out.Topics = append(out.Topics, t.lite())
			h.s.idle.use(t)
			out.Topics[0].Oldest, _ = t.j.Oldest()
			return lookCost, true
		case !begun:
			topics, begun = slices.Clone(h.s.topics), true
		}
		for ; len(topics) > 0 && cost < pieceMost; topics = topics[1:] {
			if t := topics[0]; !t.deleted {
				out.Topics = append(out.Topics, t.lite())
			}
			cost += showCost
		}
		return cost, len(topics) == 0
	})
	if stopped != nil {
		return errExiting
	}
	if err != nil {
		return err
	}
	return replyJSON(w, out)
}

// lite copies what the topic's files hold.
func (t *topic) lite() liteTopicJSON {
	first, next := formatID(t.j.Start().Seq()), formatID(t.j.NextSeq())
	return liteTopicJSON{
		Topic: t.name, JournalBytes: t.j.Bytes(), Segments: t.j.Segments(),
		FirstID: string(first[:]), NextID: string(next[:]), CorruptRecords: t.j.Corrupt(),
	}
}
