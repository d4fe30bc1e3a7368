package client

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/nsqloop/nsqloop/internal/wire"
)

// Info is what a connection and nsqd have agreed on. A server that is too old
// to negotiate answers "OK"; then the values are those that such servers have.
type Info struct {
	Negotiated          bool          // the server sent its values; false for an old one
	Version             string        // of nsqd
	MaxRdyCount         int           // the highest ready count of one connection
	MsgTimeout          time.Duration // until an unanswered message goes to someone else
	MaxMsgTimeout       time.Duration // until then with any number of touches
	HeartbeatInterval   time.Duration // 0: none
	OutputBufferSize    int           // bytes
	OutputBufferTimeout time.Duration
	SampleRate          int  // percent; 0: all messages
	AuthRequired        bool // the server wants a secret before SUB and PUB
	TopologyRegion      string
	TopologyZone        string
	TLS                 bool // Conn.TLS says more
	Snappy              bool
	Deflate             bool
	Identity            string // who the server takes this program for, after AUTH

	// Publisher says that nsqd-lite remembers Options.Publisher: publishes must
	// have numbers. It is the same again as long as nothing was forgotten. ""
	// means that nothing is remembered.
	Publisher string
}

// What holds when the server does not say.
const (
	oldMaxRdyCount   = 2500
	oldMaxMsgTimeout = 15 * time.Minute
	oldMsgTimeout    = time.Minute
)

// step is what the handshake waits for. They come in this order; stepUpgrade
// as often as there are upgrades.
type step uint8

const (
	stepIdentify step = iota // the answer to IDENTIFY
	stepUpgrade              // an OK through the layer that was put on
	stepAuth                 // the answer to AUTH
	stepReady                // nothing
)

// identify opens the conversation. All of it has to be over within
// Options.HandshakeTimeout.
func (c *Conn) identify() {
	c.state = StateIdentifying
	c.handshakeTimer = c.loop.After(c.o.HandshakeTimeout, c.onHandshakeTimeout)
	c.listenForSilence()
	body, err := json.Marshal(c.o.identify())
	if err != nil { // a struct of strings and integers
		panic(err)
	}
	c.log.Debug("identify", "body", string(body))
	out := append(c.conn.Output(), wire.MagicV2...)
	c.conn.SetOutput(wire.AppendIdentify(out, body))
	c.tell(EventIdentify, nil)
}

func (c *Conn) onHandshakeTimeout() {
	c.Abort(fmt.Errorf("%w: no answer within %v", ErrTimeout, c.o.HandshakeTimeout))
}

// handshake is one frame before the connection is ready. stop says that the
// bytes behind it belong to a layer that has just been put on.
func (c *Conn) handshake(t wire.FrameType, data []byte) (stop bool) {
	switch {
	case t == wire.FrameError:
		e := (*Error)(wire.ParseError(data))
		c.Abort(e)
	case t == wire.FrameMessage:
		c.Abort(fmt.Errorf("%w: a message before the answer to IDENTIFY", ErrProtocol))
	case string(data) == wire.Heartbeat:
		// Not part of the conversation, and legal at any time. But between
		// the answer to IDENTIFY and the OK of an upgrade a client is silent.
		if c.step != stepUpgrade {
			c.writeNop()
		}
		c.tell(EventHeartbeat, nil)
	case c.step == stepIdentify:
		return c.onIdentifyReply(data)
	case c.step == stepUpgrade:
		return c.onUpgraded(data)
	case c.step == stepAuth:
		c.onAuthReply(data)
	}
	return false
}

// onIdentifyReply takes over what the server said, and goes on.
func (c *Conn) onIdentifyReply(data []byte) (stop bool) {
	r, negotiated, err := wire.DecodeIdentifyReply(data)
	if err != nil {
		c.Abort(fmt.Errorf("%w: the answer is neither OK nor JSON", ErrProtocol))
		return false
	}
	c.info = Info{
		Negotiated:          negotiated,
		Version:             r.Version,
		MaxRdyCount:         r.MaxRdyCount,
		MsgTimeout:          time.Duration(r.MsgTimeoutMillis) * time.Millisecond,
		MaxMsgTimeout:       time.Duration(r.MaxMsgTimeoutMillis) * time.Millisecond,
		HeartbeatInterval:   max(c.o.HeartbeatInterval, 0),
		OutputBufferSize:    r.OutputBufferSize,
		OutputBufferTimeout: time.Duration(r.OutputBufferMillis) * time.Millisecond,
		SampleRate:          int(r.SampleRate),
		AuthRequired:        r.AuthRequired,
		TopologyRegion:      r.TopologyRegion,
		TopologyZone:        r.TopologyZone,
		Publisher:           r.LitePublisher,
	}
	if !negotiated {
		c.log.Warn("server too old to negotiate: assuming its defaults")
		c.info.MsgTimeout = c.o.MsgTimeout
	} else {
		c.log.Debug("identified", "reply", string(data))
	}
	if c.info.MaxRdyCount <= 0 {
		c.info.MaxRdyCount = oldMaxRdyCount
	}
	if c.info.MaxMsgTimeout <= 0 {
		c.info.MaxMsgTimeout = oldMaxMsgTimeout
	}
	if c.info.MsgTimeout <= 0 {
		c.info.MsgTimeout = oldMsgTimeout
	}
	if !c.planUpgrades(&r) {
		return false
	}
	c.tell(EventIdentified, nil)
	return c.proceed()
}

// ready ends the handshake.
func (c *Conn) ready() {
	c.handshakeTimer.Stop()
	c.step, c.state, c.open = stepReady, StateReady, true
	c.tell(EventReady, nil)
	c.h.OnReady(c)
}
