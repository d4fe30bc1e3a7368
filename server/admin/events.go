package admin

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	// streamsMost is how many event streams there may be, of rows and of taps.
	streamsMost = 64

	// writeMost is how long a browser may take to read a frame.
	writeMost = 30 * time.Second

	// pingEach is how many views without news are followed by a comment, so
	// that proxies do not think the stream dead.
	pingEach = 15
)

// liveRoutes are the routes that show what was polled.
func (a *Admin) liveRoutes() []route {
	return []route{
		{"GET", "/api/v1/events", a.events},
		{"GET", "/api/v1/rows", a.rowsSince},
		{"GET", "/api/v1/history", answers(a.showHistory)},
	}
}

// wantedBy is what a request asks for.
func wantedBy(r *http.Request) (*wanted, error) {
	query := r.URL.Query()
	w := &wanted{topic: query.Get("topic"), channel: query.Get("channel"), node: query.Get("node")}
	if list := query.Get("tables"); list != "" {
		w.tables = strings.Split(list, ",")
	}
	for _, table := range w.tables {
		if !slices.Contains(tables, table) {
			return nil, &apiError{http.StatusBadRequest, "INVALID_ARG", "The tables are " + strings.Join(tables, ", ") + "."}
		}
	}
	return w, nil
}

// rowsSince answers once with what has changed since ?since=, which is the id
// of an earlier answer; without it, with everything.
func (a *Admin) rowsSince(w http.ResponseWriter, r *http.Request) error {
	want, err := wantedBy(r)
	if err != nil {
		return err
	}
	a.look()
	v := a.view.Load()
	frame, _ := v.frame(v.since(r.URL.Query().Get("since")), want)
	reply(w, r, http.StatusOK, typeJSON, frame)
	return nil
}

// look notes that somebody looks.
func (a *Admin) look() {
	if a.watched.Swap(watchedFor) == 0 && a.streams.Load() == 0 {
		a.hurry()
	}
}

// openStream takes one of the places for streams, whose answer does not end.
// close gives it back.
func (a *Admin) openStream(w http.ResponseWriter) (rc *http.ResponseController, close func(), err error) {
	if a.streams.Add(1) > streamsMost {
		a.streams.Add(-1)
		return nil, nil, &apiError{http.StatusServiceUnavailable, "BUSY", fmt.Sprintf("There are %d streams open, as many as are allowed; close some pages.", streamsMost)}
	}
	rc = http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Time{}) // the zero time is none; a server that has no deadlines needs none lifted
	_ = rc.SetWriteDeadline(time.Time{})
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would gather it
	w.WriteHeader(http.StatusOK)
	return rc, func() { a.streams.Add(-1) }, nil
}

// events streams what changes: an event "stats" for each view in which something
// that is wanted has changed, with the view's id. A browser that was away says
// which it has seen last.
func (a *Admin) events(w http.ResponseWriter, r *http.Request) error {
	want, err := wantedBy(r)
	if err != nil {
		return err
	}
	a.look()
	rc, done, err := a.openStream(w)
	if err != nil {
		return err
	}
	defer done()
	v := a.view.Load()
	seen := v.since(r.Header.Get("Last-Event-ID"))
	for silent := 0; ; {
		text := ""
		if v.id > 0 {
			frame, changed := v.frame(seen, want)
			if changed || seen == 0 {
				text, silent = fmt.Sprintf("id: %s\nevent: stats\ndata: %s\n\n", v.token(), frame), 0
			}
			seen = v.id
		}
		if silent++; text == "" && silent%pingEach == 0 {
			text = ": ping\n\n"
		}
		if text != "" {
			_ = rc.SetWriteDeadline(v.at.Add(writeMost)) // see openStream
			if _, err := w.Write([]byte(text)); err != nil {
				return nil // nobody is left to be told
			}
			if rc.Flush() != nil {
				return nil
			}
		}
		select {
		case <-v.done:
			v = a.view.Load()
		case <-r.Context().Done():
			return nil
		case <-a.ctx.Done():
			return nil
		}
	}
}

// series is the last quarter of an hour of a topic, a channel, or everything.
// Points are StepMS apart, the last one is of AtMS.
type series struct {
	AtMS     int64     `json:"at"`
	StepMS   int64     `json:"step"`
	In       []float32 `json:"in"`
	Out      []float32 `json:"out"`
	Depth    []float32 `json:"depth"`
	InFlight []float32 `json:"in_flight"`
	Requeue  []float32 `json:"requeue"`
	Timeout  []float32 `json:"timeout"`
}

// showHistory answers with a series; an empty one of what is not remembered.
func (a *Admin) showHistory(r *http.Request) (any, error) {
	query := r.URL.Query()
	s := series{StepMS: historyStep.Milliseconds(), In: []float32{}, Out: []float32{}, Depth: []float32{}, InFlight: []float32{}, Requeue: []float32{}, Timeout: []float32{}}
	err := a.call(func() {
		if a.poller.fold == nil {
			return
		}
		h := a.poller.fold.history
		s.AtMS = h.last.UnixMilli()
		for _, p := range h.of(name{query.Get("topic"), query.Get("channel")}) {
			s.In = append(s.In, p.in)
			s.Out = append(s.Out, p.out)
			s.Depth = append(s.Depth, p.depth)
			s.InFlight = append(s.InFlight, p.inFlight)
			s.Requeue = append(s.Requeue, p.requeues)
			s.Timeout = append(s.Timeout, p.timeouts)
		}
	})
	return s, err
}
