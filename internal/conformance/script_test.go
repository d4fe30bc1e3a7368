package conformance

import (
	"encoding/binary"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// script is a transcript.
type script struct {
	head    []string          // comments and options, as they stand
	options map[string]string // by the name of nsqd's flag
	steps   []step
}

// step is one step of a transcript.
type step struct {
	title  string
	lines  []string // what happens, comments included, as they stand
	events []event
	show   []string // keys that JSON is reduced to; none means all

	headers []string // of HTTP answers, to show
	want    []string
}

// event is one line of what happens.
type event struct {
	who  string // a connection, or "" for the last five verbs
	verb string // send, raw, open, close; wait, http, stats, json, restart
	text string
}

// mustParse reads a transcript.
func mustParse(t testing.TB, path string) *script {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := parse(string(b))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return s
}

// parse reads the text of a transcript.
func parse(text string) (*script, error) {
	s := &script{options: map[string]string{}}
	var cur *step
	seen := false // past the line of dashes
	for i, line := range strings.Split(text, "\n") {
		var err error
		switch {
		case strings.HasPrefix(line, "=== "):
			if cur != nil && !seen {
				err = fmt.Errorf("step %q has no line of dashes", cur.title)
			}
			s.steps = append(s.steps, step{title: line[len("=== "):]})
			cur, seen = &s.steps[len(s.steps)-1], false
		case cur == nil:
			err = s.parseHead(line)
		case line == "---" && !seen:
			seen = true
		case !seen:
			err = cur.parseEvent(line)
		case line != "":
			cur.want = append(cur.want, line)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	if cur == nil || !seen {
		return nil, fmt.Errorf("the last step has no line of dashes")
	}
	return s, nil
}

// parseHead reads a line before the first step.
func (s *script) parseHead(line string) error {
	s.head = append(s.head, line)
	if line == "" || strings.HasPrefix(line, "#") {
		return nil
	}
	rest, ok := strings.CutPrefix(line, "server ")
	if !ok {
		return fmt.Errorf("neither a comment nor options: %q", line)
	}
	for _, option := range strings.Fields(rest) {
		name, value, ok := strings.Cut(option, "=")
		if !ok {
			return fmt.Errorf("option without a value: %q", option)
		}
		s.options[name] = value
	}
	return nil
}

// eventLine is a connection's line: a name, space, and the rest.
var eventLine = regexp.MustCompile(`^([a-z])  (.*)$`)

// parseEvent reads a line of what happens.
func (st *step) parseEvent(line string) error {
	st.lines = append(st.lines, line)
	if line == "" || strings.HasPrefix(line, "#") {
		return nil
	}
	if m := eventLine.FindStringSubmatch(line); m != nil {
		who, text := m[1], m[2]
		switch raw, ok := strings.CutPrefix(text, "raw "); {
		case ok:
			st.events = append(st.events, event{who, "raw", raw})
		case text == "open" || text == "close":
			st.events = append(st.events, event{who, text, ""})
		default:
			st.events = append(st.events, event{who, "send", text})
		}
		return nil
	}
	verb, text, _ := strings.Cut(line, " ")
	switch verb {
	case "show":
		st.show = strings.Fields(text)
	case "headers":
		st.headers = strings.Fields(text)
	case "wait", "http", "stats", "json", "restart":
		st.events = append(st.events, event{"", verb, text})
	default:
		return fmt.Errorf("not understood: %q", line)
	}
	return nil
}

// String is the transcript as it stands in its file.
func (s *script) String() string {
	var b strings.Builder
	for _, line := range s.head {
		b.WriteString(line + "\n")
	}
	for i, st := range s.steps {
		if i > 0 {
			b.WriteString("\n")
		}
		b.WriteString("=== " + st.title + "\n")
		for _, line := range st.lines {
			b.WriteString(line + "\n")
		}
		b.WriteString("---\n")
		for _, line := range st.want {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// command is what a connection sends for a line: the command, and its bodies
// with their lengths. ids are the ids that $1, $2 and so on stand for.
func command(text string, ids []string) ([]byte, error) {
	parts := strings.Split(text, " | ")
	line, err := expand(parts[0], ids)
	if err != nil {
		return nil, err
	}
	line += "\n"
	var bodies []string
	for _, part := range parts[1:] {
		body, err := expand(part, ids)
		if err != nil {
			return nil, err
		}
		bodies = append(bodies, body)
	}
	b := []byte(line)
	switch {
	case strings.HasPrefix(line, "MPUB "):
		var messages []byte
		for _, body := range bodies {
			messages = binary.BigEndian.AppendUint32(messages, uint32(len(body)))
			messages = append(messages, body...)
		}
		if len(bodies) > 0 {
			b = binary.BigEndian.AppendUint32(b, uint32(4+len(messages)))
			b = binary.BigEndian.AppendUint32(b, uint32(len(bodies)))
			b = append(b, messages...)
		}
	case len(bodies) == 1:
		b = binary.BigEndian.AppendUint32(b, uint32(len(bodies[0])))
		b = append(b, bodies[0]...)
	case len(bodies) > 1:
		return nil, fmt.Errorf("more than one body: %q", text)
	}
	return b, nil
}

// special are the parts of a text that stand for something else.
var special = regexp.MustCompile(`\{(.)\*(\d+)\}|\{int32 (-?\d+)\}|\$(\d+)|\\(x[0-9a-f]{2}|.)`)

// expand replaces what stands for something else.
func expand(text string, ids []string) (string, error) {
	var err error
	s := special.ReplaceAllStringFunc(text, func(match string) string {
		m := special.FindStringSubmatch(match)
		switch {
		case m[1] != "":
			n, _ := strconv.Atoi(m[2])
			return strings.Repeat(m[1], n)
		case m[3] != "":
			n, _ := strconv.Atoi(m[3])
			return string(binary.BigEndian.AppendUint32(nil, uint32(n)))
		case m[4] != "":
			n, _ := strconv.Atoi(m[4])
			if n < 1 || n > len(ids) {
				err = fmt.Errorf("message %s has not been seen", match)
				return match
			}
			return ids[n-1]
		}
		plain, e := strconv.Unquote(`"` + match + `"`)
		if e != nil {
			err = fmt.Errorf("escape %s: %w", match, e)
		}
		return plain
	})
	return s, err
}

// run is a long run of one byte.
var longRun = regexp.MustCompile(`a{40,}|b{40,}|x{40,}`)

// quote is a text as it is shown: expand's other direction.
func quote(s string) string {
	q := strconv.Quote(s)
	q = strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
	if strings.HasSuffix(q, " ") {
		q = q[:len(q)-1] + `\x20`
	}
	return longRun.ReplaceAllStringFunc(q, func(run string) string {
		return fmt.Sprintf("{%c*%d}", run[0], len(run))
	})
}

func TestScript_ReadsWhatItWrites(t *testing.T) {
	for _, path := range transcripts(t) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := mustParse(t, path).String(); got != string(b) {
			t.Errorf("%s would be written differently:\n%s", path, got)
		}
	}
}

func TestScript_Refuses(t *testing.T) {
	for _, text := range []string{
		"",
		"=== no dashes\na  NOP\n",
		"=== no dashes\na  NOP\n=== other\n---\n",
		"server port\n=== x\n---\n",
		"nonsense\n=== x\n---\n",
		"=== x\nsleep 1s\n---\n",
		"=== x\na NOP\n---\n",
	} {
		if _, err := parse(text); err == nil {
			t.Errorf("%q is a transcript", text)
		}
	}
}

func TestCommand(t *testing.T) {
	ids := []string{"0123456789abcdef"}
	for text, want := range map[string]string{
		`NOP`:                   "NOP\n",
		`FIN $1`:                "FIN 0123456789abcdef\n",
		`PUB t | a\n\x00\\`:     "PUB t\n\x00\x00\x00\x04a\n\x00\\",
		`PUB t | {x*3}`:         "PUB t\n\x00\x00\x00\x03xxx",
		`MPUB t | a | bc`:       "MPUB t\n\x00\x00\x00\x0f\x00\x00\x00\x02\x00\x00\x00\x01a\x00\x00\x00\x02bc",
		`IDENTIFY | {"a":"$1"}`: "IDENTIFY\n\x00\x00\x00\x18{\"a\":\"0123456789abcdef\"}",
		`X {int32 -1}`:          "X \xff\xff\xff\xff\n",
	} {
		got, err := command(text, ids)
		if err != nil || string(got) != want {
			t.Errorf("%s is %q, %v; want %q", text, got, err, want)
		}
	}
	if _, err := command("FIN $2", ids); err == nil {
		t.Error("an id that was not seen is accepted")
	}
}

func TestQuote_IsReadBack(t *testing.T) {
	for _, s := range []string{"", "plain", "trailing ", `back\slash "quoted"`, "\x00\xff\n", strings.Repeat("x", 1000)} {
		got, err := expand(quote(s), nil)
		if err != nil || got != s {
			t.Errorf("%q is shown as %s, which is read as %q, %v", s, quote(s), got, err)
		}
	}
}
