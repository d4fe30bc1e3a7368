package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/nsqloop/nsqloop/server"
)

// answerMost is how many bytes of one answer are read.
const answerMost = 256 << 20

// upstream asks nsqds and nsqlookupds. It may be used from any goroutine.
type upstream struct {
	http   *http.Client
	secret string
	stream *http.Client // for answers that do not end
}

func newUpstream(o *Options) *upstream {
	dialer := net.Dialer{Timeout: o.ConnectTimeout}
	transport := &http.Transport{
		DialContext:         dialer.DialContext,
		TLSClientConfig:     o.TLS,
		TLSHandshakeTimeout: o.ConnectTimeout,
		MaxIdleConnsPerHost: askedAtOnce,
		IdleConnTimeout:     o.RequestTimeout * 12,
	}
	return &upstream{
		secret: o.Secret,
		http:   &http.Client{Transport: transport, Timeout: o.RequestTimeout},
		stream: &http.Client{Transport: transport},
	}
}

// close lets go of connections that are not used.
func (u *upstream) close() { u.http.CloseIdleConnections() }

// baseOf is the URL of a server, without a slash at the end.
func baseOf(addr string) (string, error) {
	text := addr
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	at, err := url.Parse(text)
	if err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https" {
		return "", fmt.Errorf("%q is not host:port nor an HTTP URL", addr)
	}
	return strings.TrimSuffix(text, "/"), nil
}

// refusal is an answer that is not a success.
type refusal struct {
	server  string
	path    string
	status  int
	message string // NSQ's code, "" when there is none
	detail  string // nsqd-lite's sentence
}

// Error is error's.
func (r *refusal) Error() string {
	what := r.message
	if what == "" {
		what = http.StatusText(r.status)
	}
	if r.detail != "" {
		what += ": " + r.detail
	}
	return fmt.Sprintf("%s%s: %d %s", r.server, r.path, r.status, what)
}

// refused says whether err is an answer with that status.
func refused(err error, status int) bool {
	var r *refusal
	return errors.As(err, &r) && r.status == status
}

// get asks for JSON and stores it in the value that into points to.
func (u *upstream) get(ctx context.Context, base, path string, query url.Values, into any) error {
	res, err := u.do(ctx, u.http, http.MethodGet, base, path, query, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(io.LimitReader(res.Body, answerMost)).Decode(into); err != nil {
		return fmt.Errorf("%s%s: %w", base, path, err)
	}
	return nil
}

// post has something done. body may be empty.
func (u *upstream) post(ctx context.Context, base, path string, query url.Values, body string) error {
	return u.send(ctx, http.MethodPost, base, path, query, body, nil)
}

// send makes a request whose answer is stored in the value that into points to,
// unless that is nil.
func (u *upstream) send(ctx context.Context, method, base, path string, query url.Values, body string, into any) error {
	res, err := u.do(ctx, u.http, method, base, path, query, &body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, answerMost)).Decode(into); err != nil {
		return fmt.Errorf("%s%s: %w", base, path, err)
	}
	return nil
}

// do makes a request, and once more over TLS when the server says that it wants
// that. Whoever gets an answer closes its body.
func (u *upstream) do(ctx context.Context, c *http.Client, method, base, path string, query url.Values, body *string) (*http.Response, error) {
	res, err := u.once(ctx, c, method, base, path, query, body)
	if err != nil || res.StatusCode == http.StatusOK {
		return res, err
	}
	defer res.Body.Close()
	var said struct {
		Message   string `json:"message"`
		Detail    string `json:"detail"`
		HTTPSPort int    `json:"https_port"`
	}
	text, _ := io.ReadAll(io.LimitReader(res.Body, 4096)) // what cannot be read is not shown
	_ = json.Unmarshal(text, &said)                       // without the fields the status has to do
	if at, bad := url.Parse(base); bad == nil && res.StatusCode == http.StatusForbidden && said.HTTPSPort != 0 && at.Scheme == "http" {
		secure := "https://" + net.JoinHostPort(at.Hostname(), strconv.Itoa(said.HTTPSPort))
		return u.do(ctx, c, method, secure, path, query, body)
	}
	return nil, &refusal{base, path, res.StatusCode, said.Message, said.Detail}
}

func (u *upstream) once(ctx context.Context, c *http.Client, method, base, path string, query url.Values, body *string) (*http.Response, error) {
	target := base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	var content io.Reader
	if body != nil {
		content = strings.NewReader(*body)
	}
	req, err := http.NewRequestWithContext(ctx, method, target, content)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/vnd.nsq; version=1.0")
	req.Header.Set(server.PollHeader, "1")
	if u.secret != "" {
		req.Header.Set("Authorization", "Bearer "+u.secret)
	}
	return c.Do(req)
}

// outcome is how asking several servers went.
type outcome struct {
	asked int
	errs  []error
}

// add counts what was asked of one server.
func (o *outcome) add(err error) {
	o.asked++
	if err != nil {
		o.errs = append(o.errs, err)
	}
}

// join counts what another outcome has counted.
func (o *outcome) join(other outcome) {
	o.asked += other.asked
	o.errs = append(o.errs, other.errs...)
}

// text is all that went wrong.
func (o *outcome) text() string {
	parts := make([]string, len(o.errs))
	for i, err := range o.errs {
		parts[i] = err.Error()
	}
	return strings.Join(parts, "; ")
}

// failure is the error when no server did what was asked: nsqadmin's 502.
func (o *outcome) failure() error {
	if len(o.errs) == 0 || len(o.errs) < o.asked {
		return nil
	}
	return &apiError{http.StatusBadGateway, "UPSTREAM_ERROR: " + strings.TrimPrefix(o.text(), "UPSTREAM_ERROR: "), "No server did it; each has said why."}
}

// warning is what nsqadmin says when some servers failed, "" when none did.
func (o *outcome) warning() string {
	if len(o.errs) == 0 {
		return ""
	}
	return "WARNING: " + o.text()
}

// ask calls f for each of n servers, several at a time.
func ask(n int, f func(i int) error) outcome {
	errs := make([]error, n)
	each(n, func(i int) { errs[i] = f(i) })
	var o outcome
	for _, err := range errs {
		o.add(err)
	}
	return o
}
