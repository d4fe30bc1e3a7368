package nsqtest

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/nsqloop/nsqloop/internal/wire"
)

const (
	linesKept  = 20  // of the protocol
	bytesShown = 40  // of a body
	errorShown = 200 // bytes of an error's text
)

// protocol keeps the last of what clients and the server have said to each
// other. A line costs no allocation once its place in the ring has been used.
type protocol struct {
	mu    sync.Mutex // the server's loop writes, the test reads
	lines [linesKept]line
	n     int // lines so far
}

// line is one command or frame, and how many like it came in a row.
type line struct {
	at    time.Time // of the first
	text  []byte
	times int
}

// add writes a line down.
func (p *protocol) add(at time.Time, text []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n > 0 {
		if l := &p.lines[(p.n-1)%linesKept]; bytes.Equal(l.text, text) {
			l.times++
			return
		}
	}
	l := &p.lines[p.n%linesKept]
	p.n++
	l.at, l.text, l.times = at, append(l.text[:0], text...), 1
}

// String is the lines, the oldest first.
func (p *protocol) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n == 0 {
		return "nothing: nobody has connected\n"
	}
	var b strings.Builder
	for i := max(0, p.n-linesKept); i < p.n; i++ {
		l := &p.lines[i%linesKept]
		fmt.Fprintf(&b, "%s %s", l.at.Format("15:04:05.000"), l.text)
		if l.times > 1 {
			fmt.Fprintf(&b, " (%d times)", l.times)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// appendCommand appends what a command says, but no secret.
func appendCommand(dst []byte, cmd *wire.Command) []byte {
	dst = append(dst, cmd.Verb.String()...)
	switch cmd.Verb {
	case wire.Auth:
		return fmt.Appendf(dst, ", a secret of %d bytes", len(cmd.Body))
	case wire.Identify:
		return appendBody(dst, cmd.Body)
	case wire.Sub:
		return fmt.Appendf(dst, " %s %s", cmd.Topic, cmd.Channel)
	case wire.Pub:
		return appendBody(fmt.Appendf(dst, " %s", cmd.Topic), cmd.Body)
	case wire.DPub:
		return appendBody(fmt.Appendf(dst, " %s %d", cmd.Topic, cmd.Delay.Milliseconds()), cmd.Body)
	case wire.MPub:
		dst = fmt.Appendf(dst, " %s, %d messages, the first", cmd.Topic, cmd.Count)
		first, _ := cmd.NextMessage()
		return appendBody(dst, first)
	case wire.Rdy:
		return fmt.Appendf(dst, " %d", cmd.Count)
	case wire.Fin, wire.Touch:
		return fmt.Appendf(dst, " %s", cmd.ID)
	case wire.Req:
		return fmt.Appendf(dst, " %s %d", cmd.ID, cmd.Delay.Milliseconds())
	}
	return dst
}

// appendNoCommand appends what can be said of bytes that are not a whole
// command. Behind AUTH there may be a secret, wherever it stands.
func appendNoCommand(dst, p []byte) []byte {
	first, _, _ := bytes.Cut(p, []byte("\n"))
	if bytes.HasPrefix(first, []byte(wire.Auth.String())) {
		first = first[:len(wire.Auth.String())]
	}
	return appendCut(fmt.Appendf(dst, "no command, %d bytes: ", len(p)), first, bytesShown)
}

// appendFrame appends what a frame says.
func appendFrame(dst []byte, kind wire.FrameType, data []byte) []byte {
	switch kind {
	case wire.FrameError:
		return appendCut(dst, data, errorShown)
	case wire.FrameMessage:
		if m, err := wire.ReadMessage(data); err == nil {
			return appendBody(fmt.Appendf(dst, "message %s, attempt %d", m.ID, m.Attempts), m.Body)
		}
	}
	if len(data) > bytesShown {
		return appendBody(append(dst, "response"...), data)
	}
	return appendCut(dst, data, bytesShown)
}

// appendBody appends the size of a body and its beginning.
func appendBody(dst, body []byte) []byte {
	return appendCut(fmt.Appendf(dst, ", %d bytes: ", len(body)), body, bytesShown)
}

// appendCut appends the first n bytes of p, with a dot for what does not print.
func appendCut(dst, p []byte, n int) []byte {
	for _, r := range string(p[:min(n, len(p))]) {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			r = '.'
		}
		dst = append(dst, string(r)...)
	}
	if len(p) > n {
		dst = append(dst, "…"...)
	}
	return dst
}
