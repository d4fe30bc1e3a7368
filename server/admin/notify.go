package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// notificationsMost is how many notifications may wait to be sent.
const notificationsMost = 64

// notification is what the endpoint is sent for a change, in nsqadmin's form.
type notification struct {
	Action    string `json:"action"`
	Topic     string `json:"topic"`
	Channel   string `json:"channel,omitempty"`
	Node      string `json:"node,omitempty"`
	Timestamp int64  `json:"timestamp"` // unix seconds
	User      string `json:"user,omitempty"`
	RemoteIP  string `json:"remote_ip"`
	UserAgent string `json:"user_agent"`
	URL       string `json:"url"`
	Via       string `json:"via"`
}

// user is who makes a request, as far as a proxy or the browser says: "" for
// nobody.
func (a *Admin) user(r *http.Request) string {
	if name := r.Header.Get(a.o.ACLHTTPHeader); name != "" {
		return name
	}
	name, _, _ := r.BasicAuth()
	return name
}

// audit writes a change to the log, and sends a notification of it. It is
// called when all servers have answered.
func (a *Admin) audit(r *http.Request, action, topic, channel, node string, out *outcome) {
	args := []any{"topic", topic, "user", a.user(r), "remote", r.RemoteAddr}
	if channel != "" {
		args = append(args, "channel", channel)
	}
	if node != "" {
		args = append(args, "node", node)
	}
	if len(out.errs) > 0 {
		a.log.Warn("ADMIN: "+action, append(args, "failed", len(out.errs), "of", out.asked, "err", clipped(out.text(), 1024))...)
	} else {
		a.log.Info("ADMIN: "+action, args...)
	}
	if a.o.NotificationEndpoint == "" || out.failure() != nil {
		return
	}
	basic, _, _ := r.BasicAuth()
	n := notification{
		Action: action, Topic: topic, Channel: channel, Node: node, User: basic,
		RemoteIP: r.RemoteAddr, UserAgent: r.UserAgent(), URL: r.URL.String(), Via: a.via,
	}
	_ = a.l.Post(func() { // a loop that has stopped sends nothing
		n.Timestamp = a.l.Now().Unix()
		a.notify(n)
	})
}

// notify sends a notification, on the loop. An endpoint that does not take it
// costs a line in the log.
func (a *Admin) notify(n notification) {
	if a.notifying >= notificationsMost {
		a.log.Warn("ADMIN: notification dropped: too many wait", "action", n.Action, "topic", n.Topic, "limit", notificationsMost)
		return
	}
	a.notifying++
	body, err := json.Marshal(n)
	if err != nil {
		panic("a few strings do not encode as JSON: " + err.Error())
	}
	a.l.Go(func() func() {
		err := a.sendNotification(body)
		return func() {
			a.notifying--
			if err != nil {
				a.log.Warn("ADMIN: notification failed", "endpoint", a.o.NotificationEndpoint, "err", err)
			}
		}
	})
}

func (a *Admin) sendNotification(body []byte) error {
	req, err := http.NewRequestWithContext(a.ctx, http.MethodPost, a.o.NotificationEndpoint, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := a.up.http.Do(req)
	if err != nil {
		return err
	}
	if err := res.Body.Close(); err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	return nil
}

// clipped is at most so many bytes of a text.
func clipped(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}
