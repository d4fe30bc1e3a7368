package loop_test

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop"
)

// handler is a loop.Handler made of functions.
type handler struct {
	name    string
	conn    loop.Conn
	onOpen  func(c loop.Conn)
	onData  func(c loop.Conn, p []byte) int
	onClose func(err error)
}

func (h *handler) String() string { return h.name }

func (h *handler) OnOpen(c loop.Conn) {
	h.conn = c
	if h.onOpen != nil {
		h.onOpen(c)
	}
}

func (h *handler) OnData(p []byte) int {
	if h.onData == nil {
		return len(p)
	}
	return h.onData(h.conn, p)
}

func (h *handler) OnClose(err error) {
	if h.onClose != nil {
		h.onClose(err)
	}
}

// echo answers what it is sent.
func echo(loop.Conn) loop.Handler {
	return &handler{name: "echo", onData: func(c loop.Conn, p []byte) int { c.Write(p); return len(p) }}
}

// listen listens on a free port.
func (r running) listen(t testing.TB, accept func(loop.Conn) loop.Handler) string {
	t.Helper()
	ln, err := r.Listen("127.0.0.1:0", accept)
	if err != nil {
		t.Fatal(err)
	}
	return ln.Addr().String()
}

// dial connects with an ordinary socket.
func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	network := "tcp"
	if strings.Contains(addr, "/") {
		network = "unix"
	}
	nc, err := net.DialTimeout(network, addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	return nc
}

func descriptors(t *testing.T) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("counts descriptors in /proc")
	}
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func TestEngine_TalksToOrdinarySockets(t *testing.T) {
	l := start(t, loop.Options{})
	for _, addr := range []string{l.listen(t, echo), unixListen(t, l)} {
		nc := dial(t, addr)
		want := strings.Repeat("over a real socket ", 100_000)
		go io.WriteString(nc, want)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(nc, got); err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Error("the echo differs")
		}
	}
}

func unixListen(t *testing.T, l running) string {
	t.Helper()
	path := env{}.Path(t)
	if _, err := l.Listen(path, echo); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEngine_OpensNothingBeforeStart(t *testing.T) {
	before := descriptors(t)
	e, err := loop.New(loop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	ran := make(chan string, 100)
	_ = e.Post(func() { ran <- "post" })
	e.After(0, func() { ran <- "after" })
	e.Every(time.Millisecond, func() {
		select {
		case ran <- "every":
		default:
		}
	})
	e.AtTurnEnd(func() { ran <- "end" })
	failed := make(chan error, 1)
	e.Dial("127.0.0.1:1", loop.DialOptions{}, &handler{onClose: func(err error) { failed <- err }})
	if n := descriptors(t); n != before {
		t.Errorf("%d descriptors before Start, %d after New", before, n)
	}
	ln, err := e.Listen("127.0.0.1:0", echo)
	if err != nil {
		t.Fatal(err)
	}
	nc := dial(t, ln.Addr().String()) // waits in the kernel's queue
	select {
	case what := <-ran:
		t.Errorf("%s ran before Start", what)
	default:
	}
	for range 2 {
		if err := e.Start(); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	for len(seen) < 4 {
		seen[wait(t, "post, after, every and end", ran)] = true
	}
	if err := wait(t, "the dial's failure", failed); err == nil {
		t.Error("the dial gave no error")
	}
	_, _ = io.WriteString(nc, "x")
	if _, err := io.ReadFull(nc, make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

func TestEngine_StartAndStopLeaveNothing(t *testing.T) {
	before := descriptors(t)
	for range 200 {
		e, err := loop.New(loop.Options{})
		if err != nil {
			t.Fatal(err)
		}
		opened, closed := make(chan struct{}, 2), make(chan error, 2)
		h := func() *handler {
			return &handler{
				onOpen:  func(loop.Conn) { opened <- struct{}{} },
				onClose: func(err error) { closed <- err },
			}
		}
		ln, err := e.Listen("127.0.0.1:0", func(loop.Conn) loop.Handler { return h() })
		if err != nil {
			t.Fatal(err)
		}
		e.Dial(ln.Addr().String(), loop.DialOptions{}, h())
		if err := e.Start(); err != nil {
			t.Fatal(err)
		}
		wait(t, "one end", opened)
		wait(t, "the other end", opened)
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := wait(t, "OnClose", closed); !errors.Is(err, loop.ErrClosed) {
				t.Fatalf("OnClose: %v", err)
			}
		}
	}
	if n := descriptors(t); n > before+5 {
		t.Errorf("%d descriptors before, %d after", before, n)
	}
}

func TestEngine_DialsRacingWithClose(t *testing.T) {
	const dials = 100
	for range 20 {
		l := start(t, loop.Options{})
		addr := l.listen(t, echo)
		var told sync.WaitGroup
		told.Add(dials)
		for range dials {
			if l.Post(func() {
				l.Dial(addr, loop.DialOptions{}, &handler{onClose: func(error) { told.Done() }})
			}) != nil {
				told.Done()
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		all := make(chan struct{})
		go func() { told.Wait(); close(all) }()
		wait(t, "every dial is told once", all)
	}
}

func TestEngine_PostFromManyGoroutines(t *testing.T) {
	l := start(t, loop.Options{})
	const posters, each = 8, 5000
	var ran [posters][]int
	var all sync.WaitGroup
	for p := range posters {
		all.Add(1)
		go func() {
			defer all.Done()
			for i := range each {
				if err := l.Post(func() { ran[p] = append(ran[p], i) }); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	all.Wait()
	l.Do(t, func() {
		for p := range ran {
			if len(ran[p]) != each {
				t.Errorf("poster %d: %d of %d ran", p, len(ran[p]), each)
			}
			for i, n := range ran[p] {
				if i != n {
					t.Fatalf("poster %d: %d ran as number %d", p, n, i)
				}
			}
		}
	})
}

func TestEngine_PostsDoNotStarveSockets(t *testing.T) {
	l := start(t, loop.Options{})
	stop := false
	var again func()
	again = func() {
		if !stop {
			_ = l.Post(again)
		}
	}
	_ = l.Post(again)
	nc := dial(t, l.listen(t, echo))
	_, _ = io.WriteString(nc, "still there?")
	if _, err := io.ReadFull(nc, make([]byte, 12)); err != nil {
		t.Error(err)
	}
	l.Do(t, func() { stop = true })
}

// Alarms and posts ring at any moment of a turn; none of the rings gets lost.
func TestEngine_TimersAreServedWhilePostsCrossThem(t *testing.T) {
	l := start(t, loop.Options{})
	const runs = 3000
	done, stop, stopped := make(chan struct{}), make(chan struct{}), make(chan struct{})
	n := 0
	var again func()
	again = func() {
		if n++; n == runs {
			close(done)
			return
		}
		l.After(time.Duration(n%80)*time.Microsecond, again)
	}
	_ = l.Post(again)
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				posted := make(chan struct{})
				_ = l.Post(func() { close(posted) })
				<-posted
			}
		}
	}()
	wait(t, "all timers", done)
	close(stop)
	wait(t, "the poster", stopped)
	// The same without posts, which would wake a loop that sleeps too long.
	done, n = make(chan struct{}), 0
	_ = l.Post(again)
	wait(t, "all timers", done)
}

// A client that talks on while it is being refused still reads why.
func TestEngine_LastFrameIsNotLostToAReset(t *testing.T) {
	l := start(t, loop.Options{})
	addr := l.listen(t, func(loop.Conn) loop.Handler {
		return &handler{onData: func(c loop.Conn, p []byte) int {
			c.Write([]byte("E_INVALID"))
			c.Close()
			return 0
		}}
	})
	for range 20 {
		nc := dial(t, addr)
		talk := make(chan struct{})
		go func() {
			defer close(talk)
			for range 100 {
				if _, err := nc.Write(make([]byte, 10_000)); err != nil {
					return
				}
			}
		}()
		<-talk // all is sent before anything is read
		got, err := io.ReadAll(nc)
		if err != nil || string(got) != "E_INVALID" {
			t.Fatalf("got %q, %v", got, err)
		}
		nc.Close()
	}
}

func TestEngine_ReplacesTheSocketFileOfADeadProcess(t *testing.T) {
	path := env{}.Path(t)
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	l := start(t, loop.Options{})
	if _, err := l.Listen(path, echo); err == nil {
		t.Error("took the path of a live listener")
	}
	ln.Close() // as a kill does: the file stays
	if _, err := l.Listen(path, echo); err != nil {
		t.Errorf("the file of a dead listener is in the way: %v", err)
	}
	file := filepath.Join(filepath.Dir(path), "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Listen(file, echo); err == nil {
		t.Error("listens on a file")
	}
	if got, _ := os.ReadFile(file); string(got) != "precious" {
		t.Error("the file is gone")
	}
}

func TestOptions_AreChecked(t *testing.T) {
	for _, o := range []loop.Options{
		{OutputLimit: -1}, {OutputHigh: -1}, {InputLimit: -1}, {ReadBuffer: -1}, {OutputHigh: 2, OutputLimit: 1},
	} {
		if _, err := loop.New(o); err == nil || !strings.HasPrefix(err.Error(), "loop options: ") {
			t.Errorf("%+v: error %v", o, err)
		}
	}
}

func TestOptions_SeedRepeatsRand(t *testing.T) {
	draw := func(seed uint64) uint64 {
		l, err := loop.New(loop.Options{Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		return l.Rand().Uint64()
	}
	seven, again, eight := draw(7), draw(7), draw(8)
	one, other := draw(0), draw(0)
	if seven != again || seven == eight || one == other {
		t.Error("Rand does not follow from the seed")
	}
}
