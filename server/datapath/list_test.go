package datapath

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// A list is written in pieces, and reads as if it were in one.
func TestWriteList_IsWhatJSONSays(t *testing.T) {
	version := "lite []"
	many := &List{Version: "1 []", LiteVersion: &version}
	for _, name := range []string{"a", "b", "c"} {
		many.Topics = append(many.Topics, Topic{Name: name, Paused: name == "b", Channels: []Channel{{Name: "x", Number: 3}, {Name: "y", Paused: true}}})
	}
	for _, list := range []*List{many, {Topics: []Topic{}}, {Version: "1"}, {Topics: []Topic{{Name: "only"}}, LiteVersion: &version}} {
		dir := t.TempDir()
		if err := WriteList(dir, list); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(dir, ListFile))
		if err != nil {
			t.Fatal(err)
		}
		want, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("the file has %s, want %s", got, want)
		}
	}
}
