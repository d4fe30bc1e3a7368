package server

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
)

// publishRoutes are the routes that store messages. /put and /mput are their
// names of NSQ before 1.0, which many walk-throughs still use.
func (h *httpServer) publishRoutes() []*route {
	return []*route{
		{method: "POST", path: "/pub", help: "publish the body: ?topic=, &defer=<ms>", quiet: true, needs: accessPublish, run: h.pub},
		{method: "POST", path: "/mpub", help: "publish each line: ?topic=, &binary=true", quiet: true, needs: accessPublish, run: h.mpub},
		{method: "POST", path: "/put", help: "old name of /pub", quiet: true, needs: accessPublish, run: h.pub},
		{method: "POST", path: "/mput", help: "old name of /mpub", quiet: true, needs: accessPublish, run: h.mpub},
	}
}

// bodies are the buffers of request bodies, until the collector has found them
// unused twice: to make a large one anew for each request, and to clear it, takes
// longer than what is done with it. Very large ones are left to the collector at once.
var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const bodyKept = 8 << 20 // bytes: what a body of the default of --max-body-size grows to

// budgeted reads a request's body within what all bodies together may occupy:
// many peers that each send a little less than the limit, slowly, must not add
// up to the machine's memory.
type budgeted struct {
	r    io.Reader
	h    *httpServer
	held int64 // in the budget
	read int64
}

var errBudget = errors.New("too many bodies at once")

// errTooBusy is the answer to a body for which there is no room.
var errTooBusy = &httpError{http.StatusServiceUnavailable, "TOO_BUSY",
	"The server holds as many bytes for its clients as it may (--max-memory); nothing was stored, try again."}

// Read is io.Reader's. A buffer that grows has up to twice of what is in it.
func (b *budgeted) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.read += int64(n)
	if b.h.bodyBytes.Add(int64(n)) > b.h.limits.bodyBytes || !b.hold(2*int64(n)) {
		return n, errBudget
	}
	return n, err
}

// hold takes n bytes more out of the budget, if they are there.
func (b *budgeted) hold(n int64) bool {
	if !b.h.budget.take(n) {
		if b.h.relieve != nil {
			_ = b.h.l.Post(b.h.relieve) // for the next one
		}
		return false
	}
	b.held += n
	return true
}

// release gives back what was held.
func (b *budgeted) release() {
	b.h.bodyBytes.Add(-b.read)
	b.h.budget.add(-b.held)
}

// withBody reads at most limit bytes of r's body into a shared buffer and
// calls use with them; use must not keep them. tooBig is the answer to more.
func (h *httpServer) withBody(r *http.Request, limit int, tooBig error, use func(body []byte) error) error {
	return h.withHeld(r, limit, tooBig, func(body []byte, _ *budgeted) error { return use(body) })
}

// withHeld is withBody for a use that holds more than the body.
func (h *httpServer) withHeld(r *http.Request, limit int, tooBig error, use func(body []byte, in *budgeted) error) error {
	if r.ContentLength > int64(limit) {
		return tooBig // before a byte of it is read
	}
	b := bodies.Get().(*bytes.Buffer)
	defer func() {
		if b.Cap() <= bodyKept {
			b.Reset()
			bodies.Put(b)
		}
	}()
	// The buffer grows with what arrives, not with what the header announces.
	in := &budgeted{r: io.LimitReader(r.Body, int64(limit)+1), h: h}
	defer in.release()
	switch _, err := b.ReadFrom(in); {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refuse(http.StatusRequestTimeout, "REQUEST_TIMEOUT", "The body took too long to arrive; nothing was stored.")
	case errors.Is(err, errBudget):
		return errTooBusy
	case err != nil:
		return refuse(http.StatusInternalServerError, "INTERNAL_ERROR", "The body could not be read; nothing was stored.")
	}
	if b.Len() > limit {
		return tooBig
	}
	return use(b.Bytes(), in)
}

// pub stores the body as one message.
func (h *httpServer) pub(w http.ResponseWriter, r *http.Request) error {
	limit := h.s.o.MaxMsgSize
	tooBig := refuse(http.StatusRequestEntityTooLarge, "MSG_TOO_BIG",
		"A message may have "+strconv.Itoa(limit)+" bytes here (--max-msg-size).")
	return h.withBody(r, limit, tooBig, func(body []byte) error {
		if len(body) == 0 {
			return refuse(http.StatusBadRequest, "MSG_EMPTY",
				"The message is the request's body, and it was empty; try curl -d 'hello' 'http://<host>/pub?topic=test'.")
		}
		query, topic, err := h.publishArgs(r)
		if err != nil {
			return err
		}
		delay, invalid := h.deferral(query)
		if err := h.publish(r, topic, [][]byte{body}, delay, invalid); err != nil {
			return err
		}
		replyText(w, wire.OK)
		return nil
	})
}

// mpub stores the body as several messages, in one go: all or none.
func (h *httpServer) mpub(w http.ResponseWriter, r *http.Request) error {
	limit := h.s.o.MaxBodySize
	tooBig := refuse(http.StatusRequestEntityTooLarge, "BODY_TOO_BIG",
		"The messages of one request may have "+strconv.Itoa(limit)+" bytes together here (--max-body-size).")
	return h.withHeld(r, limit, tooBig, func(body []byte, in *budgeted) error {
		query, topic, err := h.publishArgs(r)
		if err != nil {
			return err
		}
		split, most := splitLines, bytes.Count(body, newline)+1
		if isBinary(query) {
			split, most = splitBinary, len(body)/5
		}
		// Messages of a byte take more beside it, here and on their way into
		// the journal.
		if !in.hold(int64(most) * lineCost) {
			return errTooBusy
		}
		messages, invalid := split(body, h.s.o.MaxMsgSize, limit)
		if err := h.publish(r, topic, messages, 0, invalid); err != nil {
			return err
		}
		replyText(w, wire.OK)
		return nil
	})
}

// publishArgs returns the query of r and the topic in it.
func (h *httpServer) publishArgs(r *http.Request) (query url.Values, topic string, err error) {
	if query, err = parseQuery(r); err != nil {
		return nil, "", err
	}
	if !query.Has("topic") {
		return nil, "", errNoTopic
	}
	topic = query.Get("topic")
	if !wire.ValidName(topic) {
		return nil, "", refuse(http.StatusBadRequest, "INVALID_TOPIC", nameRule)
	}
	return query, topic, nil
}

// parseQuery returns the parameters of r. Where one is repeated, the first
// value counts (url.Values.Get).
func parseQuery(r *http.Request) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, errBadQuery
	}
	return query, nil
}

// deferral returns the delay that a query asks for, 0 for none.
func (h *httpServer) deferral(query url.Values) (time.Duration, error) {
	if !query.Has("defer") {
		return 0, nil
	}
	limit := h.s.o.MaxReqTimeout.Milliseconds()
	ms, err := strconv.ParseInt(query.Get("defer"), 10, 64)
	if err != nil || ms < 0 || ms > limit {
		return 0, refuse(http.StatusBadRequest, "INVALID_DEFER",
			"defer is a number of milliseconds from 0 to "+strconv.FormatInt(limit, 10)+" (--max-req-timeout).")
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// isBinary says whether an /mpub query asks for the binary form. nsqd takes
// every value that it does not know, even none, for yes.
func isBinary(query url.Values) bool {
	if !query.Has("binary") {
		return false
	}
	value := query.Get("binary")
	return value != "false" && value != "0"
}

var newline = []byte("\n")

// splitLines returns the lines of body that are not empty. A carriage return
// is part of the message.
func splitLines(body []byte, max, _ int) ([][]byte, error) {
	messages := make([][]byte, 0, bytes.Count(body, newline)+1)
	for len(body) > 0 {
		line := body
		if i := bytes.IndexByte(body, '\n'); i >= 0 {
			line, body = body[:i], body[i+1:]
		} else {
			body = nil
		}
		if len(line) > max {
			return nil, refuse(http.StatusRequestEntityTooLarge, "MSG_TOO_BIG",
				"A line is a message and may have "+strconv.Itoa(max)+" bytes here (--max-msg-size).")
		}
		if len(line) > 0 {
			messages = append(messages, line)
		}
	}
	return messages, nil
}

// splitBinary returns the messages of MPUB's body: a count, then each message
// after its size, all big-endian 32-bit. What follows the last one is ignored.
func splitBinary(body []byte, max, maxBody int) ([][]byte, error) {
	const size = 4
	if len(body) < size {
		return nil, refuse(http.StatusRequestEntityTooLarge, "BAD_BODY", "The binary form begins with the number of messages, 4 bytes.")
	}
	count := int32(binary.BigEndian.Uint32(body))
	body = body[size:]
	if count <= 0 || int(count) > (maxBody-size)/(size+1) { // a message takes five bytes at least
		return nil, refuse(http.StatusRequestEntityTooLarge, "BAD_BODY",
			"The number of messages, the first 4 bytes, is not one that a body here can hold.")
	}
	messages := make([][]byte, 0, min(int(count), len(body)/(size+1)+1))
	for range count {
		if len(body) < size {
			return nil, badMessage(max)
		}
		n := int(int32(binary.BigEndian.Uint32(body)))
		body = body[size:]
		if n <= 0 || n > max || n > len(body) {
			return nil, badMessage(max)
		}
		messages = append(messages, body[:n])
		body = body[n:]
	}
	return messages, nil
}

func badMessage(max int) error {
	return refuse(http.StatusRequestEntityTooLarge, "BAD_MESSAGE",
		"Each message follows its size, 4 bytes, from 1 to "+strconv.Itoa(max)+" (--max-msg-size).")
}

// mayStore says why there is no room for messages that are deferred, or of a
// topic that is not in files.
func (h *httpServer) mayStore(t *topic, messages [][]byte, delay time.Duration) error {
	n := 0
	if !t.onDisk {
		for _, m := range messages {
			n += len(m)
		}
	}
	if delay > 0 {
		if err := h.s.mayHold(int64(len(messages)) * delayCost); err != nil {
			return err
		}
	}
	return t.room(n)
}

// publish makes the topic if need be, stores the messages, and returns when
// they are as safe as the server's sync mode promises. invalid, when set, is
// answered after the topic has been made, in nsqd's order.
func (h *httpServer) publish(r *http.Request, name string, messages [][]byte, delay time.Duration, invalid error) error {
	stored := make(chan error, 1) // room for one: the loop never waits for us
	var taken <-chan struct{}
	makes := func() bool { return h.s.topic(name) == nil }
	err := h.s.callMaking(makes, func() {
		t, err := h.s.makeTopic(name, h.s.origins.of(r.RemoteAddr))
		if err == nil && invalid == nil {
			err = h.mayStore(t, messages, delay)
		}
		switch {
		case err != nil:
			stored <- err
		case invalid != nil || len(messages) == 0:
			stored <- invalid
		default:
			var due int64
			if delay > 0 {
				due = h.s.l.Now().Add(delay).UnixNano()
			}
			taken = t.publish(messages, due, func(err error) { stored <- err })
		}
	})
	if err != nil {
		return errExiting
	}
	select {
	case err = <-stored:
	case <-r.Context().Done():
		// The peer has gone, or the disk takes longer than a reply may. The
		// body is the loop's until it is taken.
		if taken != nil {
			<-taken
		}
		return refuse(http.StatusServiceUnavailable, "EXITING", "The journal did not answer in time; the message may have been stored or not.")
	}
	var refusal *httpError
	if err == nil || errors.As(err, &refusal) {
		return err
	}
	// nsqd has one code for everything that keeps it from storing a message.
	if errors.Is(err, errMayBeKept) {
		return refuse(http.StatusServiceUnavailable, "EXITING", "It is not known whether anything was stored; "+err.Error()+".")
	}
	return refuse(http.StatusServiceUnavailable, "EXITING", "Nothing was stored: "+err.Error()+".")
}
