package client

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
)

// What nsqd allows unless it is configured otherwise. It does not tell its
// limits to clients, so they are options where they matter.
const (
	DefaultMaxMsgSize  = 1 << 20   // bytes in one body (nsqd's --max-msg-size)
	DefaultMaxBodySize = 5 << 20   // bytes in the body of one MPUB (nsqd's --max-body-size)
	DefaultMaxDelay    = time.Hour // of a deferred publish (nsqd's --max-req-timeout)
	nameRule           = "1 to 64 characters of a-z A-Z 0-9 . _ -, optionally ending in #ephemeral"
)

// CheckTopic returns an error that matches ErrBadTopic when name is not a
// valid topic name: 1 to 64 characters of a-z A-Z 0-9 . _ and -, of which
// #ephemeral may be the last ten. Nsqd itself would take a topic with a space
// for another topic and say OK, so names are always checked before they are
// written.
func CheckTopic(name string) error {
	if wire.ValidName(name) {
		return nil
	}
	return &Error{wire.CodeBadTopic, fmt.Sprintf("topic name %q is not valid: %s", clip(name), nameRule)}
}

// CheckChannel returns an error that matches ErrBadChannel when name is not a
// valid channel name. The rule is that of topics.
func CheckChannel(name string) error {
	if wire.ValidName(name) {
		return nil
	}
	return &Error{wire.CodeBadChannel, fmt.Sprintf("channel name %q is not valid: %s", clip(name), nameRule)}
}

// clip keeps a foreign string from flooding an error message.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}

// CheckBody returns an error that matches ErrBadMessage when a body is empty
// or has more than max bytes. max 0 means DefaultMaxMsgSize.
func CheckBody(body []byte, max int) error {
	if max == 0 {
		max = DefaultMaxMsgSize
	}
	switch {
	case len(body) == 0:
		return &Error{wire.CodeBadMessage, "the body is empty: a message has at least one byte"}
	case len(body) > max:
		return &Error{wire.CodeBadMessage, fmt.Sprintf("the body has %d bytes: at most %d are allowed", len(body), max)}
	}
	return nil
}

// CheckBodies checks the bodies of one multi-publish: there is at least one,
// each is as CheckBody wants it (ErrBadMessage), and with their lengths they
// take at most maxTotal bytes (ErrBadBody). max and maxTotal 0 mean
// DefaultMaxMsgSize and DefaultMaxBodySize.
func CheckBodies(bodies [][]byte, max, maxTotal int) error {
	if maxTotal == 0 {
		maxTotal = DefaultMaxBodySize
	}
	if len(bodies) == 0 {
		return &Error{wire.CodeBadBody, "there are no bodies: a multi-publish has at least one message"}
	}
	total := 4 // the count
	for i, b := range bodies {
		if err := CheckBody(b, max); err != nil {
			e := err.(*Error)
			e.Detail = fmt.Sprintf("message %d of %d: %s", i+1, len(bodies), e.Detail)
			return e
		}
		total += 4 + len(b)
	}
	if total > maxTotal {
		return &Error{wire.CodeBadBody, fmt.Sprintf("the messages take %d bytes together: at most %d are allowed", total, maxTotal)}
	}
	return nil
}

// CheckDelay returns an error that matches ErrInvalid when d is negative or
// above max. max 0 means DefaultMaxDelay.
func CheckDelay(d, max time.Duration) error {
	if max == 0 {
		max = DefaultMaxDelay
	}
	switch {
	case d < 0:
		return &Error{wire.CodeInvalid, fmt.Sprintf("the delay %v is negative", d)}
	case d > max:
		return &Error{wire.CodeInvalid, fmt.Sprintf("the delay %v is above the maximum of %v", d, max)}
	}
	return nil
}

// CheckAddr returns an error when addr is not the address of an nsqd:
// "host:port" with a numeric port from 1 to 65535, an IPv6 host in brackets,
// or the path of a unix socket (anything with a slash, or an @ before it).
func CheckAddr(addr string) error {
	if strings.Contains(addr, "://") {
		return fmt.Errorf("address %q: want host:port, not a URL", addr)
	}
	if strings.Contains(addr, "/") || strings.HasPrefix(addr, "@") {
		return nil
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("address %q: want host:port, as in 127.0.0.1:4150 or [::1]:4150", addr)
	}
	if host == "" {
		return fmt.Errorf("address %q: the host is missing", addr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("address %q: the port is not a number from 1 to 65535", addr)
	}
	return nil
}
