package wire

import "encoding/json"

// IdentifyRequest is the body of IDENTIFY: what a client says about itself and
// asks for. Unless a field says otherwise its zero value means that the server
// keeps its default. Times are in milliseconds.
type IdentifyRequest struct {
	ClientID           string `json:"client_id"`                       // shown in /stats; replaces the IP address even when empty
	Hostname           string `json:"hostname"`                        // the same
	UserAgent          string `json:"user_agent,omitempty"`            // shown in /stats
	FeatureNegotiation bool   `json:"feature_negotiation,omitempty"`   // false: the answer is "OK" and there are no upgrades
	HeartbeatMillis    int    `json:"heartbeat_interval,omitempty"`    // -1: no heartbeats, and no SUB
	OutputBufferSize   int    `json:"output_buffer_size,omitempty"`    // bytes; -1: no buffer
	OutputBufferMillis int    `json:"output_buffer_timeout,omitempty"` // -1: no timer
	MsgTimeoutMillis   int    `json:"msg_timeout,omitempty"`           // how long a message may be in flight
	SampleRate         int32  `json:"sample_rate,omitempty"`           // percent of messages wanted, 1 to 99; 0: all
	TLSv1              bool   `json:"tls_v1,omitempty"`
	Snappy             bool   `json:"snappy,omitempty"`
	Deflate            bool   `json:"deflate,omitempty"`
	DeflateLevel       int    `json:"deflate_level,omitempty"`
	TopologyRegion     string `json:"topology_region,omitempty"`
	TopologyZone       string `json:"topology_zone,omitempty"`

	// LitePublisher is not nsqd's, which ignores it: whom the publishes of
	// this connection are to be remembered as, 16 lower-case hexadecimal
	// digits. See Rules.Numbered.
	LitePublisher string `json:"lite_publisher,omitempty"`
}

// IdentifyReply is the answer to an IDENTIFY that asked for feature
// negotiation: what is in effect now. The keys stand in nsqd's order. Times
// are in milliseconds.
type IdentifyReply struct {
	MaxRdyCount         int    `json:"max_rdy_count"`
	Version             string `json:"version"`
	MaxMsgTimeoutMillis int    `json:"max_msg_timeout"`
	MsgTimeoutMillis    int    `json:"msg_timeout"`
	TLSv1               bool   `json:"tls_v1"`
	Deflate             bool   `json:"deflate"`
	DeflateLevel        int    `json:"deflate_level"`
	MaxDeflateLevel     int    `json:"max_deflate_level"`
	Snappy              bool   `json:"snappy"`
	SampleRate          int32  `json:"sample_rate"`
	AuthRequired        bool   `json:"auth_required"`
	OutputBufferSize    int    `json:"output_buffer_size"`
	OutputBufferMillis  int    `json:"output_buffer_timeout"`
	TopologyRegion      string `json:"topology_region"`
	TopologyZone        string `json:"topology_zone"`

	// Sync and SyncWindowMillis are not nsqd's: when what is acknowledged is
	// forced to the disk, and the age of the oldest acknowledged message that
	// a loss of power can take, -1 where nothing bounds it.
	Sync             string `json:"sync,omitempty"`
	SyncWindowMillis int    `json:"sync_window"`

	// LitePublisher answers that of the request: a token made when the server
	// began to remember this publisher. Where it is empty, nothing is
	// remembered, and publishes have no numbers.
	LitePublisher string `json:"lite_publisher,omitempty"`
}

// ValidPublisher says whether id may be an IdentifyRequest's LitePublisher.
func ValidPublisher(id string) bool {
	for _, c := range []byte(id) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(id) == 16
}

// DecodeIdentify reads the body of IDENTIFY: one JSON object, or null. Unknown
// keys are ignored, keys match in any case, and a value of the wrong type is
// an error, as is a fraction where a whole number is due.
func DecodeIdentify(body []byte) (IdentifyRequest, error) {
	var r IdentifyRequest
	err := json.Unmarshal(body, &r)
	return r, err
}

// DecodeIdentifyReply reads the answer to IDENTIFY. The answer "OK" comes from
// a server that does not negotiate: it is the zero reply, and negotiated is
// false.
func DecodeIdentifyReply(data []byte) (r IdentifyReply, negotiated bool, err error) {
	if string(data) == OK {
		return r, false, nil
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return IdentifyReply{}, false, err
	}
	return r, true, nil
}
