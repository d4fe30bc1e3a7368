package admin

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// One step of a replay, and how long one request may be at it.
const (
	replayCount = 1000
	replayBytes = 3 << 20 // an nsqd takes 5 MiB at once, and the last message may go beyond
	replayTime  = 60 * time.Second
)

// replay publishes again, to the topic b.To, what waits in a topic and no channel
// has, and then drops it: oldest first, each message on the nsqd that has it.
// What comes meanwhile stays. A failure on the way may leave messages in both
// topics, never in none.
func (a *Admin) replay(r *http.Request, b *action) (any, error) {
	if err := (change{topic: b.To}).valid(); err != nil {
		return nil, err
	}
	if b.To == b.Topic {
		return nil, &apiError{http.StatusBadRequest, "INVALID_TOPIC", "A topic cannot be replayed to itself."}
	}
	places, err := a.placesOf(r, b.Topic, "")
	if err != nil {
		return nil, err
	}
	places = change{nodes: b.Nodes}.on(places)
	moves := make([]move, len(places))
	until := a.now().Add(replayTime)
	out := ask(len(places), func(i int) error {
		m := &moves[i]
		*m = move{up: a.up, base: places[i].base, from: b.Topic, to: b.To}
		for more := true; more && a.now().Before(until); {
			var err error
			if more, err = m.step(r.Context()); err != nil {
				return errors.New(places[i].Node() + ": " + unable(err))
			}
		}
		return nil
	})
	a.audit(r, "replay_topic", b.Topic, "", "", &out)
	a.hurry()
	if err := out.failure(); err != nil {
		return nil, err
	}
	answer := struct {
		done
		Messages int64 `json:"messages"` // that were published again
		Left     int64 `json:"left"`     // that waited, and for which the time did not suffice
	}{done: done{out.warning()}}
	for _, m := range moves {
		answer.Messages += m.moved
		answer.Left += m.left
	}
	return answer, nil
}

// move is the replay of a topic on one nsqd.
type move struct {
	up          *upstream
	base        string
	from, to    string
	begun       bool
	moved, left int64
}

// peekedMessage is what a replay needs of a message in /topic/peek.
type peekedMessage struct {
	ID       string `json:"id"`
	Encoding string `json:"encoding"` // text or base64
	Body     string `json:"body"`
}

// step moves the first messages that wait, and says whether more are to be moved.
func (m *move) step(ctx context.Context) (more bool, err error) {
	count := int64(replayCount)
	if m.begun {
		count = min(count, m.left)
	}
	var page struct {
		Waiting  int64           `json:"waiting"`
		Messages []peekedMessage `json:"messages"`
	}
	err = m.up.get(ctx, m.base, "/topic/peek", url.Values{
		"topic": {m.from}, "from": {"waiting"}, "count": {strconv.FormatInt(count, 10)}, "max_bytes": {strconv.Itoa(replayBytes)},
	}, &page)
	if err != nil {
		return false, err
	}
	if !m.begun {
		// An nsqd that could not let go of them would have them replayed again and again.
		if err := m.drop(ctx, ""); !refused(err, http.StatusBadRequest) {
			return false, err
		}
		m.begun, m.left = true, page.Waiting
	}
	if len(page.Messages) == 0 {
		m.left = 0 // somebody else has had them
		return false, nil
	}
	body, err := multiPublish(page.Messages)
	if err == nil {
		err = m.up.post(ctx, m.base, "/mpub", url.Values{"topic": {m.to}, "binary": {"true"}}, body)
	}
	if err == nil {
		err = m.drop(ctx, page.Messages[len(page.Messages)-1].ID)
	}
	if err != nil {
		return false, err
	}
	m.moved += int64(len(page.Messages))
	m.left = max(m.left-int64(len(page.Messages)), 0)
	return m.left > 0, nil
}

// drop lets go of the messages up to one of them.
func (m *move) drop(ctx context.Context, through string) error {
	return m.up.post(ctx, m.base, "/lite/topic/drop", url.Values{"topic": {m.from}, "through": {through}}, "")
}

// multiPublish is the body of /mpub?binary=true.
func multiPublish(messages []peekedMessage) (string, error) {
	body := binary.BigEndian.AppendUint32(nil, uint32(len(messages)))
	for i := range messages {
		text := []byte(messages[i].Body)
		if messages[i].Encoding == "base64" {
			var err error
			if text, err = base64.StdEncoding.DecodeString(messages[i].Body); err != nil {
				return "", err
			}
		}
		body = binary.BigEndian.AppendUint32(body, uint32(len(text)))
		body = append(body, text...)
	}
	return string(body), nil
}

// discard drops what a topic holds, and what its channels hold.
func (a *Admin) discard(r *http.Request, c change) (any, error) {
	places, err := a.placesOf(r, c.topic, "")
	if err != nil {
		return nil, err
	}
	places = c.on(places)
	c.do = "empty"
	query := c.query()
	query.Set("include_clients", "false")
	query.Set("include_mem", "false")
	stats, out := a.cluster.stats(r.Context(), places, query)
	out.join(ask(len(places), func(i int) error {
		for _, t := range stats[i].Topics {
			if err := a.up.post(r.Context(), places[i].base, c.path(), c.query(), ""); err != nil {
				return err
			}
			for _, ch := range t.Channels {
				one := c
				one.channel = ch.ChannelName
				if err := a.up.post(r.Context(), places[i].base, one.path(), one.query(), ""); err != nil {
					return err
				}
			}
		}
		return nil
	}))
	a.audit(r, "discard_topic", c.topic, "", "", &out)
	a.hurry()
	return result(out)
}
