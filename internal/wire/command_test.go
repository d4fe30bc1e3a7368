package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"
)

// nsqdRules are nsqd's documented defaults.
func nsqdRules(s State) *Rules {
	return &Rules{
		State:         s,
		MaxMsgSize:    1 << 20,
		MaxBodySize:   5 << 20,
		MaxRdyCount:   2500,
		MaxReqTimeout: time.Hour,
	}
}

// be is a 32-bit number as it stands on the wire.
func be(n int) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(n)))
}

const (
	someID  = "0123456789abcdef"
	longest = "a234567890123456789012345678901234567890123456789012345678901234"
)

// refusals lists what ReadCommand refuses, and in which words. The numbers are
// those of the conformance checklist.
var refusals = []struct {
	name  string
	input string
	want  string
	rules func(*Rules)
}{
	{name: "6 unknown command", input: "ASDF\n", want: "E_INVALID invalid command ASDF"},
	{name: "7 lower case", input: "nop\n", want: "E_INVALID invalid command nop"},
	{name: "8 empty line", input: "\n", want: "E_INVALID invalid command "},
	{name: "8 CR alone", input: "\r\n", want: "E_INVALID invalid command "},
	{name: "T-6 two bare LFs", input: "\n\n", want: "E_INVALID invalid command "},
	{name: "leading space", input: " NOP\n", want: "E_INVALID invalid command "},
	{name: "12 two spaces", input: "SUB  t c\n", want: `E_BAD_TOPIC SUB topic name "" is not valid`},
	{name: "two CRs", input: "NOP\r\r\n", want: "E_INVALID invalid command NOP\r"},

	{name: "26 IDENTIFY size 0", input: "IDENTIFY\n" + be(0), want: "E_BAD_BODY IDENTIFY invalid body size 0"},
	{name: "27 IDENTIFY too big", input: "IDENTIFY\n" + be(5<<20+1), want: "E_BAD_BODY IDENTIFY body too big 5242881 > 5242880"},
	{name: "28 IDENTIFY negative", input: "IDENTIFY\n" + be(-1), want: "E_BAD_BODY IDENTIFY invalid body size -1"},
	{name: "60 IDENTIFY after SUB", input: "IDENTIFY\n", rules: subscribed, want: "E_INVALID cannot IDENTIFY in current state"},
	{name: "1.5 IDENTIFY after CLS", input: "IDENTIFY\n", rules: closing, want: "E_INVALID cannot IDENTIFY in current state"},

	{name: "75 SUB before TLS", input: "SUB t c\n", rules: tlsRequired, want: "E_INVALID cannot SUB in current state (TLS required)"},
	{name: "76 NOP before TLS", input: "NOP\n", rules: tlsRequired, want: "E_INVALID cannot NOP in current state (TLS required)"},
	{name: "76 unknown before TLS", input: "ASDF x\n", rules: tlsRequired, want: "E_INVALID cannot ASDF in current state (TLS required)"},
	{name: "76 PUB before TLS", input: "PUB a23456789012345\n" + be(1) + "x", rules: tlsRequired, want: "E_INVALID cannot PUB in current state (TLS required)"},
	{name: "76 FIN before TLS", input: "FIN " + someID + "\n", rules: tlsRequired, want: "E_INVALID cannot FIN in current state (TLS required)"},

	{name: "95 SUB without heartbeats", input: "SUB t c\n", rules: heartbeatsOff, want: "E_INVALID cannot SUB with heartbeats disabled"},
	{name: "1.4 SUB state before heartbeats", input: "SUB t c\n", rules: both(subscribed, heartbeatsOff), want: "E_INVALID cannot SUB in current state"},
	{name: "1.4 SUB heartbeats before parameters", input: "SUB\n", rules: heartbeatsOff, want: "E_INVALID cannot SUB with heartbeats disabled"},
	{name: "98 colon", input: "SUB test:ephemeral c\n", want: `E_BAD_TOPIC SUB topic name "test:ephemeral" is not valid`},
	{name: "98 dollar", input: "SUB t$ c\n", want: `E_BAD_TOPIC SUB topic name "t$" is not valid`},
	{name: "98 suffix alone", input: "SUB #ephemeral c\n", want: `E_BAD_TOPIC SUB topic name "#ephemeral" is not valid`},
	{name: "99 topic of 65", input: "SUB " + longest + "x c\n", want: `E_BAD_TOPIC SUB topic name "` + longest + `x" is not valid`},
	{name: "100 quoted topic", input: "SUB a\"\x00\xff c\n", want: `E_BAD_TOPIC SUB topic name "a\"\x00\xff" is not valid`},
	{name: "101 SUB bad channel", input: "SUB t c$\n", want: `E_BAD_CHANNEL SUB channel name "c$" is not valid`},
	{name: "101 SUB empty channel", input: "SUB t \n", want: `E_BAD_CHANNEL SUB channel name "" is not valid`},
	{name: "102 SUB one parameter", input: "SUB t\n", want: "E_INVALID SUB insufficient number of parameters"},
	{name: "102 SUB none", input: "SUB\n", want: "E_INVALID SUB insufficient number of parameters"},
	{name: "104 second SUB", input: "SUB t c\n", rules: subscribed, want: "E_INVALID cannot SUB in current state"},
	{name: "104 SUB after CLS", input: "SUB t c\n", rules: closing, want: "E_INVALID cannot SUB in current state"},

	{name: "110 PUB without topic", input: "PUB\n", want: "E_INVALID PUB insufficient number of parameters"},
	{name: "110 MPUB without topic", input: "MPUB\n", want: "E_INVALID MPUB insufficient number of parameters"},
	{name: "111 PUB bad topic", input: "PUB t$\n", want: `E_BAD_TOPIC PUB topic name "t$" is not valid`},
	{name: "111 PUB bad topic, whole", input: "PUB t$\n" + be(12) + "123456789012", want: `E_BAD_TOPIC PUB topic name "t$" is not valid`},
	{name: "111 PUB empty topic", input: "PUB \n" + be(12) + "123456789012", want: `E_BAD_TOPIC PUB topic name "" is not valid`},
	{name: "111 PUB topic of 65", input: "PUB " + longest + "x\n", want: `E_BAD_TOPIC PUB topic name "` + longest + `x" is not valid`},
	{name: "112 PUB size 0", input: "PUB t\n" + be(0), want: "E_BAD_MESSAGE PUB invalid message body size 0"},
	{name: "113 PUB size -1", input: "PUB t\n" + be(-1), want: "E_BAD_MESSAGE PUB invalid message body size -1"},
	{name: "113 PUB size -1 among others", input: "PUB topic\n" + be(-1) + "NOP\nNOP\nNOP\n", want: "E_BAD_MESSAGE PUB invalid message body size -1"},
	{name: "114 PUB too big", input: "PUB t\n" + be(1<<20+1), want: "E_BAD_MESSAGE PUB message too big 1048577 > 1048576"},
	{name: "117 MPUB body size 0", input: "MPUB t\n" + be(0), want: "E_BAD_BODY MPUB invalid body size 0"},
	{name: "117 MPUB body size negative", input: "MPUB t\n" + be(-5), want: "E_BAD_BODY MPUB invalid body size -5"},
	{name: "118 MPUB too big", input: "MPUB t\n" + be(5<<20+1), want: "E_BAD_BODY MPUB body too big 5242881 > 5242880"},
	{name: "119 MPUB count 0", input: "MPUB t\n" + be(9) + be(0), want: "E_BAD_BODY MPUB invalid message count 0"},
	{name: "119 MPUB count -1", input: "MPUB t\n" + be(9) + be(-1), want: "E_BAD_BODY MPUB invalid message count -1"},
	{name: "120 MPUB count", input: "MPUB t\n" + be(9) + be((5<<20-4)/5+1), want: "E_BAD_BODY MPUB invalid message count 1048576"},
	{name: "121 MPUB empty message", input: "MPUB t\n" + be(9) + be(3) + be(1) + "a" + be(0), want: "E_BAD_MESSAGE MPUB invalid message(1) body size 0"},
	{name: "121 MPUB negative message", input: "MPUB t\n" + be(9) + be(3) + be(-2), want: "E_BAD_MESSAGE MPUB invalid message(0) body size -2"},
	{name: "122 MPUB message too big", input: "MPUB t\n" + be(9) + be(1) + be(1<<20+1), want: "E_BAD_MESSAGE MPUB message too big 1048577 > 1048576"},
	{name: "MPUB more than it may hold", input: "MPUB t\n" + be(9) + be(2) + be(60) + strings.Repeat("x", 60) + be(60), rules: small,
		want: "E_BAD_BODY MPUB body too big 132 > 100"},
	{name: "125 MPUB bad topic", input: "MPUB t$\n", want: `E_BAD_TOPIC E_BAD_TOPIC MPUB topic name "t$" is not valid`},
	{name: "129 DPUB out of range", input: "DPUB t 3600001\n", want: "E_INVALID DPUB timeout 3600001 out of range 0-3600000"},
	{name: "T-2 DPUB out of range", input: "DPUB t 3600100\n", want: "E_INVALID DPUB timeout 3600100 out of range 0-3600000"},
	{name: "129 DPUB wraps to negative", input: "DPUB t 9223372036854775807\n", want: "E_INVALID DPUB timeout 9223372036854775807 out of range 0-3600000"},
	{name: "130 DPUB not a number", input: "DPUB t 1x\n", want: "E_INVALID DPUB could not parse timeout 1x"},
	{name: "130 DPUB negative", input: "DPUB t -1\n", want: "E_INVALID DPUB could not parse timeout -1"},
	{name: "131 DPUB one parameter", input: "DPUB t\n", want: "E_INVALID DPUB insufficient number of parameters"},
	{name: "1.4 DPUB topic before delay", input: "DPUB t$ x\n", want: `E_BAD_TOPIC DPUB topic name "t$" is not valid`},
	{name: "132 DPUB size 0", input: "DPUB t 1\n" + be(0), want: "E_BAD_MESSAGE DPUB invalid message body size 0"},
	{name: "132 DPUB size -7", input: "DPUB t 1\n" + be(-7), want: "E_BAD_MESSAGE DPUB invalid message body size -7"},
	{name: "132 DPUB too big", input: "DPUB t 1\n" + be(1<<20+1), want: "E_BAD_MESSAGE DPUB message too big 1048577 > 1048576"},

	{name: "140 RDY above the maximum", input: "RDY 2501\n", rules: subscribed, want: "E_INVALID RDY count 2501 out of range 0-2500"},
	{name: "140 RDY wraps to negative", input: "RDY 18446744073709551615\n", rules: subscribed, want: "E_INVALID RDY count -1 out of range 0-2500"},
	{name: "141 RDY not a number", input: "RDY 1x\n", rules: subscribed, want: "E_INVALID RDY could not parse count 1x"},
	{name: "141 RDY negative", input: "RDY -1\n", rules: subscribed, want: "E_INVALID RDY could not parse count -1"},
	{name: "142 RDY before SUB", input: "RDY 1\n", want: "E_INVALID cannot RDY in current state"},
	{name: "1.4 RDY state before number", input: "RDY x\n", want: "E_INVALID cannot RDY in current state"},

	{name: "157 FIN short id", input: "FIN 0123456789abcde\n", rules: subscribed, want: "E_INVALID invalid message ID"},
	{name: "157 FIN short id with CR", input: "FIN 0123456789abcde\r\n", rules: subscribed, want: "E_INVALID invalid message ID"},
	{name: "157 FIN space in the id", input: "FIN 01234567 9abcdef\n", rules: subscribed, want: "E_INVALID invalid message ID"},
	{name: "157 FIN LF in the id", input: "FIN 01234567\n9abcdef\n", rules: subscribed, want: "E_INVALID invalid message ID"},
	{name: "157 FIN long id", input: "FIN " + someID + "0\n", rules: subscribed, want: "E_INVALID invalid message ID"},
	{name: "157 FIN empty id", input: "FIN \n", rules: subscribed, want: "E_INVALID invalid message ID"},
	{name: "157 TOUCH short id", input: "TOUCH x\n", rules: subscribed, want: "E_INVALID invalid message ID"},
	{name: "158 FIN without id", input: "FIN\n", rules: subscribed, want: "E_INVALID FIN insufficient number of params"},
	{name: "158 TOUCH without id", input: "TOUCH\n", rules: subscribed, want: "E_INVALID TOUCH insufficient number of params"},
	{name: "159 FIN before SUB", input: "FIN " + someID + "\n", want: "E_INVALID cannot FIN in current state"},
	{name: "159 REQ before SUB", input: "REQ " + someID + " 0\n", want: "E_INVALID cannot REQ in current state"},
	{name: "159 TOUCH before SUB", input: "TOUCH\n", want: "E_INVALID cannot TOUCH in current state"},
	{name: "164 REQ -1", input: "REQ " + someID + " -1\n", rules: subscribed, want: "E_INVALID REQ could not parse timeout -1"},
	{name: "1.4 REQ id before delay", input: "REQ x -1\n", rules: subscribed, want: "E_INVALID invalid message ID"},
	{name: "165 REQ one parameter", input: "REQ " + someID + "\n", rules: subscribed, want: "E_INVALID REQ insufficient number of params"},
	{name: "175 CLS twice", input: "CLS\n", rules: closing, want: "E_INVALID cannot CLS in current state"},
	{name: "176 CLS before SUB", input: "CLS\n", want: "E_INVALID cannot CLS in current state"},

	{name: "285 AUTH with a parameter", input: "AUTH x\n", want: "E_INVALID AUTH invalid number of parameters"},
	{name: "285 AUTH with an empty parameter", input: "AUTH \n", want: "E_INVALID AUTH invalid number of parameters"},
	{name: "287 AUTH after SUB", input: "AUTH x\n", rules: subscribed, want: "E_INVALID cannot AUTH in current state"},
	{name: "1.5 AUTH after CLS", input: "AUTH\n", rules: closing, want: "E_INVALID cannot AUTH in current state"},
	{name: "AUTH size 0", input: "AUTH\n" + be(0), want: "E_BAD_BODY AUTH invalid body size 0"},
	{name: "AUTH too big", input: "AUTH\n" + be(5<<20+1), want: "E_BAD_BODY AUTH body too big 5242881 > 5242880"},
	{name: "277 SUB before AUTH", input: "SUB t c\n", rules: authFirstRule, want: "E_AUTH_FIRST AUTH required before SUB"},
	{name: "1.4 SUB names before AUTH", input: "SUB t c$\n", rules: authFirstRule, want: `E_BAD_CHANNEL SUB channel name "c$" is not valid`},
	{name: "277 PUB before AUTH", input: "PUB t\n" + be(1) + "x", rules: authFirstRule, want: "E_AUTH_FIRST AUTH required before PUB"},
	{name: "1.4 PUB size before AUTH", input: "PUB t\n" + be(0), rules: authFirstRule, want: "E_BAD_MESSAGE PUB invalid message body size 0"},
	{name: "277 DPUB before AUTH", input: "DPUB t 5\n" + be(1) + "x", rules: authFirstRule, want: "E_AUTH_FIRST AUTH required before DPUB"},
	{name: "PUB before AUTH, too much to wait for", input: "PUB t\n" + be(101), rules: shortBeforeAuth, want: "E_AUTH_FIRST AUTH required before PUB"},
	{name: "AUTH too big before AUTH", input: "AUTH\n" + be(101), rules: shortBeforeAuth, want: "E_BAD_BODY AUTH body too big 101 > 100"},
	{name: "IDENTIFY too big before AUTH", input: "IDENTIFY\n" + be(101), rules: shortBeforeAuth, want: "E_BAD_BODY IDENTIFY body too big 101 > 100"},
	{name: "MPUB that may not be", input: "MPUB t\n", rules: noMPub, want: "E_UNAUTHORIZED t"},
	{name: "PUB without a number", input: "PUB topicoftwentyletters\n", rules: numbered, want: "E_INVALID PUB insufficient number of parameters"},
	{name: "MPUB without a number", input: "MPUB t\n", rules: numbered, want: "E_INVALID MPUB insufficient number of parameters"},
	{name: "DPUB without a number", input: "DPUB t 1\n", rules: numbered, want: "E_INVALID DPUB insufficient number of parameters"},
	{name: "number 0", input: "PUB t 0\n", rules: numbered, want: "E_INVALID PUB could not parse number 0"},
	{name: "no digits", input: "PUB t \n", rules: numbered, want: "E_INVALID PUB could not parse number "},
	{name: "number with a sign", input: "MPUB t +1\n", rules: numbered, want: "E_INVALID MPUB could not parse number +1"},
	{name: "number beyond the highest", input: "PUB t 4611686018427387904\n", rules: numbered, want: "E_INVALID PUB could not parse number 4611686018427387904"},
	{name: "number that would wrap", input: "DPUB t 0 18446744073709551617\n", rules: numbered, want: "E_INVALID DPUB could not parse number 18446744073709551617"},
	{name: "bad topic before the number", input: "PUB t$ x\n", rules: numbered, want: `E_BAD_TOPIC PUB topic name "t$" is not valid`},
	{name: "277 MPUB before AUTH needs no body", input: "MPUB t\n", rules: authFirstRule, want: "E_AUTH_FIRST AUTH required before MPUB"},
}

func subscribed(r *Rules)    { r.State = StateSubscribed }
func closing(r *Rules)       { r.State = StateClosing }
func tlsRequired(r *Rules)   { r.TLSRequired = true }
func heartbeatsOff(r *Rules) { r.HeartbeatsOff = true }
func authFirstRule(r *Rules) { r.AuthFirst = true }
func numbered(r *Rules)      { r.Numbered = true }
func small(r *Rules)         { r.MaxMsgSize, r.MaxBodySize = 60, 100 }

func shortBeforeAuth(r *Rules) { r.AuthFirst, r.MaxBeforeAuth = true, 100 }
func noMPub(r *Rules) {
	r.MayMPub = func(topic []byte) (bool, *Error) { return false, Errorf(CodeUnauthorized, "%s", topic) }
}

func both(f, g func(*Rules)) func(*Rules) {
	return func(r *Rules) { f(r); g(r) }
}

func TestReadCommand_Refuses(t *testing.T) {
	for _, tt := range refusals {
		t.Run(tt.name, func(t *testing.T) {
			r := nsqdRules(StateInit)
			if tt.rules != nil {
				tt.rules(r)
			}
			var c Command
			n, err := ReadCommand([]byte(tt.input), r, &c)
			if err == nil || err.Error() != tt.want || n != 0 {
				t.Fatalf("ReadCommand(%q) = %d, %v; want 0, %s", tt.input, n, err, tt.want)
			}
			if !err.Fatal() {
				t.Errorf("%v is not fatal", err)
			}
			// The last byte decides, neither more nor less.
			short := tt.input[:len(tt.input)-1]
			if n, err := ReadCommand([]byte(short), r, &c); err != nil && err.Error() != tt.want || n != 0 {
				t.Errorf("ReadCommand(%q) = %d, %v", short, n, err)
			}
			more := tt.input + "NOP\n"
			if _, err := ReadCommand([]byte(more), r, &c); err == nil || err.Error() != tt.want {
				t.Errorf("ReadCommand(%q) = %v, want %s", more, err, tt.want)
			}
		})
	}
}

func TestReadCommand_MPubWaitsForItsGrant(t *testing.T) {
	r := nsqdRules(StateInit)
	r.Progress = new(Progress)
	wait := true
	r.MayMPub = func([]byte) (bool, *Error) { return wait, nil }
	input := []byte("MPUB t\n" + be(9) + be(1) + be(1) + "a")
	var c Command
	if n, err := ReadCommand(input, r, &c); n != 0 || err != nil {
		t.Fatalf("an MPUB that waits is read: %d, %v", n, err)
	}
	wait = false
	if n, err := ReadCommand(input, r, &c); n != len(input) || err != nil || c.Count != 1 {
		t.Fatalf("then it is read as %d, %v: %s", n, err, show(&c))
	}
}

// show is a command as text, with the fields its verb names.
func show(c *Command) string {
	topic := string(c.Topic)
	if c.Number != 0 {
		topic += fmt.Sprint(" #", c.Number)
	}
	switch c.Verb {
	case Identify, Auth:
		return fmt.Sprintf("%s %q", c.Verb, c.Body)
	case Sub:
		return fmt.Sprintf("%s %s %s", c.Verb, c.Topic, c.Channel)
	case Pub:
		return fmt.Sprintf("%s %s %q", c.Verb, topic, c.Body)
	case DPub:
		return fmt.Sprintf("%s %s %s %q", c.Verb, topic, c.Delay, c.Body)
	case MPub:
		s := fmt.Sprintf("%s %s %d:", c.Verb, topic, c.Count)
		for m, ok := c.NextMessage(); ok; m, ok = c.NextMessage() {
			s += fmt.Sprintf(" %q", m)
		}
		return s
	case Rdy:
		return fmt.Sprintf("%s %d", c.Verb, c.Count)
	case Fin, Touch:
		return fmt.Sprintf("%s %q", c.Verb, c.ID)
	case Req:
		return fmt.Sprintf("%s %q %s", c.Verb, c.ID, c.Delay)
	}
	return c.Verb.String()
}

// accepted lists what ReadCommand takes.
var accepted = []struct {
	name  string
	input string
	want  string
	rules func(*Rules)
}{
	{name: "1 NOP", input: "NOP\n", want: "NOP"},
	{name: "9 CR", input: "NOP\r\n", want: "NOP"},
	{name: "9 FIN with CR", input: "FIN " + someID + "\r\n", rules: subscribed, want: `FIN "` + someID + `"`},
	{name: "9 PUB with CR", input: "PUB t\r\n" + be(1) + "x", want: `PUB t "x"`},
	{name: "10 NOP with parameters", input: "NOP a b c\n", want: "NOP"},
	{name: "11 SUB with extra words", input: "SUB t c extra words\n", want: "SUB t c"},
	{name: "PUB with extra words", input: "PUB t more\n" + be(1) + "x", want: `PUB t "x"`},
	{name: "FIN with extra words", input: "FIN " + someID + " x\n", rules: subscribed, want: `FIN "` + someID + `"`},
	{name: "CLS with extra words", input: "CLS now\n", rules: subscribed, want: "CLS"},
	{name: "IDENTIFY", input: "IDENTIFY\n" + be(2) + "{}", want: `IDENTIFY "{}"`},
	{name: "IDENTIFY with extra words", input: "IDENTIFY x\n" + be(2) + "{}", want: `IDENTIFY "{}"`},
	{name: "77 IDENTIFY before TLS", input: "IDENTIFY\n" + be(2) + "{}", rules: tlsRequired, want: `IDENTIFY "{}"`},
	{name: "AUTH", input: "AUTH\n" + be(6) + "secret", rules: authFirstRule, want: `AUTH "secret"`},
	{name: "97 names", input: "SUB test-with_period. test#ephemeral\n", want: "SUB test-with_period. test#ephemeral"},
	{name: "99 names of 64", input: "SUB " + longest + " " + longest + "\n", want: "SUB " + longest + " " + longest},
	{name: "99 PUB topic of 64", input: "PUB " + longest + "\n" + be(1) + "x", want: "PUB " + longest + ` "x"`},
	{name: "108 PUB when subscribed", input: "PUB t\n" + be(1) + "x", rules: subscribed, want: `PUB t "x"`},
	{name: "1.5 PUB when closing", input: "PUB t\n" + be(1) + "x", rules: closing, want: `PUB t "x"`},
	{name: "134 PUB ephemeral", input: "PUB t#ephemeral\n" + be(1) + "x", want: `PUB t#ephemeral "x"`},
	{name: "133 any byte", input: "PUB topic\n" + be(4) + "\n\x00\xff\r", want: `PUB topic "\n\x00\xff\r"`},
	{name: "116 MPUB", input: "MPUB t\n" + be(20) + be(2) + be(3) + "abc" + be(1) + "\n", want: `MPUB t 2: "abc" "\n"`},
	{name: "124 MPUB length too small", input: "MPUB t\n" + be(1) + be(1) + be(3) + "abc", want: `MPUB t 1: "abc"`},
	{name: "124 MPUB length too big", input: "MPUB t\n" + be(5000) + be(1) + be(3) + "abc", want: `MPUB t 1: "abc"`},
	{name: "126 DPUB 0", input: "DPUB t 0\n" + be(1) + "x", want: `DPUB t 0s "x"`},
	{name: "DPUB empty number", input: "DPUB t \n" + be(1) + "x", want: `DPUB t 0s "x"`},
	{name: "129 DPUB longest", input: "DPUB t 3600000\n" + be(1) + "x", want: `DPUB t 1h0m0s "x"`},
	{name: "DPUB leading zeros", input: "DPUB t 0000000000000000000000000001\n" + be(1) + "x", want: `DPUB t 1ms "x"`},
	{name: "DPUB wraps to 1", input: "DPUB t 18446744073709551617\n" + be(1) + "x", want: `DPUB t 1ms "x"`},
	{name: "PUB with a number", input: "PUB t 4611686018427387903\n" + be(1) + "x", rules: numbered, want: `PUB t #4611686018427387903 "x"`},
	{name: "PUB with a number and CR", input: "PUB t 7\r\n" + be(1) + "x", rules: numbered, want: `PUB t #7 "x"`},
	{name: "MPUB with a number and an extra word", input: "MPUB t 0007 x\n" + be(1) + be(1) + be(3) + "abc", rules: numbered, want: `MPUB t #7 1: "abc"`},
	{name: "DPUB with a number", input: "DPUB t 5 7\n" + be(1) + "x", rules: numbered, want: `DPUB t #7 5ms "x"`},
	{name: "DPUB, and nobody asked for a number", input: "DPUB t 5 x\n" + be(1) + "x", want: `DPUB t 5ms "x"`},
	{name: "RDY", input: "RDY 2500\n", rules: subscribed, want: "RDY 2500"},
	{name: "T-91 RDY 0", input: "RDY 0\n", rules: subscribed, want: "RDY 0"},
	{name: "139 RDY without a count", input: "RDY\n", rules: subscribed, want: "RDY 1"},
	{name: "1.2 RDY empty count", input: "RDY \n", rules: subscribed, want: "RDY 0"},
	{name: "RDY wraps to 0", input: "RDY 18446744073709551616\n", rules: subscribed, want: "RDY 0"},
	{name: "143 RDY after CLS", input: "RDY 5\n", rules: closing, want: "RDY 0"},
	{name: "143 RDY nonsense after CLS", input: "RDY x\n", rules: closing, want: "RDY 0"},
	{name: "FIN", input: "FIN " + someID + "\n", rules: subscribed, want: `FIN "` + someID + `"`},
	{name: "173 FIN after CLS", input: "FIN " + someID + "\n", rules: closing, want: `FIN "` + someID + `"`},
	{name: "T-34 any id", input: "FIN \x00\x01\xff\xfe\x80\x7f!!!!!!!!!!\n", rules: subscribed, want: `FIN "\x00\x01\xff\xfe\x80\x7f!!!!!!!!!!"`},
	{name: "REQ", input: "REQ " + someID + " 500\n", rules: subscribed, want: `REQ "` + someID + `" 500ms`},
	{name: "REQ empty number", input: "REQ " + someID + " \n", rules: subscribed, want: `REQ "` + someID + `" 0s`},
	{name: "163 REQ clamped", input: "REQ " + someID + " 3600001\n", rules: closing, want: `REQ "` + someID + `" 1h0m0s`},
	{name: "163 REQ wrapped to negative", input: "REQ " + someID + " 9223372036854775807\n", rules: closing, want: `REQ "` + someID + `" 0s`},
	{name: "TOUCH", input: "TOUCH " + someID + "\n", rules: subscribed, want: `TOUCH "` + someID + `"`},
	{name: "172 CLS", input: "CLS\n", rules: subscribed, want: "CLS"},
}

func TestReadCommand_Accepts(t *testing.T) {
	for _, tt := range accepted {
		t.Run(tt.name, func(t *testing.T) {
			r := nsqdRules(StateInit)
			if tt.rules != nil {
				tt.rules(r)
			}
			for _, tail := range []string{"", "N", "NOP\nNOP\nNOP\nNOP\nNOP\nNOP\n"} {
				var c Command
				n, err := ReadCommand([]byte(tt.input+tail), r, &c)
				if err != nil || n != len(tt.input) {
					t.Fatalf("ReadCommand(%q) = %d, %v; want %d", tt.input+tail, n, err, len(tt.input))
				}
				if got := show(&c); got != tt.want {
					t.Errorf("ReadCommand(%q) is %s, want %s", tt.input+tail, got, tt.want)
				}
			}
			for i := range len(tt.input) {
				var c Command
				if n, err := ReadCommand([]byte(tt.input[:i]), r, &c); n != 0 || err != nil {
					t.Fatalf("ReadCommand(%q) = %d, %v; want 0, nil", tt.input[:i], n, err)
				}
			}
		})
	}
}

func TestReadCommand_LineLength(t *testing.T) {
	line := func(n int) []byte {
		return []byte("NOP " + strings.Repeat("x", n-5) + "\n")
	}
	var c Command
	r := nsqdRules(StateInit)
	if n, err := ReadCommand(line(MaxLine), r, &c); n != MaxLine || err != nil { // 14
		t.Errorf("line of %d bytes: %d, %v", MaxLine, n, err)
	}
	for _, b := range [][]byte{line(MaxLine + 1), line(20000), line(MaxLine + 1)[:MaxLine]} { // 13
		n, err := ReadCommand(b, r, &c)
		if n != 0 || err == nil || err.Code != "" || !err.Fatal() {
			t.Errorf("line of %d bytes: %d, %v; want an error without a code", len(b), n, err)
		}
	}
	if n, err := ReadCommand(line(MaxLine)[:MaxLine-1], r, &c); n != 0 || err != nil {
		t.Errorf("unfinished line of %d bytes: %d, %v", MaxLine-1, n, err)
	}
}

func TestReadCommand_RefusesBeforeTheBodyArrives(t *testing.T) {
	// What is announced is refused on the byte that completes the number.
	input := []byte("MPUB t\n" + be(100) + be(2) + be(1) + "a" + be(1<<30))
	r := nsqdRules(StateInit)
	var c Command
	if n, err := ReadCommand(input[:len(input)-1], r, &c); n != 0 || err != nil {
		t.Fatalf("before the last byte: %d, %v", n, err)
	}
	if _, err := ReadCommand(input, r, &c); err == nil || err.Code != CodeBadMessage {
		t.Fatalf("with it: %v", err)
	}
}

func TestReadCommand_PipelinedInOrder(t *testing.T) {
	b := []byte("SUB t c\nRDY 1\nNOP\n")
	r := nsqdRules(StateInit)
	var got []string
	for len(b) > 0 {
		var c Command
		n, err := ReadCommand(b, r, &c)
		if err != nil || n == 0 {
			t.Fatalf("ReadCommand(%q) = %d, %v", b, n, err)
		}
		if c.Verb == Sub {
			r.State = StateSubscribed
		}
		got = append(got, show(&c))
		b = b[n:]
	}
	if want := "SUB t c, RDY 1, NOP"; strings.Join(got, ", ") != want {
		t.Errorf("got %s, want %s", strings.Join(got, ", "), want)
	}
}

func TestReadCommand_ProgressGivesTheSameOutcome(t *testing.T) {
	type input struct {
		bytes string
		rules func(*Rules)
	}
	var inputs []input
	for _, tt := range refusals {
		inputs = append(inputs, input{tt.input, tt.rules})
	}
	for _, tt := range accepted {
		inputs = append(inputs, input{tt.input, tt.rules})
	}
	for _, in := range inputs {
		plain, stepped := nsqdRules(StateInit), nsqdRules(StateInit)
		if in.rules != nil {
			in.rules(plain)
			in.rules(stepped)
		}
		stepped.Progress = new(Progress)
		for i := range len(in.bytes) + 1 {
			var c, d Command
			n, err := ReadCommand([]byte(in.bytes[:i]), plain, &c)
			m, err2 := ReadCommand([]byte(in.bytes[:i]), stepped, &d)
			if n != m || (err == nil) != (err2 == nil) || err != nil && *err != *err2 {
				t.Fatalf("%q: %d, %v without progress, %d, %v with it", in.bytes[:i], n, err, m, err2)
			}
			if n == 0 && err == nil {
				continue
			}
			if n != 0 && show(&c) != show(&d) {
				t.Fatalf("%q: %s without progress, %s with it", in.bytes[:i], show(&c), show(&d))
			}
			if *stepped.Progress != (Progress{}) {
				t.Fatalf("%q: progress is left: %+v", in.bytes[:i], *stepped.Progress)
			}
			break
		}
	}
}

func TestReadCommand_ProgressLooksAtEachMessageOnce(t *testing.T) {
	bodies := make([][]byte, 1000)
	for i := range bodies {
		bodies[i] = []byte("x")
	}
	b := AppendMPub(nil, "t", bodies)
	r := nsqdRules(StateInit)
	r.Progress = new(Progress)
	var c Command
	cut := len(b) / 2
	if n, err := ReadCommand(b[:cut], r, &c); n != 0 || err != nil {
		t.Fatalf("half: %d, %v", n, err)
	}
	// Spoil what has been looked at: it must not be looked at again.
	copy(b[len("MPUB t\n")+8:cut-8], bytes.Repeat([]byte{0xff}, cut))
	if n, err := ReadCommand(b, r, &c); n != len(b) || err != nil {
		t.Fatalf("whole: %d, %v", n, err)
	}
	if c.Count != len(bodies) {
		t.Errorf("count %d, want %d", c.Count, len(bodies))
	}
}
