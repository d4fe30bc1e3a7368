package layer

import (
	"bytes"
	"testing"
)

// fuzzOpen opens arbitrary bytes, whole and cut in two, and wants the same of
// both, within the limit of an Open.
func fuzzOpen(t *testing.T, make func() layer, raw []byte, cut uint16) {
	whole, halves := &end{l: make()}, &end{l: make()}
	defer whole.l.Close()
	defer halves.l.Close()
	whole.open(raw)
	at := min(int(cut), len(raw))
	halves.open(raw[:at])
	if halves.err == nil {
		halves.open(raw[at:])
	}
	if !bytes.Equal(whole.got, halves.got) || (whole.err == nil) != (halves.err == nil) {
		t.Errorf("whole: %d bytes, %v; cut at %d: %d bytes, %v", len(whole.got), whole.err, at, len(halves.got), halves.err)
	}
	if most := openMost + chunkMost; whole.largest > most || halves.largest > most {
		t.Errorf("one Open made %d bytes", max(whole.largest, halves.largest))
	}
}

func FuzzSnappy_Open(f *testing.F) {
	for _, plain := range [][]byte{[]byte("word"), bytes.Repeat([]byte("ab"), 1000), make([]byte, 100_000)} {
		raw, _ := NewSnappy().Seal(nil, plain)
		f.Add(raw, uint16(7))
	}
	f.Add([]byte(identifier+"\xfe\x02\x00\x00xx\x80\x00\x00\x00"), uint16(12))
	f.Fuzz(func(t *testing.T, raw []byte, cut uint16) {
		fuzzOpen(t, func() layer { return NewSnappy() }, raw, cut)
	})
}

func FuzzDeflate_Open(f *testing.F) {
	for _, plain := range [][]byte{[]byte("word"), bytes.Repeat([]byte("ab"), 1000), make([]byte, 1_000_000)} {
		raw, _ := NewDeflate(6).Seal(nil, plain)
		f.Add(raw, uint16(7))
	}
	f.Fuzz(func(t *testing.T, raw []byte, cut uint16) {
		fuzzOpen(t, func() layer { return NewDeflate(6) }, raw, cut)
	})
}

func FuzzTLS_Open(f *testing.F) {
	serverConfig, clientConfig := configs(f)
	client := TLSClient(clientConfig)
	hello, err := client.Seal(nil, nil)
	client.Close()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(hello)
	f.Add([]byte("  V2IDENTIFY\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e := &end{l: TLSServer(serverConfig)}
		defer e.l.Close()
		e.open(raw)
		if len(e.got) > 0 {
			t.Errorf("%q was opened without a handshake", e.got)
		}
		if _, err := e.l.Seal(nil, nil); err != nil {
			t.Error(err)
		}
	})
}
