package wire

import (
	"encoding/binary"
	"errors"
)

// ID is a message id as it stands on the wire: sixteen bytes, opaque to
// clients. nsqd sends lower-case hex digits; any bytes but space and LF can be
// sent back.
type ID [16]byte

// String is the id as text.
func (id ID) String() string { return string(id[:]) }

// messageHeader is the length of what precedes the body of a message:
// timestamp, attempts and id.
const messageHeader = 8 + 2 + 16

// ErrMessageSize says that the data of a message frame is shorter than a
// message without body.
var ErrMessageSize = errors.New("message shorter than its header")

// Message is a message as it is delivered.
type Message struct {
	Timestamp int64  // when it was published: unix nanoseconds of the nsqd that took it
	Attempts  uint16 // deliveries so far, this one included; wraps to 0 after 65535
	ID        ID
	Body      []byte // borrowed
}

// ReadMessage reads the data of a message frame. The body is borrowed from
// data.
func ReadMessage(data []byte) (Message, error) {
	if len(data) < messageHeader {
		return Message{}, ErrMessageSize
	}
	return Message{
		Timestamp: int64(binary.BigEndian.Uint64(data)),
		Attempts:  binary.BigEndian.Uint16(data[8:]),
		ID:        ID(data[10:messageHeader]),
		Body:      data[messageHeader:],
	}, nil
}

// AppendMessage appends a message frame, header and all.
func AppendMessage(dst []byte, timestamp int64, attempts uint16, id ID, body []byte) []byte {
	// The header is built aside and appended at once: one bounds check and
	// one growth instead of five.
	var h [8 + messageHeader]byte
	binary.BigEndian.PutUint32(h[0:], uint32(4+messageHeader+len(body)))
	binary.BigEndian.PutUint32(h[4:], uint32(FrameMessage))
	binary.BigEndian.PutUint64(h[8:], uint64(timestamp))
	binary.BigEndian.PutUint16(h[16:], attempts)
	copy(h[18:], id[:])
	dst = append(dst, h[:]...)
	return append(dst, body...)
}
