package wire

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const lookupPeer = `{"broadcast_address":"b","hostname":"h","http_port":2,"tcp_port":1,"topology_region":"r","topology_zone":"z","version":"1.3.0"}`

// describeLookup is a command as a test compares it.
func describeLookup(c *LookupCommand) string {
	return fmt.Sprintf("%v %s|%s %v", c.Verb, c.Topic, c.Channel, c.Peer)
}

// TestReadLookupCommand_Statements holds 295, 297 to 300 and 302 of the
// checklist, as far as bytes say them.
func TestReadLookupCommand_Statements(t *testing.T) {
	id := func(body string) string { return string(AppendLookupIdentify(nil, []byte(body))) }
	for _, row := range []struct {
		name       string
		in         string
		identified bool
		want       string // the command, or the error
		used       int    // -1: all
	}{
		{"295 PING", "PING\n", false, "PING | {  0 0   }", -1},
		{"PING with words", "PING a b\n", true, "PING | {", -1},
		{"spaces and CR around", "  PING \r\n", false, "PING | {", -1},
		{"not whole", "PING", false, "", 0},
		{"IDENTIFY", id(lookupPeer), false, "IDENTIFY | {b h 2 1 r z 1.3.0}", -1},
		{"IDENTIFY, host name may be empty", id(`{"broadcast_address":"b","tcp_port":1,"http_port":2,"version":"v"}`), false, "IDENTIFY | {b  2 1   v}", -1},
		{"IDENTIFY without size", "IDENTIFY\n\x00\x00\x00", false, "", 0},
		{"IDENTIFY without body", "IDENTIFY\n\x00\x00\x00\x02{", false, "", 0},
		{"297 no version", id(`{"broadcast_address":"b","tcp_port":1,"http_port":2}`), false, "E_BAD_BODY IDENTIFY missing fields", -1},
		{"297 no address", id(`{"version":"v","tcp_port":1,"http_port":2}`), false, "E_BAD_BODY IDENTIFY missing fields", -1},
		{"297 no TCP port", id(`{"broadcast_address":"b","version":"v","http_port":2}`), false, "E_BAD_BODY IDENTIFY missing fields", -1},
		{"297 no HTTP port", id(`{"broadcast_address":"b","version":"v","tcp_port":2}`), false, "E_BAD_BODY IDENTIFY missing fields", -1},
		{"IDENTIFY null", id(`null`), false, "E_BAD_BODY IDENTIFY missing fields", -1},
		{"IDENTIFY no JSON", id(`{`), false, "E_BAD_BODY IDENTIFY failed to decode JSON body", -1},
		{"IDENTIFY empty", id(``), false, "E_BAD_BODY IDENTIFY failed to decode JSON body", -1},
		{"298 negative size", "IDENTIFY\n\xff\xff\xff\xff", false, "E_BAD_BODY IDENTIFY failed to read body size", 0},
		{"298 lowest size", "IDENTIFY\n\x80\x00\x00\x00", false, "E_BAD_BODY IDENTIFY failed to read body size", 0},
		{"298 huge size", "IDENTIFY\n\x7f\xff\xff\xff", false, "E_BAD_BODY IDENTIFY failed to read body size", 0},
		{"299 IDENTIFY again", id(lookupPeer), true, "E_INVALID cannot IDENTIFY again", 9},
		{"300 REGISTER first", "REGISTER t\n", false, "E_INVALID client must IDENTIFY", -1},
		{"300 UNREGISTER first", "UNREGISTER\n", false, "E_INVALID client must IDENTIFY", -1},
		{"REGISTER topic", "REGISTER t\n", true, "REGISTER t| {", -1},
		{"REGISTER channel", "REGISTER t c\r\n", true, "REGISTER t|c {", -1},
		{"REGISTER, two spaces are no channel", "REGISTER t  c\n", true, "REGISTER t| {", -1},
		{"UNREGISTER channel, extra words", "UNREGISTER t c d\n", true, "UNREGISTER t|c {", -1},
		{"REGISTER nothing", "REGISTER\n", true, "E_INVALID REGISTER insufficient number of params", -1},
		{"UNREGISTER nothing", "UNREGISTER \n", true, "E_INVALID UNREGISTER insufficient number of params", -1},
		{"302 topic", "REGISTER a$ c\n", true, "E_BAD_TOPIC REGISTER topic name 'a$' is not valid", -1},
		{"302 channel", "REGISTER a c$\n", true, "E_BAD_CHANNEL REGISTER channel name 'c$' is not valid", -1},
		{"302 UNREGISTER topic", "UNREGISTER *\n", true, "E_BAD_TOPIC UNREGISTER topic name '*' is not valid", -1},
		{"302 UNREGISTER channel", "UNREGISTER a *\n", true, "E_BAD_CHANNEL UNREGISTER channel name '*' is not valid", -1},
		{"unknown", "ping\n", true, "E_INVALID invalid command ping", -1},
		{"empty", "\n", true, "E_INVALID invalid command ", -1},
		{"long line", strings.Repeat("x", MaxLookupLine), true, "E_INVALID line is longer than 1024 bytes", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			var c LookupCommand
			n, err := ReadLookupCommand([]byte(row.in), row.identified, &c)
			got := describeLookup(&c)
			switch {
			case err != nil:
				got = err.Error()
			case n == 0:
				got = ""
			}
			if !strings.HasPrefix(got, row.want) || (got == "") != (row.want == "") || err != nil && got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
			if want := row.used; n != want && !(want == -1 && n == len(row.in)) {
				t.Errorf("used %d bytes, want %d", n, want)
			}
		})
	}
}

func TestLookupTruncated_SaysWhatIsMissing(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "",
		"PIN":                          "",
		"REGISTER t":                   "",
		"IDENTIFY":                     "",
		"IDENTIFY\n":                   "E_BAD_BODY IDENTIFY failed to read body size",
		"IDENTIFY\n\x00\x00\x00\x05ab": "E_BAD_BODY IDENTIFY failed to read body",
	} {
		got := ""
		if err := LookupTruncated([]byte(in)); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// The bytes are nsqd's and nsqlookupd's: their JSON has its keys sorted.
func TestLookup_BytesOfTheOriginals(t *testing.T) {
	body, err := json.Marshal(LookupIdentity{"b", "h", 2, 1, "r", "z", "1.3.0"})
	if err != nil || string(body) != lookupPeer {
		t.Errorf("got %s %v, want %s", body, err, lookupPeer)
	}
	reply, err := json.Marshal(LookupReply{"b", "h", 4161, 4160, "1.3.0"})
	if want := `{"broadcast_address":"b","hostname":"h","http_port":4161,"tcp_port":4160,"version":"1.3.0"}`; err != nil || string(reply) != want {
		t.Errorf("got %s %v, want %s", reply, err, want)
	}
	got := string(AppendUnregister(AppendRegister(AppendRegister(AppendLookupPing(nil), "t", ""), "t", "c"), "t", "c#ephemeral"))
	if want := "PING\nREGISTER t\nREGISTER t c\nUNREGISTER t c#ephemeral\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := string(AppendLookupReply([]byte("x"), OK)); got != "x\x00\x00\x00\x02OK" {
		t.Errorf("got %q", got)
	}
}

func TestReadLookupReply_SizesAndParts(t *testing.T) {
	for _, row := range []struct {
		in   string
		data string
		n    int
		err  error
	}{
		{"", "", 0, nil},
		{"\x00\x00\x00", "", 0, nil},
		{"\x00\x00\x00\x02O", "", 0, nil},
		{"\x00\x00\x00\x02OKx", "OK", 6, nil},
		{"\x00\x00\x00\x00x", "", 4, nil},
		{"\x00\x00\x00\x0b", "", 0, ErrLookupReply},
		{"\xff\xff\xff\xff", "", 0, ErrLookupReply},
		{"HTTP", "", 0, ErrLookupReply},
	} {
		data, n, err := ReadLookupReply([]byte(row.in), 10)
		if string(data) != row.data || n != row.n || err != row.err {
			t.Errorf("%q: got %q %d %v", row.in, data, n, err)
		}
	}
	if _, err := DecodeLookupReply([]byte("E_INVALID")); err == nil || err.Error() != "E_INVALID" {
		t.Errorf("an error as the answer to IDENTIFY: got %v", err)
	}
	if _, err := DecodeLookupReply([]byte("OK")); err == nil {
		t.Error("OK is no answer to IDENTIFY")
	}
	if r, err := DecodeLookupReply([]byte(`{"broadcast_address":"b","http_port":7}`)); err != nil || r.BroadcastAddress != "b" || r.HTTPPort != 7 {
		t.Errorf("got %+v %v", r, err)
	}
}

// However the input is split, the commands are the same; and nothing makes the
// reader fail.
func FuzzReadLookupCommand(f *testing.F) {
	f.Add([]byte("PING\nREGISTER t c\n"), true)
	f.Add(AppendRegister(AppendLookupIdentify(nil, []byte(lookupPeer)), "t", "c"), false)
	f.Add([]byte("IDENTIFY\n\xff\xff\xff\xff"), false)
	f.Fuzz(func(t *testing.T, in []byte, identified bool) {
		for rest := in; ; {
			var whole, part LookupCommand
			n, err := ReadLookupCommand(rest, identified, &whole)
			if n > len(rest) {
				t.Fatalf("used %d of %d bytes", n, len(rest))
			}
			if n == 0 || err != nil {
				return
			}
			for cut := range n {
				if m, err := ReadLookupCommand(rest[:cut], identified, &part); m != 0 || err != nil {
					t.Fatalf("%q is %d bytes long, but after %d of them: %d %v", rest[:n], n, cut, m, err)
				}
			}
			if whole.Verb == LookupRegister || whole.Verb == LookupUnregister {
				if !ValidName(whole.Topic) || len(whole.Channel) > 0 && !ValidName(whole.Channel) {
					t.Fatalf("invalid names %q %q", whole.Topic, whole.Channel)
				}
			}
			rest = rest[n:]
		}
	})
}

func FuzzReadLookupReply(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x02OK"))
	f.Fuzz(func(t *testing.T, in []byte) {
		data, n, err := ReadLookupReply(in, 100)
		if err != nil || n == 0 {
			return
		}
		if got := string(AppendLookupReply(nil, data)); got != string(in[:n]) {
			t.Fatalf("read %q, written again %q", in[:n], got)
		}
	})
}
