// Package api asks the HTTP API of an nsqd or an nsqlookupd, ours or NSQ's own.
// It knows the shape of what they answer, and not what it is asked for.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Client asks one server. It may be used from any goroutine.
type Client struct {
	base string
	flag string
	http *http.Client
}

// New makes a client for addr, which is host:port or a URL. flag is the
// command line flag that addr comes from, for the errors of requests that
// nobody answers. h may be nil, for http.DefaultClient.
func New(addr, flag string, h *http.Client) *Client {
	if !strings.Contains(addr, "://") {
		addr = "http://" + addr
	}
	if h == nil {
		h = http.DefaultClient
	}
	return &Client{base: strings.TrimSuffix(addr, "/"), flag: flag, http: h}
}

// Address is the server's as a URL, without a slash at the end.
func (c *Client) Address() string { return c.base }

// Refusal is an answer that is not a success.
type Refusal struct {
	Method, Path string
	Status       int
	Message      string // nsqd's code, "" when the answer has none
	Detail       string // a sentence for people; nsqd-lite has one, nsqd does not
}

// Error is error's.
func (r *Refusal) Error() string {
	text := r.Method + " " + r.Path + ": "
	if r.Message == "" {
		return fmt.Sprintf("%s%d %s", text, r.Status, http.StatusText(r.Status))
	}
	if r.Detail == "" {
		return text + r.Message
	}
	return text + r.Message + ": " + r.Detail
}

// Is says whether err is a Refusal with that status.
func Is(err error, status int) bool {
	var r *Refusal
	return errors.As(err, &r) && r.Status == status
}

// Do sends a request and returns the answer if it is a success, and a *Refusal
// as the error otherwise. Whoever gets an answer closes its body.
func (c *Client) Do(ctx context.Context, method, path string, query url.Values, body io.Reader) (*http.Response, error) {
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.flag, err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		return res, nil
	}
	defer res.Body.Close()
	refusal := &Refusal{Method: method, Path: path, Status: res.StatusCode}
	text, _ := io.ReadAll(io.LimitReader(res.Body, 4096)) // what cannot be read is not shown
	_ = json.Unmarshal(text, &struct {
		Message, Detail *string
	}{&refusal.Message, &refusal.Detail}) // without the two fields the status has to do
	return nil, refusal
}

// explain adds to an error of the connection what can be done about it.
func (c *Client) explain(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return err
	case strings.Contains(err.Error(), "malformed HTTP response"):
		return fmt.Errorf("%w; this looks like the port for clients: %s wants the one of the HTTP API, 4151 or 4161 by default", err, c.flag)
	}
	return fmt.Errorf("%w; %s says where the server is", err, c.flag)
}

// Post sends a request with body, which may be nil, and discards the answer.
func (c *Client) Post(ctx context.Context, path string, query url.Values, body io.Reader) error {
	res, err := c.Do(ctx, http.MethodPost, path, query, body)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// Get asks for JSON and stores it in the value that into points to.
func (c *Client) Get(ctx context.Context, path string, query url.Values, into any) error {
	res, err := c.Do(ctx, http.MethodGet, path, query, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	return nil
}
