package offline

import (
	"encoding/json"
	"unicode/utf8"
)

// An export is lines of JSON. Of each topic there is a line that tells of its
// channels, and then one for each message that somebody waits for:
//
//	{"topic":"orders","paused":false,"channels":[{"name":"billing","paused":false}]}
//	{"topic":"orders","id":"0000100000000000","timestamp":1767366245000000000,"body":"order 17","for":[{"channel":"billing","attempts":1,"due":1767366305000000000}]}
//
// Without "for" no channel was given the message yet. A body that is not UTF-8
// is in "body64" instead. Times are unix nanoseconds; "due" is absent when the
// message waits for no time.
type line struct {
	Topic string `json:"topic"`

	Paused   bool           `json:"paused,omitempty"`
	Channels *[]channelLine `json:"channels,omitempty"` // only in a topic's line

	ID        string     `json:"id,omitempty"`
	Timestamp int64      `json:"timestamp,omitempty"`
	Due       int64      `json:"due,omitempty"`
	Body      *string    `json:"body,omitempty"`
	Body64    []byte     `json:"body64,omitempty"`
	For       []waitLine `json:"for,omitempty"`
}

type channelLine struct {
	Name   string `json:"name"`
	Paused bool   `json:"paused,omitempty"`
}

// waitLine is what a message is to a channel that has not finished it.
type waitLine struct {
	Channel  string `json:"channel"`
	Attempts uint16 `json:"attempts,omitempty"`
	Due      int64  `json:"due,omitempty"`
}

// setBody puts a body into the line.
func (l *line) setBody(b []byte) {
	if utf8.Valid(b) {
		s := string(b)
		l.Body = &s
	} else {
		l.Body64 = b
	}
}

// body is what setBody has put there.
func (l *line) body() []byte {
	if l.Body != nil {
		return []byte(*l.Body)
	}
	return l.Body64
}

// appendTo appends the line and its end.
func (l *line) appendTo(b []byte) ([]byte, error) {
	text, err := json.Marshal(l)
	return append(append(b, text...), '\n'), err
}
