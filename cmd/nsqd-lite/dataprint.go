package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/nsqloop/nsqloop/server/offline"
)

// printReport prints what data verify and data repair found.
func (p process) printReport(r *offline.Report, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(p.stdout).Encode(r)
	}
	var b strings.Builder
	var bytes, messages int64
	for i := range r.Topics {
		t := &r.Topics[i]
		bytes, messages = bytes+t.Bytes, messages+t.Messages
		printTopic(&b, t)
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "note: %s\n", note)
	}
	fmt.Fprintf(&b, "%s: %d topics, %d messages on disk, %.1f MB: ", r.DataPath, len(r.Topics), messages, float64(bytes)/1e6)
	switch {
	case r.Whole:
		b.WriteString("whole\n")
	case r.Repaired:
		fmt.Fprintf(&b, "repaired; %d messages are lost\n", r.Lost)
	default:
		fmt.Fprintf(&b, "damaged; %d messages are lost\n", r.Lost)
	}
	_, err := io.WriteString(p.stdout, b.String())
	return err
}

// printTopic prints what was found of a topic.
func printTopic(b *strings.Builder, t *offline.TopicReport) {
	fmt.Fprintf(b, "topic %s: %d messages in %d files%s; waiting %d, deferred %d%s\n",
		t.Topic, t.Messages, t.Segments, said(t.Paused, ", paused"), t.Depth, t.Deferred, lostText(t.Lost))
	for _, c := range t.Channels {
		fmt.Fprintf(b, "  channel %s: waiting %d, deferred %d%s%s%s\n",
			c.Channel, c.Depth, c.Deferred, said(c.Paused, ", paused"), lostText(c.Lost), said(c.Rebuilt, ", made again: its journal has lost it"))
	}
	for _, d := range t.Damage {
		if d.Bytes == 0 {
			fmt.Fprintf(b, "  damage: %d messages are missing before byte %d of %s\n", d.Messages, d.Offset, d.File)
			continue
		}
		fmt.Fprintf(b, "  damage: %d bytes at %d of %s, %d messages\n", d.Bytes, d.Offset, d.File, d.Messages)
	}
	if t.Torn > 0 {
		fmt.Fprintf(b, "  %d bytes of a write that was not finished, and never acknowledged\n", t.Torn)
	}
	if len(t.SetAside) > 0 {
		fmt.Fprintf(b, "  kept aside: %s\n", strings.Join(t.SetAside, ", "))
	}
	for _, note := range t.Notes {
		fmt.Fprintf(b, "  note: %s\n", note)
	}
	if t.Error != "" {
		fmt.Fprintf(b, "  cannot be read: %s\n", t.Error)
	}
}

// said is text when it is true.
func said(is bool, text string) string {
	if is {
		return text
	}
	return ""
}

func lostText(n int64) string { return said(n > 0, fmt.Sprintf(", lost %d", n)) }

// printImport prints what data import did.
func (p process) printImport(im *offline.Imported, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(p.stdout).Encode(im)
	}
	var b strings.Builder
	for _, t := range im.Topics {
		whose := "all its channels"
		switch {
		case len(t.Channels) == 0:
			whose = "the first channel"
		case t.Paused:
			whose = "all its channels, when it goes on"
		}
		fmt.Fprintf(&b, "topic %s: %d messages for %s%s\n", t.Topic, t.Messages, whose, said(t.Paused, ", paused"))
		for _, c := range t.Channels {
			fmt.Fprintf(&b, "  channel %s: %d messages%s\n", c.Channel, c.Messages, said(c.Paused, ", paused"))
		}
		for _, file := range t.Bad {
			fmt.Fprintf(&b, "  set aside by nsqd: %s\n", file)
		}
	}
	printNotes(&b, im.Notes)
	fmt.Fprintf(&b, "%d messages of %d topics are in %s\n", im.Messages, len(im.Topics), im.DataPath)
	_, err := io.WriteString(p.stdout, b.String())
	return err
}
