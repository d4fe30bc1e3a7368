package client_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/client"
)

// Statements 152 and 153: names.
func TestCheckTopic_Names(t *testing.T) {
	ephemeral := strings.Repeat("e", 54) + "#ephemeral"
	for name, valid := range map[string]bool{
		"valid_name":            true,
		"test-with_period.":     true,
		"test#ephemeral":        true,
		"a":                     true,
		strings.Repeat("x", 64): true,
		ephemeral:               true,
		"e" + ephemeral:         false,
		strings.Repeat("x", 65): false,
		"":                      false,
		"#ephemeral":            false,
		"test with space":       false,
		"test:colon":            false,
		"test$":                 false,
		"test#temporary":        false,
		"tést":                  false,
		"line\n":                false,
	} {
		if err := client.CheckTopic(name); (err == nil) != valid || !valid && !errors.Is(err, client.ErrBadTopic) {
			t.Errorf("topic %q: got %v, want valid %v", name, err, valid)
		}
		if err := client.CheckChannel(name); (err == nil) != valid || !valid && !errors.Is(err, client.ErrBadChannel) {
			t.Errorf("channel %q: got %v, want valid %v", name, err, valid)
		}
	}
}

// Statements 97, 99, 100: bodies that nsqd would close the connection over.
func TestCheckBody_Sizes(t *testing.T) {
	for _, row := range []struct {
		size, max int
		want      error
	}{
		{0, 0, client.ErrBadMessage},
		{1, 0, nil},
		{1 << 20, 0, nil},
		{1<<20 + 1, 0, client.ErrBadMessage},
		{10, 10, nil},
		{11, 10, client.ErrBadMessage},
	} {
		if err := client.CheckBody(make([]byte, row.size), row.max); !is(err, row.want) {
			t.Errorf("%d bytes, max %d: got %v, want %v", row.size, row.max, err, row.want)
		}
	}
	if err := client.CheckBody(nil, 0); !errors.Is(err, client.ErrBadMessage) {
		t.Errorf("nil: got %v, want %v", err, client.ErrBadMessage)
	}
}

func TestCheckBodies_CountAndTotal(t *testing.T) {
	ten := make([]byte, 10)
	for _, row := range []struct {
		name     string
		bodies   [][]byte
		max, all int
		want     error
	}{
		{"none", nil, 0, 0, client.ErrBadBody},
		{"empty list", [][]byte{}, 0, 0, client.ErrBadBody},
		{"one", [][]byte{ten}, 0, 0, nil},
		{"one empty", [][]byte{ten, {}}, 0, 0, client.ErrBadMessage},
		{"one too large", [][]byte{ten, make([]byte, 11)}, 10, 0, client.ErrBadMessage},
		{"just fits", [][]byte{ten, ten}, 0, 4 + 2*14, nil},
		{"one byte over", [][]byte{ten, ten}, 0, 4 + 2*14 - 1, client.ErrBadBody},
	} {
		if err := client.CheckBodies(row.bodies, row.max, row.all); !is(err, row.want) {
			t.Errorf("%s: got %v, want %v", row.name, err, row.want)
		}
	}
}

// Statement 111: delays.
func TestCheckDelay_Bounds(t *testing.T) {
	for _, row := range []struct {
		delay, max time.Duration
		want       error
	}{
		{0, 0, nil},
		{time.Hour, 0, nil},
		{time.Hour + 1, 0, client.ErrInvalid},
		{-1, 0, client.ErrInvalid},
		{2 * time.Second, time.Second, client.ErrInvalid},
	} {
		if err := client.CheckDelay(row.delay, row.max); !is(err, row.want) {
			t.Errorf("%v, max %v: got %v, want %v", row.delay, row.max, err, row.want)
		}
	}
}

// Statements 178 and 179: addresses.
func TestCheckAddr_Notations(t *testing.T) {
	for addr, valid := range map[string]bool{
		"127.0.0.1:4150":    true,
		"nsqd.example:4150": true,
		"[::1]:4150":        true,
		"/run/nsqd.sock":    true,
		"@nsqd":             true,
		"":                  false,
		"localhost":         false,
		"::1:4150":          false,
		":4150":             false,
		"localhost:nsq":     false,
		"localhost:0":       false,
		"localhost:65536":   false,
		"localhost:-1":      false,
		"http://host:4151":  false,
	} {
		if err := client.CheckAddr(addr); (err == nil) != valid {
			t.Errorf("%q: got %v, want valid %v", addr, err, valid)
		}
	}
}

func is(err, want error) bool { return errors.Is(err, want) && (err == nil) == (want == nil) }

// What nsqd has not read to its end is told from what it does not like.
func TestError_CutShort(t *testing.T) {
	for detail, want := range map[string]bool{
		"PUB failed to read message body":          true,
		"PUB failed to read message body size":     true,
		"DPUB failed to read message body":         true,
		"MPUB failed to read message(3) body size": true,
		"PUB message too big 11 > 10":              false,
		"PUB invalid message body size 0":          false,
		"MPUB invalid body size 0":                 false,
		"PUB topic name is not valid, it failed":   false,
	} {
		if got := (&client.Error{Code: "E_BAD_MESSAGE", Detail: detail}).CutShort(); got != want {
			t.Errorf("%s: %v, want %v", detail, got, want)
		}
	}
}

func TestError_ComparesCodes(t *testing.T) {
	err := error(&client.Error{Code: "E_BAD_TOPIC", Detail: "PUB topic name \"a b\" is not valid"})
	if !errors.Is(err, client.ErrBadTopic) {
		t.Error("the same code does not match")
	}
	if errors.Is(err, client.ErrBadChannel) {
		t.Error("another code matches")
	}
	if got, want := err.Error(), `E_BAD_TOPIC PUB topic name "a b" is not valid`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	// Only three codes leave the connection open.
	for _, e := range []*client.Error{client.ErrFinFailed, client.ErrReqFailed, client.ErrTouchFailed} {
		if e.Fatal() {
			t.Errorf("%v is fatal", e)
		}
	}
	for _, e := range []*client.Error{client.ErrInvalid, client.ErrBadBody, client.ErrPubFailed, client.ErrSubFailed, client.ErrUnauthorized} {
		if !e.Fatal() {
			t.Errorf("%v is not fatal", e)
		}
	}
}

// What will be over soon by itself is told from what nsqd has decided.
func TestError_Passing(t *testing.T) {
	for _, e := range []*client.Error{client.ErrAuthFailed, client.ErrAuthError, client.ErrSubFailed} {
		if !e.Passing() {
			t.Errorf("%s does not pass", e.Code)
		}
	}
	for _, e := range []*client.Error{client.ErrInvalid, client.ErrBadBody, client.ErrBadTopic, client.ErrIdentifyFailed, client.ErrAuthDisabled, client.ErrAuthFirst, client.ErrUnauthorized} {
		if e.Passing() {
			t.Errorf("%s passes", e.Code)
		}
	}
}
