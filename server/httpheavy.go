package server

import (
	"net/http"
	"runtime"
)

// heavyAtOnce is how many replies that list everything are made at the same
// time. Further requests wait. A processor is left to the loop: where replies keep
// all of them busy it has to wait until one is taken away from a reply, for 10 ms or
// 20, and with it everybody that it serves.
func heavyAtOnce() int { return max(1, min(4, runtime.GOMAXPROCS(0)-1)) }

// heavyWriter keeps a reply until it is whole, so that nobody who reads slowly
// holds one of the few places in which such replies are made.
type heavyWriter struct {
	header http.Header
	status int
	body   []byte
}

// Header is http.ResponseWriter's.
func (w *heavyWriter) Header() http.Header { return w.header }

// WriteHeader is http.ResponseWriter's.
func (w *heavyWriter) WriteHeader(status int) { w.status = status }

// Write is http.ResponseWriter's.
func (w *heavyWriter) Write(p []byte) (int, error) {
	w.body = append(w.body, p...)
	return len(p), nil
}

// runHeavy makes the reply of a route that lists everything, in its turn, and
// then sends it. What waits for a slow reader is in the budget.
func (h *httpServer) runHeavy(rt *route, w http.ResponseWriter, r *http.Request) error {
	select {
	case h.heavy <- struct{}{}:
	case <-r.Context().Done():
		return refuse(http.StatusServiceUnavailable, "BUSY", "Others were asking for as much; try again.")
	}
	made := &heavyWriter{header: w.Header(), status: http.StatusOK}
	err := func() error {
		defer func() { <-h.heavy }()
		return rt.run(made, r)
	}()
	if err != nil {
		return err
	}
	if !h.budget.take(int64(cap(made.body))) {
		if h.relieve != nil {
			_ = h.l.Post(h.relieve) // for the next one
		}
		return errTooBusy
	}
	defer h.budget.add(-int64(cap(made.body)))
	w.WriteHeader(made.status)
	_, _ = w.Write(made.body) // a peer that has gone cannot be told so
	return nil
}
