package server

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/internal/testwait"
	"github.com/nsqloop/nsqloop/internal/wire"
)

// mountTmpfs returns a file system of so many bytes, gone with the test.
func mountTmpfs(t *testing.T, bytes int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		t.Skipf("a small file system cannot be mounted here, which takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// tryPublish publishes one message on a connection of its own, and says how that
// went.
func tryPublish(t *testing.T, addr, topic, body string) error {
	t.Helper()
	c := dialRaw(t, addr, wire.AppendPub(nil, topic, []byte(body)))
	defer c.Close()
	_, data, err := c.frame()
	if err == nil && string(data) != wire.OK {
		err = fmt.Errorf("%s", data)
	}
	return err
}

// fillUp publishes until that fails, and returns what was acknowledged.
func fillUp(t *testing.T, addr, prefix string) (acked []string) {
	t.Helper()
	c := dialRaw(t, addr, nil)
	defer c.Close()
	for i := 0; ; i++ {
		body := fmt.Sprintf("%s%06d %s", prefix, i, strings.Repeat("x", 1000))
		if _, err := c.Write(wire.AppendPub(nil, "t", []byte(body))); err != nil {
			t.Fatal(err)
		}
		kind, data, err := c.frame()
		if err != nil {
			t.Fatal(err)
		}
		if kind == wire.FrameError {
			if !strings.HasPrefix(string(data), "E_PUB_FAILED") || !strings.Contains(string(data), "no space left") {
				t.Fatalf("a full disk is told as %q", data)
			}
			return acked
		}
		acked = append(acked, body)
		if i > 20000 {
			t.Fatal("the disk does not become full")
		}
	}
}

// A disk that is really full: the first message that is not kept is refused,
// consumers go on, publishing resumes by itself when there is room, and what
// was acknowledged is delivered.
func TestTmpfs_FullAndFreeAgain(t *testing.T) {
	dir := mountTmpfs(t, 8<<20)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 5<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Start(Options{TCPAddress: "127.0.0.1:0", HTTPAddress: "127.0.0.1:0", DataPath: dir, MaxBytesPerFile: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	addr := s.TCPAddr().String()
	c := dialRaw(t, addr, wire.AppendSub(nil, "t", "c"))
	if _, data, err := c.frame(); err != nil || string(data) != wire.OK {
		t.Fatalf("SUB: %q, %v", data, err)
	}

	acked := fillUp(t, addr, "first")
	if ping(t, s) {
		t.Error("/ping says that all is well on a full disk")
	}
	// Consumers have all of it while the disk is full.
	left := map[string]bool{}
	for _, body := range acked {
		left[body] = true
	}
	if _, err := c.Write(wire.AppendRdy(nil, 10)); err != nil {
		t.Fatal(err)
	}
	consume := func() {
		t.Helper()
		if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		for len(left) > 0 {
			kind, data, err := c.frame()
			if err != nil {
				t.Fatalf("%d acknowledged messages are not delivered: %v", len(left), err)
			}
			if kind != wire.FrameMessage {
				continue
			}
			m, err := wire.ReadMessage(data)
			if err != nil {
				t.Fatal(err)
			}
			delete(left, string(m.Body))
			if _, err := c.Write(wire.AppendFin(nil, m.ID)); err != nil {
				t.Fatal(err)
			}
		}
	}
	consume()

	// Full once more, now with nobody who could make room.
	if _, err := c.Write(wire.AppendRdy(nil, 0)); err != nil {
		t.Fatal(err)
	}
	for _, body := range fillUp(t, addr, "second") {
		left[body] = true
	}
	kept := len(acked) + len(left)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	freed, tries := time.Now(), 0
	for ; ; tries++ {
		if err := tryPublish(t, addr, "t", "resumed"); err == nil {
			break
		} else if time.Since(freed) > 20*time.Second {
			t.Fatalf("publishing does not resume: %v", err)
		}
	}
	t.Logf("%d acknowledged before the disk was full; publishing resumed %v after there was room, at try %d",
		kept, time.Since(freed).Round(time.Microsecond), tries+1)
	if tries > 0 {
		t.Errorf("%d publishes were refused though there was room", tries)
	}
	left["resumed"] = true
	if _, err := c.Write(wire.AppendRdy(nil, 10)); err != nil {
		t.Fatal(err)
	}
	consume()
	if !ping(t, s) {
		t.Error("/ping does not say that all is well again")
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantNoStrays(t, dir)
}

// A server that is started on a disk which its own messages have filled makes room
// for itself when they are consumed.
func TestTmpfs_StartsFullAndDrains(t *testing.T) {
	dir := mountTmpfs(t, 6<<20)
	o := Options{TCPAddress: "127.0.0.1:0", HTTPAddress: "127.0.0.1:0", DataPath: dir, MaxBytesPerFile: 1 << 20, SyncTimeout: 10 * time.Millisecond}
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	c := dialRaw(t, s.TCPAddr().String(), wire.AppendSub(nil, "t", "c"))
	if _, data, err := c.frame(); err != nil || string(data) != wire.OK {
		t.Fatalf("SUB: %q, %v", data, err)
	}
	c.Close()
	acked := fillUp(t, s.TCPAddr().String(), "m")
	_ = s.Shutdown(t.Context()) // it says that not all could be written
	if s, err = Start(o); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c = dialRaw(t, s.TCPAddr().String(), wire.AppendRdy(wire.AppendSub(nil, "t", "c"), 10))
	defer c.Close()
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for range acked {
		kind, data, err := c.frame()
		for ; err == nil && kind != wire.FrameMessage; kind, data, err = c.frame() {
		}
		if err != nil {
			t.Fatal(err)
		}
		m, err := wire.ReadMessage(data)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(wire.AppendFin(nil, m.ID)); err != nil {
			t.Fatal(err)
		}
	}
	testwait.Until(t, "there is room again, by itself", func() bool {
		return tryPublish(t, s.TCPAddr().String(), "other", "x") == nil && ping(t, s)
	})
	testwait.Until(t, "the segments are gone", func() bool {
		all, err := filepath.Glob(filepath.Join(dir, "topic+t", "*.log"))
		return err == nil && len(all) == 1
	})
}

func ping(t *testing.T, s *Server) bool {
	t.Helper()
	res, err := http.Get("http://" + s.HTTPAddr().String() + "/ping")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// wantNoStrays checks that a data path holds nothing but what belongs there.
func wantNoStrays(t *testing.T, dir string) {
	t.Helper()
	belongs := regexp.MustCompile(`^(nsqd\.dat|topic\+roster\+|topic\+roster\+/roster\.[0-9a-f]{16}|topic\+t|topic\+t/[0-9a-f]{16}-[0-9a-f]{16}\.log|topic\+t/cursors\.[0-9a-f]{16})$`)
	cursors := 0
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if !belongs.MatchString(filepath.ToSlash(name)) {
			t.Errorf("%s was left behind", name)
		}
		if strings.Contains(name, "cursors.") {
			cursors++
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if cursors != 1 {
		t.Errorf("%d cursor files, want 1", cursors)
	}
}
