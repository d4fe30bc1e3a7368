package server

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
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
