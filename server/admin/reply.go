package admin

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// apiError is a refusal. Its JSON is {"message":"CODE","detail":"..."}: the
// code is nsqadmin's where it has one, the detail is a sentence for people.
type apiError struct {
	status int
	code   string
	detail string
}

func (e *apiError) Error() string {
	if e.detail == "" {
		return e.code
	}
	return e.code + ": " + e.detail
}

const (
	typeJSON = "application/json; charset=utf-8"
	typeText = "text/plain; charset=utf-8"
)

// nameRule is what a name of a topic or channel has to be.
const nameRule = "A name has 1 to 64 of the characters a-z A-Z 0-9 . _ - and may end in #ephemeral."

// reply sends a body, compressed when it is worth it and wanted.
func reply(w http.ResponseWriter, r *http.Request, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("X-Nsq-Content-Type", "nsq; version=1.0")
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Accept-Encoding")
	if len(body) > 1024 && wantsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		body = squeeze(body, gzip.BestSpeed)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a peer that has gone cannot be told so
}

// replyJSON sends a value as JSON.
func replyJSON(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	reply(w, r, http.StatusOK, typeJSON, body)
	return nil
}

// replyError sends a refusal.
func replyError(w http.ResponseWriter, r *http.Request, err error) int {
	var e *apiError
	var up *refusal
	switch {
	case errors.As(err, &e):
	case errors.As(err, &up):
		e = &apiError{http.StatusBadGateway, "UPSTREAM_ERROR: " + up.Error(), up.detail}
	default:
		e = &apiError{http.StatusInternalServerError, "INTERNAL_ERROR", err.Error()}
	}
	body, err := json.Marshal(struct {
		Message string `json:"message"`
		Detail  string `json:"detail,omitempty"`
	}{e.code, e.detail})
	if err != nil {
		panic("two strings do not encode as JSON: " + err.Error())
	}
	reply(w, r, e.status, typeJSON, body)
	return e.status
}

// wantsGzip says whether the peer of r reads gzip.
func wantsGzip(r *http.Request) bool {
	for _, part := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		name, quality, _ := strings.Cut(strings.TrimSpace(part), ";")
		if name == "gzip" && strings.TrimSpace(quality) != "q=0" {
			return true
		}
	}
	return false
}

// squeeze compresses.
func squeeze(body []byte, level int) []byte {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, level)
	if err != nil {
		panic("no such level of gzip: " + err.Error())
	}
	_, _ = z.Write(body) // a bytes.Buffer takes everything
	_ = z.Close()
	return b.Bytes()
}

// bodyMost is how many bytes of a request's body are read, messages aside.
const bodyMost = 64 << 10

// readJSON decodes the body of r.
func readJSON(r *http.Request, into any) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, bodyMost))
	if err != nil {
		return &apiError{http.StatusBadRequest, "INVALID_BODY", err.Error()}
	}
	return json.Unmarshal(body, into)
}
