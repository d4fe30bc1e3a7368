package conformance

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nsqloop/nsqloop/internal/wire"
)

var update = flag.Bool("update", false, "write down what our server answers")

// world is where a transcript runs: a server, and time.
type world interface {
	// dial opens a connection and sends nothing.
	dial() peer

	// settle returns when what was sent has been answered.
	settle()

	// wait lets time pass.
	wait(d time.Duration)

	// http makes a request of the server's HTTP API.
	http(method, path, body string) (status int, header http.Header, answer string)

	// restart stops the server in order and starts it again on its data.
	restart()

	// clientIP is the address that the server sees its clients at.
	clientIP() string
}

// peer is the client's end of a connection.
type peer interface {
	send(b []byte)
	received() []byte // since the last call
	closed() bool     // by the server
	close()
}

// transcripts are the files of testdata.
func transcripts(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	return paths
}

// player plays a transcript in a world.
type player struct {
	t     testing.TB
	w     world
	conns []*client // in the order of their first appearance
	v1    bool      // they speak with an nsqlookupd
	ids   []string  // of the messages seen, in order
	times []int64   // their timestamps
	show  []string
	head  []string // headers to show
	seen  []string // lines of the step so far
	now   *client  // whose lines have been sent but not settled
}

// client is a connection of a transcript.
type client struct {
	name  string
	peer  peer
	input []byte // received and not shown yet
	gone  bool   // closed by either side, and said so
}

// play runs s and compares, or, with -update, rewrites what is wanted.
func play(t *testing.T, w world, s *script) {
	t.Helper()
	p := &player{t: t, w: w, v1: s.options["role"] == "nsqlookupd"}
	for i := range s.steps {
		st := &s.steps[i]
		p.show, p.head, p.seen = st.show, st.headers, nil
		for _, e := range st.events {
			p.do(e)
		}
		p.settle()
		if *update {
			st.want = p.seen
			continue
		}
		if diff := cmp.Diff(st.want, p.seen); diff != "" {
			// What follows depends on this step, so it would only confuse.
			t.Fatalf("%s\n%s\n(-want +got):\n%s", st.title, strings.Join(st.lines, "\n"), diff)
		}
	}
}

// do lets one thing happen.
func (p *player) do(e event) {
	p.t.Helper()
	if e.who == "" || p.now != nil && p.now.name != e.who {
		p.settle()
	}
	switch e.verb {
	case "wait":
		d, err := time.ParseDuration(e.text)
		if err != nil {
			p.t.Fatal(err)
		}
		p.w.wait(d)
		p.collect()
	case "http":
		request, body, _ := strings.Cut(e.text, " | ")
		method, path, _ := strings.Cut(request, " ")
		body, err := expand(body, p.ids)
		if err != nil {
			p.t.Fatal(err)
		}
		status, header, answer := p.w.http(method, path, body)
		line := fmt.Sprint("http ", status)
		for _, name := range p.head {
			line += fmt.Sprintf(" %q", header.Get(name))
		}
		p.say("%s", line, p.reduce(answer))
		p.settle()
	case "stats":
		p.values("stats", "/stats?format=json", strings.Fields(e.text))
	case "json":
		words := strings.Fields(e.text)
		p.values("json", words[0], words[1:])
	case "restart":
		p.w.restart()
		p.settle()
	default:
		p.send(e)
	}
}

// send is what a connection does.
func (p *player) send(e event) {
	p.t.Helper()
	i := slices.IndexFunc(p.conns, func(c *client) bool { return c.name == e.who })
	if i < 0 {
		i = len(p.conns)
		p.conns = append(p.conns, &client{name: e.who, peer: p.w.dial()})
		switch {
		case e.verb == "open":
		case p.v1:
			p.conns[i].peer.send([]byte(wire.MagicV1))
		default:
			p.conns[i].peer.send([]byte(wire.MagicV2))
		}
	}
	c := p.conns[i]
	p.now = c
	switch e.verb {
	case "open":
	case "close":
		p.settle()
		c.gone = true
		c.peer.close()
	case "raw":
		text, err := expand(e.text, p.ids)
		if err != nil {
			p.t.Fatal(err)
		}
		c.peer.send([]byte(text))
	case "send":
		b, err := command(e.text, p.ids)
		if err != nil {
			p.t.Fatal(err)
		}
		c.peer.send(b)
	}
}

// settle waits for the answers to what was sent, and shows them.
func (p *player) settle() {
	p.t.Helper()
	p.w.settle()
	p.collect()
}

// collect shows what the connections have received: first the one that acted,
// then the others in the order of their first appearance.
func (p *player) collect() {
	p.t.Helper()
	acted := p.now
	p.now = nil
	if acted != nil {
		p.collectFrom(acted)
	}
	for _, c := range p.conns {
		if c != acted {
			p.collectFrom(c)
		}
	}
}

// collectFrom shows what one connection has received.
func (p *player) collectFrom(c *client) {
	p.t.Helper()
	c.input = append(c.input, c.peer.received()...)
	for {
		ty, data, n, err := p.readFrame(c.input)
		if err != nil {
			p.t.Fatalf("connection %s: %v in %q", c.name, err, c.input)
		}
		if n == 0 {
			break
		}
		p.frame(c, ty, data)
		c.input = c.input[n:]
	}
	if !c.gone && c.peer.closed() {
		c.gone = true
		if len(c.input) > 0 {
			p.t.Fatalf("connection %s was closed in the middle of a frame: %q", c.name, c.input)
		}
		p.say(c.name+"  closed", "")
	}
}

// readFrame reads a frame; what an nsqlookupd sends has no type.
func (p *player) readFrame(b []byte) (ty wire.FrameType, data []byte, n int, err error) {
	if p.v1 {
		data, n, err = wire.ReadLookupReply(b, 1<<20)
		return wire.FrameResponse, data, n, err
	}
	return wire.ReadFrame(b, 0)
}

// frame shows a frame.
func (p *player) frame(c *client, ty wire.FrameType, data []byte) {
	p.t.Helper()
	switch ty {
	case wire.FrameResponse:
		p.seen = append(p.seen, c.name+"  "+quote(p.reduce(string(data))))
	case wire.FrameError:
		p.seen = append(p.seen, c.name+"! "+p.hideIDs(quote(string(data))))
	case wire.FrameMessage:
		m, err := wire.ReadMessage(data)
		if err != nil {
			p.t.Fatal(err)
		}
		n := p.number(m)
		p.say("%s  message $%d attempts %d", c.name, n, m.Attempts, string(m.Body))
	}
}

// say shows a line and, when the last argument is not empty, a body.
func (p *player) say(format string, args ...any) {
	last := len(args) - 1
	body := args[last].(string)
	line := fmt.Sprintf(format, args[:last]...)
	if body != "" {
		line += " | " + quote(body)
	}
	p.seen = append(p.seen, line)
}

// number is the number of a message. What is true of every message is checked
// here: its id is sixteen printable bytes without a space, and its timestamp
// is set and stays what it was.
func (p *player) number(m wire.Message) int {
	p.t.Helper()
	id := m.ID.String()
	if strings.ContainsFunc(id, func(r rune) bool { return !strings.ContainsRune("0123456789abcdef", r) }) {
		p.t.Errorf("message id %q is not hexadecimal", id)
	}
	if m.Timestamp <= 0 {
		p.t.Errorf("message %s has timestamp %d", id, m.Timestamp)
	}
	i := slices.Index(p.ids, id)
	if i < 0 {
		p.ids = append(p.ids, id)
		p.times = append(p.times, m.Timestamp)
		return len(p.ids)
	}
	if p.times[i] != m.Timestamp {
		p.t.Errorf("message %s had timestamp %d and now has %d", id, p.times[i], m.Timestamp)
	}
	return i + 1
}

// hideIDs puts the numbers of messages in place of their ids.
func (p *player) hideIDs(s string) string {
	for i, id := range p.ids {
		s = strings.ReplaceAll(s, id, fmt.Sprintf("$%d", i+1))
	}
	return s
}

// reduce is a JSON object reduced to the keys of the step's "show"; anything
// else stays as it is.
func (p *player) reduce(s string) string {
	p.t.Helper()
	if len(p.show) == 0 || !strings.HasPrefix(s, "{") {
		return s
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal([]byte(s), &all); err != nil {
		p.t.Fatalf("%v in %s", err, s)
	}
	var kept []string
	for _, key := range p.show {
		value, ok := all[key]
		if !ok {
			value = json.RawMessage("missing")
		}
		kept = append(kept, fmt.Sprintf("%q:%s", key, value))
	}
	return "{" + strings.Join(kept, ",") + "}"
}

// values shows values of a JSON object, in the order asked for.
func (p *player) values(verb, target string, paths []string) {
	p.t.Helper()
	status, _, answer := p.w.http("GET", target, "")
	var all map[string]any
	if err := json.Unmarshal([]byte(answer), &all); err != nil || status != 200 {
		p.t.Fatalf("%s: %d, %v in %s", target, status, err, answer)
	}
	line := verb
	for _, path := range paths {
		value, err := json.Marshal(lookup(all, strings.Split(path, "/")))
		if err != nil {
			p.t.Fatal(err)
		}
		line += " " + strings.ReplaceAll(string(value), `"`+p.w.clientIP()+`"`, `"<ip>"`)
	}
	p.seen = append(p.seen, line)
}

// lookup is the value at path: keys lead into objects, and names to the topic
// or channel of that name. In any other list, the path is followed in each
// element. It is nil when there is no such thing.
func lookup(v any, path []string) any {
	if len(path) == 0 {
		return v
	}
	switch v := v.(type) {
	case map[string]any:
		if inner, ok := v[path[0]]; ok {
			return lookup(inner, path[1:])
		}
		for _, list := range []string{"topics", "channels"} {
			named, _ := v[list].([]any)
			for _, item := range named {
				item := item.(map[string]any)
				if item["topic_name"] == path[0] || item["channel_name"] == path[0] {
					return lookup(item, path[1:])
				}
			}
		}
		return nil
	case []any:
		all := make([]any, len(v))
		for i, item := range v {
			all[i] = lookup(item, path)
		}
		return all
	}
	return nil
}

// rewrite writes s back to path, for -update.
func rewrite(t *testing.T, path string, s *script) {
	t.Helper()
	if err := os.WriteFile(path, []byte(s.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
