package envelope

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// JSON is the content type of a Body that is JSON.
const JSON = "application/json"

// Envelope is a body with headers: the attributes of a CloudEvents event.
type Envelope struct {
	// ID, Source and Type are required to write one. Source and ID together
	// are unique: who says it, and which of its messages it is. Type is what
	// kind it is.
	ID     string
	Source string
	Type   string

	Subject     string    // what in the source it is about
	Time        time.Time // when it happened; the zero time is left out
	DataSchema  string    // a URI that describes the body
	ContentType string    // of the body; "" is JSON when the body is, else unsaid

	// TraceParent and TraceState are the trace context of the W3C.
	TraceParent string
	TraceState  string

	// Headers are more attributes, by names of lower-case letters and digits.
	// What Open finds there as a number or a boolean is its text.
	Headers map[string]string

	// Body is what it is all about. JSON is written as it is; anything else
	// in base64, a third longer.
	Body []byte
}

// What Append refuses.
var (
	errRequired = errors.New("want it: CloudEvents requires it")
	errText     = errors.New("want valid UTF-8")
	errName     = errors.New("want lower-case letters and digits")
	errTaken    = errors.New("want another name: this one is an attribute of CloudEvents")
)

// The attributes that have fields.
const (
	specVersion = "specversion"
	id          = "id"
	source      = "source"
	eventType   = "type"
	subject     = "subject"
	eventTime   = "time"
	dataSchema  = "dataschema"
	contentType = "datacontenttype"
	traceParent = "traceparent"
	traceState  = "tracestate"
	data        = "data"
	dataBase64  = "data_base64"
)

// taken are the names that Headers may not have.
var taken = []string{specVersion, id, source, eventType, subject, eventTime, dataSchema, contentType, traceParent, traceState, data}

// Append appends the envelope to b. It returns an error that names the field,
// and b as it was, when one is missing or is no text. The same envelope gives
// the same bytes.
func (e *Envelope) Append(b []byte) ([]byte, error) {
	fields := []struct{ name, value string }{
		{id, e.ID}, {source, e.Source}, {eventType, e.Type}, {subject, e.Subject},
		{eventTime, e.time()}, {dataSchema, e.DataSchema}, {contentType, e.ContentType},
		{traceParent, e.TraceParent}, {traceState, e.TraceState},
	}
	for _, name := range slices.Sorted(maps.Keys(e.Headers)) {
		if err := checkName(name); err != nil {
			return b, fmt.Errorf("envelope: header %q: %w", name, err)
		}
		fields = append(fields, struct{ name, value string }{name, e.Headers[name]})
	}
	out := append(b, `{"`+specVersion+`":"1.0"`...)
	for i, f := range fields {
		switch {
		case f.value == "" && i < 3:
			return b, fmt.Errorf("envelope: %s: %w", f.name, errRequired)
		case f.value == "":
			continue
		case !utf8.ValidString(f.value):
			return b, fmt.Errorf("envelope: %s: %w", f.name, errText)
		}
		quoted, err := json.Marshal(f.value)
		if err != nil {
			return b, fmt.Errorf("envelope: %s: %w", f.name, err)
		}
		out = append(append(append(append(out, `,"`...), f.name...), `":`...), quoted...)
	}
	return append(e.appendBody(out), '}'), nil
}

func (e *Envelope) time() string {
	if e.Time.IsZero() {
		return ""
	}
	return e.Time.Format(time.RFC3339Nano)
}

func checkName(name string) error {
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return errName
	}
	if slices.Contains(taken, name) {
		return errTaken
	}
	return nil
}

func (e *Envelope) appendBody(b []byte) []byte {
	switch {
	case len(e.Body) == 0:
		return b
	case isJSON(e.ContentType) && json.Valid(e.Body):
		return append(append(b, `,"`+data+`":`...), e.Body...)
	}
	b = append(b, `,"`+dataBase64+`":"`...)
	b = base64.StdEncoding.AppendEncode(b, e.Body)
	return append(b, '"')
}

// isJSON says whether a content type is JSON's, as none is by default.
func isJSON(contentType string) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	kind = strings.TrimSpace(kind)
	return kind == "" || kind == JSON || kind == "text/json" || strings.HasSuffix(kind, "+json")
}

// Open takes the envelope off a body. ok is false for a body that is no
// envelope: one that is no JSON object, has another specversion than 1.0, or
// lacks what is required. It is then the Body itself, and nothing else is set.
// The Body may share its bytes with the one given.
func Open(body []byte) (e Envelope, ok bool) {
	e, err := parse(body)
	if err != nil {
		return Envelope{Body: body}, false
	}
	return e, true
}

// errNone is why a body is no envelope.
var errNone = errors.New("no envelope")

func parse(body []byte) (e Envelope, err error) {
	// Most bodies that are none are recognized without parsing them.
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' || !bytes.Contains(body, []byte(`"`+specVersion+`"`)) {
		return e, errNone
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(body, &all); err != nil {
		return e, err
	}
	attributes := map[string]string{}
	for name, raw := range all {
		if name == data || name == dataBase64 || string(raw) == "null" {
			continue
		}
		value, err := text(raw)
		if err != nil {
			return e, err
		}
		attributes[name] = value
	}
	if attributes[specVersion] != "1.0" {
		return e, errNone
	}
	delete(attributes, specVersion)
	for name, field := range map[string]*string{
		id: &e.ID, source: &e.Source, eventType: &e.Type, subject: &e.Subject, dataSchema: &e.DataSchema,
		contentType: &e.ContentType, traceParent: &e.TraceParent, traceState: &e.TraceState,
	} {
		*field = attributes[name]
		delete(attributes, name)
	}
	if e.ID == "" || e.Source == "" || e.Type == "" {
		return e, errNone
	}
	if at := attributes[eventTime]; at != "" {
		if e.Time, err = time.Parse(time.RFC3339, at); err != nil {
			return e, err
		}
	}
	delete(attributes, eventTime)
	if len(attributes) > 0 {
		e.Headers = attributes
	}
	e.Body, err = bodyOf(all[data], all[dataBase64], e.ContentType)
	return e, err
}

// text is the value of an attribute: a string, a number or a boolean.
func text(raw json.RawMessage) (string, error) {
	switch raw[0] {
	case '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err
	case '{', '[':
		return "", errNone
	}
	return string(raw), nil
}

// bodyOf is the body in one of the two forms. A string that is not said to be
// JSON stands for its text.
func bodyOf(plain, encoded json.RawMessage, contentType string) (body []byte, err error) {
	switch {
	case encoded != nil && plain != nil:
		return nil, errNone
	case encoded != nil:
		err = json.Unmarshal(encoded, &body) // base64, as for every []byte
		return body, err
	case plain != nil && plain[0] == '"' && !isJSON(contentType):
		var s string
		err = json.Unmarshal(plain, &s)
		return []byte(s), err
	}
	return plain, nil
}
