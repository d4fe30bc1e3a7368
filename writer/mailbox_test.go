package writer

import "testing"

// Whoever publishes while the loop is about to look need not wake it.
func TestMailbox_IsExpectedToFill(t *testing.T) {
	var m mailbox
	o, err := Options{NSQDs: []string{"127.0.0.1:4150"}}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	p := publish{topic: "t", body: []byte("x"), size: 1}
	add := func() bool { return m.add(&o, &p) }
	if !add() || add() {
		t.Error("the first of two must wake the loop, and the second need not")
	}
	m.take(nil)
	m.expect()
	if add() {
		t.Error("the loop is woken although it is about to look")
	}
	if got := len(m.take(nil)); got != 1 {
		t.Errorf("%d publishes are there, want 1", got)
	}
	if !add() {
		t.Error("the loop is not woken after it has looked")
	}
}
