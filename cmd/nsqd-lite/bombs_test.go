package main

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
)

var (
	bombTime  = flag.Duration("bombs", 150*time.Millisecond, "how long each bomb of TestBombs goes on")
	bombFloor = flag.Bool("floor", false, "throw each bomb of TestBombs at another server of the machine too")
)

// bombMemory is --max-memory of a server that is bombed; bombExtra is what it
// may have besides: the program, what its garbage collector has not collected
// yet, what is on its way to files.
const (
	bombMemory = 64 << 20
	bombExtra  = 64 << 20
)

// A bomb is a way to have a server hold much with little, of which those who
// throw it repeat what they can until they are told to stop.
type bomb struct {
	name    string
	throw   func(b *bombing, id int)
	workers int
	memory  bool // of a server without files, where nobody else can publish then
}

// bombs are those that nsqd was measured under, and what is nsqd-lite's own.
var bombs = []bomb{
	{"MPUB that goes on, deflate", mpubGoesOn(`,"deflate":true`, func(c io.Writer) io.Writer {
		w, err := flate.NewWriter(c, 6)
		if err != nil {
			panic(err)
		}
		return flushing{w}
	}), 40, false},
	{"MPUB that goes on, snappy", mpubGoesOn(`,"snappy":true`, func(c io.Writer) io.Writer { return flushing{snappy.NewBufferedWriter(c)} }), 40, false},
	{"MPUB that goes on", mpubGoesOn(``, func(c io.Writer) io.Writer { return c }), 40, false},
	{"MPUB that says 100 bytes and goes on", func(b *bombing, _ int) { b.pour(b.tcp, "  V2MPUB t\n\x00\x00\x00\x64\x00\x00\x00\x02", zeros) }, 20, false},
	{"binary /mpub without end", chunked("/mpub?topic=t&binary=true", "\x00\x0f\x00\x00"), 40, false},
	{"/mpub of lines of a byte", mpubLines, 8, false},
	{"body without end to /topic/pause", chunked("/topic/pause?topic=t", ""), 40, false},
	{"body without end to /stats", chunked("/stats", ""), 40, false},
	{"IDENTIFY of 5 MB and silence", longIdentity, 100, false},
	{"DPUB for an hour", deferred, 8, false},
	{"DPUB for an hour, in memory", deferred, 8, true},
	{"messages in flight", inFlight, 8, false},
	{"messages in flight, in memory", inFlight, 8, true},
	{"topics", func(b *bombing, id int) { b.names(id, "PUB t%d-%d\n\x00\x00\x00\x01x") }, 8, false},
	{"topics, poured", pourTopics, 8, false},
	{"channels", func(b *bombing, id int) { b.channels(id) }, 8, false},
	{"connections that say nothing", func(b *bombing, _ int) { b.hold(b.tcp, "") }, 8, false},
	{"requests that stay half", func(b *bombing, _ int) { b.hold(b.http, "POST /pub?topic=t HTTP/1.1\r\nHost: x\r\nX: ") }, 8, false},
	{"bad lines", func(b *bombing, _ int) { b.repeat(b.tcp, []byte("  V2"+strings.Repeat("\x1b", 16<<10)+"\n")) }, 8, false},
	{"subscribers that do not read", deafSubscribers, 16, false},
	{"taps that do not read", deafTaps, 16, false},
	{"/stats of many, not read", deafStats, 40, false},
}

// zeros is what compresses well.
var zeros = make([]byte, 256<<10)

// TestBombs: whatever clients throw at a server, its memory stays within what
// it was given and 64 MB, and somebody else is served meanwhile.
func TestBombs(t *testing.T) {
	needBombs(t)
	root := t.TempDir()
	for _, b := range bombs {
		t.Run(b.name, func(t *testing.T) { explode(t, b, root) })
	}
}

// bombedDir is a data path under root. It stays until all bombs have been thrown: a
// file system like ext4 makes files ten times slower for minutes after thousands
// were removed, because it does not use their inodes again so soon and looks at each.
func bombedDir(t *testing.T, root string) string {
	t.Helper()
	dir, err := os.MkdirTemp(root, "")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// needBombs skips a test that takes seconds of all processors, and needs Linux.
func needBombs(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("long")
	}
	if _, err := os.ReadFile("/proc/self/status"); err != nil {
		t.Skip("reads memory from /proc")
	}
}

func explode(t *testing.T, b bomb, root string) {
	args := []string{"--max-memory=" + strconv.Itoa(bombMemory)}
	if b.memory {
		args = append(args, "--data-path=:memory:")
	}
	p := start(t, bombedDir(t, root), nil, nsqd(args...)...)
	tcp, http := p.ready()
	c := newCanary(t, tcp)
	sing := c.sing
	if b.memory {
		sing = c.chirp
	}
	p.bombed("nsqd", b, tcp, http, sing)
	c.report("the canary", peakMemory(t, p.cmd.Process.Pid), bombMemory+bombExtra)
	if *bombFloor {
		other := start(t, bombedDir(t, root), nil, nsqd(args...)...)
		tcp, http := other.ready()
		c.waits = nil
		other.bombed("nsqd", b, tcp, http, sing)
		c.report("a canary elsewhere", 0, bombMemory+bombExtra)
	}
}

// bombed throws b at a server with a role, from a process of its own, while
// which, and after which, the canary sings.
func (p *program) bombed(role string, b bomb, tcp, http string, sing func()) {
	go func() { // the log, which must not fill the pipe
		for ok := true; ok; {
			_, ok = p.next()
		}
	}()
	over := attack(p.t, role, b.name, tcp, http)
	for sung := 0; ; sung++ {
		select {
		case err := <-over:
			if err != nil {
				p.t.Fatalf("the attacker: %v", err)
			}
			sing()
			return
		default:
			sing()
		}
	}
}

// report says how it was, and whether it was too much.
func (c *canary) report(who string, peak, most int64) {
	c.t.Helper()
	slices.Sort(c.waits)
	c.t.Logf("%s waited %v at p50, %v at p99, %d times; at most %d MiB", who, c.quantile(0.5), c.quantile(0.99), len(c.waits), peak>>20)
	if peak > most {
		c.t.Errorf("the server had %d MiB, want %d at most", peak>>20, most>>20)
	}
}

// peakMemory is the most that a process has had in memory, in bytes.
func peakMemory(t *testing.T, pid int) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmHWM:\s*(\d+) kB`).FindSubmatch(status)
	if m == nil {
		t.Fatalf("no peak in\n%s", status)
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n << 10
}

// canary is somebody who behaves well: it publishes a message, receives it and
// finishes it, again and again.
type canary struct {
	t     *testing.T
	c     *bombConn
	waits []time.Duration
}

func newCanary(t *testing.T, tcp string) *canary {
	t.Helper()
	c := dialCanary(t, tcp)
	c.say("  V2SUB canary ch\nRDY 1\n")
	c.want("OK")
	return c
}

func dialCanary(t *testing.T, tcp string) *canary {
	t.Helper()
	nc, err := net.Dial("tcp", tcp)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &canary{t: t, c: &bombConn{Conn: nc}}
}

func (c *canary) say(s string) {
	c.t.Helper()
	_ = c.c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c.c, s); err != nil {
		c.t.Fatalf("the canary is not heard: %v", err)
	}
}

func (c *canary) want(want string) []byte {
	c.t.Helper()
	for {
		data, err := c.c.frame()
		if err != nil {
			c.t.Fatalf("the canary waits for %s: %v", want, err)
		}
		if !bytes.Equal(data, []byte("_heartbeat_")) {
			if !bytes.HasSuffix(data, []byte(want)) {
				c.t.Fatalf("the canary hears %q, want %s", data, want)
			}
			return data
		}
	}
}

// sing sends a message round.
func (c *canary) sing() {
	c.t.Helper()
	began := time.Now()
	c.say("PUB canary\n\x00\x00\x00\x05tweet")
	// The OK and the message come in the order in which the server has them.
	first := c.want("")
	second := c.want("")
	m := second
	if len(first) > len(second) {
		m = first
	}
	if len(m) != 26+len("tweet") {
		c.t.Fatalf("the canary hears %q and %q", first, second)
	}
	c.say("FIN " + string(m[10:26]) + "\n")
	c.waits = append(c.waits, time.Since(began))
}

// chirp asks for something that needs no memory, and is not there.
func (c *canary) chirp() {
	c.t.Helper()
	began := time.Now()
	c.say("FIN 0123456789abcdef\n")
	c.want("E_FIN_FAILED FIN 0123456789abcdef failed ID not in flight")
	c.waits = append(c.waits, time.Since(began))
}

func (c *canary) quantile(q float64) time.Duration {
	return c.waits[int(q*float64(len(c.waits)-1))].Round(10 * time.Microsecond)
}

// bombConn reads frames.
type bombConn struct{ net.Conn }

func (c *bombConn) frame() ([]byte, error) {
	head := make([]byte, 8)
	if _, err := io.ReadFull(c, head); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head)
	if n < 4 || n > 64<<20 {
		return nil, fmt.Errorf("a frame of %d bytes", n)
	}
	data := make([]byte, n-4)
	_, err := io.ReadFull(c, data)
	return data, err
}

// each calls f with one connection after another, until the end. f need not
// close it.
func (b *bombing) each(addr string, f func(c *bombConn)) {
	end, _ := b.ctx.Deadline()
	for b.ctx.Err() == nil {
		nc, err := attacker(end).Dial("tcp", addr)
		if err != nil {
			continue
		}
		_ = nc.SetDeadline(end)
		f(&bombConn{nc})
		nc.Close()
	}
}

// pour says hello and then chunk for ever.
func (b *bombing) pour(addr, hello string, chunk []byte) {
	b.each(addr, func(c *bombConn) {
		_, err := io.WriteString(c, hello)
		for err == nil {
			_, err = c.Write(chunk)
		}
	})
}

// repeat says the same on one connection after another, and waits for its end.
func (b *bombing) repeat(addr string, all []byte) {
	b.each(addr, func(c *bombConn) {
		if _, err := c.Write(all); err == nil {
			_, _ = io.Copy(io.Discard, c) // until it is closed
		}
	})
}

// hold opens connections that stay, a hundred of each worker.
func (b *bombing) hold(addr, says string) {
	end, _ := b.ctx.Deadline()
	for range 100 {
		nc, err := attacker(end).Dial("tcp", addr)
		if err != nil {
			break
		}
		defer nc.Close()
		_ = nc.SetDeadline(end)
		if _, err := io.WriteString(nc, says); err != nil {
			break
		}
	}
	<-b.ctx.Done()
}

// commands sends one command after another, and reads the answers.
func (b *bombing) commands(hello string, next func() []byte) {
	b.each(b.tcp, func(c *bombConn) {
		_, err := io.WriteString(c, hello)
		for err == nil {
			if _, err = c.Write(next()); err == nil {
				_, err = c.frame()
			}
		}
	})
}

// names sends one command after another, each with a name of its own.
func (b *bombing) names(id int, format string) {
	n := 0
	b.commands("  V2", func() []byte { n++; return fmt.Appendf(nil, format, id, n) })
}

// pourTopics sends one command after another, each with a name of its own, as fast
// as it can, and drops the answers.
func pourTopics(b *bombing, id int) {
	n := 0
	b.each(b.tcp, func(c *bombConn) {
		go func() { _, _ = io.Copy(io.Discard, c) }()
		_, err := io.WriteString(c, "  V2")
		for err == nil {
			var chunk []byte
			for len(chunk) < 64<<10 {
				n++
				chunk = fmt.Appendf(chunk, "PUB t%d-%d\n\x00\x00\x00\x01x", id, n)
			}
			_, err = c.Write(chunk)
		}
	})
}

// channels makes channels of one topic, each with a subscriber that leaves.
func (b *bombing) channels(id int) {
	n := 0
	b.each(b.tcp, func(c *bombConn) {
		n++
		if _, err := fmt.Fprintf(c, "  V2SUB t c%d-%d\n", id, n); err == nil {
			_, _ = c.frame() // an answer, or the end
		}
	})
}

// flushing is a compressor that keeps nothing back.
type flushing struct {
	io.Writer
}

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.Writer.Write(p)
	if err == nil {
		err = f.Writer.(interface{ Flush() error }).Flush()
	}
	return n, err
}

// upgraded is a connection that has said IDENTIFY.
func (c *bombConn) upgraded(fields string, layer func(io.Writer) io.Writer) (io.Writer, error) {
	body := `{"feature_negotiation":true` + fields + `}`
	b := binary.BigEndian.AppendUint32([]byte("  V2IDENTIFY\n"), uint32(len(body)))
	if _, err := c.Write(append(b, body...)); err != nil {
		return nil, err
	}
	_, err := c.frame()
	return layer(c), err
}

// mpubGoesOn sends almost all of the largest MPUB there may be and keeps it so,
// and begins another when it is refused.
func mpubGoesOn(fields string, layer func(io.Writer) io.Writer) func(*bombing, int) {
	return func(b *bombing, _ int) {
		b.each(b.tcp, func(c *bombConn) {
			w, err := c.upgraded(fields, layer)
			if err == nil {
				_, err = io.WriteString(w, "MPUB t\n\x00\x50\x00\x00\x00\x00\x00\x05")
			}
			for range 4 {
				if err == nil {
					_, err = w.Write(append([]byte("\x00\x10\x00\x00"), make([]byte, 1<<20)...))
				}
			}
			if err == nil {
				_, _ = io.Copy(io.Discard, c) // until it is closed
			}
		})
	}
}

// chunked posts a body that does not end.
func chunked(target, begin string) func(*bombing, int) {
	size := len(begin) + len(zeros)
	chunk := fmt.Appendf(nil, "%x\r\n%s%s\r\n", size, begin, zeros)
	return func(b *bombing, _ int) {
		b.pour(b.http, "POST "+target+" HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", chunk)
	}
}

// mpubLines publishes as many messages as a body can hold.
func mpubLines(b *bombing, _ int) {
	body := bytes.Repeat([]byte("x\n"), 5<<19)
	request := fmt.Appendf(nil, "POST /mpub?topic=t HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	b.repeat(b.http, request)
}

// longIdentity says much of itself and stays.
func longIdentity(b *bombing, _ int) {
	body := `{"user_agent":"` + strings.Repeat("x", 5<<20-100) + `"}`
	hello := binary.BigEndian.AppendUint32([]byte("  V2IDENTIFY\n"), uint32(len(body)))
	b.repeat(b.tcp, append(hello, body...))
}

// large is a command with a megabyte.
func large(command string) []byte {
	return append([]byte(command+"\n\x00\x10\x00\x00"), make([]byte, 1<<20)...)
}

func deferred(b *bombing, _ int) {
	b.commands("  V2", func() []byte { return large("DPUB t 3600000") })
}

// inFlight publishes, subscribes to what it publishes, and answers nothing.
func inFlight(b *bombing, id int) {
	if id%2 == 0 {
		b.commands("  V2", func() []byte { return large("PUB t") })
		return
	}
	b.each(b.tcp, func(c *bombConn) {
		if _, err := io.WriteString(c, "  V2SUB t ch\nRDY 2500\n"); err == nil {
			_, _ = io.Copy(io.Discard, c) // until it is closed
		}
	})
}

// deafSubscribers have channels of their own and read nothing.
func deafSubscribers(b *bombing, id int) {
	if id == 0 {
		b.commands("  V2", func() []byte { return large("PUB t") })
		return
	}
	b.each(b.tcp, func(c *bombConn) {
		if _, err := fmt.Fprintf(c, "  V2SUB t c%d\nRDY 2500\n", id); err == nil {
			<-b.ctx.Done()
		}
	})
}

// deafTaps follow a topic and read nothing.
func deafTaps(b *bombing, id int) {
	if id == 0 {
		b.commands("  V2", func() []byte { return large("PUB t#ephemeral") })
		return
	}
	b.each(b.http, func(c *bombConn) {
		if _, err := io.WriteString(c, "GET /topic/tap?topic=t%23ephemeral HTTP/1.1\r\nHost: localhost\r\n\r\n"); err == nil {
			if _, err := c.Read(make([]byte, 16)); err == nil && b.ctx.Err() == nil {
				<-b.ctx.Done()
			}
		}
	})
}

// deafStats asks for the figures of many topics and reads nothing.
func deafStats(b *bombing, id int) {
	if id < 4 {
		b.names(id, "PUB t%d-%d\n\x00\x00\x00\x01x")
		return
	}
	b.each(b.http, func(c *bombConn) {
		if _, err := io.WriteString(c, strings.Repeat("GET /stats?format=json HTTP/1.1\r\nHost: localhost\r\n\r\n", 100)); err == nil {
			<-b.ctx.Done()
		}
	})
}
