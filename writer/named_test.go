package writer_test

import (
	"strings"
	"testing"

	"github.com/nsqloop/nsqloop/writer"
)

// Statements 87 and 172: writers know the options of connections by NSQ's names.
func TestOptions_SetByName(t *testing.T) {
	var o writer.Options
	if err := o.SetPair("deflate-level,3"); err != nil || o.Client.DeflateLevel != 3 {
		t.Errorf("deflate-level,3: %v, %+v", err, o.Client)
	}
	for pair, want := range map[string]string{
		"max-in-flight,9":            "option max-in-flight: is an option of consumers",
		"skip_lookupd_authorization": "is an option of consumers",
		"snapy":                      "did you mean snappy?",
	} {
		if err := o.SetPair(pair); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", pair, err, want)
		}
	}
}
