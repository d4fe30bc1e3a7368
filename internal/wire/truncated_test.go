package wire

import "testing"

func TestTruncated(t *testing.T) {
	for _, tt := range []struct {
		name, input, want string
	}{
		{"5 nothing", "", ""},
		{"half a line", "PUB t", ""},
		{"line without LF", "IDENTIFY", ""},
		{"a whole command", "NOP\n", ""},
		{"IDENTIFY size", "IDENTIFY\n\x00\x00\x00", "E_BAD_BODY IDENTIFY failed to read body size"},
		{"IDENTIFY body", "IDENTIFY\n" + be(2) + "{", "E_BAD_BODY IDENTIFY failed to read body"},
		{"AUTH size", "AUTH\n", "E_BAD_BODY AUTH failed to read body size"},
		{"AUTH body", "AUTH\n" + be(2), "E_BAD_BODY AUTH failed to read body"},
		{"PUB size", "PUB t\n", "E_BAD_MESSAGE PUB failed to read message body size"},
		{"PUB body", "PUB t\n" + be(2) + "x", "E_BAD_MESSAGE PUB failed to read message body"},
		{"PUB body, long", "PUB topic\n" + be(200) + "0123456789", "E_BAD_MESSAGE PUB failed to read message body"},
		{"DPUB size", "DPUB t 0\n\x00", "E_BAD_MESSAGE DPUB failed to read message body size"},
		{"DPUB body", "DPUB t 0\n" + be(2) + "x", "E_BAD_MESSAGE DPUB failed to read message body"},
		{"MPUB size", "MPUB t\n", "E_BAD_BODY MPUB failed to read body size"},
		{"MPUB count", "MPUB t\n" + be(9) + "\x00", "E_BAD_BODY MPUB failed to read message count"},
		{"MPUB message size", "MPUB t\n" + be(9) + be(2) + be(1) + "a" + "\x00\x00", "E_BAD_MESSAGE MPUB failed to read message(1) body size"},
		{"MPUB message", "MPUB t\n" + be(9) + be(2) + be(1) + "a" + be(2) + "b", "E_BAD_MESSAGE MPUB failed to read message body"},
		{"refused anyway", "PUB t$\n", `E_BAD_TOPIC PUB topic name "t$" is not valid`},
	} {
		got := ""
		r := nsqdRules(StateInit)
		r.Progress = &Progress{need: 1 << 20}
		if err := Truncated([]byte(tt.input), r); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
		if r.Progress.need != 1<<20 {
			t.Errorf("%s: the connection's progress was used", tt.name)
		}
	}
}

func TestTruncated_EverySplitOfEveryCommand(t *testing.T) {
	// In the middle of a body something is said, in the middle of a line
	// nothing is.
	for _, tt := range accepted {
		r := nsqdRules(StateInit)
		if tt.rules != nil {
			tt.rules(r)
		}
		line := 0
		for line < len(tt.input) && tt.input[line] != '\n' {
			line++
		}
		for i := range len(tt.input) {
			err := Truncated([]byte(tt.input[:i]), r)
			if spoke := err != nil; spoke != (i > line) {
				t.Errorf("%s: %q: %v", tt.name, tt.input[:i], err)
			}
		}
	}
}
