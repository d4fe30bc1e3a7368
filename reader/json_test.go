package reader

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nsqloop/nsqloop/loop/looptest"
)

type order struct {
	ID   int    `json:"id"`
	Note string `json:"note"`
}

func TestJSON_ParsesOrDiscards_84(t *testing.T) {
	var got []order
	var log strings.Builder
	w := newWorld(t, looptest.Options{})
	b := w.broker("nsqd")
	w.reader(Options{
		MaxInFlight: 5,
		Logger:      slog.New(slog.NewTextHandler(&log, nil)),
		Handler: JSON(func(m *Message, o order) error {
			got = append(got, o)
			if m.Topic() != "topic" || m.Channel() != "channel" {
				t.Errorf("the message is of %s/%s", m.Topic(), m.Channel())
			}
			if o.Note == "bad" {
				return errBoom
			}
			return nil
		}),
	})
	b.send(`{"id":1,"note":"x"}`)
	w.Run(time.Second)
	b.wantTrace("SUB, RDY 1, RDY 5, FIN")
	b.send(`{"id":"one"}`)
	w.Run(time.Second)
	b.wantTrace("FIN")
	if !strings.Contains(log.String(), `level=WARN msg="message discarded"`) || !strings.Contains(log.String(), "reader.order") {
		t.Errorf("the log says %s", &log)
	}
	b.send(`{"note":"bad"}`)
	w.Run(time.Second)
	b.wantTrace("RDY 0, REQ 90000")
	if want := []order{{ID: 1, Note: "x"}, {Note: "bad"}}; len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %v, want %v", got, want)
	}
	if m := (&Message{}); m.Topic() != "" || m.Channel() != "" {
		t.Error("a message without reader has a topic")
	}
}

func TestJSON_SaysWhatDoesNotFit(t *testing.T) {
	h := JSON(func(*Message, order) error { t.Error("called"); return nil })
	for _, body := range []string{"", "x", `{"id":`, `[]`} {
		err := h(&Message{Body: []byte(body), NSQD: "nsqd:4150"})
		var r *result
		if !errors.As(err, &r) || !r.discard || !strings.Contains(err.Error(), "reader.order") || !strings.Contains(err.Error(), "nsqd:4150") {
			t.Errorf("%q gave %v", body, err)
		}
	}
}
