package server

import (
	"fmt"
	"net"
	"runtime"
	"strings"
	"time"
)

// text writes st in the form of nsqd's GET /stats for people, column by
// column; scripts that cut columns out of it exist.
func (st *Stats) text() string {
	var b strings.Builder
	started := time.Unix(st.StartTime, 0)
	fmt.Fprintf(&b, "nsqd v%s (built w/%s)\n", st.Version, runtime.Version())
	fmt.Fprintf(&b, "start_time %s\n", started.Format(time.RFC3339))
	fmt.Fprintf(&b, "uptime %s\n", st.Taken.Sub(started))
	fmt.Fprintf(&b, "\nHealth: %s\n", printable(st.Health, 1024))
	if m := st.Memory; m != nil {
		b.WriteString("\nMemory:\n")
		m.text(&b)
	}
	if len(st.Topics) == 0 {
		b.WriteString("\nTopics: None\n")
	} else {
		b.WriteString("\nTopics:")
	}
	for i := range st.Topics {
		t := &st.Topics[i]
		fmt.Fprintf(&b, "\n%s[%-15s] depth: %-5d be-depth: %-5d msgs: %-8d e2e%%: %s\n",
			pauseMark(t.Paused), t.TopicName, t.Depth, t.BackendDepth, t.MessageCount, t.E2E.text())
		for j := range t.Channels {
			t.Channels[j].text(&b, st.Taken)
		}
	}
	if len(st.Producers) == 0 {
		b.WriteString("\nProducers: None\n")
		return b.String()
	}
	b.WriteString("\nProducers:\n")
	for i := range st.Producers {
		fmt.Fprintf(&b, "   %s\n", st.Producers[i].text(st.Taken))
	}
	return b.String()
}

func (m *MemoryStats) text(b *strings.Builder) {
	for _, line := range []struct {
		name  string
		value uint64
	}{
		{"heap_objects", m.HeapObjects},
		{"heap_idle_bytes", m.HeapIdleBytes},
		{"heap_in_use_bytes", m.HeapInUseBytes},
		{"heap_released_bytes", m.HeapReleasedBytes},
		{"gc_pause_usec_100", m.GCPauseUsec100},
		{"gc_pause_usec_99", m.GCPauseUsec99},
		{"gc_pause_usec_95", m.GCPauseUsec95},
		{"next_gc_bytes", m.NextGCBytes},
		{"gc_total_runs", uint64(m.GCTotalRuns)},
	} {
		fmt.Fprintf(b, "   %-25s\t%d\n", line.name, line.value)
	}
}

func (c *ChannelStats) text(b *strings.Builder, now time.Time) {
	fmt.Fprintf(b, "   %s[%-25s] depth: %-5d be-depth: %-5d inflt: %-4d def: %-4d re-q: %-5d timeout: %-5d msgs: %-8d e2e%%: %s\n",
		pauseMark(c.Paused), c.ChannelName, c.Depth, c.BackendDepth, c.InFlightCount, c.DeferredCount,
		c.RequeueCount, c.TimeoutCount, c.MessageCount, c.E2E.text())
	for i := range c.Clients {
		fmt.Fprintf(b, "        %s\n", c.Clients[i].text(now))
	}
}

// text is one connection on one line. One that has published is shown as a
// producer wherever it stands.
func (c *ClientStats) text(now time.Time) string {
	_, port, _ := net.SplitHostPort(c.RemoteAddress) // none on a unix socket
	id := printable(c.Hostname, 255) + ":" + port + " " + printable(c.UserAgent, 255)
	connected := now.Sub(time.Unix(c.ConnectTime, 0)).Truncate(time.Second)
	if len(c.PubCounts) == 0 {
		return fmt.Sprintf("[%s %-21s] state: %d inflt: %-4d rdy: %-4d fin: %-8d re-q: %-8d msgs: %-8d connected: %s",
			c.Version, id, c.State, c.InFlightCount, c.ReadyCount, c.FinishCount, c.RequeueCount, c.MessageCount, connected)
	}
	var total uint64
	var topics []string
	for _, p := range c.PubCounts {
		total += p.Count
		topics = append(topics, fmt.Sprintf("%s=%d", p.Topic, p.Count))
	}
	return fmt.Sprintf("[%s %-21s] msgs: %-8d topics: %s connected: %s",
		c.Version, id, total, strings.Join(topics, ","), connected)
}

// text lists the percentiles as durations.
func (e E2EStats) text() string {
	values := make([]string, len(e.Percentiles))
	for i, p := range e.Percentiles {
		values[i] = time.Duration(p.Value).String()
	}
	return strings.Join(values, ", ")
}

func pauseMark(paused bool) string {
	if paused {
		return "*P "
	}
	return "   "
}
