package contract

import (
	"bytes"
	"errors"
	"testing"

	"github.com/nsqloop/nsqloop/loop"
)

var layerTests = []namedTest{
	{"Upgrade_OpensWhatFollowsTheTrigger", testUpgrade},
	{"Upgrade_TwoLayersAtOnce", testUpgradeTwo},
	{"Upgrade_OutsideOnDataOpensTheRest", testUpgradeOutside},
	{"Upgrade_LetsTheLayerSpeakFirst", testUpgradeHello},
	{"Upgrade_ManyBytes", testUpgradeMany},
	{"Layer_MoreOpensTheRest", testLayerMore},
	{"Layer_MoreEndsWithTheConnection", testLayerMoreEnds},
	{"Layer_OpenErrorClosesTheConnection", testLayerOpenError},
	{"Layer_OpenErrorLetsTheLayerSayWhy", testLayerLastWords},
	{"Layer_SealErrorClosesTheConnection", testLayerSealError},
	{"Layer_IsClosedOnce", testLayerClose},
}

// xor is a toy layer: it says hello when it has not done so, and turns every
// bit that key has.
type xor struct {
	key     byte
	hello   string // sent first
	expect  string // received first, and not passed on
	openErr error
	sealErr error
	closed  *int
}

func (x *xor) Open(dst, raw []byte) ([]byte, error) {
	for _, b := range raw {
		if x.expect != "" {
			if b^x.key != x.expect[0] {
				return dst, errors.New("no hello")
			}
			x.expect = x.expect[1:]
			continue
		}
		dst = append(dst, b^x.key)
	}
	return dst, x.openErr
}

func (x *xor) Seal(dst, plain []byte) ([]byte, error) {
	for _, b := range []byte(x.hello) {
		dst = append(dst, b^x.key)
	}
	x.hello = ""
	for _, b := range plain {
		dst = append(dst, b^x.key)
	}
	return dst, x.sealErr
}

func (x *xor) Close() {
	if x.closed != nil {
		*x.closed++
	}
}

func turned(s string, key byte) []byte {
	p, _ := (&xor{key: key}).Seal(nil, []byte(s))
	return p
}

func testUpgrade(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a, b := &recorder{}, &recorder{}
	b.onData = func(p []byte) int {
		if i := bytes.IndexByte(p, '\n'); i >= 0 && len(b.data) == 0 {
			b.data = append(b.data, p[:i+1]...)
			b.conn.Write([]byte("plain "))
			b.conn.Upgrade(&xor{key: 0x55})
			b.conn.Write([]byte("sealed"))
			return i + 1
		}
		if len(b.data) == 0 {
			return 0
		}
		b.data = append(b.data, p...)
		return len(p)
	}
	pair(t, l, a, b)
	// The trigger and what follows it, in one write: both arrive together.
	l.Do(t, func() { a.conn.Write(append([]byte("tls\n"), turned("secret", 0x55)...)) })
	l.Until(t, "all arrived", func() bool { return len(b.data) >= 10 && len(a.data) >= 12 })
	l.Do(t, func() { a.conn.Write(turned(" and more", 0x55)) })
	l.Until(t, "all arrived", func() bool { return len(b.data) >= 19 })
	l.Do(t, func() {
		check(t, "data of the upgraded end", string(b.data), "tls\nsecret and more")
		check(t, "data of the other", string(a.data), "plain "+string(turned("sealed", 0x55)))
	})
}

func testUpgradeTwo(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a, b := &recorder{}, &recorder{}
	b.onData = func(p []byte) int {
		if len(b.data) == 0 {
			b.data = append(b.data, p[0])
			b.conn.Upgrade(&xor{key: 0x0f})
			b.conn.Write([]byte("one"))
			b.conn.Upgrade(&xor{key: 0xf0})
			b.conn.Write([]byte("two"))
			return 1
		}
		b.data = append(b.data, p...)
		return len(p)
	}
	pair(t, l, a, b)
	l.Do(t, func() { a.conn.Write(append([]byte("!"), turned("both", 0xff)...)) })
	l.Until(t, "all arrived", func() bool { return len(b.data) >= 5 && len(a.data) >= 6 })
	l.Do(t, func() {
		check(t, "opened", string(b.data), "!both")
		check(t, "sealed", string(a.data), string(turned("one", 0x0f))+string(turned("two", 0xff)))
	})
}

func testUpgradeOutside(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a, b := &recorder{}, &recorder{}
	upgraded, seen := false, 0
	b.onData = func(p []byte) int {
		seen = len(p)
		if !upgraded {
			return 0
		}
		b.data = append(b.data, p...)
		return len(p)
	}
	pair(t, l, a, b)
	l.Do(t, func() { a.conn.Write(turned("held back", 7)) })
	l.Until(t, "it arrived", func() bool { return seen == 9 })
	l.Do(t, func() { upgraded = true; b.conn.Upgrade(&xor{key: 7}) })
	l.Until(t, "it was opened", func() bool { return string(b.data) == "held back" })
}

func testUpgradeHello(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a, b := &recorder{}, &recorder{}
	pair(t, l, a, b)
	l.Do(t, func() { // no output of their own
		a.conn.Upgrade(&xor{key: 1, hello: "hi", expect: "hello"})
		b.conn.Upgrade(&xor{key: 1, hello: "hello", expect: "hi"})
	})
	l.Do(t, func() { a.conn.Write([]byte("A")); b.conn.Write([]byte("B")) })
	l.Until(t, "both were understood", func() bool { return string(a.data) == "B" && string(b.data) == "A" })
}

func testUpgradeMany(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a, b := &recorder{}, &recorder{}
	want := pattern(3 << 20)
	b.onData = func(p []byte) int { // leaves a rest most times
		n := len(p) / 1000 * 1000
		if len(b.data)+len(p) == len(want) {
			n = len(p)
		}
		b.data = append(b.data, p[:n]...)
		return n
	}
	pair(t, l, a, b)
	l.Do(t, func() {
		for _, c := range []loop.Conn{a.conn, b.conn} {
			c.Upgrade(&xor{key: 0x33})
			c.Upgrade(&xor{key: 0xcc})
		}
		a.conn.Write(want)
	})
	l.Until(t, "all arrived", func() bool { return len(b.data) >= len(want) })
	l.Do(t, func() {
		if !bytes.Equal(b.data, want) {
			t.Error("the bytes are not what was sent")
		}
	})
}

func testLayerOpenError(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a, b := &recorder{}, &recorder{}
	pair(t, l, a, b)
	mine := errors.New("not a record")
	l.Do(t, func() {
		b.conn.Upgrade(&xor{openErr: mine})
		a.conn.Write([]byte("last words"))
	})
	l.Until(t, "both ends are closed", func() bool { return a.closed == 1 && b.closed == 1 })
	l.Do(t, func() {
		check(t, "error", b.err, mine)
		if len(b.data) == 0 {
			t.Error("what was opened before the error was not delivered")
		}
	})
}

// inflater makes factor bytes of each, most of them in further calls.
type inflater struct {
	xor
	factor int
	raw    []byte
	left   int // of the first byte of raw
	calls  int
}

func (f *inflater) Open(dst, raw []byte) ([]byte, error) {
	f.calls++
	if len(raw) > 0 {
		f.raw, f.left = raw, f.factor
	}
	for range 7 {
		if f.left == 0 {
			f.raw, f.left = f.raw[1:], f.factor
		}
		if len(f.raw) == 0 {
			return dst, nil
		}
		dst = append(dst, f.raw[0])
		f.left--
	}
	return dst, nil
}

func (f *inflater) More() bool { return len(f.raw) > 0 }

func testLayerMore(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a, b := &recorder{}, &recorder{}
	pair(t, l, a, b)
	f := &inflater{factor: 10}
	l.Do(t, func() { b.conn.Upgrade(f); b.conn.Upgrade(&xor{key: 1}); a.conn.Write([]byte("abc")) })
	want := string(turned("aaaaaaaaaabbbbbbbbbbcccccccccc", 1))
	l.Until(t, "all arrived", func() bool { return len(b.data) >= len(want) })
	l.Do(t, func() {
		check(t, "opened", string(b.data), want)
		if f.calls < 5 {
			t.Errorf("Open was called %d times for 30 bytes, 7 at most in each", f.calls)
		}
	})
}

func testLayerMoreEnds(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a, b := &recorder{}, &recorder{}
	seen := 0
	b.onData = func(p []byte) int {
		if seen += len(p); seen >= 20 {
			b.conn.Abort(nil)
		}
		return len(p)
	}
	pair(t, l, a, b)
	f := &inflater{factor: 1 << 30} // would never end
	l.Do(t, func() { b.conn.Upgrade(f); a.conn.Write([]byte("a")) })
	l.Until(t, "both ends are closed", func() bool { return a.closed == 1 && b.closed == 1 })
	l.Do(t, func() { check(t, "bytes seen", seen, 21) })
}

func testLayerLastWords(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a, b := &recorder{}, &recorder{}
	b.onData = func(p []byte) int {
		b.conn.Write([]byte("answered"))
		return len(p)
	}
	pair(t, l, a, b)
	l.Do(t, func() {
		b.conn.Upgrade(&xor{openErr: errors.New("not a record"), hello: "because ", key: 3})
		a.conn.Write([]byte("x"))
	})
	l.Until(t, "both ends are closed", func() bool { return a.closed == 1 && b.closed == 1 })
	l.Do(t, func() { check(t, "received", string(a.data), string(turned("because answered", 3))) })
}

func testLayerSealError(t *testing.T, e Env) {
	l := e.New(t, Options{})
	a, b := &recorder{}, &recorder{}
	pair(t, l, a, b)
	mine := errors.New("cannot seal")
	l.Do(t, func() { a.conn.Upgrade(&xor{sealErr: mine}) })
	l.Until(t, "both ends are closed", func() bool { return a.closed == 1 && b.closed == 1 })
	l.Do(t, func() { check(t, "error", a.err, mine) })
}

func testLayerClose(t *testing.T, e Env) {
	l := e.New(t, Options{})
	for _, end := range []func(c loop.Conn){
		func(c loop.Conn) { c.Close() },
		func(c loop.Conn) { c.Abort(nil) },
	} {
		a, b := &recorder{}, &recorder{}
		pair(t, l, a, b)
		closes := 0
		l.Do(t, func() {
			a.conn.Upgrade(&xor{closed: &closes})
			b.conn.Upgrade(&xor{closed: &closes})
		})
		l.Do(t, func() { end(a.conn) })
		l.Until(t, "both ends are closed", func() bool { return a.closed == 1 && b.closed == 1 })
		l.Do(t, func() { check(t, "layers closed", closes, 2) })
	}
	a, b := &recorder{}, &recorder{}
	pair(t, l, a, b)
	closes := 0
	l.Do(t, func() { a.conn.Upgrade(&xor{closed: &closes}) })
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	check(t, "layers closed with the loop", closes, 1)
}
