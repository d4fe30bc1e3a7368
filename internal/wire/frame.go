package wire

import (
	"encoding/binary"
	"errors"
)

// The four bytes that open a connection. MagicV2 is the protocol between
// clients and nsqd; MagicV1 is the one between nsqd and nsqlookupd.
const (
	MagicV1 = "  V1"
	MagicV2 = "  V2"
)

// FrameType says what the data of a frame is.
type FrameType int32

// The three types of frame.
const (
	FrameResponse FrameType = 0
	FrameError    FrameType = 1
	FrameMessage  FrameType = 2
)

// The responses that are not JSON.
const (
	OK        = "OK"
	Heartbeat = "_heartbeat_"
	CloseWait = "CLOSE_WAIT"
)

// Whole frames of the fixed responses, to be appended as they are.
var (
	OKFrame        = string(AppendResponse(nil, OK))
	HeartbeatFrame = string(AppendResponse(nil, Heartbeat))
	CloseWaitFrame = string(AppendResponse(nil, CloseWait))
)

// Errors of ReadFrame. After any of them the stream cannot be read further.
var (
	// ErrFrameSize says that the size of a frame is below 4 or above the
	// reader's cap.
	ErrFrameSize = errors.New("frame size out of bounds")

	// ErrFrameType says that the type of a frame is not one of the three.
	ErrFrameType = errors.New("frame type unknown")

	// ErrHTTP says that the peer answered in HTTP: a client was pointed at
	// nsqd's HTTP port.
	ErrHTTP = errors.New("the peer speaks HTTP, not NSQ's protocol: is this the HTTP port?")
)

// httpSize is what the bytes "HTTP" amount to as the size of a frame.
const httpSize = 'H'<<24 | 'T'<<16 | 'T'<<8 | 'P'

// ReadFrame reads the first frame of b and returns its type, its data, which
// is borrowed from b, and its length n in bytes. n is 0, and err nil, while
// the frame is not whole. A size is refused as soon as it is seen: the cap max
// bounds it (it counts the type and the data; 0 means no cap), and the size
// that spells "HTTP" is ErrHTTP whatever the cap.
func ReadFrame(b []byte, max int) (t FrameType, data []byte, n int, err error) {
	if len(b) < 4 {
		return 0, nil, 0, nil
	}
	size := int(int32(binary.BigEndian.Uint32(b)))
	if size < 4 || size == httpSize || (max > 0 && size > max) {
		if size == httpSize {
			return 0, nil, 0, ErrHTTP
		}
		return 0, nil, 0, ErrFrameSize
	}
	if len(b) < 8 {
		return 0, nil, 0, nil
	}
	t = FrameType(binary.BigEndian.Uint32(b[4:]))
	if t < FrameResponse || t > FrameMessage {
		return 0, nil, 0, ErrFrameType
	}
	// Compared without adding to size, which could overflow where an int has
	// 32 bits.
	if len(b)-4 < size {
		return 0, nil, 0, nil
	}
	n = 4 + size
	return t, b[8:n:n], n, nil
}

// AppendFrame appends a frame.
func AppendFrame(dst []byte, t FrameType, data []byte) []byte {
	dst = appendFrameHeader(dst, t, len(data))
	return append(dst, data...)
}

// AppendResponse appends a response frame.
func AppendResponse(dst []byte, data string) []byte {
	dst = appendFrameHeader(dst, FrameResponse, len(data))
	return append(dst, data...)
}

// AppendError appends the error frame of e. The frame of an error without a
// detail is its code alone.
func AppendError(dst []byte, e *Error) []byte {
	n := len(e.Code)
	if e.Detail != "" {
		n += 1 + len(e.Detail)
	}
	dst = appendFrameHeader(dst, FrameError, n)
	dst = append(dst, e.Code...)
	if e.Detail != "" {
		dst = append(dst, ' ')
		dst = append(dst, e.Detail...)
	}
	return dst
}

// appendFrameHeader appends the size and the type of a frame whose data has n
// bytes.
func appendFrameHeader(dst []byte, t FrameType, n int) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(4+n))
	return binary.BigEndian.AppendUint32(dst, uint32(t))
}
