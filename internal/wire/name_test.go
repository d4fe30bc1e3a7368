package wire

import (
	"strings"
	"testing"
)

func TestValidName(t *testing.T) { // 97, 98, 99
	for _, tt := range []struct {
		name             string
		valid, ephemeral bool
	}{
		{"test", true, false},
		{"valid_name", true, false},
		{"test-with_period.", true, false},
		{"test#ephemeral", true, true},
		{".", true, false},
		{"a#ephemeral", true, true},
		{longest, true, false},
		{longest[:54] + "#ephemeral", true, true},
		{longest[:55] + "#ephemeral", false, true},
		{longest + "x", false, false},
		{"", false, false},
		{"#ephemeral", false, true},
		{"test:ephemeral", false, false},
		{"test#Ephemeral", false, false},
		{"test#ephemeral#ephemeral", false, true},
		{"test#ephemeral2", false, false},
		{"#", false, false},
		{"t$", false, false},
		{"with space", false, false},
		{"test\n", false, false},
		{"t\x00", false, false},
		{"tést", false, false},
		{"a:b", false, false},
		{strings.Repeat("#ephemeral", 7), false, true},
	} {
		if got := ValidName(tt.name); got != tt.valid {
			t.Errorf("ValidName(%q) is %v", tt.name, got)
		}
		if got := ValidName([]byte(tt.name)); got != tt.valid {
			t.Errorf("ValidName of the bytes %q is %v", tt.name, got)
		}
		if got := Ephemeral(tt.name); got != tt.ephemeral {
			t.Errorf("Ephemeral(%q) is %v", tt.name, got)
		}
		if got := Ephemeral([]byte(tt.name)); got != tt.ephemeral {
			t.Errorf("Ephemeral of the bytes %q is %v", tt.name, got)
		}
	}
}

func TestValidName_EveryByte(t *testing.T) {
	const allowed = "-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
	var got []byte
	for i := range 256 {
		if ValidName([]byte{byte(i)}) {
			got = append(got, byte(i))
		}
	}
	if string(got) != allowed {
		t.Errorf("bytes of a name are %q, want %q", got, allowed)
	}
}
