package relay

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
)

// Filter says which messages pass, and what of them. The zero value lets all
// pass as they are; any other wants messages that are JSON objects, and drops
// the rest.
type Filter struct {
	// RequireField is a field that must be there. With RequireValue its value
	// must be that: strings as text, numbers as numbers.
	RequireField string
	RequireValue string

	// Whitelist names the fields that pass. None means all.
	Whitelist []string
}

// verdict is what becomes of a message.
type verdict uint8

const (
	pass verdict = iota
	drop
	later // it cannot be judged: back to the channel
)

// errNotJudged is why a message goes back to its channel: the field whose value
// counts is not there.
var errNotJudged = errors.New("the required JSON field is missing, whose value counts")

// apply is what passes of body.
func (f *Filter) apply(body []byte) ([]byte, verdict) {
	if f.RequireField == "" && len(f.Whitelist) == 0 {
		return body, pass
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil || fields == nil {
		return nil, drop
	}
	if f.RequireField != "" {
		value, there := fields[f.RequireField]
		switch {
		case !there && f.RequireValue != "":
			return nil, later
		case !there, f.RequireValue != "" && !sameValue(value, f.RequireValue):
			return nil, drop
		}
	}
	if len(f.Whitelist) == 0 {
		return body, pass
	}
	kept := map[string]json.RawMessage{}
	for _, name := range f.Whitelist {
		if value, there := fields[name]; there {
			kept[name] = value
		}
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false) // what was not escaped stays so
	if enc.Encode(kept) != nil {
		return nil, drop // it has decoded, so it encodes
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), pass
}

// sameValue says whether a JSON value is what want says.
func sameValue(value json.RawMessage, want string) bool {
	var text string
	if json.Unmarshal(value, &text) == nil && value[0] == '"' {
		return text == want
	}
	number, err := strconv.ParseFloat(want, 64)
	var got float64
	return err == nil && json.Unmarshal(value, &got) == nil && value[0] != 'n' && got == number
}
