package layer

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"runtime"
	"strings"
	"testing"

	kflate "github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/snappy"
)

// echo sends back the n bytes it is sent, as they come.
func echo(c io.ReadWriter, n int) error {
	buf := make([]byte, 10_000)
	for n > 0 {
		k, err := c.Read(buf)
		if _, err := c.Write(buf[:k]); err != nil {
			return err
		}
		n -= k
		if err != nil {
			return err
		}
	}
	return nil
}

// exchange seals body to a blocking connection and opens what comes back.
func exchange(c net.Conn, l layer, body []byte) (got []byte, err error) {
	e := &end{l: l}
	want := len(body)
	sealed := make(chan []byte, 100) // a pipe has no buffer: writing needs a goroutine of its own
	defer close(sealed)
	go func() {
		for raw := range sealed {
			if _, err := c.Write(raw); err != nil {
				return
			}
		}
	}()
	say := func(plain []byte) error {
		raw, err := l.Seal(nil, plain)
		if len(raw) > 0 {
			sealed <- raw
		}
		return err
	}
	buf := make([]byte, 7000)
	for {
		n := min(len(body), 30_000)
		if err := say(body[:n]); err != nil {
			return nil, err
		}
		body = body[n:]
		if len(e.got) >= want {
			return e.got, nil
		}
		k, err := c.Read(buf)
		e.open(buf[:k])
		if err = errors.Join(err, e.err); err != nil {
			return nil, err
		}
	}
}

// flushing is a compressor that flushes each write.
type flushing struct {
	io.Reader
	w interface {
		io.Writer
		Flush() error
	}
}

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if err == nil {
		err = f.w.Flush()
	}
	return n, err
}

func TestCompression_SpeaksWithBlockingPeers(t *testing.T) {
	for _, peer := range []struct {
		name string
		ours layer
		make func(c net.Conn) io.ReadWriter
	}{
		{"snappy", NewSnappy(), func(c net.Conn) io.ReadWriter {
			return flushing{snappy.NewReader(c), snappy.NewBufferedWriter(c)}
		}},
		{"deflate of the standard library", NewDeflate(6), func(c net.Conn) io.ReadWriter {
			w, err := flate.NewWriter(c, 6)
			if err != nil {
				t.Fatal(err)
			}
			return flushing{flate.NewReader(c), w}
		}},
		{"deflate of klauspost", NewDeflate(3), func(c net.Conn) io.ReadWriter {
			w, err := kflate.NewWriter(c, 9)
			if err != nil {
				t.Fatal(err)
			}
			return flushing{kflate.NewReader(c), w}
		}},
	} {
		t.Run(peer.name, func(t *testing.T) {
			near, far := net.Pipe()
			defer peer.ours.Close()
			over := make(chan error, 1)
			theirs := peer.make(far)
			if f, ok := theirs.(flushing); ok {
				if c, ok := f.w.(io.Closer); ok {
					defer c.Close() // some have goroutines
				}
			}
			go func() { over <- echo(theirs, 300_000); io.Copy(io.Discard, far) }()
			body := make([]byte, 300_000)
			r := mathrand.New(mathrand.NewPCG(1, 1))
			for i := range body {
				body[i] = byte(r.IntN(4)) // compresses, but not to nothing
			}
			got, err := exchange(near, peer.ours, body)
			if theirErr := <-over; err != nil || theirErr != nil {
				t.Fatal(err, theirErr)
			}
			near.Close()
			if !bytes.Equal(got, body) {
				t.Errorf("%d bytes came back, want %d", len(got), len(body))
			}
		})
	}
}

// A bomb is opened piece by piece; the memory it needs is that of a piece.
func TestCompression_BombsAreBounded(t *testing.T) {
	for _, bomb := range []struct {
		name string
		make func() layer
	}{
		{"snappy", func() layer { return NewSnappy() }},
		{"deflate", func() layer { return NewDeflate(9) }},
	} {
		t.Run(bomb.name, func(t *testing.T) {
			const size = 16 << 20
			from, to := bomb.make(), bomb.make()
			defer from.Close()
			defer to.Close()
			var raw []byte
			zeros := make([]byte, 1<<20)
			for range size / len(zeros) {
				var err error
				if raw, err = from.Seal(raw, zeros); err != nil {
					t.Fatal(err)
				}
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			dst, total, largest := make([]byte, 0, openMost+chunkMost), 0, 0
			for piece := raw; total < size; piece = nil {
				p, err := to.Open(dst, piece)
				if err != nil {
					t.Fatal(err)
				}
				total, largest = total+len(p), max(largest, len(p))
				if !to.More() {
					break
				}
			}
			runtime.ReadMemStats(&after)
			if total != size || largest > openMost+chunkMost {
				t.Errorf("%d bytes of wire became %d, want %d, and %d in one call, want %d at most",
					len(raw), total, size, largest, openMost+chunkMost)
			}
			// It keeps what it has not opened of raw: once.
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20+uint64(len(raw)) {
				t.Errorf("opening allocated %d bytes", grown)
			}
		})
	}
}

// What Open was given belongs to the caller again, also when it has stopped half
// way.
func TestCompression_KeepsWhatItHasNotOpened(t *testing.T) {
	for _, c := range []struct {
		name     string
		from, to layer
	}{
		{"snappy", NewSnappy(), NewSnappy()},
		{"deflate", NewDeflate(9), NewDeflate(9)},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer c.from.Close()
			defer c.to.Close()
			body := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
			raw, err := c.from.Seal(nil, body)
			if err != nil {
				t.Fatal(err)
			}
			var got []byte
			stops := 0
			for piece := raw; len(got) < len(body); piece = nil {
				if got, err = c.to.Open(got, piece); err != nil {
					t.Fatal(err)
				}
				for i := range piece {
					piece[i] = 0xaa
				}
				if c.to.More() {
					stops++
				}
			}
			if !bytes.Equal(got, body) || stops < 2 {
				t.Errorf("%d bytes came, of %d, or others, in %d steps", len(got), len(body), stops)
			}
		})
	}
}

func TestSnappy_Chunks(t *testing.T) {
	word := func(l *Snappy) []byte {
		raw, err := l.Seal(nil, []byte("word"))
		if err != nil {
			t.Fatal(err)
		}
		return raw[len(identifier):]
	}(NewSnappy())
	header := func(kind byte, n int) string {
		return string([]byte{kind, byte(n), byte(n >> 8), byte(n >> 16)})
	}
	zip := strings.Repeat("\x00", 5000)
	for _, c := range []struct {
		name, in, want, err string
	}{
		{"the identifier alone", identifier, "", ""},
		{"a chunk", identifier + string(word), "word", ""},
		{"the identifier again", identifier + string(word) + identifier + string(word), "wordword", ""},
		{"padding", identifier + header(0xfe, 5000) + zip + string(word), "word", ""},
		{"padding of nothing", identifier + header(0xfe, 0) + string(word), "word", ""},
		{"skippable", identifier + header(0x82, 5000) + zip + string(word) + header(0xfd, 3) + "abc" + string(word), "wordword", ""},
		{"no identifier", string(word), "", "does not begin"},
		{"skippable before the identifier", header(0x80, 1) + "a" + identifier, "", "does not begin"},
		{"another identifier", "\xff\x06\x00\x00sNaPpy", "", "not the stream identifier"},
		{"an identifier of another length", identifier + header(0xff, 7) + "sNaPpYY", "", "7 bytes"},
		{"not skippable", identifier + header(0x02, 1) + "a", "", "type 0x02"},
		{"not skippable", identifier + header(0x7f, 1) + "a", "", "type 0x7f"},
		{"data with its first bit flipped", identifier + string(word) + header(0x80, 1) + "a", "word", "type 0x80"},
		{"data with its first bit flipped", identifier + string(word) + header(0x81, 1) + "a", "word", "type 0x81"},
		{"no room for the checksum", identifier + header(0x01, 3) + "abc", "", "chunk of 3 bytes"},
		{"too long as it is", identifier + header(0x01, 65541), "", "chunk of 65541 bytes"},
		{"too long compressed", identifier + header(0x00, 80000), "", "chunk of 80000 bytes"},
		{"too long when opened", identifier + header(0x00, 8) + "crc.\x81\x80\x04\x00", "", "65537 plain bytes"},
		{"wrong checksum", identifier + header(0x01, 6) + "crc.ab", "", "wrong checksum"},
		{"not a block", identifier + header(0x00, 7) + "crc.\x05\xff\xff", "", "corrupt"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, step := range []int{1, 3, 1 << 20} {
				e := &end{l: NewSnappy()}
				for in := c.in; len(in) > 0 && e.err == nil; {
					n := min(step, len(in))
					e.open([]byte(in[:n]))
					in = in[n:]
				}
				if string(e.got) != c.want {
					t.Errorf("in steps of %d: got %q, want %q", step, e.got, c.want)
				}
				switch {
				case c.err == "" && e.err != nil:
					t.Errorf("in steps of %d: error %v", step, e.err)
				case c.err != "" && (!errors.Is(e.err, ErrCorrupt) || !strings.Contains(e.err.Error(), c.err)):
					t.Errorf("in steps of %d: error %v, want one that says %q", step, e.err, c.err)
				}
			}
		})
	}
}

// Whichever bit the network flips, what is opened is what was sealed, as far as
// it goes.
func TestSnappy_NoBitFlipsUnseen(t *testing.T) {
	words := []string{"PUB t\n", strings.Repeat("a word that repeats ", 20), "short", "PUB u\n"}
	var sent []byte
	s := NewSnappy()
	for _, w := range words {
		sent, _ = s.Seal(sent, []byte(w))
	}
	want := strings.Join(words, "")
	for bit := range 8 * len(sent) {
		raw := bytes.Clone(sent)
		raw[bit/8] ^= 1 << (bit % 8)
		got, err := NewSnappy().Open(nil, raw)
		if !strings.HasPrefix(want, string(got)) {
			t.Errorf("bit %d flipped: got %q, which was not sent", bit, got)
		}
		if err == nil && string(got) == want {
			t.Errorf("bit %d flipped: nothing noticed", bit)
		}
	}
}

// What was announced and did not come is not made room for.
func TestSnappy_HoldsNoMoreThanCame(t *testing.T) {
	l := NewSnappy()
	if _, err := l.Open(nil, []byte(identifier+"\xfe\xff\xff\xff"+strings.Repeat("x", 100_000))); err != nil {
		t.Fatal(err)
	}
	if len(l.part) != 0 || l.skip != 1<<24-1-100_000 {
		t.Errorf("%d bytes kept, %d to be skipped", len(l.part), l.skip)
	}
}

func TestSnappy_SealDoesNotAllocate(t *testing.T) {
	l := NewSnappy()
	plain := bytes.Repeat([]byte("0123456789"), 100)
	dst := make([]byte, 0, 8192)
	n := testing.AllocsPerRun(100, func() {
		if _, err := l.Seal(dst, plain); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations in each Seal", n)
	}
}

// Small messages, each sealed by itself, compress because of those before.
// (What is smaller than 128 bytes the library does not even try.)
func TestDeflate_RemembersWhatWasSaid(t *testing.T) {
	l, peer := NewDeflate(6), NewDeflate(6)
	defer peer.Close()
	plain, sealed := 0, 0
	for i := range 1000 {
		message := fmt.Appendf(nil, `{"user":%d,"event":"order_created","amount":%d,"currency":"EUR","at":"2026-01-01T00:00:%02dZ",`+
			`"address":{"street":"Main Street","number":%d,"city":"Springfield"},"tags":["new","paid"]}`, i*7919, i*31, i%60, i%90)
		raw, err := l.Seal(nil, message)
		if err != nil {
			t.Fatal(err)
		}
		got, err := peer.Open(nil, raw)
		if err != nil || !bytes.Equal(got, message) {
			t.Fatalf("message %d: opened %q, %v", i, got, err)
		}
		plain, sealed = plain+len(message), sealed+len(raw)
	}
	if sealed > plain/2 {
		t.Errorf("%d bytes became %d, want half at most", plain, sealed)
	}
}

func TestDeflate_EndOfTheStreamIsEOF(t *testing.T) {
	var raw bytes.Buffer
	w, err := flate.NewWriter(&raw, 6)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("last words")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	e := &end{l: NewDeflate(6)}
	e.open(raw.Bytes())
	if string(e.got) != "last words" || !errors.Is(e.err, io.EOF) {
		t.Errorf("got %q, %v", e.got, e.err)
	}
}

func TestDeflate_LevelOutOfRange(t *testing.T) {
	l := NewDeflate(12)
	if _, err := l.Seal(nil, []byte("x")); err == nil {
		t.Error("level 12 is taken")
	}
}
