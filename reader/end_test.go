package reader

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop/looptest"
)

func TestMessage_OnEnd(t *testing.T) {
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	ends := map[string][]End{}
	note := func(m *Message) {
		w.l.Do(func() { m.OnEnd(func(how End) { ends[string(m.Body)] = append(ends[string(m.Body)], how) }) })
	}
	r, kept := w.hold(Options{MaxInFlight: 20, MaxBackoff: -1})
	names := strings.Fields("finish requeue calm discard expire touch lose claim drain")
	b.send(names...)
	w.until("the messages", func() bool { return len(*kept) == len(names) })
	m := map[string]*Message{}
	for _, got := range *kept {
		m[string(got.Body)] = got
		note(got)
	}
	w.l.Do(func() {
		m["finish"].Finish()
		m["requeue"].Requeue(time.Hour)
		m["calm"].RequeueWithoutBackoff(time.Hour)
		m["discard"].Discard()
		if len(ends) > 0 {
			t.Errorf("told inside the call: %v", ends)
		}
	})
	w.Run(30 * time.Second)
	w.l.Do(func() {
		for _, name := range []string{"touch", "lose", "claim", "drain"} {
			m[name].Touch()
		}
	})
	w.Run(35 * time.Second)
	b.on(b.mock.Cut)
	w.l.Do(func() { m["claim"].Finish() })
	w.until("the loss", func() bool { return m["lose"].ended != 0 })
	w.Run(time.Second)
	note(m["lose"]) // a late question is answered too
	w.Run(time.Second)
	want := "map[calm:[requeued] claim:[finished] discard:[discarded] drain:[lost] expire:[expired] finish:[finished] lose:[lost lost] requeue:[requeued] touch:[lost]]"
	if got := fmt.Sprint(ends); got != want {
		t.Errorf("the ends are\n %s, want\n %s", got, want)
	}
	if r.snapshot().Expired != 1 {
		t.Errorf("%+v", r.snapshot())
	}
	if got := End(9).String(); got != "End(9)" {
		t.Errorf("an unknown end is %q", got)
	}
}

func TestMessage_OnEndAtTheReadersEnd(t *testing.T) {
	for _, tt := range []struct {
		end  func(w *world, r *Reader, m *Message)
		want string
	}{
		{func(w *world, r *Reader, m *Message) { w.l.Do(func() { r.Close() }) }, "[lost]"},
		{func(w *world, r *Reader, m *Message) { w.l.Shutdown(time.Second) }, "[lost]"},
		{func(w *world, r *Reader, m *Message) {
			w.l.Do(r.leave)
			w.Run(time.Second)
			m.Answer(m.Context().Err())
		}, "[returned]"},
	} {
		w := newWorld(t, looptest.Options{})
		b := w.broker("nsqd")
		var ends []End
		r, kept := w.hold(Options{MaxInFlight: 5, DrainGrace: -1})
		b.send("x")
		w.until("a message", func() bool { return len(*kept) == 1 })
		w.l.Do(func() { (*kept)[0].OnEnd(func(how End) { ends = append(ends, how) }) })
		tt.end(w, r, (*kept)[0])
		w.Run(time.Second)
		if got := fmt.Sprint(ends); got != tt.want {
			t.Errorf("told %s, want %s", got, tt.want)
		}
	}
}

func TestMessage_OnEndOrderAndWithoutReader(t *testing.T) {
	var told []string
	m := &Message{}
	m.OnEnd(func(how End) { told = append(told, "first "+how.String()) })
	m.OnEnd(func(how End) { told = append(told, "second "+how.String()) })
	m.Requeue(0)
	m.OnEnd(func(how End) { told = append(told, "late "+how.String()) })
	if got, want := strings.Join(told, ", "), "second requeued, first requeued, late requeued"; got != want {
		t.Errorf("told %s, want %s", got, want)
	}
}

func TestMessage_OnEndFromAnyGoroutine(t *testing.T) {
	b, addr := realBroker(t)
	l := startLoop(t)
	const n = 200
	told := make(chan End, 2*n)
	_, err := New(l, Options{
		Topic: "t", Channel: "c", NSQDs: []string{addr}, MaxInFlight: 20, Workers: 4,
		Handler: func(m *Message) error {
			m.OnEnd(func(how End) { told <- how })
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	publishMany(t, b, n)
	for range n {
		select {
		case how := <-told:
			if how != Finished {
				t.Fatalf("told %v", how)
			}
		case <-time.After(patience):
			t.Fatal("not told")
		}
	}
}
