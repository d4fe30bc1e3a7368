package wire

import (
	"encoding/binary"
	"strconv"
	"time"
)

// AppendIdentify appends IDENTIFY with body, the JSON of an IdentifyRequest.
func AppendIdentify(dst, body []byte) []byte {
	dst = append(dst, "IDENTIFY\n"...)
	return appendBody(dst, body)
}

// AppendAuth appends AUTH.
func AppendAuth(dst []byte, secret string) []byte {
	dst = append(dst, "AUTH\n"...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(secret)))
	return append(dst, secret...)
}

// AppendSub appends SUB. As in all functions here, names go out as they are:
// check them with ValidName first, because nsqd takes what follows a space in
// a name for another parameter.
func AppendSub(dst []byte, topic, channel string) []byte {
	dst = append(dst, "SUB "...)
	dst = append(dst, topic...)
	dst = append(dst, ' ')
	dst = append(dst, channel...)
	return append(dst, '\n')
}

// AppendPub appends PUB.
func AppendPub(dst []byte, topic string, body []byte) []byte {
	return AppendNumberedPub(dst, topic, 0, body)
}

// AppendNumberedPub appends PUB with a number: see Rules.Numbered. As in its
// sisters, 0 is none.
func AppendNumberedPub(dst []byte, topic string, number uint64, body []byte) []byte {
	dst = append(dst, "PUB "...)
	dst = append(dst, topic...)
	dst = endPublishLine(dst, number)
	return appendBody(dst, body)
}

// AppendMPub appends MPUB with a message for each body.
func AppendMPub(dst []byte, topic string, bodies [][]byte) []byte {
	return AppendNumberedMPub(dst, topic, 0, bodies)
}

// AppendNumberedMPub appends MPUB with a number, which is the first message's;
// the others count on from it.
func AppendNumberedMPub(dst []byte, topic string, number uint64, bodies [][]byte) []byte {
	size := 4
	for _, body := range bodies {
		size += 4 + len(body)
	}
	dst = append(dst, "MPUB "...)
	dst = append(dst, topic...)
	dst = endPublishLine(dst, number)
	dst = binary.BigEndian.AppendUint32(dst, uint32(size))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(bodies)))
	for _, body := range bodies {
		dst = appendBody(dst, body)
	}
	return dst
}

// AppendDPub appends DPUB. The delay goes out in whole milliseconds, rounded
// up, so that the message is never early; a negative delay is none.
func AppendDPub(dst []byte, topic string, delay time.Duration, body []byte) []byte {
	return AppendNumberedDPub(dst, topic, delay, 0, body)
}

// AppendNumberedDPub appends DPUB with a number.
func AppendNumberedDPub(dst []byte, topic string, delay time.Duration, number uint64, body []byte) []byte {
	dst = append(dst, "DPUB "...)
	dst = append(dst, topic...)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, millis(delay), 10)
	dst = endPublishLine(dst, number)
	return appendBody(dst, body)
}

// endPublishLine ends the line of a publish, with a number unless that is 0.
func endPublishLine(dst []byte, number uint64) []byte {
	if number != 0 {
		dst = append(dst, ' ')
		dst = strconv.AppendUint(dst, number, 10)
	}
	return append(dst, '\n')
}

// AppendRdy appends RDY. A negative count is 0.
func AppendRdy(dst []byte, n int) []byte {
	dst = append(dst, "RDY "...)
	dst = strconv.AppendInt(dst, int64(max(n, 0)), 10)
	return append(dst, '\n')
}

// AppendFin appends FIN.
func AppendFin(dst []byte, id ID) []byte {
	dst = append(dst, "FIN "...)
	dst = append(dst, id[:]...)
	return append(dst, '\n')
}

// AppendReq appends REQ. The delay is treated as in AppendDPub.
func AppendReq(dst []byte, id ID, delay time.Duration) []byte {
	dst = append(dst, "REQ "...)
	dst = append(dst, id[:]...)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, millis(delay), 10)
	return append(dst, '\n')
}

// AppendTouch appends TOUCH.
func AppendTouch(dst []byte, id ID) []byte {
	dst = append(dst, "TOUCH "...)
	dst = append(dst, id[:]...)
	return append(dst, '\n')
}

// AppendCls appends CLS.
func AppendCls(dst []byte) []byte { return append(dst, "CLS\n"...) }

// AppendNop appends NOP.
func AppendNop(dst []byte) []byte { return append(dst, "NOP\n"...) }

// appendBody appends body and its length before it.
func appendBody(dst, body []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(body)))
	return append(dst, body...)
}

// millis is d in whole milliseconds, rounded up; 0 when d is negative.
func millis(d time.Duration) int64 {
	if d <= 0 {
		return 0
	}
	return int64((d-1)/time.Millisecond) + 1
}
