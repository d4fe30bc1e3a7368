package server

import (
	"runtime"
	"sort"
	"time"
)

// StatsOptions say which part of the statistics is wanted. The zero value asks
// for everything but Oldest.
type StatsOptions struct {
	// Topic, when set, leaves out all other topics. An unknown topic makes
	// Stats.Topics nil.
	Topic string

	// Channel, when set, leaves out all other channels, and the topics that
	// have no channel of that name.
	Channel string

	// ExcludeClients leaves out the subscribers of each channel and the
	// producers. ClientCount stays right.
	ExcludeClients bool

	// Oldest also finds out ChannelStats.Oldest, for which a file may have to be
	// read.
	Oldest bool

	// ExcludeMemory leaves out the memory figures, which cost a short stop of
	// the whole process.
	ExcludeMemory bool
}

// Stats is what a server holds. Encoded as JSON it is the body
// of nsqd's GET /stats?format=json, with its keys in its order. Fields without
// a key are for the text form and the metrics.
type Stats struct {
	Version   string `json:"version"`
	Health    string `json:"health"`     // "OK", or why the last write to the journal failed
	StartTime int64  `json:"start_time"` // unix seconds

	// Topics are sorted by name. It is empty but not nil when there are none,
	// and nil when StatsOptions.Topic names an unknown one: clients tell [] and
	// null apart.
	Topics []TopicStats `json:"topics"`

	Memory *MemoryStats `json:"memory,omitempty"`

	// Producers are the connections that have published at least once,
	// subscribers among them included. Nil when there are none, when they are
	// excluded, and when the topic asked for is unknown.
	Producers []ClientStats `json:"producers"`

	// Sync is when what is acknowledged is forced to the disk, "memory" when
	// there is none. SyncWindow is the age in nanoseconds of the oldest
	// acknowledged message that a loss of power can take, -1 where nothing
	// bounds it. nsqd has neither.
	Sync       string `json:"sync"`
	SyncWindow int64  `json:"sync_window"`

	Taken       time.Time `json:"-"` // the loop's time when the last of it was looked at
	Connections int       `json:"-"` // TCP connections, whether they have spoken or not

	measures *measures // of /metrics alone
}

// TopicStats is one topic within Stats.
type TopicStats struct {
	TopicName    string         `json:"topic_name"`
	Channels     []ChannelStats `json:"channels"` // sorted by name, never nil
	Depth        int64          `json:"depth"`    // waiting for a first channel or for the end of a pause
	BackendDepth int64          `json:"backend_depth"`
	MessageCount uint64         `json:"message_count"` // since the start
	MessageBytes uint64         `json:"message_bytes"` // of the bodies, since the start
	Paused       bool           `json:"paused"`
	E2E          E2EStats       `json:"e2e_processing_latency"`

	JournalBytes   int64 `json:"-"` // what the topic's journal occupies
	CorruptRecords int64 `json:"-"` // records that failed their checksum and were skipped
}

// ChannelStats is one channel within TopicStats.
type ChannelStats struct {
	ChannelName   string `json:"channel_name"`
	Depth         int64  `json:"depth"` // waiting; neither in flight nor deferred
	BackendDepth  int64  `json:"backend_depth"`
	InFlightCount int    `json:"in_flight_count"`
	DeferredCount int    `json:"deferred_count"`
	MessageCount  uint64 `json:"message_count"` // given to the channel since the start, requeues not counted

	// Deliveries by distance between server and subscriber.
	ZoneLocalMsgCount   uint64 `json:"zone_local_msg_count,omitempty"`
	RegionLocalMsgCount uint64 `json:"region_local_msg_count,omitempty"`
	GlobalMsgCount      uint64 `json:"global_msg_count,omitempty"`

	RequeueCount uint64        `json:"requeue_count"`
	TimeoutCount uint64        `json:"timeout_count"`
	ClientCount  int           `json:"client_count"`
	Clients      []ClientStats `json:"clients"` // nil when excluded, else never nil
	Paused       bool          `json:"paused"`
	E2E          E2EStats      `json:"e2e_processing_latency"`

	FinishCount uint64    `json:"-"` // FINs since the start
	Oldest      time.Time `json:"-"` // when the oldest waiting message was published; zero for none, and when not asked for
}

// ClientStats is one connection, as a subscriber or as a producer.
type ClientStats struct {
	ClientID      string `json:"client_id"`
	Hostname      string `json:"hostname"`
	Version       string `json:"version"` // always "V2"
	RemoteAddress string `json:"remote_address"`
	State         int    `json:"state"` // the number of wire.State
	ReadyCount    int    `json:"ready_count"`
	InFlightCount int    `json:"in_flight_count"`
	MessageCount  uint64 `json:"message_count"` // deliveries since it connected
	FinishCount   uint64 `json:"finish_count"`
	RequeueCount  uint64 `json:"requeue_count"`
	ConnectTime   int64  `json:"connect_ts"` // unix seconds
	SampleRate    int    `json:"sample_rate"`
	Deflate       bool   `json:"deflate"`
	Snappy        bool   `json:"snappy"`
	UserAgent     string `json:"user_agent"`

	Authed          bool   `json:"authed,omitempty"`
	AuthIdentity    string `json:"auth_identity,omitempty"`
	AuthIdentityURL string `json:"auth_identity_url,omitempty"`

	TopologyZone   string `json:"topology_zone"`
	TopologyRegion string `json:"topology_region"`

	// PubCounts holds at most one entry, as nsqd's does: any topic that the
	// connection published to, or, when one is filtered for, none but that.
	PubCounts []PubCount `json:"pub_counts,omitempty"`

	TLS                           bool   `json:"tls"`
	TLSCipherSuite                string `json:"tls_cipher_suite"`
	TLSVersion                    string `json:"tls_version"`
	TLSNegotiatedProtocol         string `json:"tls_negotiated_protocol"`
	TLSNegotiatedProtocolIsMutual bool   `json:"tls_negotiated_protocol_is_mutual"`
}

// PubCount is how many messages a connection published to a topic.
type PubCount struct {
	Topic string `json:"topic"`
	Count uint64 `json:"count"`
}

// E2EStats are the times from publish to finish. It is always an object in
// JSON: nsqadmin's request fails without it.
type E2EStats struct {
	Count       int          `json:"count"`
	Percentiles []Percentile `json:"percentiles"` // by falling quantile; nil when none are configured
}

// Percentile is one quantile of a latency.
type Percentile struct {
	Quantile float64 `json:"quantile"`
	Value    float64 `json:"value"` // nanoseconds
}

// MemoryStats are the Go runtime's figures that nsqd reports.
type MemoryStats struct {
	HeapObjects       uint64 `json:"heap_objects"`
	HeapIdleBytes     uint64 `json:"heap_idle_bytes"`
	HeapInUseBytes    uint64 `json:"heap_in_use_bytes"`
	HeapReleasedBytes uint64 `json:"heap_released_bytes"`
	GCPauseUsec100    uint64 `json:"gc_pause_usec_100"`
	GCPauseUsec99     uint64 `json:"gc_pause_usec_99"`
	GCPauseUsec95     uint64 `json:"gc_pause_usec_95"`
	NextGCBytes       uint64 `json:"next_gc_bytes"`
	GCTotalRuns       uint32 `json:"gc_total_runs"`
}

// Stats returns what the server holds. It may be called from any goroutine but
// not from a callback of the server's loop; it waits for some turns of that
// loop, more of them the more there is to look at, in which messages move: one
// topic and its channels are of one moment, and others of another. The error
// says that the server has stopped, or, as ErrNotStarted, that its loop has not
// been started.
func (s *Server) Stats(o StatsOptions) (Stats, error) {
	if err := awaitStart(s.l); err != nil {
		return Stats{}, err
	}
	return s.takeStats(o)
}

// takeStats is Stats, which waits for the loop also when it has not been started.
func (s *Server) takeStats(o StatsOptions) (Stats, error) {
	var v *inventory
	err := s.callChore(func() (cost int, last bool) {
		if v == nil {
			v = s.newInventory(o)
		}
		return v.piece()
	})
	if err != nil {
		return Stats{}, err
	}
	st := v.st
	// Reading the heap's figures stops the world, and the loop need not wait
	// for that: so it happens here and not in the inventory.
	if !o.ExcludeMemory {
		m := memoryStats()
		st.Memory = &m
	}
	return st, nil
}

// memoryStats reads the runtime's figures.
func memoryStats() MemoryStats {
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	n := min(int(ms.NumGC), len(ms.PauseNs))
	pauses := ms.PauseNs[:n]
	sort.Slice(pauses, func(a, b int) bool { return pauses[a] < pauses[b] })
	return MemoryStats{
		HeapObjects:       ms.HeapObjects,
		HeapIdleBytes:     ms.HeapIdle,
		HeapInUseBytes:    ms.HeapInuse,
		HeapReleasedBytes: ms.HeapReleased,
		GCPauseUsec100:    pauseMicros(1, pauses),
		GCPauseUsec99:     pauseMicros(0.99, pauses),
		GCPauseUsec95:     pauseMicros(0.95, pauses),
		NextGCBytes:       ms.NextGC,
		GCTotalRuns:       ms.NumGC,
	}
}

// pauseMicros returns the q quantile of sorted nanoseconds, in microseconds.
func pauseMicros(q float64, sorted []uint64) uint64 {
	if len(sorted) == 0 {
		return 0
	}
	i := int(q*float64(len(sorted)) + 0.5)
	return sorted[min(max(i, 1), len(sorted))-1] / 1000
}
