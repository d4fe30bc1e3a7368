package conformance

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
)

// fakeWorld answers what it was told to answer, whatever it is sent.
type fakeWorld struct {
	peers  []*fakePeer
	answer string // to every HTTP request
	waited time.Duration
}

type fakePeer struct {
	sent, input []byte
	ended       bool
}

func (w *fakeWorld) dial() peer {
	w.peers = append(w.peers, &fakePeer{})
	return w.peers[len(w.peers)-1]
}

func (w *fakeWorld) settle()              {}
func (w *fakeWorld) wait(d time.Duration) { w.waited += d }
func (w *fakeWorld) http(_, _, _ string) (int, http.Header, string) {
	return 200, http.Header{"X-Y": {"z"}}, w.answer
}
func (w *fakeWorld) restart()            {}
func (w *fakeWorld) clientIP() string    { return "10.0.0.1" }
func (p *fakePeer) send(b []byte)        { p.sent = append(p.sent, b...) }
func (p *fakePeer) received() (b []byte) { b, p.input = p.input, nil; return b }
func (p *fakePeer) closed() bool         { return p.ended }
func (p *fakePeer) close()               {}

// do lets the lines of a step happen.
func doLines(t *testing.T, p *player, lines ...string) {
	t.Helper()
	var st step
	for _, line := range lines {
		if err := st.parseEvent(line); err != nil {
			t.Fatal(err)
		}
	}
	p.show, p.head, p.seen = st.show, st.headers, nil
	for _, e := range st.events {
		p.do(e)
	}
}

// wantSeen settles, and compares what is seen.
func wantSeen(t *testing.T, p *player, want ...string) {
	t.Helper()
	p.settle()
	if !slices.Equal(p.seen, want) {
		t.Errorf("seen %q, want %q", p.seen, want)
	}
}

func TestPlayer_SendsMagicAndCommands(t *testing.T) {
	w := &fakeWorld{}
	p := &player{t: t, w: w}
	doLines(t, p, "a  NOP", "a  PUB t | x", "b  open", `b  raw \x00X`)
	if got, want := string(w.peers[0].sent), "  V2NOP\nPUB t\n\x00\x00\x00\x01x"; got != want {
		t.Errorf("a sent %q, want %q", got, want)
	}
	if got, want := string(w.peers[1].sent), "\x00X"; got != want {
		t.Errorf("b sent %q, want %q", got, want)
	}
	wantSeen(t, p)
}

func TestPlayer_ShowsFramesInOrderOfWhoActed(t *testing.T) {
	w := &fakeWorld{}
	p := &player{t: t, w: w}
	doLines(t, p, "a  NOP", "b  NOP")
	one, two := wire.ID([]byte("000000000000000a")), wire.ID([]byte("000000000000000b"))
	a, b := w.peers[0], w.peers[1]
	a.input = wire.AppendMessage(nil, 7, 1, one, []byte("first"))
	b.input = wire.AppendMessage(wire.AppendResponse(nil, wire.OK), 8, 2, two, []byte("second "))
	b.input = append(b.input, 0, 0) // half a frame
	wantSeen(t, p, "b  OK", `b  message $1 attempts 2 | second\x20`, "a  message $2 attempts 1 | first")

	doLines(t, p, "a  FIN $2", "a  FIN $1")
	if got, want := string(a.sent), "  V2NOP\nFIN 000000000000000a\nFIN 000000000000000b\n"; got != want {
		t.Errorf("a sent %q, want %q", got, want)
	}
	a.input = wire.AppendError(nil, wire.Errorf(wire.CodeFinFailed, "FIN %s failed", two))
	a.ended = true
	b.input = []byte(wire.OKFrame)[2:]
	wantSeen(t, p, "a! E_FIN_FAILED FIN $1 failed", "a  closed", "b  OK")
	wantSeen(t, p, "a! E_FIN_FAILED FIN $1 failed", "a  closed", "b  OK") // said once
}

func TestPlayer_HTTPStatsAndTime(t *testing.T) {
	w := &fakeWorld{answer: `{"topics":[{"topic_name":"t","depth":5,"channels":[{"channel_name":"c","clients":[{"state":3,"ip":"10.0.0.1"},{"state":4,"ip":""}]}]}]}`}
	p := &player{t: t, w: w}
	doLines(t, p, "wait 1500ms", "stats t/depth t/c/clients/state t/c/clients/ip t/c/nothing u/depth t/d")
	wantSeen(t, p, `stats 5 [3,4] ["<ip>",""] null null null`)
	if w.waited != 1500*time.Millisecond {
		t.Errorf("waited %v", w.waited)
	}
	w.answer = `{"b":[1],"a":"x"}`
	doLines(t, p, "http GET /info", "show a c b")
	wantSeen(t, p, `http 200 | {"a":"x","c":missing,"b":[1]}`)
	doLines(t, p, "json /nodes b a c")
	wantSeen(t, p, `json [1] "x" null`)
	w.answer = ""
	doLines(t, p, "http POST /topic/create?topic=t")
	wantSeen(t, p, "http 200")
	doLines(t, p, "http POST /topic/create?topic=t", "headers x-y z")
	wantSeen(t, p, `http 200 "z" ""`)
}

func TestPlayer_SpeaksWithAnNsqlookupd(t *testing.T) {
	w := &fakeWorld{}
	p := &player{t: t, w: w, v1: true}
	doLines(t, p, "a  PING")
	if got, want := string(w.peers[0].sent), "  V1PING\n"; got != want {
		t.Errorf("a sent %q, want %q", got, want)
	}
	w.peers[0].input = []byte("\x00\x00\x00\x02OK\x00\x00")
	wantSeen(t, p, "a  OK")
}
