package admin

import (
	"net/http"
)

// actRoutes are the routes of nsqadmin that change something.
func (a *Admin) actRoutes() []route {
	return []route{
		{"POST", "/api/topics", answers(a.nsqCreate)},
		{"POST", "/api/topics/{topic}", answers(a.nsqAction)},
		{"POST", "/api/topics/{topic}/{channel}", answers(a.nsqAction)},
		{"DELETE", "/api/topics/{topic}", answers(a.nsqDelete)},
		{"DELETE", "/api/topics/{topic}/{channel}", answers(a.nsqDelete)},
		{"DELETE", "/api/nodes/{node}", answers(a.nsqTombstone)},
	}
}

// done is nsqadmin's answer to a change: what went wrong on some servers, or "".
type done struct {
	Message string `json:"message"`
}

// result is the answer for an outcome.
func result(out outcome) (any, error) {
	if err := out.failure(); err != nil {
		return nil, err
	}
	return done{out.warning()}, nil
}

// perform does a change and tells of it.
func (a *Admin) perform(r *http.Request, c change) (any, error) {
	var out outcome
	if c.do == "create" {
		out = a.cluster.make(r.Context(), c)
	} else {
		out = a.cluster.apply(r.Context(), c)
	}
	a.audit(r, c.name(), c.topic, c.channel, "", &out)
	a.hurry()
	return result(out)
}

func (a *Admin) nsqCreate(r *http.Request) (any, error) {
	var body struct{ Topic, Channel string }
	if err := readJSON(r, &body); err != nil {
		return nil, &apiError{http.StatusBadRequest, err.Error(), `The body is JSON such as {"topic":"test","channel":"print"}.`}
	}
	c := change{do: "create", topic: body.Topic, channel: body.Channel}
	if err := c.valid(); err != nil {
		return nil, err
	}
	return a.perform(r, c)
}

func (a *Admin) nsqAction(r *http.Request) (any, error) {
	var body struct{ Action string }
	if err := readJSON(r, &body); err != nil {
		return nil, &apiError{http.StatusBadRequest, err.Error(), `The body is JSON such as {"action":"pause"}.`}
	}
	switch body.Action {
	case "pause", "unpause", "empty":
		return a.perform(r, change{do: body.Action, topic: r.PathValue("topic"), channel: r.PathValue("channel")})
	}
	return nil, &apiError{http.StatusBadRequest, "INVALID_ACTION", "The actions are pause, unpause and empty."}
}

func (a *Admin) nsqDelete(r *http.Request) (any, error) {
	return a.perform(r, change{do: "delete", topic: r.PathValue("topic"), channel: r.PathValue("channel")})
}

func (a *Admin) nsqTombstone(r *http.Request) (any, error) {
	var body struct{ Topic string }
	if err := readJSON(r, &body); err != nil {
		return nil, &apiError{http.StatusBadRequest, "INVALID_BODY", `The body is JSON such as {"topic":"test"}.`}
	}
	if err := (change{topic: body.Topic}).valid(); err != nil {
		return nil, err
	}
	return a.hide(r, body.Topic, r.PathValue("node"))
}

// hide tombstones a topic on an nsqd and tells of it.
func (a *Admin) hide(r *http.Request, topic, node string) (any, error) {
	out, err := a.cluster.tombstone(r.Context(), topic, node)
	if err != nil {
		return nil, err
	}
	a.audit(r, "tombstone_topic_producer", topic, "", node, &out)
	a.hurry()
	return result(out)
}
