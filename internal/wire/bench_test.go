package wire

import (
	"bytes"
	"testing"
	"time"
)

// hotCommands are the commands that must cost no allocation.
var hotCommands = []struct {
	name     string
	state    State
	input    []byte
	numbered bool
}{
	{name: "PUB200", state: StateInit, input: AppendPub(nil, "orders", make([]byte, 200))},
	{name: "PUB200 with a number", state: StateInit, input: AppendNumberedPub(nil, "orders", 123456789, make([]byte, 200)), numbered: true},
	{name: "PUBephemeral", state: StateInit, input: AppendPub(nil, "orders#ephemeral", make([]byte, 200))},
	{name: "MPUB100x200", state: StateInit, input: AppendMPub(nil, "orders", repeat(make([]byte, 200), 100))},
	{name: "DPUB200", state: StateInit, input: AppendDPub(nil, "orders", time.Second, make([]byte, 200))},
	{name: "FIN", state: StateSubscribed, input: AppendFin(nil, ID([]byte(someID)))},
	{name: "REQ", state: StateSubscribed, input: AppendReq(nil, ID([]byte(someID)), time.Second)},
	{name: "RDY", state: StateSubscribed, input: AppendRdy(nil, 2500)},
	{name: "TOUCH", state: StateSubscribed, input: AppendTouch(nil, ID([]byte(someID)))},
	{name: "NOP", state: StateSubscribed, input: AppendNop(nil)},
	{name: "SUB", state: StateInit, input: AppendSub(nil, "orders", "billing")},
}

func repeat(body []byte, n int) (bodies [][]byte) {
	for range n {
		bodies = append(bodies, body)
	}
	return bodies
}

// hotAppends are the appends that must cost no allocation when there is room.
var hotAppends = []struct {
	name string
	f    func(dst []byte) []byte
}{
	{"Message200", func(dst []byte) []byte { return AppendMessage(dst, 1, 1, ID{}, body200) }},
	{"Response", func(dst []byte) []byte { return append(dst, OKFrame...) }},
	{"Pub200", func(dst []byte) []byte { return AppendPub(dst, "orders", body200) }},
	{"Pub200 with a number", func(dst []byte) []byte { return AppendNumberedPub(dst, "orders", 123456789, body200) }},
	{"MPub100x200", func(dst []byte) []byte { return AppendMPub(dst, "orders", bodies100) }},
	{"DPub200", func(dst []byte) []byte { return AppendDPub(dst, "orders", time.Second, body200) }},
	{"Fin", func(dst []byte) []byte { return AppendFin(dst, ID{}) }},
	{"Req", func(dst []byte) []byte { return AppendReq(dst, ID{}, time.Second) }},
	{"Touch", func(dst []byte) []byte { return AppendTouch(dst, ID{}) }},
	{"Rdy", func(dst []byte) []byte { return AppendRdy(dst, 2500) }},
	{"Sub", func(dst []byte) []byte { return AppendSub(dst, "orders", "billing") }},
	{"Error", func(dst []byte) []byte { return AppendError(dst, someError) }},
}

var (
	body200   = make([]byte, 200)
	bodies100 = repeat(body200, 100)
	someError = &Error{CodeFinFailed, "FIN " + someID + " failed ID not in flight"}
)

func TestReadCommand_AllocatesNothing(t *testing.T) {
	for _, tt := range hotCommands {
		r := nsqdRules(tt.state)
		r.Numbered = tt.numbered
		r.Progress = new(Progress)
		var c Command
		n := testing.AllocsPerRun(100, func() {
			if n, err := ReadCommand(tt.input, r, &c); n != len(tt.input) || err != nil {
				t.Fatalf("%s: %d, %v", tt.name, n, err)
			}
			if c.Verb == MPub {
				for _, ok := c.NextMessage(); ok; _, ok = c.NextMessage() {
				}
			}
			if n, err := ReadCommand(tt.input[:len(tt.input)-1], r, &c); n != 0 || err != nil {
				t.Fatalf("%s without its last byte: %d, %v", tt.name, n, err)
			}
			*r.Progress = Progress{}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", tt.name, n)
		}
	}
}

func TestAppend_AllocatesNothing(t *testing.T) {
	dst := make([]byte, 0, 1<<16)
	for _, tt := range hotAppends {
		if n := testing.AllocsPerRun(100, func() { tt.f(dst) }); n != 0 {
			t.Errorf("%s: %v allocations", tt.name, n)
		}
	}
}

func TestReadFrame_AllocatesNothing(t *testing.T) {
	b := AppendMessage(nil, 1, 1, ID{}, body200)
	n := testing.AllocsPerRun(100, func() {
		_, data, _, _ := ReadFrame(b, 1<<20)
		if _, err := ReadMessage(data); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkReadCommand(b *testing.B) {
	for _, tt := range hotCommands {
		b.Run(tt.name, func(b *testing.B) {
			// A stream of them, as a busy connection offers it.
			const many = 16
			stream := bytes.Repeat(tt.input, many)
			r := nsqdRules(tt.state)
			r.Numbered = tt.numbered
			r.Numbered = tt.numbered
			r.Progress = new(Progress)
			var c Command
			b.ReportAllocs()
			b.SetBytes(int64(len(tt.input)))
			at := 0
			for b.Loop() {
				n, err := ReadCommand(stream[at:], r, &c)
				if err != nil {
					b.Fatal(err)
				}
				if at += n; at == len(stream) {
					at = 0
				}
			}
		})
	}
}

func BenchmarkReadFrame(b *testing.B) {
	frame := AppendMessage(nil, 1, 1, ID{}, body200)
	b.ReportAllocs()
	b.SetBytes(int64(len(frame)))
	var m Message
	for b.Loop() {
		_, data, _, err := ReadFrame(frame, 1<<20)
		if err != nil {
			b.Fatal(err)
		}
		if m, err = ReadMessage(data); err != nil {
			b.Fatal(err)
		}
	}
	if len(m.Body) != 200 {
		b.Fatal("not the message")
	}
}

func BenchmarkAppend(b *testing.B) {
	dst := make([]byte, 0, 1<<16)
	for _, tt := range hotAppends {
		b.Run(tt.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(tt.f(dst))))
			for b.Loop() {
				tt.f(dst)
			}
		})
	}
}
