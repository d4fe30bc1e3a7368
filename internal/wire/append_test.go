package wire

import (
	"testing"
	"time"
)

func TestAppend_Commands(t *testing.T) {
	id := ID([]byte(someID))
	for _, tt := range []struct {
		name string
		got  []byte
		want string
	}{
		{"IDENTIFY", AppendIdentify(nil, []byte("{}")), "IDENTIFY\n" + be(2) + "{}"},
		{"AUTH", AppendAuth(nil, "secret"), "AUTH\n" + be(6) + "secret"},
		{"SUB", AppendSub(nil, "t", "c"), "SUB t c\n"},
		{"PUB", AppendPub(nil, "t", []byte("body")), "PUB t\n" + be(4) + "body"},
		{"PUB counts bytes, not characters", AppendPub(nil, "t", []byte("é")), "PUB t\n" + be(2) + "é"},
		{"MPUB", AppendMPub(nil, "t", [][]byte{[]byte("a"), []byte("bc")}), "MPUB t\n" + be(15) + be(2) + be(1) + "a" + be(2) + "bc"},
		{"DPUB", AppendDPub(nil, "t", 1500*time.Millisecond, []byte("x")), "DPUB t 1500\n" + be(1) + "x"},
		{"DPUB rounds up", AppendDPub(nil, "t", time.Nanosecond, []byte("x")), "DPUB t 1\n" + be(1) + "x"},
		{"DPUB rounds up again", AppendDPub(nil, "t", time.Second+1, []byte("x")), "DPUB t 1001\n" + be(1) + "x"},
		{"DPUB now", AppendDPub(nil, "t", 0, []byte("x")), "DPUB t 0\n" + be(1) + "x"},
		{"DPUB in the past", AppendDPub(nil, "t", -time.Hour, []byte("x")), "DPUB t 0\n" + be(1) + "x"},
		{"PUB with a number", AppendNumberedPub(nil, "t", 7, []byte("x")), "PUB t 7\n" + be(1) + "x"},
		{"PUB without", AppendNumberedPub(nil, "t", 0, []byte("x")), "PUB t\n" + be(1) + "x"},
		{"MPUB with a number", AppendNumberedMPub(nil, "t", MaxNumber, [][]byte{[]byte("a")}), "MPUB t 4611686018427387903\n" + be(9) + be(1) + be(1) + "a"},
		{"DPUB with a number", AppendNumberedDPub(nil, "t", time.Second, 7, []byte("x")), "DPUB t 1000 7\n" + be(1) + "x"},
		{"RDY", AppendRdy(nil, 2500), "RDY 2500\n"},
		{"RDY 0", AppendRdy(nil, 0), "RDY 0\n"},
		{"RDY negative", AppendRdy(nil, -3), "RDY 0\n"},
		{"FIN", AppendFin(nil, id), "FIN " + someID + "\n"},
		{"REQ now", AppendReq(nil, id, 0), "REQ " + someID + " 0\n"},
		{"REQ later", AppendReq(nil, id, time.Minute), "REQ " + someID + " 60000\n"},
		{"REQ negative", AppendReq(nil, id, -1), "REQ " + someID + " 0\n"},
		{"TOUCH", AppendTouch(nil, id), "TOUCH " + someID + "\n"},
		{"CLS", AppendCls(nil), "CLS\n"},
		{"NOP", AppendNop(nil), "NOP\n"},
	} {
		if string(tt.got) != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, tt.got, tt.want)
		}
	}
}

func TestAppend_KeepsWhatIsThere(t *testing.T) {
	b := []byte("before ")
	b = AppendNop(b)
	b = AppendFin(b, ID([]byte(someID)))
	b = AppendResponse(b, OK)
	if want := "before NOP\nFIN " + someID + "\n" + OKFrame; string(b) != want {
		t.Errorf("got %q, want %q", b, want)
	}
}

func TestReadCommand_ReadsWhatAppendWrites(t *testing.T) {
	id := ID([]byte(someID))
	for _, tt := range []struct {
		input []byte
		state State
		want  string
	}{
		{AppendIdentify(nil, []byte("{}")), StateInit, `IDENTIFY "{}"`},
		{AppendAuth(nil, "s"), StateInit, `AUTH "s"`},
		{AppendSub(nil, "t", "c#ephemeral"), StateInit, `SUB t c#ephemeral`},
		{AppendPub(nil, "t", []byte("b")), StateInit, `PUB t "b"`},
		{AppendMPub(nil, "t", [][]byte{[]byte("a"), []byte("b")}), StateInit, `MPUB t 2: "a" "b"`},
		{AppendDPub(nil, "t", time.Second, []byte("b")), StateInit, `DPUB t 1s "b"`},
		{AppendRdy(nil, 7), StateSubscribed, `RDY 7`},
		{AppendFin(nil, id), StateSubscribed, `FIN "` + someID + `"`},
		{AppendReq(nil, id, time.Second), StateSubscribed, `REQ "` + someID + `" 1s`},
		{AppendTouch(nil, id), StateSubscribed, `TOUCH "` + someID + `"`},
		{AppendCls(nil), StateSubscribed, `CLS`},
		{AppendNop(nil), StateSubscribed, `NOP`},
	} {
		var c Command
		n, err := ReadCommand(tt.input, nsqdRules(tt.state), &c)
		if err != nil || n != len(tt.input) {
			t.Fatalf("ReadCommand(%q) = %d, %v", tt.input, n, err)
		}
		if got := show(&c); got != tt.want {
			t.Errorf("ReadCommand(%q) is %s, want %s", tt.input, got, tt.want)
		}
	}
}
