package server

import (
	"net/http"

	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/server/journal"
)

// topicDrop drops the first of the messages of a topic that no channel was given,
// up to one of those that /topic/peek?from=waiting shows: whoever has put these
// somewhere else does not drop what has come since.
func (h *httpServer) topicDrop(w http.ResponseWriter, r *http.Request) error {
	name, err := topicArg(r)
	if err != nil {
		return err
	}
	query, err := parseQuery(r)
	if err != nil {
		return err
	}
	var id wire.ID
	seq, ok := uint64(0), false
	if text := query.Get("through"); len(text) == len(id) {
		copy(id[:], text)
		seq, ok = parseID(&id)
	}
	if !ok {
		return refuse(http.StatusBadRequest, "INVALID_ARG", "The parameter through is the id of the last message to be dropped, as /topic/peek shows it.")
	}
	return h.act(w, func() error {
		t := h.s.topic(name)
		if t == nil {
			return errTopicUnknown
		}
		return t.drop(seq)
	})
}

// drop drops what no channel has been given yet, up to the message with that
// sequence, which must be among the first that can be peeked at.
func (t *topic) drop(seq uint64) error {
	t.s.idle.use(t) // reading opens files, which are to be closed again
	t.beforeEmpty()
	at, last := t.j.Frontier(), uint64(0)
	for n := 0; n < peekCountMax && last < seq; n++ {
		seen := false
		next, err := t.j.Peek(at, 1, 1, func(p *journal.Peeked) { last, seen = p.Seq, true })
		if err != nil {
			return err
		}
		if !seen {
			break
		}
		at = next
	}
	if last != seq {
		return refuse(http.StatusConflict, "MESSAGE_NOT_WAITING", "That message is not among the first 1,000 that wait in the topic; a channel may have been given it meanwhile.")
	}
	t.j.Discard(at)
	t.afterEmpty()
	return nil
}
