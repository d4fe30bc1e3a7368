package server

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nsqloop/nsqloop/internal/wire"
)

// Bounds of what IDENTIFY may ask for that no option sets. They are nsqd's.
const (
	minHeartbeat            = time.Second
	minMsgTimeout           = time.Second
	minOutputBufferSize     = 64
	defaultOutputBufferSize = 16 << 10
	maxSampleRate           = 99
	defaultDeflateLevel     = 6
)

// identity is what a client has said about itself, and what it was granted that
// has no effect here.
type identity struct {
	clientID, hostname, userAgent string
	region, zone                  string
	bufferSize                    int
	bufferTimeout                 time.Duration
}

// identify is IDENTIFY. It may be repeated before SUB; the newest values count.
func (c *conn) identify(body []byte) *wire.Error {
	if u := &c.upgrades; c.s.o.Strict && (u.tls != nil || u.snappy || u.deflate) {
		return wire.Errorf(wire.CodeInvalid, "cannot IDENTIFY in current state")
	}
	q, err := c.decoded(body)
	if err != nil {
		return wire.Errorf(wire.CodeBadBody, "IDENTIFY failed to decode JSON body")
	}
	if err := c.s.checkIdentify(&q); err != nil {
		return err
	}
	if err := c.identifyPublisher(&q); err != nil {
		return err
	}
	u, refused := c.planUpgrade(&q)
	c.adopt(&q)
	if !q.FeatureNegotiation {
		c.reply(wire.OK)
		return nil
	}
	if refused != nil {
		return refused
	}
	data, err := json.Marshal(c.negotiated(u))
	if err != nil {
		panic("the reply to IDENTIFY does not encode: " + err.Error())
	}
	c.reply(string(data))
	c.upgrade(u)
	return nil
}

// checkIdentify finds the first value that is out of bounds, in nsqd's order
// and words. nsqd has taken over the values before that one; the connection is
// closed anyway.
func (s *Server) checkIdentify(q *wire.IdentifyRequest) *wire.Error {
	o := &s.o
	for _, v := range [...]struct {
		what     string
		n        int
		off      bool // -1 is allowed
		min, max int
	}{
		{"heartbeat interval", q.HeartbeatMillis, true, millis(minHeartbeat), millis(o.MaxHeartbeatInterval)},
		{"output buffer timeout", q.OutputBufferMillis, true, millis(o.MinOutputBufferTimeout), millis(o.MaxOutputBufferTimeout)},
		{"output buffer size", q.OutputBufferSize, true, minOutputBufferSize, o.MaxOutputBufferSize},
		{"sample rate", int(q.SampleRate), false, 0, maxSampleRate},
		{"msg timeout", q.MsgTimeoutMillis, false, millis(minMsgTimeout), millis(o.MaxMsgTimeout)},
	} {
		if v.n == 0 || v.n == -1 && v.off || v.min <= v.n && v.n <= v.max {
			continue
		}
		return wire.Errorf(wire.CodeBadBody, "IDENTIFY %s (%d) is invalid", v.what, v.n)
	}
	return nil
}

// adopt makes the values of an IDENTIFY those of the connection. 0 keeps what
// was there.
func (c *conn) adopt(q *wire.IdentifyRequest) {
	if c.identity == nil {
		c.identity = &identity{bufferSize: defaultOutputBufferSize, bufferTimeout: c.s.o.OutputBufferTimeout}
	}
	id := c.identity
	before := id.size()
	id.clientID, id.hostname, id.userAgent = keepable(q.ClientID), keepable(q.Hostname), keepable(q.UserAgent)
	id.region, id.zone = keepable(q.TopologyRegion), keepable(q.TopologyZone)
	c.holdFixed(id.size() - before)

	switch {
	case q.HeartbeatMillis > 0:
		c.rules.HeartbeatsOff = false
		c.setHeartbeat(time.Duration(q.HeartbeatMillis) * time.Millisecond)
	case q.HeartbeatMillis == -1:
		c.rules.HeartbeatsOff = true
		c.setHeartbeat(0)
	}
	switch {
	case q.OutputBufferMillis > 0:
		id.bufferTimeout = time.Duration(q.OutputBufferMillis) * time.Millisecond
	case q.OutputBufferMillis == -1:
		id.bufferTimeout = 0
	}
	switch {
	case q.OutputBufferSize > 0:
		id.bufferSize = q.OutputBufferSize
	case q.OutputBufferSize == -1:
		id.bufferSize, id.bufferTimeout = 1, 0
	}
	if q.MsgTimeoutMillis > 0 {
		c.timeout = int64(q.MsgTimeoutMillis) * int64(time.Millisecond)
	}
	c.sample = q.SampleRate
}

// size is how many bytes the texts have.
func (id *identity) size() int64 {
	return int64(len(id.clientID) + len(id.hostname) + len(id.userAgent) + len(id.region) + len(id.zone))
}

// negotiated is the reply to a client that asked for one, and is granted u.
func (c *conn) negotiated(u upgrade) *wire.IdentifyReply {
	o := &c.s.o
	return &wire.IdentifyReply{
		MaxRdyCount:         o.MaxRdyCount,
		Version:             Version,
		MaxMsgTimeoutMillis: millis(o.MaxMsgTimeout),
		MsgTimeoutMillis:    millis(time.Duration(c.timeout)),
		TLSv1:               u.tls,
		Snappy:              u.snappy,
		Deflate:             u.deflate,
		DeflateLevel:        u.level,
		MaxDeflateLevel:     o.MaxDeflateLevel,
		SampleRate:          c.sample,
		AuthRequired:        c.s.auth != nil,
		OutputBufferSize:    c.identity.bufferSize,
		OutputBufferMillis:  millis(c.identity.bufferTimeout),
		TopologyRegion:      o.TopologyRegion,
		TopologyZone:        o.TopologyZone,
		Sync:                syncMode(o),
		SyncWindowMillis:    syncWindowMillis(o),
		LitePublisher:       c.publisherToken(),
	}
}

// syncWindowMillis is syncWindow in milliseconds, rounded up.
func syncWindowMillis(o *Options) int {
	ns := syncWindow(o)
	if ns < 0 {
		return -1
	}
	return millis(time.Duration(ns) + time.Millisecond - 1)
}

// keptMost is how many bytes are kept of a string that a client says about
// itself, whose IDENTIFY may have megabytes.
const keptMost = 1 << 10

// keepable is what is kept of v: its beginning, cut between two characters, in
// memory of its own.
func keepable(v string) string {
	if len(v) <= keptMost {
		return v
	}
	n := keptMost
	for n > keptMost-utf8.UTFMax && !utf8.RuneStart(v[n]) {
		n--
	}
	return strings.Clone(v[:n])
}
