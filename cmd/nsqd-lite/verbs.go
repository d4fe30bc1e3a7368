package main

import (
	"net/url"

	"github.com/nsqloop/nsqloop/cmd/nsqd-lite/internal/api"
	"github.com/spf13/pflag"
)

// verbs are the commands that are not roles, in the order of the help.
func verbs(p process) []verb {
	return []verb{
		p.pubVerb(),
		p.subVerb(),
		p.tailVerb(),
		p.statVerb(),
		p.topVerb(),
		p.checkVerb(),
		p.benchVerb(),
		p.topicVerb(),
		p.channelVerb(),
		p.nodeVerb(),
		p.dataVerb(),
		p.toFileVerb(),
		p.toHTTPVerb(),
		p.toNSQVerb(),
		p.nsqTailVerb(),
		p.nsqStatVerb(),
		p.publishVerb(),
		p.genCertVerb(),
		p.configVerb(),
		p.manVerb(),
		p.versionVerb(),
	}
}

// utilities are the programs of NSQ's that are commands here: a link of that
// name plays them.
var utilities = []string{"nsq_to_file", "nsq_to_http", "nsq_to_nsq", "nsq_tail", "nsq_stat", "to_nsq"}

func isUtility(name string) bool {
	for _, u := range utilities {
		if u == name {
			return true
		}
	}
	return false
}

// server is where a verb finds an nsqd: the value of --nsqd-http-address.
type nsqdHTTP struct{ address string }

const nsqdHTTPFlag = "nsqd-http-address"

func (n *nsqdHTTP) flag(fs *pflag.FlagSet) {
	fs.StringVar(&n.address, nsqdHTTPFlag, "127.0.0.1:4151", "`host:port` of the server's HTTP API, or its URL")
}

func (n *nsqdHTTP) client() *api.Client { return api.New(n.address, "--"+nsqdHTTPFlag, nil) }

// ofTopic is the query that names a topic.
func ofTopic(topic string) url.Values { return url.Values{"topic": {topic}} }
