package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// verb is a small client of the HTTP API. base is the server's address as a
// URL, in the query the topic.
type verb struct {
	process
	base  string
	query url.Values
	topic string
}

// newVerb parses the arguments of a verb: a topic, up to most further words,
// and flags in any place.
func newVerb(p process, name, synopsis string, args []string, most int, flags func(*flag.FlagSet)) (v *verb, words []string, err error) {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	address := fs.String("nsqd-http-address", "127.0.0.1:4151", "`host:port` of the server's HTTP API, or its URL")
	flags(fs)
	for {
		err = fs.Parse(args)
		if err != nil || fs.NArg() == 0 {
			break
		}
		words, args = append(words, fs.Arg(0)), fs.Args()[1:]
	}
	switch {
	case err == nil && (len(words) == 0 || len(words) > 1+most):
		err = errors.New("name one topic")
	case err == nil && words[0] == "":
		err = errors.New("the topic has no name")
	}
	if err != nil {
		out := p.stderr
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(out, "nsqd-lite %s: %v\n", name, err)
		}
		fmt.Fprintf(out, "usage: nsqd-lite %s\n", synopsis)
		fs.SetOutput(out)
		fs.PrintDefaults()
		return nil, nil, err
	}
	v = &verb{process: p, base: *address, query: url.Values{"topic": {words[0]}}, topic: words[0]}
	if !strings.Contains(v.base, "://") {
		v.base = "http://" + v.base
	}
	v.base = strings.TrimSuffix(v.base, "/")
	return v, words[1:], nil
}

// usageCode is the exit code for arguments that newVerb has refused.
func usageCode(err error) int {
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	return exitUsage
}

// request sends a request with further parameters, in pairs, and returns the
// reply if it is a success.
func (v *verb) request(method, path string, body io.Reader, params ...string) (*http.Response, error) {
	q := url.Values{}
	for key, values := range v.query {
		q[key] = values
	}
	for i := 0; i < len(params); i += 2 {
		q.Set(params[i], params[i+1])
	}
	req, err := http.NewRequest(method, v.base+path+"?"+q.Encode(), body)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w; --nsqd-http-address says where the server is", err)
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	var refusal struct{ Message, Detail string }
	text, _ := io.ReadAll(io.LimitReader(res.Body, 4096)) // what cannot be read is not shown
	if json.Unmarshal(text, &refusal) != nil || refusal.Message == "" {
		return nil, fmt.Errorf("%s %s: %s", method, path, res.Status)
	}
	return nil, fmt.Errorf("%s %s: %s: %s", method, path, refusal.Message, refusal.Detail)
}

// fail says what went wrong.
func (v *verb) fail(name string, err error) int {
	fmt.Fprintf(v.stderr, "nsqd-lite %s: topic %s: %v\n", name, v.topic, err)
	return exitFailed
}

const tailSynopsis = "tail TOPIC [flags]    show messages as they are published, and consume none"

// tailed is a message of the server's, or how many were lost.
type tailed struct {
	ID       string `json:"id"`
	Encoding string `json:"encoding"`
	Body     string `json:"body"`
	Lost     int64  `json:"lost"`
}

// runTail shows the last messages of a topic and those that come.
func runTail(p process, args []string) int {
	history, count, asJSON := 10, 0, false
	v, _, err := newVerb(p, "tail", tailSynopsis, args, 0, func(fs *flag.FlagSet) {
		fs.IntVar(&history, "n", history, "show so many of the last messages first")
		fs.IntVar(&count, "count", 0, "end after so many messages, 0 for never")
		fs.BoolVar(&asJSON, "json", false, "show messages with id, time and size, as JSON")
	})
	if err != nil {
		return usageCode(err)
	}
	// The stream first, so that nothing falls between it and the history.
	stream, err := v.request("GET", "/topic/tap", nil)
	if err != nil {
		return v.fail("tail", err)
	}
	defer stream.Body.Close()
	out := &tailOutput{v: v, left: count, asJSON: asJSON}
	if history > 0 {
		if err := out.history(history); err != nil {
			return v.fail("tail", err)
		}
	}
	lines := bufio.NewReader(stream.Body)
	for !out.full {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			fmt.Fprintln(p.stderr, "nsqd-lite tail: the server has ended the stream")
			return exitOK
		}
		if err == nil {
			err = out.show(line)
		}
		if err != nil {
			return v.fail("tail", err)
		}
	}
	return exitOK
}

// tailOutput shows messages, each once.
type tailOutput struct {
	v      *verb
	last   string // id of the last one shown
	left   int    // to be shown still, 0 for any number
	full   bool
	asJSON bool
}

// history shows the last n messages.
func (o *tailOutput) history(n int) error {
	res, err := o.v.request("GET", "/topic/peek", nil, "count", strconv.Itoa(n))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var reply struct{ Messages []json.RawMessage }
	if err := json.NewDecoder(res.Body).Decode(&reply); err != nil {
		return fmt.Errorf("read the last messages: %w", err)
	}
	for _, m := range reply.Messages {
		if err := o.show(m); err != nil {
			return err
		}
	}
	return nil
}

// show shows one message, unless it was shown. Ids of a topic ascend.
func (o *tailOutput) show(line []byte) error {
	var m tailed
	if err := json.Unmarshal(line, &m); err != nil {
		return fmt.Errorf("read a message: %w", err)
	}
	if m.Lost > 0 {
		fmt.Fprintf(o.v.stderr, "nsqd-lite tail: %d messages lost: they come faster than they are shown\n", m.Lost)
		return nil
	}
	if m.ID <= o.last || o.full {
		return nil
	}
	o.last = m.ID
	text := []byte(m.Body)
	if o.asJSON {
		text = bytes.TrimSpace(line)
	} else if m.Encoding == "base64" {
		var err error
		if text, err = base64.StdEncoding.DecodeString(m.Body); err != nil {
			return fmt.Errorf("read message %s: %w", m.ID, err)
		}
	}
	if _, err := o.v.stdout.Write(append(text, '\n')); err != nil {
		return err
	}
	if o.left > 0 {
		o.left--
		o.full = o.left == 0
	}
	return nil
}

const pubSynopsis = "pub TOPIC [BODY|-] [flags]    publish BODY, or each line of the standard input"

// A request of many lines has up to so many, and about so many bytes.
const (
	pubLines = 1000
	pubBytes = 1 << 20
)

// runPub publishes one message, or one for each line of the standard input.
func runPub(p process, args []string) int {
	var delay time.Duration
	v, words, err := newVerb(p, "pub", pubSynopsis, args, 1, func(fs *flag.FlagSet) {
		fs.DurationVar(&delay, "defer", 0, "deliver it after this time; with BODY only")
	})
	if err != nil {
		return usageCode(err)
	}
	if len(words) == 0 || words[0] == "-" {
		if delay != 0 {
			fmt.Fprintln(p.stderr, "nsqd-lite pub: --defer goes with a BODY on the command line")
			return exitUsage
		}
		err = v.publishLines()
	} else {
		var params []string
		if delay != 0 {
			params = []string{"defer", strconv.FormatInt(delay.Milliseconds(), 10)}
		}
		err = v.publish("/pub", []byte(words[0]), params...)
	}
	if err != nil {
		return v.fail("pub", err)
	}
	return exitOK
}

func (v *verb) publish(path string, body []byte, params ...string) error {
	res, err := v.request("POST", path, bytes.NewReader(body), params...)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// publishLines publishes the lines of the standard input, but for empty ones.
// What was read goes out when the input pauses for want of a whole buffer, so
// that a pipe that is fed slowly is published as it comes.
func (v *verb) publishLines() error {
	in := bufio.NewReaderSize(v.stdin, 64<<10)
	var batch []byte
	lines := 0
	for {
		line, err := in.ReadBytes('\n')
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
			batch = append(append(batch, line...), '\n')
			lines++
		}
		end := errors.Is(err, io.EOF)
		if err != nil && !end {
			return fmt.Errorf("read the standard input: %w", err)
		}
		if lines > 0 && (end || in.Buffered() == 0 || lines >= pubLines || len(batch) >= pubBytes) {
			if err := v.publish("/mpub", batch); err != nil {
				return err
			}
			batch, lines = batch[:0], 0
		}
		if end {
			return nil
		}
	}
}
