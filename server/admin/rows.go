package admin

// The rows of the tables, as the page gets them. Rates are per second, times
// unix milliseconds, ages and latencies milliseconds, sizes bytes.

// clusterRow is the sum of everything.
type clusterRow struct {
	Depth     int64    `json:"depth"`
	Disk      int64    `json:"disk"`
	InFlight  int      `json:"in_flight"`
	Deferred  int      `json:"deferred"`
	In        float64  `json:"in"`
	Out       float64  `json:"out"`
	Requeue   float64  `json:"requeue"`
	Timeout   float64  `json:"timeout"`
	Published uint64   `json:"published"` // since the nsqds started
	Finished  uint64   `json:"finished"`  // the same; each once per channel
	Topics    int      `json:"topics"`
	Channels  int      `json:"channels"`
	Consumers int      `json:"consumers"`
	Nodes     int      `json:"nodes"`
	Silent    int      `json:"silent"` // nodes that do not answer
	Lookupds  []string `json:"lookupds"`
	Versions  []string `json:"versions"`
	Health    string   `json:"health"` // ok, warn or bad
	Problem   string   `json:"problem,omitempty"`
	Cut       int      `json:"cut,omitempty"` // rows that are not shown
}

// nodeRow is an nsqd.
type nodeRow struct {
	Node        string   `json:"node"`
	Host        string   `json:"host"`
	Address     string   `json:"address"`
	TCP         int      `json:"tcp"`
	HTTP        int      `json:"http"`
	Version     string   `json:"version"`
	Lite        string   `json:"lite"` // the version of nsqd-lite, "" for an nsqd
	Old         bool     `json:"old"`
	Zone        string   `json:"zone"`
	Region      string   `json:"region"`
	Error       string   `json:"error"`
	Health      string   `json:"health"`
	Start       int64    `json:"start"`
	Topics      int      `json:"topics"`
	Channels    int      `json:"channels"`
	Clients     int      `json:"clients"`
	Depth       int64    `json:"depth"`
	In          float64  `json:"in"`
	Out         float64  `json:"out"`
	Messages    uint64   `json:"messages"`
	Heap        uint64   `json:"heap"`
	Pause       uint64   `json:"pause"` // of the garbage collector at the 99th percentile, µs
	Connections int      `json:"connections"`
	Goroutines  int      `json:"goroutines"`
	DataPath    string   `json:"data_path"`
	Sync        string   `json:"sync"`
	DiskFree    int64    `json:"disk_free"`
	DiskTotal   int64    `json:"disk_total"`
	Lookupds    []string `json:"lookupds"`
	Tombstones  []string `json:"tombstones"` // topics
}

// topicRow is a topic, over all nsqds.
type topicRow struct {
	Topic     string     `json:"topic"`
	Depth     int64      `json:"depth"` // of the topic and its channels
	Waiting   int64      `json:"waiting"`
	Disk      int64      `json:"disk"`
	InFlight  int        `json:"in_flight"`
	Deferred  int        `json:"deferred"`
	In        float64    `json:"in"`
	Out       float64    `json:"out"`
	Requeue   float64    `json:"requeue"`
	Timeout   float64    `json:"timeout"`
	Messages  uint64     `json:"messages"`
	Bytes     uint64     `json:"bytes"`
	Requeues  uint64     `json:"requeues"`
	Timeouts  uint64     `json:"timeouts"`
	Channels  int        `json:"channels"`
	Consumers int        `json:"consumers"`
	Paused    int        `json:"paused"` // on how many nodes
	P99       float64    `json:"p99"`
	Oldest    int64      `json:"oldest"` // when the oldest waiting message was published; 0 when it is not known
	Journal   int64      `json:"journal"`
	Corrupt   int64      `json:"corrupt"`
	Nodes     []topicPer `json:"nodes"`
}

// topicPer is a topic on one nsqd.
type topicPer struct {
	Node     string  `json:"node"`
	Depth    int64   `json:"depth"` // of the topic and its channels
	Disk     int64   `json:"disk"`
	In       float64 `json:"in"`
	Messages uint64  `json:"messages"`
	Channels int     `json:"channels"`
	Paused   bool    `json:"paused"`
	Lite     bool    `json:"lite"`
	Hidden   bool    `json:"hidden"` // by a tombstone
}

// channelRow is a channel, over all nsqds.
type channelRow struct {
	Topic     string       `json:"topic"`
	Channel   string       `json:"channel"`
	Depth     int64        `json:"depth"`
	Disk      int64        `json:"disk"`
	InFlight  int          `json:"in_flight"`
	Deferred  int          `json:"deferred"`
	In        float64      `json:"in"`
	Out       float64      `json:"out"`
	Requeue   float64      `json:"requeue"`
	Timeout   float64      `json:"timeout"`
	Messages  uint64       `json:"messages"`
	Finished  uint64       `json:"finished"`
	Requeues  uint64       `json:"requeues"`
	Timeouts  uint64       `json:"timeouts"`
	Consumers int          `json:"consumers"`
	Paused    int          `json:"paused"`
	P99       float64      `json:"p99"`
	Oldest    int64        `json:"oldest"`
	Nodes     []channelPer `json:"nodes"`
}

// channelPer is a channel on one nsqd.
type channelPer struct {
	Node      string  `json:"node"`
	Depth     int64   `json:"depth"`
	Disk      int64   `json:"disk"`
	InFlight  int     `json:"in_flight"`
	Deferred  int     `json:"deferred"`
	In        float64 `json:"in"`
	Out       float64 `json:"out"`
	Messages  uint64  `json:"messages"`
	Requeues  uint64  `json:"requeues"`
	Timeouts  uint64  `json:"timeouts"`
	Consumers int     `json:"consumers"`
	Paused    bool    `json:"paused"`
	Lite      bool    `json:"lite"`
}

// clientRow is a connection: a subscriber, or one that has published.
type clientRow struct {
	Key       string  `json:"key"`
	Kind      string  `json:"kind"` // sub or pub
	Node      string  `json:"node"`
	Topic     string  `json:"topic"`
	Channel   string  `json:"channel"`
	Remote    string  `json:"remote"`
	ID        string  `json:"id"`
	Host      string  `json:"host"`
	Agent     string  `json:"agent"`
	Ready     int     `json:"ready"`
	InFlight  int     `json:"in_flight"`
	Messages  uint64  `json:"messages"`
	Finished  uint64  `json:"finished"`
	Requeues  uint64  `json:"requeues"`
	Late      uint64  `json:"late,omitempty"` // deliveries that it did not answer in time
	Rate      float64 `json:"rate"`           // of deliveries, or of publishes
	Connected int64   `json:"connected"`
	Last      int64   `json:"last"` // when its numbers last moved, as far as it was seen; 0: not since
	Sample    int     `json:"sample,omitempty"`
	TLS       string  `json:"tls,omitempty"`
	Deflate   bool    `json:"deflate,omitempty"`
	Snappy    bool    `json:"snappy,omitempty"`
	Identity  string  `json:"identity,omitempty"`
	Zone      string  `json:"zone,omitempty"`
	Region    string  `json:"region,omitempty"`
	Lite      bool    `json:"lite,omitempty"`
}

// attentionRow is something that a person should look at.
type attentionRow struct {
	Key     string `json:"key"`
	Level   string `json:"level"` // bad, warn or note
	Text    string `json:"text"`
	Topic   string `json:"topic,omitempty"`
	Channel string `json:"channel,omitempty"`
	Node    string `json:"node,omitempty"`
	Since   int64  `json:"since"`
}
