package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"github.com/nsqloop/nsqloop/cmd/nsqd-lite/internal/api"
	"github.com/nsqloop/nsqloop/cmd/nsqd-lite/internal/stats"
	"github.com/spf13/pflag"
)

// nsqdOfNSQ says whether err is what an nsqd of NSQ's own answers to a question
// of nsqd-lite's, and what its address for clients is then.
func nsqdOfNSQ(ctx context.Context, client *api.Client, err error) (tcp string, ok bool) {
	if !api.Is(err, http.StatusNotFound) {
		return "", false
	}
	var info struct {
		LiteVersion string `json:"lite_version"`
		TCPPort     int    `json:"tcp_port"`
	}
	at, parseErr := url.Parse(client.Address())
	if client.Get(ctx, "/info", nil, &info) != nil || parseErr != nil || info.LiteVersion != "" || info.TCPPort == 0 {
		return "", false
	}
	return net.JoinHostPort(at.Hostname(), strconv.Itoa(info.TCPPort)), true
}

// tailPlain shows the messages that come to a topic of such an nsqd, through an
// ephemeral channel. As the topic's first channel it would take what waits
// there, and what comes until it goes: that has to be asked for.
func (p process) tailPlain(ctx context.Context, o *tailOptions, client *api.Client, tcp, topic string) error {
	held, err := (&stats.Source{NSQDs: []*api.Client{client}}).Poll(ctx, topic, "")
	if err != nil {
		return err
	}
	if !o.consume && (len(held.Topics) == 0 || len(held.Topics[0].Channels) == 0) {
		waiting := int64(0)
		if len(held.Topics) > 0 {
			waiting = held.Topics[0].Depth
		}
		return fmt.Errorf("the nsqd at %s is NSQ's own, which shows messages to consumers alone, and the topic has no channel: "+
			"the first one takes the %d messages that wait and all that come, and they are gone with it; --consume does so", client.Address(), waiting)
	}
	f := &showFlags{topics: []string{topic}, count: o.count, asJSON: o.asJSON}
	defaults := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.from.flags(defaults, "")
	f.log.flags(defaults, "nsqd-lite tail", 0)
	f.from.nsqds = []string{tcp}
	return p.show(ctx, f, "nsqd-lite tail")
}
