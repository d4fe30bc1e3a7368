package wire

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawCommand appends a command that a subscribed client may send, and returns
// what it is as text.
func drawCommand(t *rapid.T, dst []byte) ([]byte, string) {
	topic := rapid.StringMatching(`[.a-zA-Z0-9_-]{1,54}(#ephemeral)?`).Draw(t, "topic")
	body := rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "body")
	delay := time.Duration(rapid.IntRange(0, 3600000).Draw(t, "ms")) * time.Millisecond
	id := ID(rapid.SliceOfN(rapid.ByteRange('!', 0xff), 16, 16).Draw(t, "id"))
	count := rapid.IntRange(0, 2500).Draw(t, "count")
	want := Command{Topic: []byte(topic), Body: body, Delay: delay, ID: id, Count: count}
	switch want.Verb = rapid.SampledFrom([]Verb{Pub, MPub, DPub, Rdy, Fin, Req, Touch, Nop}).Draw(t, "verb"); want.Verb {
	case Pub:
		dst = AppendPub(dst, topic, body)
	case DPub:
		dst = AppendDPub(dst, topic, delay, body)
	case MPub:
		bodies := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 1, 9), 1, 9).Draw(t, "bodies")
		want.Count, want.Body = len(bodies), nil
		for _, b := range bodies {
			want.Body = appendBody(want.Body, b)
		}
		dst = AppendMPub(dst, topic, bodies)
	case Rdy:
		dst = AppendRdy(dst, count)
	case Fin:
		dst = AppendFin(dst, id)
	case Req:
		dst = AppendReq(dst, id, delay)
	case Touch:
		dst = AppendTouch(dst, id)
	case Nop:
		dst = AppendNop(dst)
	}
	return dst, show(&want)
}

func TestReadCommand_AnyStreamInAnyPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stream []byte
		var want []string
		for range rapid.IntRange(1, 20).Draw(t, "commands") {
			var one string
			stream, one = drawCommand(t, stream)
			want = append(want, one)
		}
		r := nsqdRules(StateSubscribed)
		if rapid.Bool().Draw(t, "progress") {
			r.Progress = new(Progress)
		}
		var got []string
		var c Command // used again and again, as a connection does
		start, end := 0, 0
		for end < len(stream) {
			end = min(end+rapid.IntRange(1, 100).Draw(t, "piece"), len(stream))
			for {
				n, err := ReadCommand(stream[start:end], r, &c)
				if err != nil {
					t.Fatalf("%v at %d of %q", err, start, stream)
				}
				if n == 0 {
					break
				}
				got = append(got, show(&c))
				start += n
			}
		}
		if start != len(stream) || !slices.Equal(got, want) {
			t.Fatalf("got %q\nwant %q", got, want)
		}
	})
}

func TestReadFrame_AnyStreamInAnyPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stream []byte
		var want []Message
		for range rapid.IntRange(1, 20).Draw(t, "messages") {
			m := Message{
				Timestamp: rapid.Int64().Draw(t, "timestamp"),
				Attempts:  uint16(rapid.IntRange(0, math.MaxUint16).Draw(t, "attempts")),
				ID:        ID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id")),
				Body:      rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "body"),
			}
			stream = AppendMessage(stream, m.Timestamp, m.Attempts, m.ID, m.Body)
			want = append(want, m)
		}
		var got []Message
		start, end := 0, 0
		for end < len(stream) {
			end = min(end+rapid.IntRange(1, 100).Draw(t, "piece"), len(stream))
			for {
				ty, data, n, err := ReadFrame(stream[start:end], 100)
				if err != nil {
					t.Fatal(err)
				}
				if n == 0 {
					break
				}
				m, err := ReadMessage(data)
				if err != nil || ty != FrameMessage {
					t.Fatalf("type %d, %v", ty, err)
				}
				got = append(got, m)
				start += n
			}
		}
		same := func(a, b Message) bool {
			return a.Timestamp == b.Timestamp && a.Attempts == b.Attempts && a.ID == b.ID && slices.Equal(a.Body, b.Body)
		}
		if !slices.EqualFunc(got, want, same) {
			t.Fatalf("got %v\nwant %v", got, want)
		}
	})
}
