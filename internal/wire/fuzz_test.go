package wire

import (
	"bytes"
	"testing"
	"time"
)

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte(OKFrame), 0)
	f.Add([]byte(HeartbeatFrame+CloseWaitFrame), 100)
	f.Add(AppendError(nil, Errorf(CodeInvalid, "invalid command %s", "x")), 0)
	f.Add(AppendMessage(nil, 1, 2, ID{}, []byte("body")), 64)
	f.Add([]byte("HTTP/1.1 400 Bad Request"), 0)
	f.Add([]byte(be(-1)+be(7)), 5)
	f.Add([]byte(be(1<<30)+be(2)), 0)
	f.Fuzz(func(t *testing.T, b []byte, max int) {
		// The outcome on the whole input is the outcome on any part of it
		// that is enough for one.
		ty, data, n, err := ReadFrame(b, max)
		if n < 0 || n > len(b) || (n != 0 && err != nil) {
			t.Fatalf("n %d of %d, %v", n, len(b), err)
		}
		for i := range min(len(b), 64) {
			ty2, data2, n2, err2 := ReadFrame(b[:i], max)
			if n2 == 0 && err2 == nil {
				continue
			}
			if ty2 != ty || n2 != n || err2 != err || !bytes.Equal(data2, data) {
				t.Fatalf("first %d bytes: %d %d %v; all: %d %d %v", i, ty2, n2, err2, ty, n, err)
			}
		}
		if n == 0 {
			return
		}
		if got := AppendFrame(nil, ty, data); !bytes.Equal(got, b[:n]) {
			t.Fatalf("%q read and written is %q", b[:n], got)
		}
		switch ty {
		case FrameError:
			if e := ParseError(data); e.Detail != "" {
				if got := AppendError(nil, e); !bytes.Equal(got, b[:n]) {
					t.Fatalf("%q read and written is %q", b[:n], got)
				}
			}
		case FrameMessage:
			if m, err := ReadMessage(data); err == nil {
				if got := AppendMessage(nil, m.Timestamp, m.Attempts, m.ID, m.Body); !bytes.Equal(got, b[:n]) {
					t.Fatalf("%q read and written is %q", b[:n], got)
				}
			}
		}
	})
}

// outcome is all that reading a stream of commands tells: the commands, how
// many bytes they took, and the error that ended it.
type outcome struct {
	commands []string
	used     int
	err      string
}

// readAll reads the commands of b as a server would when b arrives in pieces
// that end at the given offsets.
func readAll(t *testing.T, b []byte, r Rules, ends []int) (o outcome) {
	t.Helper()
	start, end := 0, 0
	for {
		var c Command
		n, err := ReadCommand(b[start:end], &r, &c)
		if n < 0 || n > end-start || (n != 0 && err != nil) {
			t.Fatalf("ReadCommand(%q) = %d, %v", b[start:end], n, err)
		}
		if err != nil {
			if _, known := codes[err.Code]; !known && err.Code != "" || !err.Fatal() {
				t.Fatalf("%v is not in the catalogue of fatal errors", err)
			}
			o.err = err.Error()
			return o
		}
		if n != 0 {
			switch c.Verb {
			case Sub:
				r.State = StateSubscribed
			case Cls:
				r.State = StateClosing
			}
			o.commands = append(o.commands, show(&c))
			start += n
			o.used = start
			continue
		}
		if end == len(b) {
			return o
		}
		end, ends = ends[0], ends[1:]
	}
}

func FuzzReadCommand(f *testing.F) {
	for _, tt := range accepted {
		f.Add([]byte(tt.input), uint8(3), uint16(0))
	}
	for _, tt := range refusals {
		f.Add([]byte(tt.input), uint8(1), uint16(2))
	}
	f.Add([]byte("SUB t c\nRDY 1\nFIN "+someID+"\nCLS\nNOP\nPUB topic\n"+be(3)+"abcNOP\n"), uint8(5), uint16(0))
	f.Add(bytes.Repeat([]byte("MPUB t\n"+be(1)+be(2)+be(1)+"a"+be(2)+"bc"), 3), uint8(1), uint16(8))
	f.Add([]byte("IDENTIFY\n"+be(2)+"{}AUTH\n"+be(1)+"sPUB t\n"+be(1)+"xDPUB t 10\n"+be(1)+"y"), uint8(7), uint16(4))
	f.Add([]byte("PUB topic 7\n"+be(3)+"abcDPUB t 0 8\n"+be(1)+"xMPUB t 9\n"+be(1)+be(1)+be(1)+"aPUB t\n"), uint8(2), uint16(64))
	f.Fuzz(func(t *testing.T, b []byte, step uint8, flags uint16) {
		r := Rules{
			State:         [...]State{StateInit, StateSubscribed, StateClosing, StateInit}[flags&3],
			AuthFirst:     flags&4 != 0,
			TLSRequired:   flags&16 != 0,
			HeartbeatsOff: flags&32 != 0,
			Numbered:      flags&64 != 0,
			MaxMsgSize:    64,
			MaxBodySize:   256,
			MaxRdyCount:   100,
			MaxReqTimeout: time.Minute,
		}
		if flags&8 != 0 {
			r.MaxMsgSize, r.MaxBodySize = 1<<20, 5<<20
		}
		whole := readAll(t, b, r, []int{len(b)})

		var ends []int
		for end := 0; end < len(b); end += 1 + int(step) {
			ends = append(ends, end)
		}
		ends = append(ends, len(b))
		r.Progress = new(Progress)
		pieces := readAll(t, b, r, ends)
		if len(whole.commands) != len(pieces.commands) || whole.used != pieces.used || whole.err != pieces.err {
			t.Fatalf("whole: %+v\npieces of %d: %+v", whole, 1+int(step), pieces)
		}
		for i := range whole.commands {
			if whole.commands[i] != pieces.commands[i] {
				t.Fatalf("command %d: whole %s, in pieces %s", i, whole.commands[i], pieces.commands[i])
			}
		}

		r.Progress = nil
		rest := b[whole.used:]
		if e := Truncated(rest, &r); e != nil && !e.Fatal() {
			t.Fatalf("Truncated(%q) = %v", rest, e)
		}
	})
}
