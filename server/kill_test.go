package server

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
)

const (
	victimEnv = "NSQLOOP_TEST_VICTIM" // the data path of a server that is to be killed
	killsEnv  = "NSQLOOP_TEST_KILLS"  // how many kills, instead of 5
)

// victim is the process that TestKill kills: a server that tells its address
// and runs until then, or until its parent has gone.
func victim(dir string) {
	s, err := Start(Options{TCPAddress: "127.0.0.1:0", DataPath: dir, MaxBytesPerFile: 1 << 20, MsgTimeout: time.Minute})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(s.TCPAddr())
	_, _ = io.Copy(io.Discard, os.Stdin) // ends with the parent
	os.Exit(0)
}

// startVictim starts a server on dir in a process of its own.
func startVictim(t *testing.T, dir string) (addr string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimEnv+"="+dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill() // SIGKILL
		_ = cmd.Wait()
		in.Close()
	})
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the server does not start: %v", err)
	}
	return strings.TrimSpace(line), kill
}

// raw is a client on a real socket.
type raw struct {
	net.Conn
	r *bufio.Reader
}

func dialRaw(t *testing.T, addr string, hello []byte) *raw {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := c.Write(append([]byte(wire.MagicV2), hello...)); err != nil {
		t.Fatal(err)
	}
	return &raw{c, bufio.NewReaderSize(c, 64<<10)}
}

// frame reads one frame; an error ends the conversation.
func (c *raw) frame() (wire.FrameType, []byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(c.r, size[:]); err != nil {
		return 0, nil, err
	}
	data := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c.r, data); err != nil {
		return 0, nil, err
	}
	return wire.FrameType(binary.BigEndian.Uint32(data)), data[4:], nil
}

// ledger is what the test knows for certain about each message.
type ledger struct {
	mu       sync.Mutex
	next     int
	acked    map[string]bool
	finished map[string]bool // for sure
	answered map[string]bool // a FIN was sent: it may be finished
}

// publisher publishes in pipelined batches of varying size and notes each OK.
func (l *ledger) publisher(c *raw, dice *rand.Rand) {
	for {
		n := 1 + dice.IntN(50)
		var in []byte
		bodies := make([]string, n)
		l.mu.Lock()
		for i := range bodies {
			bodies[i] = fmt.Sprintf("%08d %s", l.next, strings.Repeat("x", dice.IntN(300)))
			l.next++
			in = wire.AppendPub(in, "t", []byte(bodies[i]))
		}
		l.mu.Unlock()
		if _, err := c.Write(in); err != nil {
			return
		}
		for _, b := range bodies {
			t, data, err := c.frame()
			if err != nil {
				return
			}
			if t == wire.FrameResponse && string(data) == wire.OK {
				l.mu.Lock()
				l.acked[b] = true
				l.mu.Unlock()
			}
		}
	}
}

// consumer finishes what it gets. A wrong FIN now and then makes sure of those
// before it: its answer leaves at the end of their turn or a later one. What
// has not been made sure of counts as the last turn.
func (l *ledger) consumer(c *raw, dice *rand.Rand, again func(body string)) {
	var sent []string // FINs not sure of yet
	var asked []int   // for each wrong FIN on its way: how many of them it covers
	for {
		kind, data, err := c.frame()
		if err != nil {
			return
		}
		if kind == wire.FrameError && len(asked) > 0 {
			l.mu.Lock()
			for _, body := range sent[:asked[0]] {
				l.finished[body] = true
			}
			l.mu.Unlock()
			sent, asked = sent[asked[0]:], asked[1:]
		}
		if kind != wire.FrameMessage {
			continue
		}
		m, err := wire.ReadMessage(data)
		if err != nil {
			return
		}
		body := string(m.Body)
		l.mu.Lock()
		if l.finished[body] {
			again(body)
		}
		l.mu.Unlock()
		if dice.IntN(100) == 0 {
			continue // stays in flight
		}
		l.mu.Lock()
		l.answered[body] = true
		l.mu.Unlock()
		in := wire.AppendFin(nil, m.ID)
		sent = append(sent, body)
		if len(asked) == 0 && dice.IntN(10) == 0 {
			in = append(in, "FIN 0000000000000000\n"...)
			asked = append(asked, len(sent))
		}
		if _, err := c.Write(in); err != nil {
			return
		}
	}
}

// drain takes from a channel until it has had all messages of want.
func (l *ledger) drain(t *testing.T, addr, channel string, want map[string]bool, again func(body string)) {
	t.Helper()
	c := dialRaw(t, addr, wire.AppendRdy(wire.AppendSub(nil, "t", channel), 2500))
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for n := len(want); len(want) > 0; {
		kind, data, err := c.frame()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("channel %s: %d of %d acknowledged messages are lost", channel, len(want), n)
		}
		if err != nil {
			t.Fatal(err)
		}
		if kind != wire.FrameMessage {
			continue
		}
		m, err := wire.ReadMessage(data)
		if err != nil {
			t.Fatal(err)
		}
		if l.finished[string(m.Body)] {
			again(string(m.Body))
		}
		delete(want, string(m.Body))
		if _, err := c.Write(wire.AppendFin(nil, m.ID)); err != nil {
			t.Fatal(err)
		}
	}
}

// After kill -9, at any moment, every acknowledged message is delivered, and
// none whose FIN was taken before the last turn comes again.
func TestKill_AcknowledgedIsKeptAndFinishedIsGone(t *testing.T) {
	kills := 5
	if s := os.Getenv(killsEnv); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("%s: %v", killsEnv, err)
		}
		kills = n
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	l := &ledger{acked: map[string]bool{}, finished: map[string]bool{}, answered: map[string]bool{}}
	again := func(body string) { t.Errorf("message %s was finished and comes again", body[:8]) }
	for range kills {
		addr, kill := startVictim(t, dir)
		for _, channel := range []string{"c", "audit"} {
			c := dialRaw(t, addr, wire.AppendSub(nil, "t", channel))
			if _, data, err := c.frame(); err != nil || string(data) != wire.OK {
				t.Fatalf("SUB: %q, %v", data, err)
			}
		}
		var wg sync.WaitGroup
		for i := range 3 {
			d := rand.New(rand.NewPCG(dice.Uint64(), 0))
			if i < 2 {
				c := dialRaw(t, addr, nil)
				wg.Go(func() { l.publisher(c, d) })
			} else {
				c := dialRaw(t, addr, wire.AppendRdy(wire.AppendSub(nil, "t", "c"), 1000))
				wg.Go(func() { l.consumer(c, d, again) })
			}
		}
		timer := time.NewTimer(time.Duration(20+dice.IntN(150)) * time.Millisecond)
		<-timer.C
		kill()
		wg.Wait()
	}

	if len(l.acked) == 0 || len(l.finished) == 0 {
		t.Fatalf("nothing was tried: %d acknowledged, %d finished", len(l.acked), len(l.finished))
	}
	t.Logf("%d kills, %d acknowledged, %d finished", kills, len(l.acked), len(l.finished))

	// Everything that is left is delivered now. Nobody has read the second
	// channel, which has everything.
	left, all := map[string]bool{}, map[string]bool{}
	for b := range l.acked {
		all[b] = true
		if !l.answered[b] {
			left[b] = true
		}
	}
	addr, kill := startVictim(t, dir)
	defer kill()
	l.drain(t, addr, "c", left, again)
	l.finished = nil
	l.drain(t, addr, "audit", all, again)
}
