package nsqtest_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nsqloop/nsqloop/internal/testwait"
	"github.com/nsqloop/nsqloop/internal/wire"
	"github.com/nsqloop/nsqloop/reader"
	"github.com/nsqloop/nsqloop/server"
	"github.com/nsqloop/nsqloop/server/nsqtest"
)

// talker is a connection on which a test waits for what it is told.
type talker struct {
	t *testing.T
	net.Conn
}

func talk(t *testing.T, s *nsqtest.Server) *talker {
	t.Helper()
	c, err := net.Dial("tcp", s.TCPAddr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &talker{t, c}
}

// ask sends p and waits for n frames, whose data it returns.
func (c *talker) ask(p []byte, n int) (frames [][]byte) {
	c.t.Helper()
	if _, err := c.Write(p); err != nil {
		c.t.Fatal(err)
	}
	for range n {
		head := make([]byte, 4)
		if _, err := io.ReadFull(c, head); err != nil {
			c.t.Fatal(err)
		}
		rest := make([]byte, int(head[2])<<8|int(head[3]))
		if _, err := io.ReadFull(c, rest); err != nil {
			c.t.Fatal(err)
		}
		frames = append(frames, rest[4:])
	}
	return frames
}

// end waits until the server has closed, and closes.
func (c *talker) end() {
	c.t.Helper()
	if _, err := io.Copy(io.Discard, c); err != nil {
		c.t.Fatal(err)
	}
	c.Close()
}

var clock = regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d\.\d\d\d `)

// wantProtocol compares what was written down, without times. Clients are named
// by letters in the order in which they came.
func wantProtocol(t *testing.T, s *nsqtest.Server, clients []*talker, want ...string) {
	t.Helper()
	text := s.ProtocolText()
	if lines := strings.Count(text, "\n"); len(clock.FindAllString(text, -1)) != lines {
		t.Errorf("not every line has a time:\n%s", text)
	}
	text = clock.ReplaceAllString(text, "")
	for i, c := range clients {
		text = strings.ReplaceAll(text, c.LocalAddr().String(), string(rune('A'+i)))
	}
	if diff := cmp.Diff(strings.Join(want, "\n")+"\n", text); diff != "" {
		t.Error(diff)
	}
}

// protects is a server with a secret that is good for everything.
func protects(t *testing.T, secret string) *nsqtest.Server {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secrets.json")
	grants := `[{"secret":"` + secret + `","ttl":3600,"authorizations":[{"topic":".*","channels":[".*"],"permissions":["publish","subscribe"]}]}]`
	if err := os.WriteFile(path, []byte(grants), 0o600); err != nil {
		t.Fatal(err)
	}
	return nsqtest.Start(t, func(o *server.Options) { o.AuthStatic = path })
}

func TestProtocol_SaysWhoSaidWhat(t *testing.T) {
	s := protects(t, "hush hush")
	a := talk(t, s)
	a.ask(wire.AppendIdentify([]byte(wire.MagicV2), []byte(`{"client_id":"a","hostname":"h","user_agent":"tester"}`)), 1)
	a.ask(wire.AppendAuth(nil, "hush hush"), 1)
	a.ask(wire.AppendSub(nil, "t", "c"), 1)
	a.ask(wire.AppendPub(wire.AppendRdy(nil, 1), "t", []byte("a body of more than forty bytes, to be cut")), 2)
	a.ask(wire.AppendFin(nil, wire.ID([]byte("0123456789abcdef"))), 1)
	a.ask(wire.AppendMPub(nil, "t", [][]byte{[]byte("x\x00y"), []byte("second")}), 1)
	a.ask(wire.AppendDPub(nil, "t", 1500*time.Millisecond, []byte("é")), 1)
	text := s.ProtocolText()
	if strings.Contains(text, "hush") {
		t.Errorf("the secret is shown:\n%s", text)
	}
	id := regexp.MustCompile(`message (\w{16}),`).FindStringSubmatch(text)
	reply := regexp.MustCompile(`< (response, \d+ bytes: \{"identity":.*…)\n`).FindStringSubmatch(text)
	if id == nil || reply == nil {
		t.Fatalf("no message or no answer to AUTH:\n%s", text)
	}
	wantProtocol(t, s, []*talker{a},
		`A: connected`,
		`A > "  V2"`,
		`A > IDENTIFY, 54 bytes: {"client_id":"a","hostname":"h","user_ag…`,
		`A < OK`,
		`A > AUTH, a secret of 9 bytes`,
		`A < `+reply[1],
		`A > SUB t c`,
		`A < OK`,
		`A > RDY 1`,
		`A > PUB t, 42 bytes: a body of more than forty bytes, to be c…`,
		`A < OK`,
		`A < message `+id[1]+`, attempt 1, 42 bytes: a body of more than forty bytes, to be c…`,
		`A > FIN 0123456789abcdef`,
		`A < E_FIN_FAILED FIN 0123456789abcdef failed ID not in flight`,
		`A > MPUB t, 2 messages, the first, 3 bytes: x.y`,
		`A < OK`,
		`A > DPUB t 1500, 2 bytes: é`,
		`A < OK`,
	)
}

// What cannot be understood is shown as far as it is no secret, and who leaves.
func TestProtocol_ShowsWhatIsNoCommand(t *testing.T) {
	for said, want := range map[string][]string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n": {
			`A > no command, 27 bytes: GET / HTTP/1.1.`,
			`A < HTTP/1.1 400 Bad Request..Content-Type: text/plain; charset=utf-8..Content-Length: 67..Connection: close....This is the port of the NSQ protocol; this server has no HTTP API..`,
		},
		"  V2SUB t c\nCLS\nRDY 1\nCLS\n": {
			`A > "  V2"`, `A > SUB t c`, `A > CLS`, `A > RDY 1`, `A > CLS`,
			`A < OK`, `A < CLOSE_WAIT`, `A < E_INVALID cannot CLS in current state`,
		},
		"  V2AUTH hush hush\n": {
			`A > "  V2"`, `A > no command, 15 bytes: AUTH`, `A < E_INVALID AUTH invalid number of parameters`,
		},
		"  V2SUB t c\nFOO\nNOP\n": {
			`A > "  V2"`, `A > SUB t c`, `A > no command, 8 bytes: FOO`, `A < OK`, `A < E_INVALID invalid command FOO`,
		},
	} {
		s := nsqtest.Start(t, func(o *server.Options) { o.HTTPAddress = "" })
		a := talk(t, s)
		a.ask([]byte(said), 0)
		a.end()
		testwait.Until(t, "the server closes", func() bool { return strings.HasSuffix(s.ProtocolText(), "closed by the server\n") })
		wantProtocol(t, s, []*talker{a}, append(append([]string{`A: connected`}, want...), `A: closed by the server`)...)
	}
}

// Many alike make one line, and of others the last 20 are kept.
func TestProtocol_KeepsTheLastLines(t *testing.T) {
	s := nsqtest.Start(t)
	a := talk(t, s)
	a.ask([]byte(wire.MagicV2), 0)
	for range 30 {
		a.ask(wire.AppendPub(nil, "t", []byte("x")), 1)
	}
	a.ask([]byte("NOP\nNOP\nNOP\n"), 0)
	a.ask(wire.AppendPub(nil, "t", []byte("x")), 1)
	want := []string{}
	for range 8 {
		want = append(want, `A < OK`, `A > PUB t, 1 bytes: x`)
	}
	wantProtocol(t, s, []*talker{a}, append(want, `A < OK`, `A > NOP (3 times)`, `A > PUB t, 1 bytes: x`, `A < OK`)...)
}

// What is compressed is read all the same.
func TestProtocol_LooksInsideLayers(t *testing.T) {
	s := nsqtest.Start(t)
	c := consume(t, s.TCPAddr(), func(o *reader.Options) { o.Client.Snappy = true })
	s.Publish("t", "a body of the test")
	c.next().Finish()
	s.WaitFinished("t", "c", 1)
	text := s.ProtocolText()
	for _, want := range []string{"SUB t c\n", "attempt 1, 18 bytes: a body of the test\n", "> FIN "} {
		if !strings.Contains(text, want) {
			t.Errorf("%s\nwant %q in it", text, want)
		}
	}
}
