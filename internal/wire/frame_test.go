package wire

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// frameOf is a frame as text: header in hexadecimal, data quoted.
func frameOf(b []byte) string {
	return fmt.Sprintf("%x %q", b[:8], b[8:])
}

func TestAppend_Frames(t *testing.T) {
	id := ID([]byte(someID))
	for _, tt := range []struct {
		name string
		got  []byte
		want string
	}{
		{"17 response", AppendResponse(nil, OK), `0000000600000000 "OK"`},
		{"17 empty response", AppendResponse(nil, ""), `0000000400000000 ""`},
		{"OKFrame", []byte(OKFrame), `0000000600000000 "OK"`},
		{"HeartbeatFrame", []byte(HeartbeatFrame), `0000000f00000000 "_heartbeat_"`},
		{"CloseWaitFrame", []byte(CloseWaitFrame), `0000000e00000000 "CLOSE_WAIT"`},
		{"18 error", AppendError(nil, &Error{CodeInvalid, "invalid command "}), `0000001e00000001 "E_INVALID invalid command "`},
		{"3 error without detail", AppendError(nil, &Error{Code: CodeBadProtocol}), `0000001200000001 "E_BAD_PROTOCOL"`},
		{"18 message", AppendMessage(nil, 1, 2, id, []byte("body")),
			`0000002200000002 "\x00\x00\x00\x00\x00\x00\x00\x01\x00\x020123456789abcdefbody"`},
		{"frame", AppendFrame(nil, FrameMessage, []byte("x")), `0000000500000002 "x"`},
	} {
		if got := frameOf(tt.got); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestReadFrame_SplitAnywhere(t *testing.T) {
	b := AppendMessage(nil, 5, 6, ID([]byte(someID)), []byte("body"))
	whole := len(b)
	b = append(b, OKFrame...)
	for i := range whole {
		if _, data, n, err := ReadFrame(b[:i], 0); n != 0 || err != nil || data != nil {
			t.Fatalf("%d bytes: %q, %d, %v", i, data, n, err)
		}
	}
	ty, data, n, err := ReadFrame(b, 0)
	if ty != FrameMessage || n != whole || err != nil || !bytes.Equal(data, b[8:whole]) {
		t.Fatalf("first frame: %d, %q, %d, %v", ty, data, n, err)
	}
	if cap(data) != len(data) {
		t.Error("appending to the data would overwrite the next frame")
	}
	ty, data, n, err = ReadFrame(b[n:], 0)
	if ty != FrameResponse || n != len(OKFrame) || err != nil || string(data) != OK {
		t.Fatalf("second frame: %d, %q, %d, %v", ty, data, n, err)
	}
}

func TestReadFrame_Refuses(t *testing.T) {
	for _, tt := range []struct {
		name  string
		input string
		max   int
		want  error
	}{
		{"size 3", be(3), 0, ErrFrameSize},
		{"size 0", be(0), 0, ErrFrameSize},
		{"size -1", be(-1), 0, ErrFrameSize},
		{"above the cap", be(101), 100, ErrFrameSize},
		{"HTTP without a cap", "HTTP/1.1 400 Bad Request", 0, ErrHTTP},
		{"HTTP below the cap", "HTTP", 1 << 31 >> 1, ErrHTTP},
		{"HTTP above the cap", "HTTP", 100, ErrHTTP},
		{"type 3", be(5) + be(3), 0, ErrFrameType},
		{"type -1", be(5) + be(-1), 0, ErrFrameType},
	} {
		_, _, n, err := ReadFrame([]byte(tt.input), tt.max)
		if n != 0 || !errors.Is(err, tt.want) {
			t.Errorf("%s: %d, %v; want %v", tt.name, n, err, tt.want)
		}
	}
	if _, _, n, err := ReadFrame(append([]byte(be(100)+be(0)), make([]byte, 96)...), 100); n != 104 || err != nil {
		t.Errorf("exactly the cap: %d, %v", n, err)
	}
}

func TestMessage_BothDirections(t *testing.T) {
	for _, want := range []Message{
		{1, 1, ID([]byte(someID)), []byte("x")},
		{-1, 65535, ID{}, []byte{}},
		{1 << 62, 32768, ID([]byte("\x00\xff 3456789abcde\n")), bytes.Repeat([]byte{0, '\n', 0xff}, 1000)},
	} {
		frame := AppendMessage([]byte("before"), want.Timestamp, want.Attempts, want.ID, want.Body)
		_, data, n, err := ReadFrame(frame[len("before"):], 0)
		if n != len(frame)-len("before") || err != nil {
			t.Fatalf("frame: %d, %v", n, err)
		}
		got, err := ReadMessage(data)
		if err != nil || got.Timestamp != want.Timestamp || got.Attempts != want.Attempts || got.ID != want.ID || !bytes.Equal(got.Body, want.Body) {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
	}
}

func TestReadMessage_TooShort(t *testing.T) {
	if _, err := ReadMessage(make([]byte, 25)); !errors.Is(err, ErrMessageSize) {
		t.Errorf("25 bytes: %v", err)
	}
	if m, err := ReadMessage(make([]byte, 26)); err != nil || len(m.Body) != 0 {
		t.Errorf("26 bytes: %+v, %v", m, err)
	}
}
