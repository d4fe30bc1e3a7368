package server

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

const (
	typeJSON = "application/json; charset=utf-8"
	typeText = "text/plain; charset=utf-8"
)

// httpError is a refusal. Its JSON is {"message":"CODE","detail":"..."}: the
// code is nsqd's and what programs read, the detail is one sentence for the
// person at the terminal.
type httpError struct {
	status int
	code   string
	detail string
}

func (e *httpError) Error() string { return e.code + ": " + e.detail }

// refuse makes an httpError.
func refuse(status int, code, detail string) error {
	return &httpError{status: status, code: code, detail: detail}
}

// Refusals that several routes share.
var (
	errBadQuery = &httpError{http.StatusBadRequest, "INVALID_REQUEST",
		"The query does not parse: separate parameters with &, and escape ; % and # as %3B, %25 and %23."}
	errNoTopic = &httpError{http.StatusBadRequest, "MISSING_ARG_TOPIC",
		"Name the topic in the query, as in /pub?topic=test; form bodies are not read."}
	errNoChannel = &httpError{http.StatusBadRequest, "MISSING_ARG_CHANNEL",
		"Name the channel in the query, as in ?topic=test&channel=print; form bodies are not read."}
	errTopicUnknown = &httpError{http.StatusNotFound, "TOPIC_NOT_FOUND",
		"This server has no topic of that name; GET /stats lists the topics, POST /topic/create?topic= makes one."}
	errChannelUnknown = &httpError{http.StatusNotFound, "CHANNEL_NOT_FOUND",
		"The topic has no channel of that name; GET /stats?topic= lists its channels."}
	errExiting = &httpError{http.StatusServiceUnavailable, "EXITING",
		"The server is stopping; nothing was stored."}
)

const nameRule = "A name has 1 to 64 of the characters a-z A-Z 0-9 . _ - and may end in #ephemeral (%23ephemeral in a URL)."

// nsqHeader marks a reply as nsqd's. The pynsq and go-nsq clients look at it.
func nsqHeader(w http.ResponseWriter) {
	w.Header()["X-Nsq-Content-Type"] = nsqContentType
}

var nsqContentType = []string{"nsq; version=1.0"} // shared by all replies, never changed

// reply sends body with the given type and length.
func reply(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	// A peer that has gone cannot be told so; the access log has the status.
	_, _ = w.Write(body)
}

// replyText sends a text/plain body with status 200.
func replyText(w http.ResponseWriter, body string) {
	nsqHeader(w)
	reply(w, http.StatusOK, typeText, []byte(body))
}

// replyJSON sends v as JSON with status 200, without a final newline, as nsqd
// does.
func replyJSON(w http.ResponseWriter, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	nsqHeader(w)
	reply(w, http.StatusOK, typeJSON, body)
	return nil
}

// replyEmpty sends status 200 without body and without Content-Type.
func replyEmpty(w http.ResponseWriter) {
	nsqHeader(w)
	w.WriteHeader(http.StatusOK)
}

// replyError sends a refusal.
func replyError(w http.ResponseWriter, e *httpError) {
	if e.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="nsqd", charset="UTF-8"`)
	}
	body, err := json.Marshal(struct {
		Message string `json:"message"`
		Detail  string `json:"detail,omitempty"`
	}{e.code, e.detail})
	if err != nil {
		panic("two strings do not encode as JSON: " + err.Error())
	}
	nsqHeader(w)
	reply(w, e.status, typeJSON, body)
}

// printable returns s for a log line or a terminal: at most limit bytes, and
// everything that could start a new line or an escape sequence written out.
// The strings come from the network.
func printable(s string, limit int) string {
	cut := len(s) > limit
	if cut {
		s = s[:limit]
	}
	clean := true
	for i := 0; i < len(s) && clean; i++ {
		clean = s[i] >= ' ' && s[i] < 0x7f
	}
	if !clean {
		q := strconv.QuoteToASCII(s)
		s = strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
	}
	if cut {
		s += "..."
	}
	return s
}
