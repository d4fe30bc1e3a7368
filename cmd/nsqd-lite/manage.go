package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/nsqloop/nsqloop/cmd/nsqd-lite/internal/api"
	"github.com/nsqloop/nsqloop/cmd/nsqd-lite/internal/stats"
	"github.com/spf13/pflag"
)

// manageFlags are those of the commands that change servers.
type manageFlags struct {
	source sourceFlags
	force  bool
	count  int
	to     string
}

// change is one of these commands: a POST of the HTTP API of each nsqd.
type change struct {
	name    string
	short   string
	losing  bool // messages may be lost: it asks for --force
	lookupd bool // nsqlookupds hear of it too
}

// changes are those of topics and of channels.
var changes = []change{
	{"create", "make a %s", false, true},
	{"pause", "hold back the messages of a %s", false, false},
	{"unpause", "let them go", false, false},
	{"empty", "drop the messages of a %s", true, false},
	{"delete", "delete a %s and its messages", true, true},
}

func (p process) topicVerb() verb {
	return verb{
		use: "topic", short: "create, pause, empty, delete or look into a topic", group: groupAdmin,
		verbs: append(p.changeVerbs("topic", "TOPIC", 1), p.peekVerb("topic", "TOPIC", 1)),
	}
}

func (p process) channelVerb() verb {
	f := new(manageFlags)
	rewind := verb{
		use: "rewind TOPIC CHANNEL", short: "deliver again, from a time on",
		long:    "Deliver again what is kept, from a time on. A server keeps finished messages with --retain-age or --retain-bytes.",
		example: `  nsqd-lite channel rewind orders billing --to=2026-01-02T15:04:05Z`,
		least:   2, most: 2, missing: "name one topic and one channel",
		flags: func(fs *pflag.FlagSet) {
			f.source.flags(fs)
			fs.StringVar(&f.to, "to", "beginning", "`time` as 2026-01-02T15:04:05Z, seconds of Unix time, or beginning")
		},
		run: func(ctx context.Context, args []string) error {
			query := url.Values{"topic": {args[0]}, "channel": {args[1]}, "to": {f.to}}
			return p.onNodes(ctx, f, func(c *api.Client) error { return c.Post(ctx, "/channel/rewind", query, nil) })
		},
	}
	return verb{
		use: "channel", short: "create, pause, empty, delete, rewind or look into a channel", group: groupAdmin,
		verbs: append(p.changeVerbs("channel", "TOPIC CHANNEL", 2), p.peekVerb("channel", "TOPIC CHANNEL", 2), rewind),
	}
}

// changeVerbs are the changes of topics or of channels.
func (p process) changeVerbs(kind, args string, n int) []verb {
	var all []verb
	for _, c := range changes {
		f := new(manageFlags)
		short := c.short
		if c.name != "unpause" {
			short = fmt.Sprintf(c.short, kind)
		}
		all = append(all, verb{
			use: c.name + " " + args, short: short, least: n, most: n, missing: missingNames(n),
			flags: func(fs *pflag.FlagSet) {
				f.source.flags(fs)
				if c.losing {
					fs.BoolVar(&f.force, "force", false, "do it although messages are lost")
				}
			},
			run: func(ctx context.Context, args []string) error { return p.change(ctx, f, kind, c, args) },
		})
	}
	return all
}

func missingNames(n int) string {
	if n == 1 {
		return "name one topic"
	}
	return "name one topic and one channel"
}

// change does it on each nsqd, and on the nsqlookupds if they are concerned.
func (p process) change(ctx context.Context, f *manageFlags, kind string, c change, args []string) error {
	query := url.Values{"topic": {args[0]}}
	if kind == "channel" {
		query.Set("channel", args[1])
	}
	source := f.source.source(nil)
	if c.losing && !f.force {
		if err := refuseLoss(ctx, source, kind, c.name, args); err != nil {
			return err
		}
	}
	path := "/" + kind + "/" + c.name
	err := p.onNodes(ctx, f, func(n *api.Client) error { return n.Post(ctx, path, query, nil) })
	if !c.lookupd {
		return err
	}
	for _, d := range source.Lookupds {
		if bad := d.Post(ctx, path, query, nil); bad != nil && !api.Is(bad, http.StatusNotFound) {
			err = errors.Join(err, bad)
		}
	}
	if c.name == "delete" && len(source.Lookupds) > 0 && err == nil {
		fmt.Fprintf(p.stderr, "nsqd-lite %s delete: consumers that ask an nsqlookupd may make it again, within a minute\n", kind)
	}
	return err
}

// refuseLoss is an error when messages would be lost.
func refuseLoss(ctx context.Context, source *stats.Source, kind, name string, args []string) error {
	s, err := source.Poll(ctx, args[0], "")
	if err != nil {
		return err
	}
	t := s.Topic(args[0])
	held := t.Held()
	switch {
	case kind == "channel":
		c, _ := s.Find(args[0], args[1])
		held = c.Held()
	case name == "empty":
		held = t.Depth // its channels keep theirs
	}
	if held > 0 {
		return fmt.Errorf("%d messages would be lost on %d nsqd; --force does it", held, len(s.Nodes))
	}
	return nil
}

// onNodes does something on each nsqd. One that has not what it is about does
// not matter while another has it.
func (p process) onNodes(ctx context.Context, f *manageFlags, do func(*api.Client) error) error {
	nodes, err := f.source.source(nil).Nodes(ctx)
	if err != nil {
		return err
	}
	var failures, unknown []error
	for _, n := range nodes {
		switch err := do(n); {
		case api.Is(err, http.StatusNotFound):
			unknown = append(unknown, err)
		case err != nil:
			failures = append(failures, fmt.Errorf("%s: %w", n.Address(), err))
		}
	}
	if len(unknown) == len(nodes) {
		return unknown[0]
	}
	return errors.Join(failures...)
}

// peekVerb shows messages of one nsqd-lite, as it answers them.
func (p process) peekVerb(kind, args string, n int) verb {
	f := new(manageFlags)
	return verb{
		use: "peek " + args, short: "show messages of a " + kind + " as JSON, and consume none",
		least: n, most: n, missing: missingNames(n),
		flags: func(fs *pflag.FlagSet) {
			f.source.flags(fs)
			fs.IntVarP(&f.count, "n", "n", 10, "messages to show")
		},
		run: func(ctx context.Context, args []string) error {
			query := url.Values{"topic": {args[0]}, "count": {strconv.Itoa(f.count)}}
			if n == 2 {
				query.Set("channel", args[1])
			}
			return p.onNodes(ctx, f, func(c *api.Client) error {
				res, err := c.Do(ctx, http.MethodGet, "/"+kind+"/peek", query, nil)
				if err != nil {
					return err
				}
				defer res.Body.Close()
				if _, err := io.Copy(p.stdout, res.Body); err != nil {
					return err
				}
				_, err = io.WriteString(p.stdout, "\n")
				return err
			})
		},
	}
}

func (p process) nodeVerb() verb {
	var lookupds []string
	var asJSON bool
	flags := func(fs *pflag.FlagSet) {
		fs.StringArrayVar(&lookupds, "lookupd-http-address", nil, "`host:port` of an nsqlookupd's HTTP API. May be given many times (default 127.0.0.1:4161)")
	}
	clients := func() []*api.Client {
		if len(lookupds) == 0 {
			lookupds = []string{"127.0.0.1:4161"}
		}
		return (&sourceFlags{lookupds: lookupds}).source(nil).Lookupds
	}
	return verb{
		use: "node", short: "list nsqds, or hide one from consumers of a topic", group: groupAdmin,
		verbs: []verb{{
			use: "list", short: "list the nsqds that nsqlookupds know",
			flags: func(fs *pflag.FlagSet) {
				flags(fs)
				fs.BoolVar(&asJSON, "json", false, "as JSON, with the names of nsqlookupd's /nodes")
			},
			run: func(ctx context.Context, _ []string) error { return p.listNodes(ctx, clients(), asJSON) },
		}, {
			use: "tombstone TOPIC HOST:HTTP-PORT", short: "hide an nsqd from those who look for a topic, for 45 s",
			long: "Hide an nsqd from those who look for a topic, for 45 s unless the nsqlookupd is told otherwise.\n" +
				"Delete the topic there meanwhile, and it stays away.",
			least: 2, most: 2, missing: "name one topic and one nsqd", flags: flags,
			run: func(ctx context.Context, args []string) error {
				var err error
				for _, d := range clients() {
					err = errors.Join(err, d.Post(ctx, "/topic/tombstone", url.Values{"topic": {args[0]}, "node": {args[1]}}, nil))
				}
				return err
			},
		}},
	}
}

// node is an nsqd as an nsqlookupd tells.
type node struct {
	RemoteAddress    string   `json:"remote_address"`
	Hostname         string   `json:"hostname"`
	BroadcastAddress string   `json:"broadcast_address"`
	TCPPort          int      `json:"tcp_port"`
	HTTPPort         int      `json:"http_port"`
	Version          string   `json:"version"`
	Tombstones       []bool   `json:"tombstones"`
	Topics           []string `json:"topics"`
}

// listNodes lists what the nsqlookupds know, each nsqd once.
func (p process) listNodes(ctx context.Context, lookupds []*api.Client, asJSON bool) error {
	nodes, seen := []node{}, map[string]bool{}
	for _, d := range lookupds {
		var reply struct{ Producers []node }
		if err := d.Get(ctx, "/nodes", nil, &reply); err != nil {
			return err
		}
		for _, n := range reply.Producers {
			if key := fmt.Sprintf("%s:%d", n.BroadcastAddress, n.TCPPort); !seen[key] {
				seen[key] = true
				nodes = append(nodes, n)
			}
		}
	}
	if asJSON {
		return json.NewEncoder(p.stdout).Encode(struct {
			Producers []node `json:"producers"`
		}{nodes})
	}
	for _, n := range nodes {
		if _, err := fmt.Fprintf(p.stdout, "%s\ttcp %d\thttp %d\tversion %s\t%d topics\n", n.BroadcastAddress, n.TCPPort, n.HTTPPort, n.Version, len(n.Topics)); err != nil {
			return err
		}
	}
	return nil
}
