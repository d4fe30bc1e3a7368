package server

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"
)

var errTapsBusy = &httpError{http.StatusServiceUnavailable, "BUSY",
	"There are as many taps as the server allows; close some."}

// tapRoutes are the routes that stream.
func (h *httpServer) tapRoutes() []*route {
	return []*route{
		{method: "GET", path: "/topic/tap", help: "follow a topic without consuming: ?topic=&count=&format=json|sse|raw", needs: accessSubscribe, run: h.topicTap},
	}
}

// tapForm writes batches in one format.
type tapForm struct {
	contentType string
	message     func(dst []byte, m *messageJSON, raw []byte) ([]byte, error)
	lost        func(dst []byte, n int64) []byte
	pulse       string
}

// tapForms are the formats by their names in the query.
var tapForms = map[string]*tapForm{
	"json": {
		contentType: "application/x-ndjson",
		message: func(dst []byte, m *messageJSON, _ []byte) ([]byte, error) {
			b, err := json.Marshal(m)
			if len(dst) > 0 {
				b = append(dst, b...)
			}
			return append(b, '\n'), err // mostly there is room for it
		},
		lost: func(dst []byte, n int64) []byte { return fmt.Appendf(dst, "{\"lost\":%d}\n", n) },
	},
	"sse": {
		contentType: "text/event-stream",
		message: func(dst []byte, m *messageJSON, _ []byte) ([]byte, error) {
			b, err := json.Marshal(m)
			return fmt.Appendf(dst, "id: %s\ndata: %s\n\n", m.ID, b), err
		},
		lost:  func(dst []byte, n int64) []byte { return fmt.Appendf(dst, "event: lost\ndata: {\"lost\":%d}\n\n", n) },
		pulse: ":\n\n",
	},
	"raw": {
		contentType: "application/octet-stream",
		message: func(dst []byte, _ *messageJSON, raw []byte) ([]byte, error) {
			return append(append(dst, raw...), '\n'), nil
		},
		lost: func(dst []byte, _ int64) []byte { return dst },
	},
}

// tapFormOf is the format that a request asks for.
func tapFormOf(r *http.Request, query url.Values) (*tapForm, error) {
	name := query.Get("format")
	if name == "" {
		name = "json"
		if strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
			name = "sse"
		}
	}
	form := tapForms[name]
	if form == nil {
		return nil, refuse(http.StatusBadRequest, "INVALID_ARG", "The parameter format is json, sse or raw.")
	}
	return form, nil
}

// topicTap streams what is published to a topic from now on, until the peer
// goes, the topic is deleted, the server stops or count messages were sent. A
// reader that is too slow loses messages and is told how many.
func (h *httpServer) topicTap(w http.ResponseWriter, r *http.Request) error {
	if err := h.guard.checkShown(r); err != nil {
		return err
	}
	query, err := parseQuery(r)
	if err != nil {
		return err
	}
	if !query.Has("topic") {
		return errNoTopic
	}
	form, err := tapFormOf(r, query)
	if err != nil {
		return err
	}
	count, err := intArg(query, "count", math.MaxInt, 1, math.MaxInt)
	if err != nil {
		return err
	}
	// The server's deadlines are for requests that end. The zero time is none;
	// a peer that does not read is found by the pulse.
	rc := http.NewResponseController(w)
	if err := rc.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	if err := rc.SetWriteDeadline(time.Time{}); err != nil {
		return err
	}
	var p *tap
	stopped := h.s.call(func() {
		t := h.s.topic(query.Get("topic"))
		if t == nil {
			err = errTopicUnknown
			return
		}
		p, err = h.s.taps.add(t, func() {
			_ = rc.SetWriteDeadline(time.Unix(1, 0)) // if it fails, the connection is closed
		})
	})
	if stopped != nil {
		return errExiting
	}
	if err != nil {
		return err
	}
	defer func() {
		_ = h.s.call(func() { h.s.taps.remove(p) }) // a server that has stopped has removed it
		p.letGo()
	}()
	nsqHeader(w)
	w.Header().Set("Content-Type", form.contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	return form.stream(w, rc, r, p, count)
}

// tapPiece is how much text is made before it is written: a message, or several.
const tapPiece = 64 << 10

// stream writes what the tap gets. Errors of the connection end it silently:
// the reply has begun and nobody is left to be told.
func (f *tapForm) stream(w http.ResponseWriter, rc *http.ResponseController, r *http.Request, p *tap, count int) error {
	for rc.Flush() == nil {
		select {
		case <-r.Context().Done():
			return nil
		case b, ok := <-p.queue:
			if !ok {
				return nil
			}
			gone, err := f.batch(w, &b, &count)
			if gone || err != nil {
				return err
			}
			p.hold(-b.bytes)
			p.written.Add(1)
			if count == 0 {
				return nil
			}
		}
	}
	return nil
}

// batch writes one batch, of messages up to count, which it lowers. gone says
// that the peer has gone.
func (f *tapForm) batch(w http.ResponseWriter, b *tapBatch, count *int) (gone bool, err error) {
	var out []byte
	if b.lost > 0 {
		out = f.lost(out, b.lost)
	}
	if len(b.messages) == 0 {
		out = append(out, f.pulse...)
	}
	for i := 0; i < len(b.messages) && *count > 0; i++ {
		m := showMessage(&b.messages[i])
		if out, err = f.message(out, &m, b.messages[i].Body); err != nil {
			return false, err
		}
		*count--
		if len(out) >= tapPiece {
			if _, err := w.Write(out); err != nil {
				return true, nil
			}
			out = nil // its next text may be shorter by far
		}
	}
	if len(out) > 0 {
		_, err = w.Write(out)
	}
	return err != nil, nil
}
